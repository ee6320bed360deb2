import random
import time

import numpy as np
import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.keysight_m8195a import KeysightM8195A
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin

FOUR_EXTENDED = (
    ":INST:DACM FOUR;:TRAC1:MMOD EXT;:TRAC2:MMOD EXT;:TRAC3:MMOD EXT;:TRAC4:MMOD EXT;:INST:MEM:EXT:RDIV DIV4"
)


@pytest.fixture
def awg():
    return Twin(Layout(1, {"awg": ComponentSpec("waveform_source")}, ())).handle("awg")


@pytest.fixture
def line(awg):
    return KeysightM8195A({"outputs": awg}, serial_number="DE55300001").session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode("latin-1")


def error(line) -> str:
    return ask(line, ":SYST:ERR?").rstrip("\n")


def block(data: bytes) -> bytes:
    return b"#%d%d" % (len(str(len(data))), len(data)) + data


def upload(line, channel: int, samples: np.ndarray, segment: int = 1) -> None:
    ask(line, f":TRAC{channel}:DEF {segment},{len(samples)}")
    assert line.feed(b":TRAC%d:DATA %d,0," % (channel, segment) + block(samples.tobytes()) + b"\n") == b""
    assert error(line) == '0,"No error"'


def pattern(length: int, seed: int = 1) -> np.ndarray:
    return np.frombuffer(random.Random(seed).randbytes(length), np.int8)


SCRIPT = (
    b"*IDN?;*OPT?\r\n:INSTrument:DACMode FOUR;DACM?\n" + FOUR_EXTENDED.encode() + b"\n:INST:MEM:EXT:RDIV?\n"
    b":frequency:raster 60.5GHz;raster?\n:TRACE2:DEFINE 3,1280,7\n:TRAC2:CAT?;:TRAC4:CATALOG?\n"
    b":TRAC2:DATA 3,4," + block(bytes(range(250, 256)) + b";:\n#1") + b"\n:TRAC2:DATA? 3,2,14\n"
    b":TRAC2:DATA:BLOC? 3,4,6;:TRAC2:NAME 3,'a;#b';NAME? 3\n:VOLT3:AMPL 0.7;AMPL?;OFFS?;HIGH?;LOW?\n"
    b":OUTP3 ON;OUTP3?\n:OUTPUT3:STATE?\n:BOGUS?;:SYST:ERR?\n"
)
ANSWERS = (
    b"Keysight Technologies,M8195A,DE55300001,3.6.0.0;004,16G\nFOUR\nDIV4\n6.05000000000000E+10\n3,1280;3,1280\n"
    b"7,7,-6,-5,-4,-3,-2,-1,59,58,10,35,49,7\n#16" + bytes(range(250, 256)) + b';"a;#b"\n'
    b"7.00000000000000E-01;0.00000000000000E+00;3.50000000000000E-01;-3.50000000000000E-01\n"
    b'1\n1\n-113,"Undefined header"\n'
)


@pytest.mark.parametrize("length", [1, 2, 9, 64, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    replies = b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length))
    assert replies == ANSWERS


def test_four_channels_play_what_was_uploaded(awg, line):
    waveforms = [pattern(2560, seed) for seed in range(4)]
    ask(line, FOUR_EXTENDED + ";:FREQ:RAST 64e9")
    for channel, samples in enumerate(waveforms, 1):
        upload(line, channel, samples)
        ask(
            line,
            f":TRAC{channel}:SEL 1;:VOLT{channel} 0.{channel};VOLT{channel}:OFFS 0.0{channel};:OUTP{channel} ON",
        )
    assert awg.setting("running") is False
    ask(line, ":INIT:CONT 1;GATE 0;:FUNC:MODE ARB;:INIT:IMM")
    assert (awg.setting("running"), awg.setting("sample_rate_hz")) == (True, 16e9)
    np.testing.assert_array_equal(awg.setting("waveforms"), waveforms)
    assert awg.setting("amplitude_v") == (0.1, 0.2, 0.3, 0.4)
    assert awg.setting("offset_v") == (0.01, 0.02, 0.03, 0.04)
    assert awg.setting("output_on") == (True,) * 4
    assert ask(line, ":STAT:OPER:RUN:COND?;:STAT:OPER:COND?") == "15;8\n"
    ask(line, ":ABOR")
    assert awg.setting("running") is False
    assert ask(line, ":STAT:OPER:RUN:COND?") == "0\n"


def test_defining_again_after_deleting_keeps_other_channels_samples(line):
    ask(line, FOUR_EXTENDED)
    for channel in (1, 2):
        ask(line, f":TRAC{channel}:DEL 1;:TRAC{channel}:DEF 1,1280")
        line.feed(b":TRAC%d:DATA 1,0," % channel + block(bytes([channel] * 1280)) + b"\n")
    assert ask(line, ":TRAC1:DATA? 1,1278,2;:TRAC2:DATA? 1,0,2") == "1,1;2,2\n"


def test_an_upload_may_come_in_parts_and_as_a_list(line):
    ask(line, ":TRAC1:DEF 5,512;:TRAC1 5,0,1,2,-3,127,-128;:TRACE1:DATA 5,508,#HFFF")
    assert error(line).startswith("-222")
    ask(line, ":TRAC1:DATA 5,508, 9 , 1e1,+11,-12.4")
    assert ask(line, ":TRAC1:DATA? 5,0,6;DATA? 5,507,5") == "1,2,-3,127,-128,0;0,9,10,11,-12\n"
    ask(line, ":TRAC1:DATA 5,510,1,2,3")
    assert error(line) == '-223,"Too much data"'
    line.feed(b":TRAC1:DATA 5,1," + block(bytes(512)) + b"\n")
    assert error(line) == '-223,"Too much data"'


def test_a_million_samples_are_quick(line):
    samples = pattern(1 << 20)
    message = b":TRAC1:DATA 1,0," + block(samples.tobytes()) + b"\n"
    ask(line, f":TRAC1:MMOD EXT;:TRAC1:DEF 1,{len(samples)}")
    started = time.process_time()
    for at in range(0, len(message), 4096):
        assert line.feed(message[at : at + 4096]) == b""
    assert time.process_time() - started < 0.5
    assert line.feed(b":TRAC1:DATA:BLOC? 1,0,1048576\n") == b"#71048576" + samples.tobytes() + b"\n"


@pytest.mark.parametrize(
    ("mode", "memory", "divider", "length", "accepted"),
    [
        ("SING", "EXT", 1, 1280, True),
        ("SING", "EXT", 1, 1024, False),
        ("SING", "EXT", 1, 1408, False),
        ("DUAL", "EXT", 2, 640, True),
        ("FOUR", "EXT", 4, 320, True),
        ("FOUR", "EXT", 4, 352, False),
        ("FOUR", "INT", 1, 128, True),
        ("FOUR", "INT", 1, 192, False),
        ("FOUR", "INT", 1, 262_144, True),
        ("FOUR", "INT", 1, 262_272, False),
    ],
)
def test_segment_lengths(line, mode, memory, divider, length, accepted):
    ask(line, f":INST:DACM {mode};:TRAC1:MMOD {memory};:INST:MEM:EXT:RDIV DIV{divider};:TRAC1:DEF 1,{length}")
    assert (error(line) == '0,"No error"') is accepted


def test_the_catalogue_and_the_free_memory(line):
    assert ask(line, ":TRAC:CAT?;FREE?;:TRAC1:DEF:NEW? 256,5;NEW? 128;:TRAC1:CAT?;FREE?") == (
        "0,0;262144,0,262144;1;2;1,256,2,128;261760,384,261760\n"
    )
    assert (
        ask(line, ":TRAC1:DATA? 1,254,2;:TRAC1:DEF 2,128;:TRAC1:DEL 1;CAT?;:TRAC1:DEL:ALL;:TRAC:CAT?")
        == "5,5;2,128;0,0\n"
    )
    assert error(line) == '0,"No error"'


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (":TRAC1:DEL 4", '-222,"Data out of range"'),
        (":TRAC1:SEL 4", '-222,"Data out of range"'),
        (":TRAC1:DATA 4,0,1", '-222,"Data out of range"'),
        (":TRAC1:DATA 1,256,1", '-223,"Too much data"'),
        (":TRAC1:DATA 1,-1,1", '-222,"Data out of range"'),
        (":TRAC1:DATA 1,0,128", '-222,"Data out of range"'),
        (":TRAC1:DATA? 1,0,257", '-222,"Data out of range"'),
        (":TRAC1:DATA 1,0", '-109,"Missing parameter"'),
        (":TRAC1:DATA 1,0,#12abX", '-161,"Invalid block data"'),
        (":TRAC1:DATA 1,0,abc", '-141,"Invalid character data"'),
        (":TRAC1:DEF 0,1280", '-222,"Data out of range"'),
        (":TRAC1:DEF 1,512", '-222,"Data out of range"'),
        (":TRAC5:SEL 1", '-114,"Header suffix out of range"'),
        (":FREQ:RAST 53.7e9", '-222,"Data out of range"'),
        (":FREQ:RAST 65.1GHZ", '-222,"Data out of range"'),
        (":VOLT1 0.07", '-222,"Data out of range"'),
        (":VOLT2 1.01 V", '-222,"Data out of range"'),
        (":VOLT1:HIGH 1.1", '-222,"Data out of range"'),
        (":INST:DACM FIVE", '-224,"Illegal parameter value"'),
        (":INST:MEM:EXT:RDIV DIV3", '-224,"Illegal parameter value"'),
        (":FUNC:MODE STS", '-241,"Hardware missing"'),
        (":ROSC:SOUR GPS", '-224,"Illegal parameter value"'),
    ],
)
def test_what_is_refused(line, command, reply):
    ask(line, ":TRAC1:DEF 1,256")
    assert ask(line, command) == ""
    assert error(line) == reply
    assert (
        ask(line, ":FREQ:RAST?;:VOLT1?;:VOLT1:OFFS?")
        == "6.40000000000000E+10;5.00000000000000E-01;0.00000000000000E+00\n"
    )


def test_segments_cannot_be_made_or_deleted_while_running(awg, line):
    upload(line, 1, pattern(1280))
    ask(line, ":OUTP1 1;:INIT:IMM")
    for command in (":TRAC1:DEF 2,1280", ":TRAC1:DEL 1", ":TRAC1:DEL:ALL", ":TRAC1:DEF:NEW? 1280"):
        assert ask(line, command) == ""
        assert error(line) == '-221,"Settings conflict"'
    line.feed(b":TRAC1:DATA 1,0," + block(bytes(1280)) + b"\n")
    assert not awg.setting("waveforms")[0].any()
    ask(line, ":ABOR3;:TRAC1:DEL 1")
    assert error(line) == '0,"No error"'


def test_the_raster_reads_back_exactly(line):
    for raster_hz in (53.76e9, 65e9, 60_123_456_789.125, 64e9 * (1 + 2**-50)):
        assert float(ask(line, f":SOUR:FREQ:RAST {raster_hz!r};RAST?")) == raster_hz
    assert ask(line, ":FREQ:RAST? MIN;RAST? MAX") == "5.37600000000000E+10;6.50000000000000E+10\n"


def test_extended_memory_raises_the_divider_and_holds_it(line):
    assert ask(
        line, ":INST:DACM DUAL;:TRAC1:MMOD EXT;:INST:MEM:EXT:RDIV?;:TRAC4:MMOD EXTENDED;:INST:MEM:EXT:RDIV?"
    ) == ("DIV1;DIV2\n")
    ask(line, ":INST:MEM:EXT:RDIV DIV1")
    assert error(line) == '-221,"Settings conflict"'
    ask(line, ":INST:MEM:EXT:RDIV DIV4")
    assert ask(line, ":INST:MEM:EXT:RDIV?;:TRAC2:MMOD?;:TRAC4:MMOD?") == "DIV4;NONE;EXT\n"


def test_internal_memory_plays_at_the_full_rate_beside_extended_memory(awg, line):
    slow, fast = pattern(1280, 1), pattern(128, 2)
    ask(line, ":INST:DACM DUAL;:TRAC1:MMOD EXT;:INST:MEM:EXT:RDIV DIV2")
    upload(line, 1, slow)
    upload(line, 4, fast)
    ask(line, ":INIT:IMM")
    first, second, third, fourth = awg.setting("waveforms")
    assert awg.setting("sample_rate_hz") == 64e9
    np.testing.assert_array_equal(first, np.repeat(slow, 2))
    np.testing.assert_array_equal(fourth, np.tile(fast, 20))
    assert (second, third) == (None, None)


def test_markers_play_on_channels_three_and_four(awg, line):
    ask(line, ":INST:DACM MARK;:TRAC1:MMOD EXT")
    samples = pattern(1280)
    markers = (np.arange(1280) % 4).astype(np.int8)
    ask(line, ":TRAC1:DEF 1,1280")
    line.feed(b":TRAC1:DATA 1,0," + block(np.stack((samples, markers), axis=1).tobytes()) + b"\n")
    assert error(line) == '0,"No error"'
    ask(line, ":INIT:IMM")
    first, second, third, fourth = awg.setting("waveforms")
    np.testing.assert_array_equal(first, samples)
    assert second is None
    np.testing.assert_array_equal(third[:4], [-127, 127, -127, 127])
    np.testing.assert_array_equal(fourth[:4], [-127, -127, 127, 127])
    assert ask(line, ":TRAC1:DATA? 1,2,2;:STAT:OPER:RUN:COND?") == f"{samples[2]},2,{samples[3]},3;13\n"


def test_duplicated_channels(awg, line):
    ask(line, ":INST:DACM DCD")
    one, two = pattern(1280, 1), pattern(1280, 2)
    upload(line, 1, one)
    upload(line, 2, two)
    ask(line, ":INIT:IMM")
    np.testing.assert_array_equal(awg.setting("waveforms"), [one, two, one, two])


def test_levels_have_two_names(awg, line):
    ask(line, ":VOLT2:HIGH 600mV;LOW 0.1")
    assert (
        ask(line, ":VOLT2?;:VOLT2:OFFS?;:SOUR:VOLT2:LEV:IMM:AMPL?;:VOLT2:TERM?")
        == "5.00000000000000E-01;3.50000000000000E-01;5.00000000000000E-01;0.00000000000000E+00\n"
    )
    assert awg.setting("amplitude_v") == (0.5,) * 4
    assert awg.setting("offset_v") == (0.0, 0.35, 0.0, 0.0)


def test_triggered_segments_play_as_often_as_they_count(awg, line):
    ask(line, ":TRAC1:MMOD EXT;:FREQ:RAST 64GHZ")
    upload(line, 1, pattern(6400))
    ask(line, ":TRAC1:COUN 20;ADV AUTO;:INIT:CONT 0;:INIT:IMM")
    assert awg.setting("running") is False
    ask(line, ":TRIG:BEG")
    assert awg.setting("running") is True
    awg.lab_time.advance_by(seconds_to_ps(1.9e-6))
    assert awg.setting("running") is True
    awg.lab_time.advance_by(seconds_to_ps(0.2e-6))
    assert awg.setting("running") is False
    ask(line, ":INIT:GATE ON;:TRIG:BEG:GATE ON")
    assert awg.setting("running") is True
    ask(line, ":TRIG:BEG:GATE OFF")
    assert awg.setting("running") is False


def test_reset_forgets_everything_but_the_errors(awg, line):
    upload(line, 1, pattern(1280))
    ask(line, ":VOLT1 1;:OUTP1 1;:FREQ:RAST 60e9;:INIT:IMM;:BOGUS;*RST")
    assert (awg.setting("running"), awg.setting("output_on"), awg.setting("amplitude_v")) == (
        False,
        (False,) * 4,
        (0.5,) * 4,
    )
    assert ask(line, ":TRAC:CAT?;:FREQ:RAST?;:INST:DACM?") == "0,0;6.40000000000000E+10;SING\n"
    assert error(line) == '-113,"Undefined header"'


def test_clock_settings_are_remembered(line):
    ask(line, ":ROSC:SOUR EXT;FREQ 10MHZ;RANG RANG2;:OUTP:ROSC:SOUR SCLK1;SCD 200;RCD2 4")
    assert ask(line, ":ROSC:SOUR?;FREQ?;RANG?;:ROSC:SOUR:CHEC? AXI;:OUTP:ROSC:SOUR?;SCD?;RCD1?;RCD2?") == (
        "EXT;1.00000000000000E+07;RANG2;1;SCLK1;200;1;4\n"
    )


def test_a_maker_style_session_raises_no_error(awg, line):
    """The order of commands that the maker's MATLAB tools send, an empty line after each block included."""
    samples = pattern(1280)
    for text in (
        ":ABORt",
        ":INST:DACM DUAL;:TRAC1:MMOD EXT;:TRAC4:MMOD EXT;:INST:MEM:EXT:RDIV DIV2",
        ":ROSC:SOURce INT; :FREQuency:RASTer 64000000000;",
        ":INIT:CONT 1;GATE 0",
        ":TRACe4:DEFine 1,1280",
    ):
        assert ask(line, text) == ""
    line.feed(b":TRACe4:DATA 1,0," + block(samples.tobytes()) + b"\n\n")
    assert ask(line, "*opc?\n") == "1\n"
    for text in (":TRACe4:SELect 1", ":VOLTage4:AMPLitude 0.5", ":VOLTage4:OFFSet 0", ":OUTPut4 ON"):
        ask(line, text)
    ask(line, ":FUNCtion:MODE ARBitrary")
    ask(line, ":INIT:IMMediate")
    assert error(line) == '0,"No error"'
    np.testing.assert_array_equal(awg.setting("waveforms")[3], samples)
    assert awg.setting("sample_rate_hz") == 32e9
