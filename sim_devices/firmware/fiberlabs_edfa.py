"""FiberLabs desktop optical fibre amplifier, one optical path and one pump laser.

Reference: FiberLabs Programming Manual v4.0: words and numbers separated by commas, ended by CR or LF;
settings are echoed with their value, monitors answer with the values alone. Words of the errors, bits of
ALMSTAT and what the monitors answer are as public drivers have them.
Assumed: monitors of the paths list four places, N/A where nothing is fitted; number formats; ranges, alarm
thresholds, temperatures and the law of the pump current; bit 4 for the return alarm and bit 3 also for the
pump's temperature; the output alarm rests while the output is off; ACTIVE,1 has no effect while the interlock
holds; with automatic recovery it lets go when its cause is gone, otherwise with ACTIVE,0; it and the alarms look
at the light whenever a message arrives.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from qdci_lab.units import watt_to_dbm
from sim_devices.firmware.lines import LineSession
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

ALC, ACC = 0, 1
MONITOR_FLOOR_DBM = -60.0
CASE_TEMPERATURE_C = 30.0
PUMP_TEMPERATURE_C = 25.0
COOLER_CURRENT_MA = 150.0
PUMP_THRESHOLD_MA = 50.0
PUMP_SLOPE_MW_PER_MA = 0.4
_NOT_FITTED = ("N/A", "N/A", "N/A")


class _Refused(Exception):
    """A message that is answered with an error; its text is the error's word."""


UNKNOWN_COMMAND, WRONG_ARGUMENT, NOT_DETECTED = "??CMD", "??ARG", "??NODTCT"
BUFFER_OVERFLOW = "!!BUFOVFL"


@dataclass
class _Alarm:
    """Threshold with hysteresis; `above` says on which side of it the alarm is."""

    bit: int
    threshold: float
    hysteresis: float
    above: bool
    numbered: bool = True
    enabled: bool = False
    active: bool = False

    def strikes_at(self, level: float) -> bool:
        """Whether the alarm is on at this level, given whether it is on now."""
        excess = level - self.threshold if self.above else self.threshold - level
        return excess > (-self.hysteresis if self.active else 0.0)


class FiberlabsEdfa:
    """Remembers mode, levels, alarms and interlock; power levels are in steps of 0.01 dB, currents of 1 mA."""

    MODEL = "FiberLabs EDFA"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        max_output_power_dbm: float = 23.0,
        min_output_power_dbm: float = -10.0,
        max_pump_current_ma: float = 1000.0,
    ) -> None:
        self._amplifier = connect(components, ["amplifier"])["amplifier"]
        self._serial_number = serial_number
        self._output_range_dbm = (min_output_power_dbm, max_output_power_dbm)
        self._current_range_ma = (0.0, max_pump_current_ma)
        self._lock = threading.RLock()
        self._is_active = False
        self._mode = ALC
        self._output_power_dbm = max(0.0, min_output_power_dbm)
        self._pump_current_ma = 0.0
        self._interlock = False
        self._interlocked = False
        self._recovers = (False, False)
        self._alarms = {
            "ALMOUT": _Alarm(0x01, -10.0, 0.5, above=False),
            "ALMLDC": _Alarm(0x02, max_pump_current_ma, 5.0, above=True),
            "ALMIN": _Alarm(0x04, -30.0, 0.5, above=False),
            "ALMCTMP": _Alarm(0x08, 60.0, 0.5, above=True, numbered=False),
            "ALMLDT": _Alarm(0x08, 35.0, 0.5, above=True),
            "ALMRET": _Alarm(0x10, 20.0, 0.5, above=False),
        }
        self._drive()

    def session(self) -> LineSession:
        """A serial line; all lines share the amplifier."""
        return LineSession(self._answer, self._lock, overflow=BUFFER_OVERFLOW)

    def _answer(self, message: str) -> str:
        word, *arguments = (part.strip() for part in message.upper().split(","))
        self._watch()
        try:
            return self._execute(word, arguments)
        except _Refused as refusal:
            return str(refusal)
        except ValueError:
            return WRONG_ARGUMENT

    def _execute(self, word: str, arguments: Sequence[str]) -> str:
        monitors: Mapping[str, Callable[[], str]] = {
            "*IDN?": lambda: f"FiberLabs,AMP-FL8611,{self._serial_number},4.0",
            "MONOUT": lambda: ",".join((f"{self._level_dbm('output_power_w'):.2f}", *_NOT_FITTED)),
            "MONIN": lambda: ",".join((f"{self._level_dbm('input_power_w'):.2f}", *_NOT_FITTED)),
            "MONRET": lambda: ",".join(("N/A", *_NOT_FITTED)),
            "MONCTMP": lambda: f"{CASE_TEMPERATURE_C:.1f}",
            "ALMSTAT": self._alarm_status,
            "SAVEREF": lambda: "SAVEREF",
        }
        pump_monitors: Mapping[str, Callable[[], float]] = {
            "MONLDC": self._pump_monitor_ma,
            "MONLDT": lambda: PUMP_TEMPERATURE_C,
            "MONTEC": lambda: COOLER_CURRENT_MA,
        }
        settings: Mapping[str, Callable[[Sequence[str]], str]] = {
            "ACTIVE": self._set_active,
            "SETMOD": self._set_mode,
            "SETACC": self._set_pump_current,
            "SETALC": self._set_output_power,
            "SETIL": self._set_interlock,
            "PRMACTV": self._set_recovery,
        }
        if word in monitors:
            _require(not arguments)
            return monitors[word]()
        if word in pump_monitors:
            _require(len(arguments) <= 1)
            _require_fitted(*arguments)
            return f"{pump_monitors[word]():.1f}"
        if word in settings:
            return ",".join((word, settings[word](arguments)))
        if word in self._alarms:
            return ",".join((word, self._set_alarm(self._alarms[word], arguments)))
        raise _Refused(UNKNOWN_COMMAND)

    def _set_active(self, arguments: Sequence[str]) -> str:
        _require(len(arguments) <= 1)
        if arguments:
            wanted = _switch(arguments[0])
            self._interlocked = self._interlocked and wanted
            self._is_active = wanted and not self._interlocked
            self._drive()
        return f"{self._is_active:d}"

    def _set_mode(self, arguments: Sequence[str]) -> str:
        """A change of the mode switches the output off."""
        value = _value_of_channel_1(arguments)
        if value is not None:
            mode = int(_switch(value))
            self._is_active = self._is_active and mode == self._mode
            self._mode = mode
            self._drive()
        return f"1,{self._mode}"

    def _set_pump_current(self, arguments: Sequence[str]) -> str:
        value = _value_of_channel_1(arguments)
        if value is not None:
            self._pump_current_ma = _number(value, self._current_range_ma, 0)
            self._drive()
        return f"1,{self._pump_current_ma:.0f}"

    def _set_output_power(self, arguments: Sequence[str]) -> str:
        value = _value_of_channel_1(arguments)
        if value is not None:
            self._output_power_dbm = _number(value, self._output_range_dbm, 2)
            self._drive()
        return f"1,{self._output_power_dbm:.2f}"

    def _set_interlock(self, arguments: Sequence[str]) -> str:
        _require(len(arguments) <= 1)
        if arguments:
            self._interlock = _switch(arguments[0])
            self._interlocked = self._interlocked and self._interlock
        return f"{self._interlock:d}"

    def _set_recovery(self, arguments: Sequence[str]) -> str:
        if arguments:
            _require(len(arguments) == 2)
            self._recovers = (_switch(arguments[0]), _switch(arguments[1]))
        return f"{self._recovers[0]:d},{self._recovers[1]:d}"

    def _set_alarm(self, alarm: _Alarm, arguments: Sequence[str]) -> str:
        values = list(arguments)
        if alarm.numbered:
            _require(bool(values))
            _require_fitted(values.pop(0))
        if values:
            _require(len(values) == 3)
            threshold, enabled, hysteresis = float(values[0]), _switch(values[1]), float(values[2])
            _require(abs(threshold) < 1e4 and 0.0 <= hysteresis < 1e4)
            alarm.threshold, alarm.enabled, alarm.hysteresis = threshold, enabled, hysteresis
        number = "1," if alarm.numbered else ""
        return f"{number}{alarm.threshold:.1f},{alarm.enabled:d},{alarm.hysteresis:.1f}"

    def _alarm_status(self) -> str:
        bits = 0
        for alarm in self._alarms.values():
            bits |= alarm.bit if alarm.active else 0
        return f"ALMSTAT,{bits:02X}"

    def _watch(self) -> None:
        """Bring alarms up to date, and let the interlock act on them."""
        levels: Mapping[str, Callable[[], float]] = {
            "ALMOUT": lambda: self._level_dbm("output_power_w") if self._is_active else inf,
            "ALMLDC": self._pump_monitor_ma,
            "ALMIN": lambda: self._level_dbm("input_power_w"),
            "ALMCTMP": lambda: CASE_TEMPERATURE_C,
            "ALMLDT": lambda: PUMP_TEMPERATURE_C,
            "ALMRET": lambda: inf,
        }
        for name, alarm in self._alarms.items():
            alarm.active = alarm.enabled and alarm.strikes_at(levels[name]())
        if self._interlock and self._alarms["ALMIN"].active and self._is_active:
            self._is_active, self._interlocked = False, True
            self._drive()
        elif self._interlocked and not self._alarms["ALMIN"].active and self._recovers == (True, False):
            self._is_active, self._interlocked = True, False
            self._drive()

    def _drive(self) -> None:
        self._amplifier.apply(
            emission_on=self._is_active,
            control="ALC" if self._mode == ALC else "ACC",
            output_power_dbm=self._output_power_dbm,
            pump_current_ma=self._pump_current_ma,
        )

    def _level_dbm(self, quantity: str) -> float:
        return max(watt_to_dbm(self._amplifier.sense(quantity)), MONITOR_FLOOR_DBM)

    def _pump_monitor_ma(self) -> float:
        """The pump's forward current; with constant output it follows the power that it has to give."""
        if not self._is_active:
            return 0.0
        if self._mode == ACC:
            return self._pump_current_ma
        output_mw = self._amplifier.sense("output_power_w") * 1e3
        return min(PUMP_THRESHOLD_MA + output_mw / PUMP_SLOPE_MW_PER_MA, self._current_range_ma[1])


def _require(condition: bool) -> None:
    if not condition:
        raise _Refused(WRONG_ARGUMENT)


def _require_fitted(channel: str = "1") -> None:
    """Paths and pump lasers are numbered 1 to 4; only the first is there."""
    _require(channel in ("1", "2", "3", "4"))
    if channel != "1":
        raise _Refused(NOT_DETECTED)


def _value_of_channel_1(arguments: Sequence[str]) -> str | None:
    _require(1 <= len(arguments) <= 2)
    _require_fitted(arguments[0])
    return arguments[1] if len(arguments) == 2 else None


def _switch(text: str) -> bool:
    _require(text in ("0", "1"))
    return text == "1"


def _number(text: str, limits: tuple[float, float], decimals: int) -> float:
    value = round(float(text), decimals)
    _require(limits[0] <= value <= limits[1])
    return value
