"""Thorlabs ITC4001: current source and temperature controller, here for a laser diode or an LED.

Reference: Thorlabs Series 4000 SCPI programmer's reference. The range of temperatures is asked of the instrument.
Assumed: steps of 10 uA and 1 mK.
"""

from typing import Any, TypeVar

from drivers.laser.thorlabs_itc4001_codec import (
    CLEAR_STATUS,
    CONDITION,
    CONSTANT_CURRENT,
    Current,
    CurrentLimit,
    Emission,
    Measurement,
    Mode,
    TemperatureControl,
    TemperatureSetpoint,
    obstacles,
)
from qdci_lab.device import Instrument
from qdci_lab.errors import AcquisitionError, LocalProtocolError
from qdci_lab.signals import Bounds, TaskStatus, controlled, measured, switched
from qdci_lab.units import seconds_to_ps
from qdci_lab.wire.message import Command, Query

T = TypeVar("T")

RATING_A = 1.0
POLL_S = 1.0
STABLE_READINGS = 3


class ThorlabsItc4001(Instrument):
    """A diode driven with constant current, on a thermoelectric cooler.

    `max_current_a` is what the diode stands: nothing above it can be set, and the instrument's own limit is lowered to
    it, but never raised. A temperature is taken for reached when three readings, a second apart, are within
    `temperature_tolerance_c` of it, and given up after `settling_timeout_s`; with the cooler off it is only set.
    """

    MODEL = "Thorlabs ITC4001"
    IDENTITY_CONTAINS = "ITC4001"

    current = controlled(
        lambda device: device.ask(Current.get()),
        lambda device, value: device.obey(Current.set(value)),
        "A",
        precision=5,
        limits=lambda device: device.current_range_a,
        resolution=1e-5,
    )
    emission = switched(
        lambda device: device.ask(Emission.get()), lambda device, value: device.switch_emission(value)
    )
    measured_current = measured(
        lambda device: device.ask(Measurement.CURRENT), "A", precision=5, kind="hinted"
    )
    diode_voltage = measured(lambda device: device.ask(Measurement.VOLTAGE), "V", precision=4)
    temperature = measured(lambda device: device.ask(Measurement.TEMPERATURE), "°C")
    temperature_setpoint = controlled(
        lambda device: device.ask(TemperatureSetpoint.get()),
        lambda device, value: device.move_temperature(value),
        "°C",
        limits=lambda device: device.temperature_range_c,
        resolution=0.001,
        kind="config",
    )
    temperature_control = switched(
        lambda device: device.ask(TemperatureControl.get()),
        lambda device, value: device.switch_temperature_control(value),
        kind="config",
    )
    current_limit = measured(
        lambda device: device.ask(CurrentLimit.get()), "A", precision=5, kind="config", polled=False
    )
    condition = measured(lambda device: device.ask(CONDITION), "1", precision=0)

    temperature_range_c: Bounds | None = None

    def __init__(
        self,
        address: str,
        *,
        max_current_a: float = 0.045,
        temperature_tolerance_c: float = 0.05,
        settling_timeout_s: float = 120.0,
        timeout_s: float = 2.0,
        **kwargs: Any,
    ) -> None:
        if not 0.0 < max_current_a <= RATING_A:
            raise LocalProtocolError(
                f"max_current_a = {max_current_a:g}: must be above 0, at most {RATING_A:g}"
            )
        self.current_range_a: Bounds = (0.0, max_current_a)
        self.temperature_tolerance_c = temperature_tolerance_c
        self.settling_timeout_s = settling_timeout_s
        self._max_current_a = max_current_a
        self._given_up = False
        super().__init__(address, timeout_s=timeout_s, **kwargs)

    @property
    def patience_s(self) -> float:
        """Longer than a temperature may take to settle."""
        return super().patience_s + 2.0 * self.settling_timeout_s

    def prepare_instrument(self) -> None:
        """Clear errors, constant current within the diode's limit, and ask for bounds; the light stays as it is."""
        self.connection.command(CLEAR_STATUS)
        if self.ask(Mode.get()) != CONSTANT_CURRENT:
            self.obey(Mode.set_constant_current())
        if self.ask(CurrentLimit.get()) > self._max_current_a:
            self.obey(CurrentLimit.set(self._max_current_a))
        self.current_range_a = (0.0, min(self._max_current_a, self.current_limit.refresh()))
        self.temperature_range_c = (
            self.ask(TemperatureSetpoint.lowest()),
            self.ask(TemperatureSetpoint.highest()),
        )

    def switch_emission(self, state: int) -> None:
        """Switch the diode; AcquisitionError says what keeps it dark. Only the worker calls this."""
        self.obey(Emission.set(state))
        if state and not self.ask(Emission.get()):
            reasons = ", ".join(obstacles(self.condition.refresh())) or "the instrument does not say why"
            raise AcquisitionError(f"{self.label}: the output stays off: {reasons}")

    def move_temperature(self, temperature_c: float) -> None:
        """Set the temperature, and with the cooler on wait for it; only the worker calls this."""
        self.obey(TemperatureSetpoint.set(temperature_c))
        if self.ask(TemperatureControl.get()):
            self._await_temperature()

    def switch_temperature_control(self, state: int) -> None:
        """Switch the cooler; on, wait until the temperature is reached. Only the worker calls this."""
        self.obey(TemperatureControl.set(state))
        if state:
            self._await_temperature()

    def make_safe(self) -> TaskStatus:
        """Switch the diode off, without waiting for a temperature any longer."""
        self._given_up = True
        return super().make_safe()

    def enter_safe_state(self) -> None:
        """Emission off; the cooler stays on, which spares the diode."""
        self._given_up = False
        self.connection.checked(Emission.set(0))
        self.emission.refresh()

    def ask(self, query: Query[T]) -> T:
        """The instrument's answer; InstrumentError if it refuses the query. Only the worker calls this."""
        return self.connection.checked_query(query)

    def obey(self, command: Command) -> None:
        """Send a command, and wait until it is carried out; InstrumentError if it is refused. Only for the worker."""
        self.connection.checked(command)
        self.await_completion()

    def _await_temperature(self) -> None:
        wanted_c = self.ask(TemperatureSetpoint.get())
        end_ps = self.clock.now_ps() + seconds_to_ps(self.settling_timeout_s)
        temperature_c, stable = self.temperature.refresh(), 0
        while stable < STABLE_READINGS:
            if self._given_up or self.clock.now_ps() >= end_ps:
                reason = "given up" if self._given_up else f"after {self.settling_timeout_s:g} s"
                raise AcquisitionError(
                    f"{self.label}: {reason} at {temperature_c:.3f} °C on the way to {wanted_c:.3f} °C"
                )
            self.clock.sleep(POLL_S)
            temperature_c = self.temperature.refresh()
            stable = stable + 1 if abs(temperature_c - wanted_c) <= self.temperature_tolerance_c else 0
