import hashlib
from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.simulators import check_limits
from hypothesis import given
from hypothesis import strategies as st
from ophyd.utils import LimitError

from drivers.awg.keysight_m819x_codec import CHUNK_SAMPLES, Amplitude, Offset, OutputState, RunState, Samples
from drivers.awg.keysight_m8195a import KeysightM8195A
from drivers.awg.keysight_m8195a_codec import MEMORY, FourChannels, Raster, divider
from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Command
from qdci_lab.wire.scpi import block_data
from tests.unit.drivers.awgs import CHANNELS, DATA, M8195A, FakeM8195A, noise

WAIT_S = 5.0


@pytest.fixture
def fake() -> FakeM8195A:
    return FakeM8195A()


@pytest.fixture
def awg(connected: Callable[..., Any], fake: FakeM8195A) -> Any:
    return connected(KeysightM8195A, fake)


def test_it_plays_the_first_segment_of_external_memory(awg: Any, fake: FakeM8195A):
    awg.set(M8195A.waveforms()).wait(WAIT_S)
    assert [fake.registers[f":TRAC{channel}:MMOD"] for channel in CHANNELS] == ["EXT"] * 4
    assert (fake.registers[":FUNC:MODE"], fake.registers[":TRAC1:SEL"]) == ("ARB", "1")


def test_uploading_does_not_start(awg: Any, fake: FakeM8195A):
    awg.upload({2: noise(2560)}, sample_rate_hz=15e9, amplitudes_v={2: 0.5}, offsets_v={2: 0.0}).wait(WAIT_S)
    assert fake.registers[":STAT:OPER:RUN:COND"] == "0"
    assert awg.running.last is False
    awg.start().wait(WAIT_S)
    assert awg.running.last is True
    awg.halt().wait(WAIT_S)
    assert awg.running.last is False
    assert awg.output_2.last is True


def test_nothing_is_played_before_something_is_loaded(awg: Any, fake: FakeM8195A):
    with pytest.raises(LocalProtocolError, match=r"lab\.dev: nothing to play"):
        awg.start().wait(WAIT_S)
    assert b":INIT:IMM" not in fake.written


def test_the_digest_identifies_the_samples(awg: Any):
    wanted = M8195A.waveforms()
    expected = hashlib.sha256(
        b"1" + wanted.samples[1].tobytes() + b"3" + wanted.samples[3].tobytes()
    ).hexdigest()
    assert awg.read()["dev_waveform_digest"]["value"] == ""
    awg.set(wanted).wait(WAIT_S)
    assert awg.read()["dev_waveform_digest"]["value"] == expected
    other = noise(2560)
    other[7] ^= 1
    assert M8195A.waveforms(samples={1: other, 3: noise(2560, seed=2)}).digest != expected
    assert M8195A.waveforms(samples={2: noise(2560), 3: noise(2560, seed=2)}).digest != expected


def test_documents_hold_no_samples(awg: Any, fake: FakeM8195A):
    awg.set(M8195A.waveforms()).wait(WAIT_S)
    before = len(fake.written)
    reading, keys = awg.read(), awg.describe()
    assert set(reading) == {"dev_running", "dev_waveform_digest"}
    assert keys["dev_waveform_digest"]["dtype"] == "string"
    assert awg.read_configuration()["dev_amplitude_1"]["value"] == 0.8
    assert len(fake.written) == before


def test_only_waveforms_are_taken(awg: Any):
    with pytest.raises(LocalProtocolError, match=r"lab\.dev: can be set to Waveforms, not to float"):
        awg.set(1.0)


def test_a_plan_moves_it_and_its_levels(awg: Any, fake: FakeM8195A, recorded: Any):
    @bpp.run_decorator()
    def plan() -> Any:
        yield from bps.mv(awg, M8195A.waveforms())
        yield from bps.trigger_and_read([awg])
        yield from bps.mv(awg.amplitude_1, 0.6, awg.output_2, 1)

    events = recorded(plan())
    assert events[0] == {"dev_running": True, "dev_waveform_digest": M8195A.waveforms().digest}
    assert float(fake.registers[":VOLT1"]) == 0.6
    assert fake.registers[":OUTP2"] == "1"


def test_a_scan_of_an_amplitude_is_recorded(awg: Any, recorded: Any):
    events = recorded(bp.scan([], awg.amplitude_2, 0.1, 0.9, 3))
    assert [event["dev_amplitude_2"] for event in events] == [0.1, 0.5, 0.9]


def test_limits_of_a_plan_are_checked_without_running_it(awg: Any, fake: FakeM8195A):
    before = len(fake.written)
    check_limits(bps.mv(awg, M8195A.waveforms()))
    with pytest.raises(LimitError):
        check_limits(bps.mv(awg, M8195A.waveforms(sample_rate_hz=1e9)))
    assert len(fake.written) == before


def test_a_rate_is_set_through_the_raster_of_the_dac(awg: Any, fake: FakeM8195A):
    awg.set(M8195A.waveforms()).wait(WAIT_S)
    awg.sample_rate.set(15e9).wait(WAIT_S)
    assert float(fake.registers[":FREQ:RAST"]) == 60e9
    assert awg.sample_rate.last == 15e9


def test_a_rate_that_the_memory_cannot_give_is_refused(awg: Any, fake: FakeM8195A):
    with pytest.raises(LocalProtocolError, match=r"raster of 1.5e\+10 Hz"):
        awg.sample_rate.set(15e9).wait(WAIT_S)
    assert fake.registers[":FREQ:RAST"] == "6.4E+10"


def test_progress_is_told(awg: Any):
    seen: list[float] = []
    status = awg.set(M8195A.waveforms())
    status.watch(lambda **news: seen.append(news["current"]))
    status.wait(WAIT_S)
    assert seen == sorted(seen)
    assert all(current <= 2 * 2560 for current in seen)


def test_the_safe_state_is_silent_whatever_the_instrument_says(awg: Any, fake: FakeM8195A):
    awg.set(M8195A.waveforms()).wait(WAIT_S)
    fake.refuse[":OUTP1"] = '-310,"System error"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -310"):
        awg.make_safe().wait(WAIT_S)
    assert fake.registers[":OUTP3"] == "0"
    assert fake.registers[":STAT:OPER:RUN:COND"] == "0"
    fake.refuse.clear()
    awg.make_safe().wait(WAIT_S)
    assert [fake.registers[f":OUTP{channel}"] for channel in CHANNELS] == ["0"] * 4
    assert (awg.output_1.last, awg.running.last) == (False, False)


def test_a_new_connection_knows_no_waveforms(awg: Any):
    awg.set(M8195A.waveforms()).wait(WAIT_S)
    awg.disconnect()
    awg.connect()
    assert awg.waveform_digest.last == ""


@given(st.integers(5, 40), st.integers(0, 2**32 - 1))
def test_blocks_put_together_are_the_samples(steps: int, seed: int):
    codes = noise(256 * steps, seed=seed)
    [command] = Samples.write(2, codes)
    match = DATA.fullmatch(command.message.decode("latin-1"))
    assert match is not None
    assert (match[1], match[2]) == ("2", "0")
    assert block_data(match[3].encode("latin-1")) == codes.tobytes()


def test_long_waveforms_go_in_blocks_of_even_numbers_of_memory_vectors():
    codes = noise(2 * CHUNK_SAMPLES + 1280)
    offsets = [int(command.message[:40].split(b",")[1]) for command in Samples.write(1, codes)]
    assert offsets == [0, CHUNK_SAMPLES, 2 * CHUNK_SAMPLES]
    assert CHUNK_SAMPLES % 512 == 0


def test_the_four_channel_mode_is_one_message():
    assert FourChannels.set().message.count(b";") == 5


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (Raster.set(64e9), b":FREQ:RAST 64000000000"),
        (Raster.set(53_760_000_000.5), b":FREQ:RAST 53760000000.5"),
        (Amplitude.set(4, 0.075), b":VOLT4 0.075"),
        (Offset.set(2, -0.5), b":VOLT2:OFFS -0.5"),
        (OutputState.set(1, True), b":OUTP1 ON"),
        (OutputState.set(1, 0), b":OUTP1 OFF"),
    ],
)
def test_commands_are_as_the_guide_has_them(command: Command, message: bytes):
    assert command.message == message


@pytest.mark.parametrize("raster_hz", [53.7e9, 65.1e9, float("nan")])
def test_the_dac_has_its_own_range(raster_hz: float):
    with pytest.raises(LocalProtocolError, match="raster"):
        Raster.set(raster_hz)


def test_any_channel_that_runs_is_running():
    assert [RunState.get().parse(reply) for reply in (b"0", b"+1", b"8", b"15")] == [False, True, True, True]


def test_dividers_are_read():
    assert [divider(reply) for reply in (b"DIV1", b"div2", b"DIV4")] == [1, 2, 4]
    with pytest.raises(RemoteProtocolError):
        divider(b"DIV3")


def test_the_common_length_is_told():
    assert MEMORY.check({1: noise(1280), 4: noise(1280)}) == 1280
