import math
from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import numpy as np
import pytest
from numpy.typing import NDArray
from ophyd.utils import LimitError

from drivers.oscilloscope.keysight_infiniium import KeysightInfiniium
from drivers.oscilloscope.keysight_infiniium_codec import AcquisitionPoints, limits
from drivers.oscilloscope.keysight_infiniium_waveform import Preamble, preamble, summarise
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportTimeout,
)
from qdci_lab.wire.message import Command
from qdci_lab.wire.scpi import block

WAIT_S = 5.0
LINE_FEED, HOLE, BYTE_HOLE = 10, 31232, 125


def registers() -> dict[str, str]:
    channels = (1, 2, 3, 4)
    return {
        "*IDN?": "KEYSIGHT TECHNOLOGIES,DSAZ634A,MY55160102,06.20.01201",
        ":SYST:HEAD": "1", ":ACQ:MODE": "ETIM", ":ACQ:INT": "1", ":ACQ:AVER": "1", ":TRIG:MODE": "GLIT",
        ":WAV:FORM": "ASC", ":WAV:BYT": "MSBF", ":WAV:STR": "0", ":WAV:SOUR": "CHAN1",
        ":ACQ:POIN": "8", ":ACQ:SRAT": "8.0E+10", ":ACQ:BAND": "3.3E+10",
        ":ACQ:POIN:TESTLIMITS?": "1,<numeric>4:20000000",
        ":ACQ:SRAT:TESTLIMITS?": "1,<numeric>1.0E+00:1.6E+11",
        ":ACQ:BAND:TESTLIMITS?": "1,<numeric>1.0E+09:6.3E+10",
        ":TIM:RANG": "1.0E-07", ":TIM:POS": "0.0E+00",
        ":TRIG:EDGE:SOUR": "CHANNEL1", ":TRIG:EDGE:SLOP": "POSITIVE", ":TRIG:SWE": "AUTO",
        **{f":TRIG:LEV? CHAN{channel}": f"{channel}.0E-01" for channel in channels},
        **{f":CHAN{channel}:DISP": "0" for channel in channels},
        **{f":CHAN{channel}:RANG": "8.0E-01" for channel in channels},
        **{f":CHAN{channel}:OFFS": "0.0E+00" for channel in channels},
    }  # fmt: skip


@pytest.fixture
def fake(fake_scpi: Any) -> Any:
    class Oscilloscope(fake_scpi):
        """Sends the words in `words`, by channel, in the format and order that are set; 1 mV a word, 0.1 V at 0."""

        def __init__(self) -> None:
            super().__init__(registers(), no_error='0,"No error"')
            self.words: dict[str, Any] = {f"CHAN{channel}": np.arange(8) for channel in (1, 2, 3, 4)}
            self.digitized: list[str] = []
            self.triggered = True
            self.format_code: int | None = None
            self.tail = b""

        def hear(self, data: bytes) -> bytes:
            if data.startswith(b":DIG") and not self.triggered:
                self.written.append(data[:-1])
                return b""
            return super().hear(data)

        def _obey(self, unit: str) -> str | None:
            header, _, argument = unit.partition(" ")
            if header in self.refuse:
                return super()._obey(unit)
            if unit == ":SYST:ERR? STR":
                return super()._obey(":SYST:ERR?")
            if unit == ":SYST:ERR?":
                return super()._obey(":SYST:ERR?").partition(",")[0]
            if header == ":DIG":
                self.digitized.append(argument)
            elif header == ":TRIG:LEV":
                source, _, level = argument.partition(",")
                self.registers[f":TRIG:LEV? {source}"] = level
            elif unit == ":WAV:PRE?":
                return self.preamble()
            elif unit == ":WAV:DATA?":
                return (self.block() + self.tail).decode("latin-1")
            elif unit == ":STOP":
                self.triggered = True
            else:
                return super()._obey(unit)
            return None

        @staticmethod
        def _printed(_present: str, argument: str) -> str:
            return {"ON": "1", "OFF": "0"}.get(argument, argument)

        def sent(self) -> NDArray[Any]:
            return np.asarray(self.words[self.registers[":WAV:SOUR"]])

        def preamble(self) -> str:
            code = {"BYTE": 1, "WORD": 2}[self.registers[":WAV:FORM"]]
            code = self.format_code or code
            return (
                f"{code},1,{len(self.sent())},1,1.25E-11,-5.0E-08,0,1.0E-03,1.0E-01,0,0,1.0E-07,-5.0E-08,8.0E-01,"
                '-4.0E-01,"21 NOV 2025","04:05:06:78","DSAZ634A:MY55160102",0,100,2,1,6.3E+10,0.0E+00'
            )

        def block(self) -> bytes:
            order = {"LSBF": "<", "MSBF": ">"}[self.registers[":WAV:BYT"]]
            size = {"BYTE": 1, "WORD": 2}[self.registers[":WAV:FORM"]]
            data = self.sent().astype(f"{order}i{size}").tobytes()
            return b"#0" + data if self.registers[":WAV:STR"] == "1" else block(data)

    return Oscilloscope()


@pytest.fixture
def scope(connected: Callable[..., Any], fake: Any) -> Any:
    return connected(KeysightInfiniium, fake, channels=(1, 3))


def volts_of(words: Any) -> NDArray[np.float64]:
    return np.asarray(words) * 1e-3 + 0.1


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    scope, transport = scripted(KeysightInfiniium, transcript("keysight_infiniium"), channels=(1, 2))
    scope.acquisition_points.set(1000).wait(WAIT_S)
    scope.sample_rate.set(80e9).wait(WAIT_S)
    scope.range_1.set(0.4).wait(WAIT_S)
    scope.trigger_source.set("CHAN2").wait(WAIT_S)
    scope.trigger_level.set(0.05).wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -113, 'Undefined header'"):
        scope.obey(Command.text(":ACQ:NONSENSE 1"))
    scope.make_safe().wait(WAIT_S)
    assert transport.exhausted


def test_connecting_sets_it_up_and_acquires_nothing(scope: Any, fake: Any):
    expected = {
        ":SYST:HEAD": "0", ":ACQ:MODE": "RTIM", ":ACQ:INT": "0", ":ACQ:AVER": "0", ":TRIG:MODE": "EDGE",
        ":WAV:FORM": "WORD", ":WAV:BYT": "LSBF", ":WAV:STR": "1",
        ":CHAN1:DISP": "1", ":CHAN2:DISP": "0", ":CHAN3:DISP": "1",
    }  # fmt: skip
    assert {register: fake.registers[register] for register in expected} == expected
    assert fake.digitized == []
    assert not scope.is_measured
    assert scope.trigger_level.last == 0.1
    assert (scope.trigger_source.last, scope.trigger_slope.last) == ("CHAN1", "POS")


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("byte_order", ["LSBF", "MSBF"])
@pytest.mark.parametrize("word_format", ["BYTE", "WORD"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_every_way_of_sending_gives_the_same_volts(
    connected: Any, fake: Any, word_format: str, byte_order: str, streaming: bool, chunk: int
):
    hole = BYTE_HOLE if word_format == "BYTE" else HOLE
    fake.words["CHAN2"] = [LINE_FEED, -128, 0, hole, 2570 if word_format == "WORD" else LINE_FEED, 127]
    fake._chunk = chunk
    scope = connected(
        KeysightInfiniium, fake, channels=(2,), word_format=word_format, byte_order=byte_order, streaming=streaming
    )  # fmt: skip
    scope.trigger().wait(WAIT_S)
    expected = volts_of(fake.words["CHAN2"])
    expected[3] = np.nan
    np.testing.assert_allclose(scope.waveform_2.last, expected, rtol=1e-12)
    assert scope.holes_2.last == 1
    assert scope.sample_rate.get() == 80e9


def test_a_trigger_reads_the_chosen_channels(scope: Any, fake: Any):
    fake.words["CHAN3"] = np.array([-100, 100] * 4)
    scope.trigger().wait(WAIT_S)
    assert fake.digitized == ["CHAN1,CHAN3"]
    reading = scope.read()
    assert {name.removeprefix("dev_") for name in reading} == {
        *(f"{name}_{n}" for name in ("waveform", "mean", "deviation", "peak_to_peak", "holes") for n in (1, 3)),
        "sample_interval", "start_time",
    }  # fmt: skip
    np.testing.assert_allclose(reading["dev_waveform_1"]["value"], volts_of(range(8)))
    assert reading["dev_mean_3"]["value"] == pytest.approx(0.1)
    assert reading["dev_deviation_3"]["value"] == pytest.approx(0.1)
    assert reading["dev_peak_to_peak_3"]["value"] == pytest.approx(0.2)
    assert reading["dev_sample_interval"]["value"] == 1.25e-11
    assert reading["dev_start_time"]["value"] == -5e-8
    assert scope.preambles[3].frame == "DSAZ634A:MY55160102"


def test_an_acquisition_does_not_change_an_earlier_one(scope: Any, fake: Any):
    scope.trigger().wait(WAIT_S)
    first = scope.waveform_1.last
    fake.words["CHAN1"] = np.full(8, 99)
    scope.trigger().wait(WAIT_S)
    np.testing.assert_allclose(first, volts_of(range(8)))
    np.testing.assert_allclose(scope.waveform_1.last, volts_of([99] * 8))


def test_reading_and_describing_do_no_io(scope: Any, fake: Any):
    scope.trigger().wait(WAIT_S)
    before = len(fake.written)
    keys = scope.describe()
    scope.read(), scope.read_configuration(), scope.describe_configuration()
    assert len(fake.written) == before
    assert keys["dev_waveform_3"]["dtype"] == "array"
    assert keys["dev_waveform_3"]["shape"] == [8]
    assert scope.hints == {"fields": ["dev_peak_to_peak_1", "dev_peak_to_peak_3"]}


def test_every_number_has_a_unit(scope: Any):
    scope.trigger().wait(WAIT_S)
    keys = {**scope.describe(), **scope.describe_configuration()}
    units = {name.removeprefix("dev_").rstrip("_13"): key.get("units") for name, key in keys.items()}
    assert units == {
        "waveform": "V", "mean": "V", "deviation": "V", "peak_to_peak": "V", "holes": "1",
        "sample_interval": "s", "start_time": "s", "acquisition_points": "1", "sample_rate": "Hz",
        "bandwidth": "Hz", "time_range": "s", "time_position": "s", "trigger_level": "V", "range": "V",
        "offset": "V", "display": "1",
        "trigger_source": None, "trigger_slope": None, "trigger_sweep": None, "identity": None,
    }  # fmt: skip


def test_channels_that_are_not_used_are_never_asked(scope: Any, fake: Any):
    scope.trigger().wait(WAIT_S)
    assert not [message for message in fake.written if b"CHAN2" in message or b"CHAN4" in message]


def test_the_instruments_own_limits_hold(scope: Any, fake: Any):
    before = len(fake.written)
    with pytest.raises(LimitError, match=r"dev_bandwidth: 7e\+10 Hz is above the bound of 6.3e\+10 Hz"):
        scope.bandwidth.set(70e9)
    with pytest.raises(LimitError, match="dev_acquisition_points: 3 is below the bound of 4"):
        scope.acquisition_points.set(3)
    with pytest.raises(LimitError, match="dev_range_1: 9 V is above the bound of 8 V"):
        scope.range_1.set(9.0)
    assert len(fake.written) == before


def test_limits_follow_the_settings(scope: Any, fake: Any):
    fake.registers[":ACQ:POIN:TESTLIMITS?"] = "1,<numeric>4:1000"
    scope.sample_rate.set(160e9).wait(WAIT_S)
    assert scope.acquisition_points.limits == (4.0, 1000.0)


def test_a_rate_that_the_instrument_rounds_is_reported(scope: Any, fake: Any):
    fake.registers[":ACQ:SRAT?"] = "8.0E+10"
    with pytest.raises(
        AcquisitionError, match=r"dev_sample_rate: set to 70000000000.0 Hz, but .* 80000000000.0 Hz"
    ):
        scope.sample_rate.set(70e9).wait(WAIT_S)


def test_the_trigger_level_belongs_to_its_source(scope: Any, fake: Any):
    scope.trigger_source.set("CHAN4").wait(WAIT_S)
    assert scope.trigger_level.last == 0.4
    scope.trigger_level.set(-0.25).wait(WAIT_S)
    assert fake.registers[":TRIG:LEV? CHAN4"] == "-0.25"
    assert fake.registers[":TRIG:LEV? CHAN1"] == "1.0E-01"


def test_a_source_that_is_no_channel_has_no_level(scope: Any, fake: Any):
    fake.registers[":TRIG:EDGE:SOUR"] = "AUX"
    assert math.isnan(scope.trigger_level.get())
    assert scope.trigger_source.get() == "AUX"
    with pytest.raises(LocalProtocolError, match="'AUX': must be one of CHAN1"):
        scope.trigger_level.set(0.1).wait(WAIT_S)


@pytest.mark.parametrize(
    ("signal", "value"), [("trigger_source", "CHAN5"), ("trigger_slope", "UP"), ("trigger_sweep", "NORM")]
)
def test_other_keywords_are_refused_before_anything_is_sent(scope: Any, fake: Any, signal: str, value: str):
    before = len(fake.written)
    with pytest.raises(LocalProtocolError, match=f"'{value}': must be one of"):
        getattr(scope, signal).set(value)
    assert len(fake.written) == before


@pytest.mark.parametrize(
    ("signal", "value", "register", "sent"),
    [
        ("acquisition_points", 1e6, ":ACQ:POIN", "1000000"),
        ("bandwidth", 40e9, ":ACQ:BAND", "40000000000"),
        ("time_range", 1e-6, ":TIM:RANG", "1e-06"),
        ("time_position", -2.5e-9, ":TIM:POS", "-2.5e-09"),
        ("offset_3", -0.15, ":CHAN3:OFFS", "-0.15"),
        ("display_3", 0, ":CHAN3:DISP", "0"),
        ("trigger_slope", "NEG", ":TRIG:EDGE:SLOP", "NEG"),
        ("trigger_sweep", "TRIG", ":TRIG:SWE", "TRIG"),
    ],
)
def test_settings_are_set_and_read_back(
    scope: Any, fake: Any, signal: str, value: Any, register: str, sent: str
):
    getattr(scope, signal).set(value).wait(WAIT_S)
    assert fake.registers[register] == sent
    assert getattr(scope, signal).last == value


def test_without_a_trigger_the_acquisition_is_given_up_and_stopped(connected: Any, fake: Any):
    scope = connected(KeysightInfiniium, fake, acquisition_timeout_s=0.01)
    fake.triggered = False
    with pytest.raises(AcquisitionError, match=r"lab\.dev: no acquisition within 0.01 s"):
        scope.trigger().wait(WAIT_S)
    assert b":STOP" in fake.written
    assert not scope.is_measured
    scope.trigger().wait(WAIT_S)
    assert scope.is_measured


def test_a_refused_acquisition_carries_the_instruments_reason(scope: Any, fake: Any):
    fake.refuse[":DIG"] = '-241,"Hardware missing"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -241.*:DIG CHAN1,CHAN3"):
        scope.trigger().wait(WAIT_S)


def test_refused_data_are_explained_by_the_error_queue(scope: Any, fake: Any):
    fake.refuse[":WAV:DATA?"] = '-230,"Data corrupt or stale"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -230, 'Data corrupt or stale'.*:WAV:DATA\?"):
        scope.trigger().wait(WAIT_S)
    fake.refuse.clear()
    scope.trigger().wait(WAIT_S)


def test_a_failed_acquisition_leaves_what_was_read_before(scope: Any, fake: Any):
    scope.trigger().wait(WAIT_S)
    fake.words = {f"CHAN{channel}": np.full(8, 50) for channel in (1, 2, 3, 4)}
    fake.words["CHAN3"] = np.arange(4)
    with pytest.raises(AcquisitionError, match=r"lab\.dev: 4 samples from channel 3, but 8 before"):
        scope.trigger().wait(WAIT_S)
    np.testing.assert_allclose(scope.waveform_1.last, volts_of(range(8)))


def test_the_number_of_samples_may_change_with_the_settings(scope: Any, fake: Any):
    scope.trigger().wait(WAIT_S)
    scope.acquisition_points.set(16).wait(WAIT_S)
    fake.words = {f"CHAN{channel}": np.arange(16) for channel in (1, 3)}
    scope.trigger().wait(WAIT_S)
    assert scope.describe()["dev_waveform_1"]["shape"] == [16]


def test_data_that_go_on_are_the_instruments_mistake(scope: Any, fake: Any):
    fake.tail = b"\x01\x02"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: a block of 16 bytes goes on with b'\\x01'"):
        scope.trigger().wait(WAIT_S)
    fake.tail = b""
    scope.trigger().wait(WAIT_S)


def test_another_format_than_was_asked_for_is_reported(scope: Any, fake: Any):
    fake.format_code = 3
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: channel 1 comes in format 3"):
        scope.trigger().wait(WAIT_S)


def test_a_definite_block_cannot_hold_more_than_nine_digits_say(connected: Any, fake: Any):
    class Endless:
        def __len__(self) -> int:
            return 500_000_000

    scope = connected(KeysightInfiniium, fake, streaming=False)
    fake.words["CHAN1"] = Endless()
    fake.sent = lambda: fake.words["CHAN1"]
    with pytest.raises(LocalProtocolError, match="500000000 samples can only be read with streaming"):
        scope.trigger().wait(WAIT_S)


def test_silence_is_a_timeout_that_names_the_instrument(connected: Any, fake: Any):
    scope = connected(KeysightInfiniium, fake, acquisition_timeout_s=0.01)
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        scope.trigger().wait(WAIT_S)


def test_another_instrument_is_not_taken_for_one(connected: Any, fake: Any):
    fake.registers["*IDN?"] = "Keysight Technologies,N7764A,DE49300071,V1.0"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected a Keysight Infiniium.*N7764A"):
        connected(KeysightInfiniium, fake)


@pytest.mark.parametrize("channels", [(), (0,), (5,), (1, 1), (True,)])
def test_only_channels_that_there_are_can_be_chosen(fake: Any, channels: tuple[int, ...]):
    with pytest.raises(LocalProtocolError, match="channel"):
        KeysightInfiniium("memory", name="dev", channels=channels, transport=fake)


def test_patience_grows_with_what_is_to_come(scope: Any):
    before_s = scope.patience_s
    scope.acquisition_points.set(10_000_000).wait(WAIT_S)
    assert scope.patience_s >= before_s + 39.0


def test_the_safe_state_is_a_stopped_acquisition(scope: Any, fake: Any):
    scope.make_safe().wait(WAIT_S)
    assert fake.written[-2:] == [b":STOP", b":SYST:ERR? STR"]


def test_a_run_records_the_waveforms(scope: Any, fake: Any, recorded: Any):
    events = recorded(bp.count([scope], num=3))
    assert len(fake.digitized) == 3
    assert [len(event["dev_waveform_3"]) for event in events] == [8] * 3


@pytest.mark.parametrize(("length", "holes"), [(1, 0), (200_000, 0), (200_000, 17), (3, 3), (0, 0)])
def test_a_waveform_is_summed_up_without_its_holes(length: int, holes: int):
    values = np.random.default_rng(3).normal(0.2, 0.05, length)
    values[:holes] = np.nan
    summary, left = summarise(values), values[holes:]
    assert summary.holes == holes
    if len(left):
        assert summary.mean_v == pytest.approx(left.mean(), rel=1e-9)
        assert summary.deviation_v == pytest.approx(left.std(), rel=1e-9, abs=1e-15)
        assert summary.peak_to_peak_v == left.max() - left.min()
    else:
        assert all(math.isnan(v) for v in (summary.mean_v, summary.deviation_v, summary.peak_to_peak_v))


REPLY = (
    b'2,1,1000,1,1.25E-11,-5.0E-08,2,1.0E-03,1.0E-01,0,0,1.0E-07,-5.0E-08,8.0E-01,-4.0E-01,"21 NOV 2025",'
    b'"04:05:06:78","DSAZ634A:MY55160102",0,100,2,1,6.3E+10,0.0E+00'
)


def test_a_preamble_has_all_its_values_in_order():
    assert preamble(REPLY) == Preamble(
        2, 1, 1000, 1, 1.25e-11, -5e-8, 2.0, 1e-3, 0.1, 0.0, 0, 1e-7, -5e-8, 0.8, -0.4, "21 NOV 2025", "04:05:06:78",
        "DSAZ634A:MY55160102", 0, 100.0, 2, 1, 6.3e10, 0.0,
    )  # fmt: skip
    assert preamble(REPLY + b",7") == preamble(REPLY)
    assert preamble(REPLY).start_time_s == pytest.approx(-5.0025e-8)


@pytest.mark.parametrize("reply", [b"", b"2,1", REPLY.rpartition(b",")[0], REPLY.replace(b"1000", b"many")])
def test_what_is_no_preamble_is_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError):
        preamble(reply)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"1,<numeric>1.0E+09:6.3E+10", (1e9, 6.3e10)),
        (b"1,<integer>16:2000000000", (16.0, 2e9)),
        (b"2,<numeric>1:5,<numeric>10:20", (1.0, 20.0)),
    ],
)
def test_limits_are_read(reply: bytes, expected: tuple[float, float]):
    assert limits(reply) == expected


@pytest.mark.parametrize("reply", [b"", b"0", b"1,AUTO", b"2,<numeric>1:5", b"1,<numeric>low:high", b"1,5"])
def test_what_are_no_limits_is_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError):
        limits(reply)


def test_points_are_whole():
    with pytest.raises(LocalProtocolError, match="whole number"):
        AcquisitionPoints.set(1000.5)
