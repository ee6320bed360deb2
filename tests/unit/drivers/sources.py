"""What gives light or current and can be switched off, made of registers: lasers, a diode's driver, a supply."""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.laser.coherent_mtp1000 import CoherentMtp1000
from drivers.laser.keysight_n7714a import KeysightN7714A
from drivers.laser.thorlabs_itc4001 import ThorlabsItc4001
from drivers.supply.keysight_e36312a import KeysightE36312A
from qdci_lab.device import Instrument
from tests.unit.drivers.fake_scpi import FakeScpi

LISTED = re.compile(r"(:\w+) ([-+.\dE]+), (\(@\d\))")


class FakeMtp1000(FakeScpi):
    """A wavelength is given in nm and comes back in m."""

    def __init__(self) -> None:
        super().__init__({
            "*IDN?": "Coherent Solutions Ltd,MTP1000,90001234,1.8.0",
            "*OPT?": "LaserBlade,,,SwitchBlade,,,,,",
            ":OUTP3:CHAN2:STATE": "0",
            ":SOUR3:CHAN2:WAV": "1.55012000E-006",
            ":SOUR3:CHAN2:POW": "1.00000000E+001",
        })  # fmt: skip

    @staticmethod
    def _printed(present: str, argument: str) -> str:
        number, _, unit = argument.partition(" ")
        if "E" not in present:
            return {"ON": "1", "OFF": "0"}[argument]
        mantissa, exponent = f"{float(number) * {'NM': 1e-9, '': 1.0}[unit]:+.8E}".split("E")
        return f"{mantissa}E{exponent[0]}{int(exponent[1:]):03d}"


class FakeN7714A(FakeScpi):
    """The laser in slot 4."""

    def __init__(self) -> None:
        super().__init__({
            "*IDN?": "Keysight Technologies,N7714A,DE49700050,V1.0",
            ":SOUR4:POW:UNIT": "1",
            ":SOUR4:WAV? MIN": "+1.52760000E-006",
            ":SOUR4:WAV? MAX": "+1.56550000E-006",
            ":SOUR4:POW? MIN": "+6.00000000E+000",
            ":SOUR4:POW? MAX": "+1.55000000E+001",
            ":SOUR4:WAV": "+1.55000000E-006",
            ":SOUR4:FREQ": "+1.93414489E+014",
            ":SOUR4:POW": "+1.00000000E+001",
            ":SOUR4:WAV:AUTO": "1",
            ":OUTP4": "0",
        })  # fmt: skip


class FakeItc4001(FakeScpi):
    """A diode of 50 ohm behind 1 V; with the cooler on, each reading halves the way to the set temperature."""

    def __init__(self) -> None:
        super().__init__({
            "*IDN?": "THORLABS,ITC4001,M00412345,1.4.0/2.0.3/1.6.0",
            ":OUTP": "0", ":OUTP2": "0", ":SOUR:FUNC:MODE": "POW", ":SOUR:CURR": "0.000000000E+00",
            ":SOUR:CURR:LIM": "1.000000000E+00", ":SOUR2:TEMP": "2.500000000E+01",
            ":SOUR2:TEMP:LIM:LOW": "5.000000000E+00", ":SOUR2:TEMP:LIM:HIGH": "4.500000000E+01",
            ":STAT:MEAS:COND": "0",
        })  # fmt: skip
        self.interlocked = False
        self.stuck = False
        self.temperature_c = 25.0
        self.measured = threading.Event()

    def _obey(self, unit: str) -> str | None:
        header = unit.partition(" ")[0]
        if header in self.refuse:
            return super()._obey(unit)
        if unit == ":OUTP 1" and self.interlocked:
            self.registers[":STAT:MEAS:COND"] = str(1 << 2 | 1)
            return None
        if header == ":MEAS:TEMP?":
            return self._settle()
        if header in (":MEAS:CURR?", ":MEAS:VOLT?"):
            on = self.registers[":OUTP"] == "1"
            current_a = float(self.registers[":SOUR:CURR"]) if on else 0.0
            return f"{current_a if 'CURR' in header else (1.0 + 50.0 * current_a) * on:.9E}"
        return super()._obey(unit)

    def _settle(self) -> str:
        if self.registers[":OUTP2"] == "1" and not self.stuck:
            self.temperature_c += 0.5 * (float(self.registers[":SOUR2:TEMP"]) - self.temperature_c)
        self.measured.set()
        return f"{self.temperature_c:.9E}"


class FakeE36312A(FakeScpi):
    """Ten ohms at each output; a channel is the list behind the value."""

    def __init__(self) -> None:
        setpoints = {
            f"{header}? (@{channel})": f"{value:+.8E}"
            for channel in (1, 2, 3)
            for header, value in ((":VOLT", 0.0), (":CURR", 0.1))
        }
        outputs = {f":OUTP? (@{channel})": "0" for channel in (1, 2, 3)}
        identity = {"*IDN?": "Keysight Technologies,E36312A,MY57001234,1.0.4-1.0.0-1.02"}
        super().__init__({**identity, **setpoints, **outputs})

    def _obey(self, unit: str) -> str | None:
        if (match := LISTED.fullmatch(unit)) and match[1] not in self.refuse:
            register = f"{match[1]}? {match[3]}"
            value = float(match[2])
            self.registers[register] = f"{value:.0f}" if match[1] == ":OUTP" else f"{value:+.8E}"
            self._busy = self.busy_after_command
            return None
        if unit.startswith(":MEAS:"):
            return f"{self._measured(unit[6:10], unit[-4:]):+.8E}"
        return super()._obey(unit)

    def _measured(self, quantity: str, channel: str) -> float:
        if self.registers[f":OUTP? {channel}"] == "0":
            return 0.0
        voltage_v, limit_a = (float(self.registers[f"{head}? {channel}"]) for head in (":VOLT", ":CURR"))
        current_a = min(voltage_v / 10.0, limit_a)
        return 10.0 * current_a if quantity == "VOLT" else current_a


@dataclass(frozen=True)
class Source:
    """A model; `switch` is the signal that switches it on, `state` the register that is then 1."""

    driver: type[Instrument]
    fake: Callable[[], FakeScpi]
    switch: str
    state: str
    options: Mapping[str, Any] = field(default_factory=dict)


MTP1000 = Source(CoherentMtp1000, FakeMtp1000, "emission", ":OUTP3:CHAN2:STATE", {"slot": 3, "channel": 2})
N7714A = Source(KeysightN7714A, FakeN7714A, "emission", ":OUTP4", {"slot": 4})
ITC4001 = Source(ThorlabsItc4001, FakeItc4001, "emission", ":OUTP")
E36312A = Source(KeysightE36312A, FakeE36312A, "output", ":OUTP? (@2)", {"channel": 2})
