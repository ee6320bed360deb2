"""One output of an E36312A: constant voltage or constant current, and the protections that shut it down.

Reference: Keysight E36300 Series Programming Guide and data sheet: 6 V, 5 A and two of 25 V, 1 A, all settable to 3 %
more. Assumed: over-voltage protection can be set up to 110 % and is there after *RST, over-current protection is off
and waits 50 ms; both are latched, and clearing them gives back the switch as it was.
"""

from dataclasses import dataclass

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.scpi_values import Limits
from sim_devices.twin.handle import ComponentHandle
from sim_devices.twin.lab_time import LabTime

LOAD_OHM = 10.0
"""What is connected to an output without a component."""

CONSTANT_CURRENT, CONSTANT_VOLTAGE, OVER_VOLTAGE, OVER_CURRENT = 1, 2, 512, 1024
"""Bits of an output's questionable condition (assumed for the protections)."""

_IN_LIMIT = 1.0 - 1e-4


@dataclass(frozen=True)
class Rating:
    """What an output can be set to."""

    voltage_v: Limits
    current_a: Limits
    protection_v: Limits


def rating(voltage_v: float, current_a: float) -> Rating:
    """The limits that belong to a nominal voltage and current."""
    return Rating(
        Limits(0.0, 1.03 * voltage_v, 0.0),
        Limits(0.0, 1.03 * current_a, current_a),
        Limits(0.0, 1.1 * voltage_v, 1.1 * voltage_v),
    )


DELAY_S = Limits(0.0, 1.023, 0.05)


@dataclass
class OutputSetup:
    """What the user set."""

    voltage_v: float
    current_a: float
    triggered_voltage_v: float
    triggered_current_a: float
    protection_v: float
    voltage_protected: bool = True
    current_protected: bool = False
    protection_delay_s: float = DELAY_S.default
    sensing: str = "INT"
    on: bool = False


class Output:
    """Setup, protections and the load; `handle` None stands for a resistor of 10 ohm."""

    def __init__(self, limits: Rating, handle: ComponentHandle | None, lab_time: LabTime) -> None:
        self.limits = limits
        self._handle = handle
        self._lab_time = lab_time
        self._limited_since_ps: int | None = None
        self.tripped = 0
        self.setup = self.default()
        self.drive()

    def default(self) -> OutputSetup:
        """The setup after *RST."""
        limits = self.limits
        return OutputSetup(
            limits.voltage_v.default,
            limits.current_a.default,
            limits.voltage_v.default,
            limits.current_a.default,
            limits.protection_v.default,
        )

    @property
    def on(self) -> bool:
        """Whether the terminals carry a voltage."""
        return self.setup.on and not self.tripped

    @property
    def protecting_until_ps(self) -> int:
        """Lab time at which an over-current that is there will have lasted long enough, 0 if there is none."""
        if self._limited_since_ps is None:
            return 0
        return self._limited_since_ps + seconds_to_ps(self.setup.protection_delay_s)

    def drive(self) -> None:
        """Give the settings to the load, and see what the protections say."""
        if self._handle is not None:
            self._handle.apply(
                voltage_v=self.setup.voltage_v, current_limit_a=self.setup.current_a, output_on=self.on
            )
        self._limited_since_ps = None
        self.watch()

    def watch(self) -> None:
        """Trip where the voltage is too high now or the current has been limited for too long."""
        if self.on and self.setup.voltage_protected and self.voltage_v() > self.setup.protection_v + 1e-9:
            self._trip(OVER_VOLTAGE)
        elif self._limited_since_ps is not None and self._lab_time.now_ps() >= self.protecting_until_ps:
            self._trip(OVER_CURRENT)
        elif not self.setup.current_protected or not self.limited:
            self._limited_since_ps = None
        elif self._limited_since_ps is None:
            self._limited_since_ps = self._lab_time.now_ps()
            self._schedule_off()

    def clear(self, kinds: int) -> None:
        """Unlatch protections; the output is as before, and trips again if the cause is still there."""
        self.tripped &= ~kinds
        self.drive()

    def voltage_v(self, average_s: float = 0.0) -> float:
        """Voltage at the terminals."""
        if self._handle is not None:
            return self._handle.sense("voltage_v", average_s)
        return min(self.setup.voltage_v, self.setup.current_a * LOAD_OHM) if self.on else 0.0

    def current_a(self, average_s: float = 0.0) -> float:
        """Current into the load."""
        if self._handle is not None:
            return self._handle.sense("current_a", average_s)
        return self.voltage_v() / LOAD_OHM

    @property
    def limited(self) -> bool:
        """Whether the output regulates its current."""
        below = self.voltage_v() < self.setup.voltage_v * _IN_LIMIT
        return self.on and below and self.current_a() >= self.setup.current_a * _IN_LIMIT

    @property
    def condition(self) -> int:
        """The output's questionable condition."""
        if not self.on:
            return self.tripped
        return CONSTANT_CURRENT if self.limited else CONSTANT_VOLTAGE

    def _trip(self, kind: int) -> None:
        self.tripped |= kind
        self._limited_since_ps = None
        if self._handle is not None:
            self._handle.apply(output_on=False)

    def _schedule_off(self) -> None:
        if self.setup.protection_delay_s <= 0.0:
            self._trip(OVER_CURRENT)
        elif self._handle is not None:
            self._handle.apply(output_on=False, after_s=self.setup.protection_delay_s)
