"""The temperature controller of an ITC4001, and the diode's case that it cools.

Reference: Thorlabs Series 4000 SCPI Programmer's Reference Manual, chapters on the TEC source. Assumed: the case is at
23 C and approaches the setpoint, or the room when it is off, exponentially with 4 s; the sensor is a thermistor of 10
kohm at 25 C with a beta of 3988 K; cooling or heating by 1 K takes 20 mA, and 2 ohm.
"""

import re
from dataclasses import dataclass
from math import exp

from qdci_lab.units import ps_to_seconds
from sim_devices.firmware.scpi_errors import (
    HEADER_SUFFIX_OUT_OF_RANGE,
    INVALID_SUFFIX,
    SETTINGS_CONFLICT,
    ScpiError,
)
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_settings import asked, choice_setting, number_setting
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import Limits, arguments, number
from sim_devices.twin.lab_time import LabTime

ROOM_C = 23.0
TIME_CONSTANT_S = 4.0
SETPOINT_C = Limits(-55.0, 150.0, 25.0)
_CONSTANT = Limits(0.0, 1000.0, 1.0)
_A_PER_K, _GAIN, _TEC_OHM = 0.02, 3.0, 2.0
_ZERO_C = 273.15
_NUMBER_AND_SUFFIX = re.compile(r"(.*[\d.])\s*([A-Za-z]*)")
_SUFFIXES = {"C": "C", "CEL": "C", "K": "K", "F": "F", "FAR": "F"}


@dataclass
class ThermalSetup:
    """What the controller remembers."""

    setpoint_c: float = SETPOINT_C.default
    low_c: float = SETPOINT_C.minimum
    high_c: float = SETPOINT_C.maximum
    unit: str = "C"
    gain: float = 1.0
    integral: float = 0.1
    derivative: float = 0.0
    period: float = 1.0
    on: bool = False


class ThermalController:
    """Commands of SOURce2 and the temperature, which follows in lab time."""

    def __init__(self, lab_time: LabTime) -> None:
        self._lab_time = lab_time
        self._setup = ThermalSetup()
        self._from_c, self._from_ps = ROOM_C, lab_time.now_ps()

    @property
    def on(self) -> bool:
        """Whether it controls."""
        return self._setup.on

    @property
    def temperature_c(self) -> float:
        """The case's temperature now."""
        target_c = self._setup.setpoint_c if self.on else ROOM_C
        passed_s = ps_to_seconds(self._lab_time.now_ps() - self._from_ps)
        return target_c + (self._from_c - target_c) * exp(-passed_s / TIME_CONSTANT_S)

    @property
    def error_c(self) -> float:
        """How far the temperature is from the setpoint."""
        return self.temperature_c - self._setup.setpoint_c

    @property
    def current_a(self) -> float:
        """Current through the cooler, positive when it cools."""
        return _A_PER_K * (ROOM_C - self.temperature_c + _GAIN * self.error_c) if self.on else 0.0

    @property
    def voltage_v(self) -> float:
        """Voltage at the cooler."""
        return _TEC_OHM * self.current_a

    @property
    def sensor_ohm(self) -> float:
        """Resistance of the thermistor."""
        return 1e4 * exp(3988.0 * (1.0 / (self.temperature_c + _ZERO_C) - 1.0 / (25.0 + _ZERO_C)))

    def shown(self, celsius: float) -> float:
        """A temperature in the unit of :UNIT:TEMPerature."""
        return {"C": celsius, "K": celsius + _ZERO_C, "F": celsius * 1.8 + 32.0}[self._setup.unit]

    def switch(self, on: bool) -> None:
        """Begin or end to control."""
        self._hold()
        self._setup.on = on

    def reset(self) -> None:
        """Off, with the default settings."""
        self._hold()
        self._setup = ThermalSetup()

    def commands(self) -> dict[str, Handler]:
        """Setpoint, its limits, the loop's constants and the unit."""
        node, own = "[:SOURce[n]]:TEMPerature", self._own
        return {
            f"{node}[:SPOint]": self._set_setpoint,
            f"{node}[:SPOint]?": self._query("setpoint_c"),
            f"{node}:LIMit:LOW[:LEVel]": self._set_low,
            f"{node}:LIMit:LOW[:LEVel]?": self._query("low_c"),
            f"{node}:LIMit:HIGH[:LEVel]": self._set_high,
            f"{node}:LIMit:HIGH[:LEVel]?": self._query("high_c"),
            **number_setting(f"{node}:LCONstants[:GAIN]", own, "gain", _CONSTANT, show=nr3),
            **number_setting(f"{node}:LCONstants:INTegral", own, "integral", _CONSTANT, show=nr3),
            **number_setting(f"{node}:LCONstants:DERivative", own, "derivative", _CONSTANT, show=nr3),
            **number_setting(f"{node}:LCONstants:PERiod", own, "period", _CONSTANT, show=nr3),
            **choice_setting(":UNIT:TEMPerature", lambda _: self._setup, "unit", "C", "K", "F"),
        }

    def _own(self, request: Request) -> ThermalSetup:
        """The settings; a header without suffix reaches them too, as there is one temperature only."""
        if request.suffixes.get("n", 2) not in (1, 2):
            raise ScpiError(HEADER_SUFFIX_OUT_OF_RANGE)
        return self._setup

    def _hold(self) -> None:
        self._from_c, self._from_ps = self.temperature_c, self._lab_time.now_ps()

    def _bounds(self, field: str) -> Limits:
        setup = self._setup
        return Limits(setup.low_c, setup.high_c, SETPOINT_C.default) if field == "setpoint_c" else SETPOINT_C

    def _query(self, field: str) -> Handler:
        def answer(request: Request) -> str:
            return nr3(self.shown(asked(request, self._bounds(field), getattr(self._own(request), field))))

        return answer

    def _set_setpoint(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._own(request)
        celsius = self._celsius(token, self._bounds("setpoint_c"))
        self._hold()
        self._setup.setpoint_c = celsius

    def _set_low(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        setup = self._own(request)
        low_c = self._celsius(token, SETPOINT_C)
        if low_c > setup.high_c:
            raise ScpiError(SETTINGS_CONFLICT)
        self._hold()
        setup.low_c, setup.setpoint_c = low_c, max(setup.setpoint_c, low_c)

    def _set_high(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        setup = self._own(request)
        high_c = self._celsius(token, SETPOINT_C)
        if high_c < setup.low_c:
            raise ScpiError(SETTINGS_CONFLICT)
        self._hold()
        setup.high_c, setup.setpoint_c = high_c, min(setup.setpoint_c, high_c)

    def _celsius(self, token: bytes, limits: Limits) -> float:
        """A temperature with or without suffix, within limits, or a limit's name."""
        text = plain_text(token)
        named = limits.named(text)
        if named is not None:
            return named
        match = _NUMBER_AND_SUFFIX.fullmatch(text)
        suffix = match[2].upper() if match else ""
        if suffix and suffix not in _SUFFIXES:
            raise ScpiError(INVALID_SUFFIX)
        value = number(match[1].encode() if match else token)
        unit = _SUFFIXES[suffix] if suffix else self._setup.unit
        return limits.check({"C": value, "K": value - _ZERO_C, "F": (value - 32.0) / 1.8}[unit])


def nr3(value: float) -> str:
    """Numbers as this family prints them: nine digits in exponential form."""
    return f"{value + 0.0:.8E}"
