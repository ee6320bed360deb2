"""Waveform generators made of registers that keep what is loaded, and waveforms for them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.awg.keysight_m819x import KeysightM819x
from drivers.awg.keysight_m8195a import KeysightM8195A
from drivers.awg.keysight_m8196a import KeysightM8196A
from drivers.awg.waveforms import Waveforms
from qdci_lab.wire.scpi import block_data
from tests.unit.drivers.fake_scpi import FakeScpi

CHANNELS = (1, 2, 3, 4)
DATA = re.compile(r":TRAC(\d):DATA 1,(\d+),(#.*)", re.DOTALL)
SEGMENT = re.compile(r":TRAC(\d):(?:DEL:ALL|DEF 1,(\d+),(\d+))")


class FakeAwg(FakeScpi):
    """Remembers what was loaded; plays while it has not been aborted."""

    def __init__(self, registers: dict[str, str]) -> None:
        super().__init__(
            {
                ":STAT:OPER:RUN:COND": "0", ":INST:DACM": "SING", ":INIT:CONT": "0", ":INIT:GATE": "1",
                **{f":VOLT{channel}": "5.0E-01" for channel in CHANNELS},
                **{f":VOLT{channel}:OFFS": "0.0E+00" for channel in CHANNELS},
                **{f":OUTP{channel}": "0" for channel in CHANNELS},
                **registers,
            },
            no_error='0,"No error"',
        )  # fmt: skip
        self.loaded: dict[int, NDArray[np.int8]] = {}

    def _obey(self, unit: str) -> str | None:
        if unit.partition(" ")[0] not in self.refuse and self._changed(unit):
            return None
        return super()._obey(unit)

    def _changed(self, unit: str) -> bool:
        """Whether it was a word about playing or samples; it is obeyed."""
        if unit in (":ABOR", ":INIT:IMM"):
            self.registers[":STAT:OPER:RUN:COND"] = "0" if unit == ":ABOR" else "15"
            return True
        if match := DATA.fullmatch(unit):
            offset, data = int(match[2]), np.frombuffer(block_data(match[3].encode("latin-1")), np.int8)
            self._memory(int(match[1]))[offset : offset + len(data)] = data
            return True
        return False

    def _memory(self, channel: int) -> NDArray[np.int8]:
        return self.loaded[channel]

    @staticmethod
    def _printed(present: str, argument: str) -> str:
        words = {"ON": "1", "OFF": "0"}
        is_float = "E+" in present or "E-" in present
        return f"{float(argument):.14E}" if is_float else words.get(argument, argument)


class FakeM8195A(FakeAwg):
    """What is said of segments to the first channel holds for all."""

    def __init__(self) -> None:
        super().__init__({
            "*IDN?": "Keysight Technologies,M8195A,DE55C00123,3.6.0.0-2",
            ":FREQ:RAST": "6.4E+10", ":INST:MEM:EXT:RDIV": "DIV1",
            ":TRAC1:DEF": "", ":TRAC1:SEL": "0", ":FUNC:MODE": "STS",
            **{f":TRAC{channel}:MMOD": "INT" for channel in CHANNELS},
        })  # fmt: skip

    def _changed(self, unit: str) -> bool:
        if unit == ":TRAC1:DEL:ALL":
            self.loaded = {}
            return True
        return super()._changed(unit)

    def _memory(self, channel: int) -> NDArray[np.int8]:
        length = int(self.registers[":TRAC1:DEF"].split(",")[1])
        return self.loaded.setdefault(channel, np.zeros(length, np.int8))


class FakeM8196A(FakeAwg):
    """Each channel has one segment of its own; there is no function mode, no memory mode and no selection."""

    def __init__(self) -> None:
        super().__init__({
            "*IDN?": "Keysight Technologies,M8196A,DE56100077,2.2.0.0-1",
            ":FREQ:RAST": "9.2E+10",
        })  # fmt: skip
        self.loaded = {4: np.ones(128, np.int8)}

    def _changed(self, unit: str) -> bool:
        match = SEGMENT.fullmatch(unit)
        if match is None:
            return super()._changed(unit)
        channel, length, value = int(match[1]), match[2], match[3]
        self.loaded.pop(channel, None)
        if length is not None:
            self.loaded[channel] = np.full(int(length), int(value), np.int8)
        return True


def noise(length: int, *, seed: int = 1) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, length).astype(np.int8)


@dataclass(frozen=True)
class Awg:
    """A model, with the waveforms that its tests load where they say nothing else."""

    driver: type[KeysightM819x]
    fake: Callable[[], FakeAwg]
    samples: int
    sample_rate_hz: float

    def waveforms(self, **changes: Any) -> Waveforms:
        settings: dict[str, Any] = {
            "samples": {1: noise(self.samples), 3: noise(self.samples, seed=2)},
            "sample_rate_hz": self.sample_rate_hz,
            "amplitudes_v": {1: 0.8, 3: 0.3},
            "offsets_v": {1: 0.0, 3: 0.25},
        }
        return Waveforms(**{**settings, **changes})


M8195A = Awg(KeysightM8195A, FakeM8195A, samples=2560, sample_rate_hz=16e9)
M8196A = Awg(KeysightM8196A, FakeM8196A, samples=1280, sample_rate_hz=92e9)
