import pytest

from qdci_lab.units import SPEED_OF_LIGHT_M_PER_S, seconds_to_ps
from sim_devices.firmware.keysight_n7714a import KeysightN7714A
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin


@pytest.fixture
def laser():
    return Twin(Layout(1, {"laser": ComponentSpec("cw_laser")}, ())).handle("laser")


@pytest.fixture
def line(laser):
    return KeysightN7714A({"2": laser}, serial_number="DE50600042").session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode("latin-1")


def error(line) -> str:
    return ask(line, ":SYST:ERR?").rstrip("\n")


def frequency_hz(laser) -> float:
    return SPEED_OF_LIGHT_M_PER_S / (laser.setting("wavelength_nm") * 1e-9)


SCRIPT = (
    b"*IDN?\nSOURCE2:CHANNEL1:WAVELENGTH:CW 1550.52NM;CW?\r\n:sour2:pow 12 dbm;:sour2:pow:lev:imm:ampl?\n"
    b"OUTP2 ON;OUTP2:STAT?\n"
    b":SOUR2:POW:STAT?;UNIT W;UNIT?;:OUTP2:POW:UN?\n:SOUR2:FREQ 1\nSYST:ERR?\n:SOUR2:WAV? MIN;WAV? MAX\n"
)
ANSWERS = (
    b"Keysight Technologies,N7714A,DE50600042,V1.30\n+1.55052000E-006\n+1.20000000E+001\n1\n1;+1;+1\n"
    b'-222, "Data out of range (StatParmTooSmall)"\n+1.52760000E-006;+1.56550000E-006\n'
)


@pytest.mark.parametrize("length", [1, 4, 13, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    replies = b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length))
    assert replies == ANSWERS


def test_power_and_state_reach_the_laser(laser, line):
    assert (laser.setting("emission_on"), laser.setting("power_dbm")) == (False, 10.0)
    ask(line, ":SOUR2:POW 20mW;:OUTP2 1")
    assert (laser.setting("emission_on"), laser.setting("power_dbm")) == (
        True,
        pytest.approx(13.0103, abs=1e-4),
    )
    ask(line, ":SOUR2:POW:UNIT 1;:SOUR2:POW 0.01")
    assert laser.setting("power_dbm") == pytest.approx(10.0)
    assert ask(line, ":SOUR2:POW?;POW? MAX") == "+1.00000000E-002;+3.54813389E-002\n"
    ask(line, ":SOUR2:POW:STAT OFF")
    assert laser.setting("emission_on") is False


def test_a_laser_that_is_on_is_dark_while_it_tunes(laser, line):
    ask(line, ":OUTP2 1;:SOUR2:FREQ 194.1THZ")
    assert laser.setting("emission_on") is False
    assert ask(line, ":SLOT2:OPC?;:SLOT1:OPC?;*OPC?;:SLOT2:OPC?") == "0;1;1;1\n"
    assert laser.lab_time.now_ps() == seconds_to_ps(1.0)
    assert (laser.setting("emission_on"), frequency_hz(laser)) == (True, pytest.approx(194.1e12, rel=1e-12))
    ask(line, ":SOUR2:FREQ 193.1THZ;:OUTP2 0")
    laser.lab_time.advance_by(seconds_to_ps(2.0))
    assert (laser.setting("emission_on"), frequency_hz(laser)) == (False, pytest.approx(193.1e12, rel=1e-12))


def test_tuning_takes_as_long_as_configured(laser):
    line = KeysightN7714A({"2": laser}, serial_number="1", tuning_s=0.0).session()
    ask(line, ":OUTP2 1;:SOUR2:WAV 1560NM")
    assert (laser.setting("emission_on"), laser.setting("wavelength_nm")) == (True, pytest.approx(1560.0))


def test_grid_mode(laser, line):
    ask(line, ":SOUR2:FREQ 194.12THZ;FREQ:AUTO 0")
    assert ask(line, ":SOUR2:FREQ:CHAN?;REF?;GRID?;OFFS?") == (
        "+20;+1.93100000E+014;+5.00000000E+010;+0.00000000E+000\n"
    )
    assert frequency_hz(laser) == pytest.approx(194.1e12, rel=1e-12)
    ask(line, ":SOUR2:FREQ:GRID 100GHZ;CHAN -3;OFFS 0.5ghz")
    assert ask(line, ":SOUR2:FREQ?;:STAT2:QUES:COND?") == "+1.92800500E+014;+4096\n"
    assert frequency_hz(laser) == pytest.approx(192.8005e12, rel=1e-12)
    ask(line, ":SOUR2:WAV:TOGR 1550NM")
    assert ask(line, ":SOUR2:FREQ:CHAN?;CHAN? MIN;CHAN? MAX;CHAN? DEF") == "+3;-16;+31;+0\n"
    ask(line, ":SOUR2:FREQ:CHAN 32")
    assert error(line) == '-222, "Data out of range (StatParmTooLarge)"'
    ask(line, ":SOUR2:WAV:AUTO ON")
    assert ask(line, ":SOUR2:FREQ?;FREQ:AUTO?;:STAT2:QUES:COND?") == "+1.93400500E+014;1;+0\n"


def test_fine_tuning_does_not_darken_the_laser(laser, line):
    ask(line, ":SOUR2:WAV:AUTO 0;:OUTP2 1;*OPC?;:SOUR2:FREQ:OFFS 1GHZ")
    assert laser.setting("emission_on") is True


@pytest.mark.parametrize(
    ("commands", "reply"),
    [
        (":SOUR2:FREQ:AUTO 0;:OUTP2 1;:SOUR2:FREQ:GRID 1e11", '-221, "Not allowed while laser is on"'),
        (":SOUR2:FREQ:AUTO 0;:OUTP2 1;:SOUR2:FREQ:REF 193e12", '-221, "Not allowed while laser is on"'),
        (":SOUR2:FREQ:CHAN 2", '-221, "Not allowed while frequency auto mode is on"'),
        (":SOUR2:FREQ:OFFS 2", '-221, "Not allowed while frequency auto mode is on"'),
        (":SOUR2:WAV:TOGR 1550NM", '-221, "Not allowed while frequency auto mode is on"'),
        (":SOUR2:FREQ:AUTO 0;:SOUR2:WAV 1550NM", '-221, "Not allowed while frequency auto mode is off"'),
        (":SOUR2:FREQ:AUTO 0;:SOUR2:FREQ 193THZ", '-221, "Not allowed while frequency auto mode is off"'),
        (":SOUR2:FREQ:AUTO 0;CHAN 30;GRID 1THZ", '-221, "Settings conflict"'),
        (":SOUR2:POW 16", '-222, "Data out of range (StatParmTooLarge)"'),
        (":SOUR2:POW 1 MW", '-222, "Data out of range (StatParmTooSmall)"'),
        (":SOUR5:POW 10", '-303, "Module slot empty or slot / channel invalid"'),
        (":SOUR2:WAV 1550 HZ", '-131, "Invalid suffix"'),
    ],
)
def test_what_is_refused(line, commands, reply):
    assert ask(line, commands) == ""
    assert error(line) == reply
    assert error(line) == '+0,"No error"'


def test_modulation_is_remembered(line):
    ask(line, ":SOUR3:MODU:INT ON;INT:SBSC 0.3GHZ")
    assert ask(line, ":SOUR3:MODU:INT?;INT:SBSC?;SBSC:LEV? MAX;:SOUR:MODU:INT:RATE?;WAV?") == (
        "1;+3.00000000E+008;+1.00000000E+009;+2.00000000E+004;SIN\n"
    )


def test_reset_switches_off(laser, line):
    ask(line, ":SOUR2:WAV 1530NM;POW 7;:OUTP2 1;*OPC?;*RST")
    assert (laser.setting("emission_on"), laser.setting("power_dbm")) == (False, 10.0)
    assert laser.setting("wavelength_nm") == pytest.approx(1550.0)
    assert (
        ask(line, ":WAV?;:POW?;:OUTP?;*OPT?")
        == "+1.55000000E-006;+1.00000000E+001;0;N7714A,N7714A,N7714A,N7714A\n"
    )
