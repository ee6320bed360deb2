"""The current source of an ITC4001 and what protects the diode.

Reference: Thorlabs Series 4000 SCPI Programmer's Reference Manual, chapters on LD output and source; 1 A and 11 V from
the data sheet. Assumed: a setpoint beyond the current limit is refused (-222), a limit below the setpoint takes the
setpoint along; the output cannot be switched on (-221) and goes off while the key is locked or the interlock is open;
the diode has 0.9 V and 1.2 ohm, and an output that needs more than its compliance voltage is switched off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sim_devices.firmware.scpi_errors import (
    HARDWARE_MISSING,
    HEADER_SUFFIX_OUT_OF_RANGE,
    SETTINGS_CONFLICT,
    ScpiError,
)
from sim_devices.firmware.scpi_settings import asked, bit, choice_setting, number_setting
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import TIME_S, VOLTAGE_V, Limits, Units, arguments, choice, limited
from sim_devices.firmware.thorlabs_itc4001_thermal import nr3
from sim_devices.twin.handle import ComponentHandle

HIGHEST_A = 1.0
_LIMIT_A = Limits(1e-3, HIGHEST_A, HIGHEST_A)
_VOLTAGE_V = Limits(1.0, 11.0, 11.0)
_DELAY_S = Limits(0.0, 10.0, 0.0)
_AMPERE: Units = {name.replace("V", "A"): scale for name, scale in VOLTAGE_V.items()}
_DIODE_V, _DIODE_OHM = 0.9, 1.2


@dataclass
class DiodeSetup:
    """What the current source remembers."""

    current_a: float = 0.0
    limit_a: float = HIGHEST_A
    protection_v: float = _VOLTAGE_V.default
    delay_s: float = 0.0
    on: bool = False
    polarity: str = "CG"
    enable_mode: str = "OFF"


class DiodeSource:
    """Commands of OUTPut1 and SOURce1, and the component that emits."""

    def __init__(self, handle: ComponentHandle, *, key_locked: bool, interlock_open: bool) -> None:
        self._handle = handle
        self.key_locked, self.interlock_open = key_locked, interlock_open
        self.reset()

    def reset(self) -> None:
        """Off, with the default settings."""
        self._setup, self.tripped = DiodeSetup(), False
        self._drive()

    def set_locks(self, *, key_locked: bool | None = None, interlock_open: bool | None = None) -> None:
        """Change a lock; an active one switches off."""
        self.key_locked = self.key_locked if key_locked is None else key_locked
        self.interlock_open = self.interlock_open if interlock_open is None else interlock_open
        if self.key_locked or self.interlock_open:
            self._setup.on = False
            self._drive()

    def switch(self, on: bool) -> None:
        """Switch the diode; -221 if a lock forbids it to be on."""
        if on and (self.key_locked or self.interlock_open):
            raise ScpiError(SETTINGS_CONFLICT)
        started = on and not self._setup.on
        self._setup.on, self.tripped = on, False
        self._drive(after_s=self._setup.delay_s if started else 0.0)

    @property
    def on(self) -> bool:
        """Whether the output is switched on."""
        return self._setup.on

    @property
    def current_a(self) -> float:
        """Current through the diode."""
        return self._setup.current_a if self.on else 0.0

    @property
    def voltage_v(self) -> float:
        """Voltage at the diode."""
        return _DIODE_V + _DIODE_OHM * self._setup.current_a if self.on else 0.0

    @property
    def at_limit(self) -> bool:
        """Whether the current is as large as its limit."""
        return self.on and self._setup.current_a >= self._setup.limit_a

    def commands(self) -> dict[str, Handler]:
        """Everything but the switch, which shares its header with the temperature controller's."""
        return self._output_commands() | self._source_commands()

    def _output_commands(self) -> dict[str, Handler]:
        node, own = ":OUTPut[n]", self._own
        guard = f"{node}:PROTection"
        tripped = {
            "VOLTage": lambda: self.tripped,
            "KEYLock": lambda: self.key_locked,
            "INTLock": lambda: self.interlock_open,
            "EXTernal": lambda: False,
            "INTernal": lambda: False,
            "OTEMp": lambda: False,
        }
        table: dict[str, Handler] = {
            **number_setting(f"{node}:DELay", own, "delay_s", _DELAY_S, TIME_S, show=nr3),
            **choice_setting(f"{node}:POLarity", own, "polarity", "CG", "AG"),
            **choice_setting(f"{guard}:EXTernal:MODE", own, "enable_mode", "OFF", "PROTection", "ENABle"),
            **number_setting(
                f"{guard}:VOLTage[:LEVel]",
                own,
                "protection_v",
                _VOLTAGE_V,
                VOLTAGE_V,
                show=nr3,
                changed=self._drive,
            ),
        }
        return table | {
            f"{guard}:{name}:TRIPped?": self._diode_query(partial(_flag, active))
            for name, active in tripped.items()
        }

    def _source_commands(self) -> dict[str, Handler]:
        node = "[:SOURce[n]]"
        level, limit = f"{node}:CURRent[:LEVel][:IMMediate][:AMPLitude]", f"{node}:CURRent:LIMit"
        return {
            **number_setting(
                level, self._own, "current_a", self._settable, _AMPERE, show=nr3, changed=self._drive
            ),
            f"{limit}[:AMPLitude]": self._set_limit,
            f"{limit}[:AMPLitude]?": lambda request: nr3(
                asked(request, _LIMIT_A, self._own(request).limit_a)
            ),
            f"{limit}:TRIPped?": self._diode_query(lambda: bit(self.at_limit)),
            f"{node}:FUNCtion:MODE": self._set_function,
            f"{node}:FUNCtion:MODE?": lambda request: "CURR" if output_number(request, 1, 2) == 1 else "TEMP",
            f"{node}:FUNCtion:SHAPe": self._set_shape,
            f"{node}:FUNCtion:SHAPe?": self._diode_query(lambda: "DC"),
        }

    def _own(self, request: Request) -> DiodeSetup:
        output_number(request, 1)
        return self._setup

    def _diode_query(self, answer: Callable[[], str]) -> Handler:
        def handle(request: Request) -> str:
            arguments(request, 0)
            output_number(request, 1)
            return answer()

        return handle

    def _settable(self, request: Request) -> Limits:
        del request
        return Limits(0.0, self._setup.limit_a, 0.0)

    def _set_limit(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        setup = self._own(request)
        setup.limit_a = limited(token, _LIMIT_A, _AMPERE)
        setup.current_a = min(setup.current_a, setup.limit_a)
        self._drive()

    def _set_function(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        possible = "CURR" if output_number(request, 1, 2) == 1 else "TEMP"
        if choice(token, "CURRent", "POWer", "TEMPerature") != possible:
            raise ScpiError(HARDWARE_MISSING)

    def _set_shape(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        output_number(request, 1)
        if choice(token, "DC", "PULSe") != "DC":
            raise ScpiError(HARDWARE_MISSING)

    def _drive(self, after_s: float = 0.0) -> None:
        """Switch off where the diode needs more voltage than allowed; then give the component what holds."""
        if self.voltage_v > self._setup.protection_v:
            self._setup.on, self.tripped = False, True
        self._handle.apply(current_a=self._setup.current_a)
        self._handle.apply(emission_on=self.on, after_s=after_s)


def _flag(active: Callable[[], bool]) -> str:
    return bit(active())


def output_number(request: Request, *allowed: int) -> int:
    """The header's suffix; -114 unless it is one of those allowed."""
    number = request.suffixes.get("n", 1)
    if number not in allowed:
        raise ScpiError(HEADER_SUFFIX_OUT_OF_RANGE)
    return number
