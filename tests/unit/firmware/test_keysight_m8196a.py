import random

import numpy as np
import pytest

from sim_devices.firmware.keysight_m8196a import KeysightM8196A
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin


@pytest.fixture
def awg():
    return Twin(Layout(1, {"awg": ComponentSpec("waveform_source")}, ())).handle("awg")


@pytest.fixture
def line(awg):
    return KeysightM8196A({"outputs": awg}, serial_number="DE55500001").session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode("latin-1")


def pattern(length: int, seed: int) -> np.ndarray:
    return np.frombuffer(random.Random(seed).randbytes(length), np.int8)


def block(data: bytes) -> bytes:
    return b"#%d%d" % (len(str(len(data))), len(data)) + data


SCRIPT = (
    b"*IDN?;*OPT?\r\ninst:dacm four;dacm?\nfrequency:raster 92e9;raster?\nFREQ:RAST? MIN;RAST? MAX\n"
    b"trace3:def 1, 256\nTRAC3:DATA 1, 2, " + block(bytes(range(250, 256)) + b"\n;#1") + b"\n"
    b'TRACE3:NAME 1,"wfm_1";NAME? 1\nTRAC3:DATA:BLOC? 1,0,6;:TRAC3:CAT?;FREE?\nvoltage3 0.8;:VOLT3:AMPL?\n'
    b"ROSC:SOUR AXI;SOUR?;FREQ?;:ROSC:SOUR:CHEC? ext\n:TRAC3:MMOD EXT;:SYST:ERR?\n"
)
REPLIES = (
    b"Keysight Technologies,M8196A,DE55500001,2.2.0.0;004\nFOUR\n9.20000000000000E+10\n"
    b"8.22400000000000E+10;9.34000000000000E+10\n"
    b'"wfm_1"\n#16\x00\x00\xfa\xfb\xfc\xfd;1,256;524032,256,524032\n8.00000000000000E-01\n'
    b'AXI;1.00000000000000E+08;1\n-113,"Undefined header"\n'
)


@pytest.mark.parametrize("length", [1, 2, 9, 64, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    assert b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length)) == REPLIES


def test_four_channels_play_at_the_full_rate(awg, line):
    waveforms = [pattern(1280, seed) for seed in range(4)]
    ask(line, "abort;:inst:dacm four;:freq:rast 90e9")
    for channel, samples in enumerate(waveforms, 1):
        ask(line, f"trace{channel}:del:all;:trace{channel}:def 1,{len(samples)}")
        assert line.feed(b"trace%d:data 1, 0, " % channel + block(samples.tobytes()) + b"\n") == b""
        ask(line, f"output{channel}:state on")
    ask(line, "init:cont on;:init:imm")
    assert ask(line, "*OPC?;:SYST:ERR?") == '1;0,"No error"\n'
    assert (awg.setting("running"), awg.setting("sample_rate_hz")) == (True, 90e9)
    np.testing.assert_array_equal(awg.setting("waveforms"), waveforms)
    assert awg.setting("output_on") == (True,) * 4


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (":TRAC1:DEF 1,64", -222),
        (":TRAC1:DEF 1,130", -222),
        (":TRAC1:DEF 1,524416", -225),
        (":TRAC1:DEF 2,128", -222),
        (":TRAC1:SEL 2", -222),
        (":FREQ:RAST 82e9", -222),
        (":FREQ:RAST 93.5GHZ", -222),
        (":INST:DACM DCD", -224),
        (":INST:MEM:EXT:RDIV DIV2", -113),
        (":FUNC:MODE ARB", -113),
    ],
)
def test_what_is_refused(line, command, code):
    assert ask(line, command) == ""
    assert ask(line, ":SYST:ERR?").split(",")[0] == str(code)


def test_there_is_one_segment_a_channel(line):
    assert ask(line, ":TRAC1:DEF:NEW? 524288;:TRAC2:DEF:NEW? 128") == "1;1\n"
    assert ask(line, ":TRAC1:DEF:NEW? 128;:SYST:ERR?") == '-225,"Out of memory"\n'


def test_reset_brings_back_the_rate(line):
    ask(line, ":FREQ:RAST 85e9;:INST:DACM FOUR;:TRAC1:DEF 1,128;*RST")
    assert ask(line, ":FREQ:RAST?;:INST:DACM?;:TRAC1:CAT?") == "9.20000000000000E+10;SING;0,0\n"
