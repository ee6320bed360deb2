"""What holds for every waveform generator."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ophyd.utils import LimitError

from drivers.awg.waveforms import Waveforms
from qdci_lab.errors import InstrumentError, LocalProtocolError, TransportTimeout
from qdci_lab.wire.message import Command
from tests.unit.drivers.awgs import CHANNELS, M8195A, M8196A, Awg, FakeAwg, noise

WAIT_S = 5.0
MODELS = {"keysight_m8195a": M8195A, "keysight_m8196a": M8196A}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Awg:
    return MODELS[request.param]


@pytest.fixture
def fake(model: Awg) -> FakeAwg:
    return model.fake()


@pytest.fixture
def awg(connected: Callable[..., Any], model: Awg, fake: FakeAwg) -> Any:
    return connected(model.driver, fake)


@pytest.mark.parametrize(
    ("name", "length", "sample_rate_hz"), [("keysight_m8195a", 1280, 16e9), ("keysight_m8196a", 128, 90e9)]
)
def test_it_speaks_as_the_transcript_does(
    transcript: Any, scripted: Any, name: str, length: int, sample_rate_hz: float
):
    awg, transport = scripted(MODELS[name].driver, transcript(name))
    ramp = np.resize(np.arange(32, 96, dtype=np.int8), length)
    level = np.full(length, 65, dtype=np.int8)
    awg.set(Waveforms({1: ramp, 2: level}, sample_rate_hz, {1: 0.8, 2: 0.5}, {1: 0.0, 2: 0.1})).wait(WAIT_S)
    assert awg.running.last is True
    awg.halt().wait(WAIT_S)
    assert awg.running.last is False
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -223, 'Too much data'"):
        awg.connection.checked(Command.text(f":TRAC1:DATA 1,{length},1,2,3"))
    awg.make_safe().wait(WAIT_S)
    assert awg.running.last is False
    assert transport.exhausted


@pytest.mark.parametrize(
    ("model", "raster_hz"), [("keysight_m8195a", 64e9), ("keysight_m8196a", 92e9)], indirect=["model"]
)
def test_setting_it_loads_every_byte_and_plays(model: Awg, awg: Any, fake: FakeAwg, raster_hz: float):
    wanted = model.waveforms()
    awg.set(wanted).wait(WAIT_S)
    assert set(fake.loaded) == {1, 3}
    assert all(np.array_equal(fake.loaded[channel], codes) for channel, codes in wanted.samples.items())
    assert fake.registers[":INST:DACM"] == "FOUR"
    assert float(fake.registers[":FREQ:RAST"]) == raster_hz
    assert [fake.registers[f":OUTP{channel}"] for channel in CHANNELS] == ["1", "0", "1", "0"]
    assert (fake.registers[":INIT:CONT"], fake.registers[":INIT:GATE"]) == ("1", "0")
    assert awg.running.last is True
    assert awg.sample_rate.last == model.sample_rate_hz
    assert (awg.amplitude_3.last, awg.offset_3.last, awg.output_3.last) == (0.3, 0.25, True)
    assert awg.waveform_digest.last == wanted.digest


def test_a_failed_upload_leaves_no_digest_and_is_silent(model: Awg, awg: Any, fake: FakeAwg):
    awg.set(model.waveforms()).wait(WAIT_S)
    fake.refuse[":TRAC3:DATA"] = '-223,"Too much data"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -223") as caught:
        awg.set(model.waveforms()).wait(WAIT_S)
    assert len(str(caught.value)) < 1000
    assert awg.read()["dev_waveform_digest"]["value"] == ""
    assert fake.registers[":STAT:OPER:RUN:COND"] == "0"
    with pytest.raises(LocalProtocolError):
        awg.start().wait(WAIT_S)


def test_every_number_has_a_unit(awg: Any):
    keys = {**awg.describe(), **awg.describe_configuration()}
    units = {name.removeprefix("dev_").rstrip("_1234"): key.get("units") for name, key in keys.items()}
    assert units == {
        "running": "1", "sample_rate": "Hz", "amplitude": "V", "offset": "V", "output": "1",
        "waveform_digest": None, "identity": None,
    }  # fmt: skip


IMPOSSIBLE = {
    "keysight_m8195a": [
        ({"samples": {}}, LocalProtocolError, "lab.dev: no waveforms"),
        ({"samples": {5: noise(2560)}}, LocalProtocolError, "lab.dev: channel 5: must be one of"),
        ({"samples": {1: noise(2560), 3: noise(3072)}}, LocalProtocolError, "channel 3 has 3072 samples, but"),
        ({"samples": {1: noise(1024)}}, LocalProtocolError, "channel 1: 1024 samples, must be .* at least 1280"),
        ({"samples": {3: noise(2561)}}, LocalProtocolError, "channel 3: 2561 samples, must be a multiple of 256"),
        ({"samples": {1: noise(2560).astype(np.int16)}}, LocalProtocolError, "channel 1: samples are int16"),
        ({"samples": {1: noise(2560).reshape(2, -1)}}, LocalProtocolError, r"channel 1: .* of shape \(2, 1280\)"),
        ({"amplitudes_v": {1: 0.8}}, LocalProtocolError, "lab.dev: channel 3 has samples, but no amplitude"),
        ({"amplitudes_v": {1: 0.8, 3: 1.1}}, LimitError, "dev_amplitude_3: 1.1 V is above the bound of 1 V"),
        ({"amplitudes_v": {1: 0.05, 3: 0.8}}, LimitError, "dev_amplitude_1: 0.05 V is below the bound of 0.075 V"),
        ({"offsets_v": {1: 0.0, 3: 4.0}}, LimitError, "dev_offset_3: 4 V is above the bound of 3.3 V"),
        ({"sample_rate_hz": 64e9}, LimitError, r"dev_sample_rate: 6.4e\+10 Hz is above the bound of 1.625e\+10 Hz"),
    ],
    "keysight_m8196a": [
        ({"samples": {1: noise(192)}}, LocalProtocolError, "192 samples, must be a multiple of 128 and at least 128"),
        ({"samples": {1: noise(0)}}, LocalProtocolError, "0 samples, must be .* and at most 524288"),
        ({"samples": {3: noise(524_416)}}, LocalProtocolError, "channel 3: 524416 samples, must be"),
        ({"amplitudes_v": {1: 0.8, 3: 0.075}}, LimitError, "dev_amplitude_3: 0.075 V is below the bound of 0.1 V"),
        ({"sample_rate_hz": 64e9}, LimitError, "dev_sample_rate"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "changes", "error", "message"),
    [(model, *row) for model, rows in IMPOSSIBLE.items() for row in rows],
    indirect=["model"],
)
def test_impossible_waveforms_are_refused_before_anything_is_sent(
    model: Awg, awg: Any, fake: FakeAwg, changes: dict[str, Any], error: type[Exception], message: str
):
    before = len(fake.written)
    with pytest.raises(error, match=message):
        awg.set(model.waveforms(**changes))
    assert len(fake.written) == before


def test_silence_is_a_timeout_that_names_the_instrument(model: Awg, awg: Any, fake: FakeAwg):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        awg.set(model.waveforms()).wait(WAIT_S)
