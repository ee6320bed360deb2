"""S-Fifteen Instruments InGaAs single-photon detector, serial text commands.

Reference: the maker's public Python package (command words, units, silent setters, CR LF after replies).
Assumed: one controller stands before the whole array, whose detectors share bias, threshold and temperature;
ranges, steps and number formats; values out of range end at the limit; `;` separates commands on a line;
the words of `*idn?`, `save`, `help` and of the reply to an unknown command; the cooler's speed and law.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.lines import LineSession
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

MS_PER_S = 1000
AMBIENT_C = 25.0
COOLING_C_PER_S = 1.0
PELTIER_C_PER_V = 20.0


@dataclass(frozen=True)
class _Range:
    """What a number is held to: limits, and decimals that count."""

    low: float
    high: float
    decimals: int = 0

    def held(self, value: float) -> float:
        return round(min(max(value, self.low), self.high), self.decimals)

    def text(self, value: float) -> str:
        return f"{value:.{self.decimals}f}"


_RANGES = {
    "hvolt": _Range(0.0, 100.0, 2),
    "threshvolt": _Range(-5.0, 5.0, 3),
    "constp": _Range(0.0, 1000.0, 3),
    "consti": _Range(0.0, 1000.0, 3),
    "loop": _Range(0, 1),
    "pvolt": _Range(0.0, 5.0, 3),
    "time": _Range(1, 65_535),
    "settemp": _Range(-80.0, 30.0, 2),
    "delay": _Range(0, 65_535),
}
_HELP = "*idn? {settings} temp? counts? save help"


class SFifteenSpad:
    """The controller's memory; the detectors' own state stands in the twin."""

    MODEL = "S-Fifteen InGaAs SPD"

    def __init__(self, components: Mapping[str, ComponentHandle], *, serial_number: str) -> None:
        self._detectors = connect(components, ["detectors"])["detectors"]
        self._serial_number = serial_number
        self._lock = threading.RLock()
        temperature_c = self._present("temperature_c", -50.0)
        self._values: dict[str, float] = {
            "hvolt": self._present("bias_v", 0.0),
            "threshvolt": self._present("threshold_v", 0.0),
            "constp": 1.0,
            "consti": 0.1,
            "loop": 1,
            "pvolt": _RANGES["pvolt"].held((AMBIENT_C - temperature_c) / PELTIER_C_PER_V),
            "time": MS_PER_S,
            "settemp": temperature_c,
            "delay": 0,
        }

    def session(self) -> LineSession:
        """A serial line; all lines share the instrument."""
        return LineSession(self._answer, self._lock, reply_end=b"\r\n", separators=b";")

    def _answer(self, message: str) -> str | None:
        word, _, argument = message.lower().partition(" ")
        queries: Mapping[str, Callable[[], str]] = {
            "*idn?": lambda: f"S-Fifteen Instruments, InGaAs SPD, {self._serial_number}",
            "temp?": lambda: f"{self._present('temperature_c', self._values['settemp']):.2f}",
            "counts?": self._count,
            "save": lambda: "Settings saved",
            "help": lambda: _HELP.format(settings=" ".join(f"{name}[?]" for name in _RANGES)),
        }
        if word in queries and not argument:
            return queries[word]()
        name = word.removesuffix("?")
        if name not in _RANGES:
            return "Unknown command"
        if word.endswith("?"):
            return _RANGES[name].text(self._values[name]) if not argument else "Unknown command"
        return self._set(name, argument)

    def _set(self, name: str, argument: str) -> str | None:
        try:
            value = float(argument)
        except ValueError:
            return "Unknown command"
        if value != value:
            return "Unknown command"
        self._values[name] = _RANGES[name].held(value)
        if name == "hvolt":
            self._detectors.apply(bias_v=self._values[name])
        elif name == "threshvolt":
            self._detectors.apply(threshold_v=self._values[name])
        elif name in ("settemp", "loop", "pvolt"):
            self._drive_cooler()
        return None

    def _drive_cooler(self) -> None:
        """With the loop closed the cooler goes to the set temperature, else where its voltage takes it."""
        peltier = _RANGES["pvolt"]
        if self._values["loop"]:
            target_c = self._values["settemp"]
            self._values["pvolt"] = peltier.held((AMBIENT_C - target_c) / PELTIER_C_PER_V)
        else:
            target_c = AMBIENT_C - PELTIER_C_PER_V * self._values["pvolt"]
        way_c = abs(target_c - self._present("temperature_c", target_c))
        self._detectors.apply(over_s=way_c / COOLING_C_PER_S, temperature_c=target_c)

    def _count(self) -> str:
        """Counts of the whole array in the counting time, which passes in lab time before the reply."""
        counting_s = self._values["time"] / MS_PER_S
        lab_time = self._detectors.lab_time
        lab_time.advance_to(lab_time.now_ps() + seconds_to_ps(counting_s))
        return str(round(self._detectors.sense("count_rate_hz", counting_s) * counting_s))

    def _present(self, setting: str, otherwise: float) -> float:
        """A setting of the detectors as it is now, or a value for a controller with no detectors on it."""
        try:
            value = self._detectors.setting(setting)
        except ValueError:
            return otherwise
        return float(value) if isinstance(value, int | float) else otherwise
