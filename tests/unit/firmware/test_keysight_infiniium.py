import time

import numpy as np
import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.keysight_infiniium import KeysightInfiniium
from sim_devices.twin.lab_time import LabTime

READY = ":SYST:HEAD OFF;:WAV:FORM WORD;BYT LSBF;STR ON;:TRIG:SWE TRIG"


class Source:
    """A component that puts out one periodic voltage."""

    def __init__(self, lab_time: LabTime, samples_v: np.ndarray, rate_hz: float) -> None:
        self.lab_time = lab_time
        self.waveform_v: object = (samples_v, rate_hz)

    def apply(self, *, over_s: float = 0.0, after_s: float = 0.0, **settings: object) -> None:
        raise AssertionError(f"an oscilloscope changes nothing: {settings}, {over_s}, {after_s}")

    def setting(self, name: str) -> object:
        assert name == "waveform_v"
        return self.waveform_v

    def sense(self, quantity: str, average_s: float = 0.0) -> float:
        raise ValueError(f"{quantity} over {average_s} s is not there")


@pytest.fixture
def scope():
    return KeysightInfiniium({}, serial_number="MY5512")


@pytest.fixture
def line(scope):
    return scope.session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode("latin-1")


def words(line, count: int, source: str = "CHAN1") -> np.ndarray:
    reply = line.feed(f":WAV:SOUR {source};DATA?\n".encode())
    assert (reply[:2], reply[-1:], len(reply)) == (b"#0", b"\n", 2 + 2 * count + 1)
    return np.frombuffer(reply[2:-1], "<i2")


def volts(line, count: int, source: str = "CHAN1") -> np.ndarray:
    data = words(line, count, source)
    fields = ask(line, ":WAV:PRE?").split(",")
    return data * float(fields[7]) + float(fields[8])


SCRIPT = (
    b"*IDN?\r\n:SYSTEM:HEADER OFF;LONG OFF;:syst:head?\n:WAVEFORM:FORMAT WORD;BYTEORDER LSBFirst;STREAMING ON\n"
    b":WAV:FORM?;BYT?;STR?;SOUR?\n:chan2:rang 400mv;offs 0.1V;RANGE?;:CHANNEL2:SCAL?;OFFSET?\n"
    b":ACQ:POIN 1000;SRAT 40 GHZ;:ACQUIRE:POINTS:ANALOG?;:ACQ:SRAT?;:ACQ:SRAT MAX;:ACQ:SRAT?;:ACQ:POIN:AUTO?\n"
    b":TRIG:LEV CHANNEL1,50e-3;LEV? CHAN1;:TRIGger:EDGE:SLOPe NEGative;SLOP?\n:DIG CHAN1,CHANnel2;*OPC?\n"
    b":BOGUS?;:SYST:ERR? STR;ERR?\n:RST?;:AST?;:ADER?;ADER?;TER?\n:WAV:POIN?;:WAV:FORM BYTE;STR OFF;DATA? 3,2\n"
)
REPLIES = (
    b"KEYSIGHT TECHNOLOGIES,DSAZ334A,MY5512,06.50.00901\n0\nWORD;LSBF;1;CHAN1\n"
    b"4.00000000000E-01;5.00000000000E-02;1.00000000000E-01\n"
    b"1000;4.00000000000E+10;8.00000000000E+10;0\n5.00000000000E-02;NEG\n1\n"
    b'-113,"Undefined header";0\nSTOP;ADONE;1;0;1\n1000;#12'
)


@pytest.mark.parametrize("length", [1, 2, 7, 64, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    reply = b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length))
    assert reply[:-3] == REPLIES
    assert reply[-1:] == b"\n"


def test_a_record_takes_its_own_time(scope, line):
    ask(line, READY + ";:ACQ:POIN 8000000;SRAT 80E9;:DIG CHAN1,CHAN3")
    assert scope.lab_time.now_ps() == 0
    assert ask(line, "*OPC?") == "1\n"
    assert (
        0 <= scope.lab_time.now_ps() - seconds_to_ps(100e-6) < 1000
    )  # at most one period of the calibration sine


def test_the_calibration_sine_is_there_on_every_channel(line):
    ask(line, READY + ";:ACQ:POIN 4000;SRAT 80E9;:TIM:POS 0;:CHAN3:RANG 1;:DIG CHAN1,CHAN3;*OPC?")
    for source, noise_v in (("CHAN1", 0.0032), ("CHAN3", 0.004)):
        measured = volts(line, 4000, source)
        expected = 0.25 * np.sin(2 * np.pi * np.arange(-2000, 2000) / 80)
        # noise and a quantisation of 1/240 of the range; 5 sigma of a standard deviation of 4000 samples is 6 %
        spread = np.hypot(noise_v, noise_v / 0.004 / 240 / np.sqrt(12))
        assert np.std(measured - expected) == pytest.approx(spread, rel=0.06)
        assert abs(np.mean(measured - expected)) < 5 * spread / np.sqrt(4000)


def test_the_preamble_has_all_its_fields(line):
    ask(line, READY + ";:ACQ:POIN 1000;SRAT 80E9;:CHAN1:RANG 0.6144;OFFS 0.05;:DIG;*OPC?")
    fields = ask(line, ":WAV:PRE?").rstrip("\n").split(",")
    assert len(fields) == 24
    assert fields[:4] == ["2", "1", "1000", "1"]
    assert [float(field) for field in fields[4:10]] == [1.25e-11, -6.25e-9, 0, 1e-5, 0.05, 0]
    assert fields[10] == "2"
    assert [float(field) for field in fields[11:15]] == [1e-6, -5e-7, 0.6144, 0.05]
    assert fields[15:18] == ['"1 JAN 2024"', '"00:00:00:00"', '"DSAZ334A:MY5512"']
    assert fields[18:22] == ["0", "100", "2", "1"]
    assert [float(field) for field in fields[22:]] == [33e9, 0]
    assert ask(line, ":WAV:XINC?;XOR?;XREF?;YINC?;YOR?;YREF?;TYPE?;YUN?;XUN?;COUN?;COMP?") == (
        f"{fields[4]};{fields[5]};0;{fields[7]};{fields[8]};0;RAW;VOLT;SEC;1;100\n"
    )
    byte = ask(line, ":WAV:FORM BYTE;PRE?").split(",")
    assert (byte[0], float(byte[7])) == ("1", pytest.approx(256e-5))


def test_blocks_of_every_format_hold_the_same_volts(line):
    ask(line, READY + ";:ACQ:POIN 500;:CHAN1:RANG 0.5;:DIG;*OPC?")
    reference = volts(line, 500)
    ask(line, ":WAV:STR OFF")
    for name, kind in (("WORD", "<i2"), ("BYTE", "i1"), ("LONG", "<i4"), ("FLOAT", "<f4")):
        reply = line.feed(f":WAV:FORM {name};DATA?\n".encode())
        size = 500 * np.dtype(kind).itemsize
        head = b"#%d%d" % (len(str(size)), size)
        assert reply.startswith(head)
        assert len(reply) == len(head) + size + 1
        data = np.frombuffer(reply[len(head) : -1], kind)
        fields = ask(line, ":WAV:PRE?").split(",")
        np.testing.assert_allclose(data * float(fields[7]) + float(fields[8]), reference, atol=1e-7)
    most_first = line.feed(b":WAV:FORM WORD;BYT MSBF;DATA?\n")
    least_first = line.feed(b":WAV:BYT LSBF;DATA?\n")
    np.testing.assert_array_equal(
        np.frombuffer(most_first[6:-1], ">i2"), np.frombuffer(least_first[6:-1], "<i2")
    )
    text = ask(line, ":WAV:FORM ASC;DATA?")
    np.testing.assert_allclose([float(value) for value in text.split(",")], reference, atol=1e-9)
    assert text.count(",") == 499


def test_parts_of_a_record(line):
    ask(line, READY + ";:ACQ:POIN 1000;:DIG;*OPC?")
    whole = words(line, 1000)
    for request, expected in (
        ("10", whole[10:]),
        ("10,5", whole[10:15]),
        ("990,500", whole[990:]),
        ("0", whole),
    ):
        reply = line.feed(f":WAV:DATA? {request}\n".encode())
        np.testing.assert_array_equal(np.frombuffer(reply[2:-1], "<i2"), expected)
    for request in ("1000", "-1", "0,0", "1,2,3"):
        assert ask(line, f":WAV:DATA? {request}") == ""
    assert ask(line, ":SYST:ERR?;ERR?;ERR?;ERR?;ERR?") == "-222;-222;-222;-108;0\n"


def test_ten_million_points_pass_at_the_speed_of_memory(line):
    count = 10_000_000
    ask(line, READY + f";:ACQ:POIN {count};SRAT 80E9;:DIG CHAN1;*OPC?")
    words(line, count)  # sampled on the first reading
    started = time.process_time()
    reply = line.feed(b":WAV:DATA?\n")
    assert time.process_time() - started < 0.15  # a Python step for each point takes seconds
    assert len(reply) == 2 * count + 3
    assert b"\n" in reply[2:-1]


def test_the_same_seed_gives_the_same_noise_and_every_acquisition_its_own():
    first, again, other = (
        KeysightInfiniium({}, serial_number="A", seed=seed, calibration_v=0.0).session() for seed in (5, 5, 6)
    )
    records = []
    for line in (first, again, other, first):
        ask(line, READY + ";:TRIG:SWE AUTO;:ACQ:POIN 2000;:DIG CHAN1,CHAN2;*OPC?")
        records.append((words(line, 2000), words(line, 2000, "CHAN2")))
    np.testing.assert_array_equal(records[0], records[1])
    # two independent records of eleven or so levels agree at fewer than half of the samples
    for one, two in ((records[0][0], records[2][0]), (records[0][0], records[3][0]), records[0]):
        assert np.mean(one == two) < 0.5


def test_a_component_is_seen_from_its_trigger_on():
    lab_time = LabTime()
    lab_time.advance_by(123_456_789)
    steps = np.repeat([0.0, 0.3, -0.2, 0.1], 25)
    line = KeysightInfiniium(
        {"2": Source(lab_time, steps, 100e9), "4": Source(lab_time, np.roll(steps, 10), 100e9)},
        serial_number="A",
    ).session()
    ask(line, READY + ";:ACQ:POIN 800;SRAT 80E9;:TRIG:EDGE:SOUR CHAN2;SLOP POS;:TRIG:LEV CHAN2,0.2")
    ask(line, ":TIM:REF LEFT;:DIG CHAN2,CHAN4")
    assert ask(line, "*OPC?;:WAV:SOUR CHAN2;XOR?") == "1;0.00000000000E+00\n"
    seen = volts(line, 800, "CHAN2")
    # 20 samples a step at 80 GSa/s; the trigger is two thirds on the way between two of the component's samples
    expected = np.tile(np.repeat([0.3, -0.2, 0.1, 0.0], 20), 10)
    settled = np.tile(np.r_[False, np.ones(18, bool), False], 40)
    assert np.max(np.abs(seen - expected)[settled]) < 0.03
    late = volts(line, 800, "CHAN4")
    np.testing.assert_allclose(late[settled][36:], np.roll(expected, 8)[settled][36:], atol=0.31)
    assert np.mean(np.abs(late[8:] - expected[:-8]) < 0.03) > 0.85


def test_voltages_beyond_the_screen_saturate():
    lab_time = LabTime()
    source = Source(lab_time, np.array([-9.0, 9.0]), 10e9)
    line = KeysightInfiniium({"1": source}, serial_number="A").session()
    ask(line, READY + ";:TRIG:SWE AUTO;:ACQ:POIN 800;SRAT 80E9;:DIG;*OPC?")
    data = words(line, 800)
    assert (data.min(), data.max()) == (-30720, 30720)


def test_a_trigger_that_never_comes(scope, line):
    ask(line, READY + ";:ACQ:POIN 1000;:TRIG:LEV CHAN1,2;:DIG CHAN1")
    assert ask(line, "*OPC?") == ""
    assert ask(line, ":AST?;:TER?;ADER?;:WAV:DATA?") == "ARM;0;0\n"
    assert ask(line, ":SYST:ERR? STRING") == '-221,"Settings conflict"\n'
    ask(line, ":TRIG:FORC")
    assert ask(line, "*OPC?;:AST?") == "1;ADONE\n"
    before_ps = scope.lab_time.now_ps()
    ask(line, ":TRIG:SWE AUTO;:SING")
    assert ask(line, ":RST?;:AST?") == "SING;ATRIG\n"
    assert ask(line, "*OPC?;:RST?;:AST?") == "1;STOP;ADONE\n"
    assert scope.lab_time.now_ps() - before_ps >= seconds_to_ps(0.1)


def test_pollers_come_to_an_end(line):
    ask(line, READY + ";:TRIG:SWE AUTO;:TRIG:LEV CHAN1,2;:ADER?;:SING")
    polls = 0
    while ask(line, ":ADER?") == "0\n":
        polls += 1
    assert polls == 20  # the automatic trigger comes after 100 ms, a poll lets 5 ms pass


def test_running_shows_the_present(line):
    assert ask(line, ":RST?;:AST?;:ADER?;ADER?") == "RUN;TRIG;1;1\n"
    ask(line, READY + ";:ACQ:POIN 1000")
    first = words(line, 1000)
    np.testing.assert_array_equal(words(line, 1000), first)
    ask(line, ":CHAN1:RANG 1;:STOP")
    assert ask(line, ":RST?;:WAV:YRAN?") == "STOP;1.00000000000E+00\n"
    assert not np.array_equal(words(line, 1000), first)


def test_channels_that_were_not_digitised_have_no_record(line):
    ask(line, READY + ";:ACQ:POIN 100;:DIG CHAN2;*OPC?")
    assert ask(line, ":WAV:SOUR CHAN1;POIN?;:WAV:SOUR FUNC3;POIN?;SOUR?") == "0;0;FUNC3\n"
    assert ask(line, ":WAV:PRE?;:WAV:DATA?") == ""
    assert ask(line, ":SYST:ERR?;ERR?;ERR?") == "-221;-221;0\n"
    ask(line, ":CHAN1:DISP OFF;:DIG")
    assert ask(line, ":SYST:ERR?") == "-221\n"


def test_automatic_sampling_covers_the_screen(line):
    assert ask(line, ":ACQ:POIN?;SRAT?") == "80000;8.00000000000E+10\n"
    assert ask(line, ":TIM:SCAL 1ms;:ACQ:POIN?;SRAT?") == "100000000;1.00000000000E+10\n"
    assert ask(line, ":ACQ:POIN 1e6;POIN?;SRAT?") == "1000000;1.00000000000E+08\n"
    assert ask(line, ":ACQ:SRAT 80E9;POIN AUTO;POIN?;SRAT?;SRAT:AUTO?") == "100000000;8.00000000000E+10;0\n"
    assert ask(line, ":ACQ:BAND 5e9;BAND?;BAND AUTO;BAND?") == "5.00000000000E+09;3.30000000000E+10\n"
    assert ask(line, ":ACQ:POIN:TESTLIMITS?;:ACQ:SRATe:ANALog:TESTLIMITS?;:ACQ:BAND:TESTLIMITS?") == (
        "1,<numeric>16:100000000;1,<numeric>1.00000E+03:8.00000E+10;1,<numeric>1.00000E+09:3.30000E+10\n"
    )


def test_headers_name_what_is_answered(line):
    ask(line, ":SYST:HEAD ON;:ACQ:POIN 100;:DIG CHAN1;*OPC?")
    assert ask(line, ":CHANNEL2:RANGE?;:ACQ:POIN:ANAL?;*OPC?") == (
        ":CHAN2:RANG 8.00000000000E-01;:ACQ:POIN 100;1\n"
    )
    assert ask(line, ":SYST:LONG ON;:TRIG:EDGE:SOUR?") == ":TRIGGER:SOURCE CHAN1\n"
    assert line.feed(b":WAV:FORM BYTE;DATA? 0,1\n")[:18] == b":WAVEFORM:DATA #11"


def test_averages_lower_the_noise_and_take_longer(scope, line):
    ask(line, READY + ";:ACQ:POIN 4000;SRAT 80E9;AVER:COUN 100;:ACQ:AVER ON;:DIG;*OPC?")
    assert scope.lab_time.now_ps() >= 100 * seconds_to_ps(50e-9)
    assert ask(line, ":WAV:PRE?").split(",")[1:4] == ["2", "4000", "100"]
    rest = volts(line, 4000) - 0.25 * np.sin(2 * np.pi * np.arange(-2000, 2000) / 80)
    assert np.std(rest) == pytest.approx(0.00032, rel=0.06)


def test_bandwidth_is_felt():
    lab_time = LabTime()
    fast = np.sin(2 * np.pi * np.arange(8) / 8)
    line = KeysightInfiniium({"1": Source(lab_time, fast, 80e9)}, serial_number="A").session()
    ask(line, READY + ";:CHAN1:RANG 3;:TRIG:SWE AUTO;:ACQ:POIN 8000;SRAT 80E9;BAND 10E9;:DIG;*OPC?")
    assert np.sqrt(2) * np.std(volts(line, 8000)) == pytest.approx(10 ** (-3.0103 / 20), rel=0.01)


def test_measurements(line):
    ask(line, READY + ";:ACQ:POIN 8000;SRAT 80E9;:DIG CHAN1,CHAN2;*OPC?")
    reply = ask(
        line, ":MEAS:VPP? CHAN2;:MEAS:SOUR CHAN1;VMAX?;VMIN?;VRMS? CYCL,AC;VAV? DISP,CHAN1;FREQ?;PER?"
    )
    vpp, vmax, vmin, vrms, mean, frequency, period = map(float, reply.split(";"))
    assert (vpp, vmax, vmin) == pytest.approx((0.52, 0.26, -0.26), rel=0.05)
    assert vrms == pytest.approx(0.25 / np.sqrt(2), rel=0.01)
    assert abs(mean) < 0.001
    assert (frequency, period) == pytest.approx((1e9, 1e-9), rel=0.01)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (":CHAN5:RANG 1", -114),
        (":CHAN1:RANG 9", -222),
        (":CHAN1:RANG 1 A", -131),
        (":ACQ:POIN 15", -222),
        (":ACQ:SRAT 81e9", -222),
        (":WAV:FORM TEXT", -224),
        (":WAV:SOUR CHAN5", -224),
        (":WAV:SOUR FUNC17", -224),
        (":DIG CHAN9", -224),
        (":TRIG:MODE GLIT", -224),
        (":TRIG:LEV 0.1", -109),
        (":TIM:RANG", -109),
        (":RUN 1", -108),
    ],
)
def test_what_is_refused(line, command, code):
    assert ask(line, command) == ""
    assert ask(line, ":SYST:ERR?;ERR?") == f"{code};0\n"


def test_reset_runs_with_the_default_setup(line):
    ask(line, ":CHAN2:DISP 1;RANG 2;:ACQ:POIN 100;:TRIG:SLOP EITH;:STOP;*RST")
    assert (
        ask(line, ":RST?;:CHAN2:DISP?;RANG?;:ACQ:POIN:AUTO?;:TRIG:EDGE:SLOP?")
        == "RUN;0;8.00000000000E-01;1;POS\n"
    )


def test_unknown_sockets_are_refused():
    with pytest.raises(ValueError, match="no socket 5"):
        KeysightInfiniium({"5": Source(LabTime(), np.zeros(1), 1e9)}, serial_number="A")
