import re
from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from numpy.typing import NDArray
from ophyd.utils import LimitError

from drivers.awg.keysight_m8196a import KeysightM8196A
from drivers.awg.keysight_m8196a_codec import MEMORY, Raster
from drivers.awg.waveforms import Waveforms
from qdci_lab.errors import (
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportTimeout,
)
from qdci_lab.wire.message import Command
from qdci_lab.wire.scpi import block_data

WAIT_S = 5.0
CHANNELS = (1, 2, 3, 4)
TRACE = re.compile(r":TRAC(\d):(DEL:ALL|DEF|DATA)(?: 1,(\d+),(.*))?", re.DOTALL)


@pytest.fixture
def fake(fake_scpi: Any) -> Any:
    class Generator(fake_scpi):
        """Each channel has one segment of its own; there is no function mode, no memory mode and no selection."""

        def __init__(self) -> None:
            super().__init__(
                {
                    "*IDN?": "Keysight Technologies,M8196A,DE56100077,2.2.0.0-1",
                    ":STAT:OPER:RUN:COND": "0", ":FREQ:RAST": "9.2E+10", ":INST:DACM": "SING",
                    ":INIT:CONT": "0", ":INIT:GATE": "1",
                    **{f":VOLT{channel}": "5.0E-01" for channel in CHANNELS},
                    **{f":VOLT{channel}:OFFS": "0.0E+00" for channel in CHANNELS},
                    **{f":OUTP{channel}": "0" for channel in CHANNELS},
                },
                no_error='0,"No error"',
            )  # fmt: skip
            self.loaded: dict[int, NDArray[np.int8]] = {4: np.ones(128, np.int8)}

        def _obey(self, unit: str) -> str | None:
            if unit.partition(" ")[0] in self.refuse:
                return super()._obey(unit)
            if unit in (":ABOR", ":INIT:IMM"):
                self.registers[":STAT:OPER:RUN:COND"] = "0" if unit == ":ABOR" else "15"
            elif match := TRACE.fullmatch(unit):
                self._change(int(match[1]), match[2], int(match[3] or 0), match[4])
            else:
                return super()._obey(unit)
            return None

        def _change(self, channel: int, what: str, number: int, rest: str) -> None:
            if what == "DEL:ALL":
                self.loaded.pop(channel, None)
            elif what == "DEF":
                self.loaded[channel] = np.full(number, int(rest), np.int8)
            else:
                data = np.frombuffer(block_data(rest.encode("latin-1")), np.int8)
                self.loaded[channel][number : number + len(data)] = data

        @staticmethod
        def _printed(present: str, argument: str) -> str:
            words = {"ON": "1", "OFF": "0"}
            is_float = "E+" in present or "E-" in present
            return f"{float(argument):.14E}" if is_float else words.get(argument, argument)

    return Generator()


@pytest.fixture
def awg(connected: Callable[..., Any], fake: Any) -> Any:
    return connected(KeysightM8196A, fake)


def noise(length: int = 1280, *, seed: int = 1) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, length).astype(np.int8)


def waveforms(**changes: Any) -> Waveforms:
    settings: dict[str, Any] = {
        "samples": {1: noise(), 3: noise(seed=2)},
        "sample_rate_hz": 92e9,
        "amplitudes_v": {1: 0.8, 3: 0.3},
        "offsets_v": {1: 0.0, 3: 0.25},
    }
    return Waveforms(**{**settings, **changes})


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    awg, transport = scripted(KeysightM8196A, transcript("keysight_m8196a"))
    ramp = np.resize(np.arange(32, 96, dtype=np.int8), 128)
    level = np.full(128, 65, dtype=np.int8)
    awg.set(Waveforms({1: ramp, 2: level}, 90e9, {1: 0.8, 2: 0.5}, {1: 0.0, 2: 0.1})).wait(WAIT_S)
    assert awg.running.last is True
    awg.halt().wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -223, 'Too much data'"):
        awg.connection.checked(Command.text(":TRAC1:DATA 1,128,1,2,3"))
    awg.make_safe().wait(WAIT_S)
    assert awg.running.last is False
    assert transport.exhausted


def test_setting_it_loads_every_byte_and_plays(awg: Any, fake: Any):
    wanted = waveforms()
    awg.set(wanted).wait(WAIT_S)
    assert set(fake.loaded) == {1, 3}
    assert all(np.array_equal(fake.loaded[channel], codes) for channel, codes in wanted.samples.items())
    assert fake.registers[":INST:DACM"] == "FOUR"
    assert float(fake.registers[":FREQ:RAST"]) == 92e9
    assert [fake.registers[f":OUTP{channel}"] for channel in CHANNELS] == ["1", "0", "1", "0"]
    assert (fake.registers[":INIT:CONT"], fake.registers[":INIT:GATE"]) == ("1", "0")
    assert awg.running.last is True
    assert awg.sample_rate.last == 92e9
    assert (awg.amplitude_3.last, awg.offset_3.last, awg.output_3.last) == (0.3, 0.25, True)
    assert awg.waveform_digest.last == wanted.digest


def test_nothing_is_said_that_only_its_sibling_understands(awg: Any, fake: Any):
    awg.set(waveforms()).wait(WAIT_S)
    awg.sample_rate.set(85e9).wait(WAIT_S)
    awg.make_safe().wait(WAIT_S)
    said = b"\n".join(fake.written)
    assert not [word for word in (b":MEM:EXT", b":MMOD", b":FUNC", b":SEL") if word in said]
    assert fake.errors == []


def test_the_rate_is_the_raster(awg: Any, fake: Any):
    awg.sample_rate.set(90e9).wait(WAIT_S)
    assert float(fake.registers[":FREQ:RAST"]) == 90e9
    assert awg.sample_rate.limits == (82.24e9, 93.4e9)
    with pytest.raises(LimitError, match=r"dev_sample_rate: 1.6e\+10 Hz is below the bound of 8.224e\+10 Hz"):
        awg.sample_rate.set(16e9)
    with pytest.raises(LocalProtocolError, match="raster"):
        Raster.set(65e9)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"samples": {1: noise(192)}}, LocalProtocolError, "192 samples, must be a multiple of 128 and at least 128"),
        ({"samples": {1: noise(0)}}, LocalProtocolError, "0 samples, must be .* and at most 524288"),
        ({"samples": {3: noise(524_416)}}, LocalProtocolError, "channel 3: 524416 samples, must be"),
        ({"amplitudes_v": {1: 0.8, 3: 0.075}}, LimitError, "dev_amplitude_3: 0.075 V is below the bound of 0.1 V"),
        ({"sample_rate_hz": 64e9}, LimitError, "dev_sample_rate"),
    ],
)  # fmt: skip
def test_impossible_waveforms_are_refused_before_anything_is_sent(
    awg: Any, fake: Any, changes: dict[str, Any], error: type[Exception], message: str
):
    before = len(fake.written)
    with pytest.raises(error, match=message):
        awg.set(waveforms(**changes))
    assert len(fake.written) == before


def test_the_whole_memory_can_be_filled():
    assert MEMORY.check({channel: noise(524_288) for channel in CHANNELS}) == 524_288


def test_a_failed_upload_leaves_no_digest_and_is_silent(awg: Any, fake: Any):
    fake.refuse[":TRAC3:DATA"] = '-223,"Too much data"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -223"):
        awg.set(waveforms()).wait(WAIT_S)
    assert awg.read()["dev_waveform_digest"]["value"] == ""
    assert fake.registers[":STAT:OPER:RUN:COND"] == "0"


def test_every_number_has_a_unit(awg: Any):
    keys = {**awg.describe(), **awg.describe_configuration()}
    units = {name.removeprefix("dev_").rstrip("_1234"): key.get("units") for name, key in keys.items()}
    assert units == {
        "running": "1", "sample_rate": "Hz", "amplitude": "V", "offset": "V", "output": "1",
        "waveform_digest": None, "identity": None,
    }  # fmt: skip


def test_a_plan_moves_it(awg: Any, fake: Any, run_engine: RunEngine):
    run_engine(bps.mv(awg, waveforms(), awg.output_2, 1))
    assert fake.registers[":OUTP2"] == "1"
    assert awg.running.last is True


def test_silence_is_a_timeout_that_names_the_instrument(awg: Any, fake: Any):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        awg.set(waveforms()).wait(WAIT_S)


def test_its_sibling_is_not_taken_for_it(connected: Any, fake: Any):
    fake.registers["*IDN?"] = "Keysight Technologies,M8195A,DE55C00123,3.6.0.0-2"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected a Keysight M8196A.*M8195A"):
        connected(KeysightM8196A, fake)
