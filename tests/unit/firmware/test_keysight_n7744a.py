import numpy as np
import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.keysight_n7744a import KeysightN7744A
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin


@pytest.fixture
def twin():
    components = {"laser": ComponentSpec("cw_laser"), "head": ComponentSpec("power_sensor")}
    twin = Twin(Layout(1, components, (Link(PortAddress("laser", "out"), PortAddress("head", "in")),)))
    twin.handle("laser").apply(emission_on=True, power_dbm=-3.0, wavelength_nm=1550.0)
    return twin


@pytest.fixture
def laser(twin):
    return twin.handle("laser")


@pytest.fixture
def line(twin):
    return KeysightN7744A({"2": twin.handle("head")}, serial_number="DE48500101").session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode("latin-1")


def error(line) -> str:
    return ask(line, ":SYST:ERR?").rstrip("\n")


SCRIPT = (
    b"*IDN?\nSENSE2:CHANNEL1:POWER:WAVELENGTH 1550NM;WAVELENGTH?\r\nread2:scal:pow:dc?\n:SENS2:POW:UNIT WATT;UNIT?\n"
    b":READ2:POW?\n:SENS2:POW:ATIM 50 MS;ATIM?\n:INIT2:CONT?;CONT OFF;CONT?\n:FOO?\n:SYST:ERR?\n"
)
ANSWERS = (
    b"Keysight Technologies,N7744A,DE48500101,1.24\n+1.55000000E-006\n-3.00000000E+000\n+1\n+5.01187234E-004\n"
    b'+5.00000000E-002\n1;0\n-113, "Undefined header"\n'
)


@pytest.mark.parametrize("length", [1, 5, 11, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    replies = b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length))
    assert replies == ANSWERS


def test_read_takes_the_averaging_time(laser, line):
    ask(line, ":SENS2:POW:ATIM 0.5;:SENS1:POW:ATIM 2")
    ask(line, ":READ2:POW?")
    assert laser.lab_time.now_ps() == seconds_to_ps(0.5)
    ask(line, ":READ:POW:ALL?")
    assert laser.lab_time.now_ps() == seconds_to_ps(2.5)
    ask(line, ":FETC2:POW?")
    assert laser.lab_time.now_ps() == seconds_to_ps(2.5)


def test_a_reading_is_the_mean_over_the_averaging_time(laser, line):
    ask(line, ":SENS2:POW:ATIM 1;UNIT W")
    laser.apply(power_dbm=0.0)
    laser.apply(emission_on=False, after_s=0.25)
    assert float(ask(line, ":READ2:POW?")) == pytest.approx(0.25e-3, rel=1e-6)


def test_triggered_measurements_stay_until_the_next_trigger(laser, line):
    ask(line, ":INIT2:CONT 0;:SENS2:POW:ATIM 0.1")
    assert ask(line, ":FETC2:POW?") == ""
    assert error(line) == '-231, "Data questionable (StatValNYetAcc)"'
    ask(line, ":INIT2")
    assert laser.lab_time.now_ps() == 0
    assert ask(line, "*OPC?") == "1\n"
    assert laser.lab_time.now_ps() == seconds_to_ps(0.1)
    laser.apply(power_dbm=3.0)
    laser.lab_time.advance_by(seconds_to_ps(1.0))
    assert [ask(line, ":FETC2:POW?") for _ in range(2)] == ["-3.00000000E+000\n"] * 2
    assert ask(line, ":READ2:POW?") == "+3.00000000E+000\n"
    assert ask(line, ":FETC2:POW?") == "+3.00000000E+000\n"
    ask(line, ":INIT2:IMM")
    assert ask(line, ":FETC2:POW?") == "+3.00000000E+000\n"
    assert laser.lab_time.now_ps() == seconds_to_ps(1.3)


def test_triggers_are_ignored_while_measuring_continuously(line):
    ask(line, ":INIT1:IMM")
    assert error(line) == '-213, "Init ignored"'


def test_all_ports_answer_in_watts(line):
    block = line.feed(b":READ:POW:ALL?\n")
    assert (block[:4], block[-1:]) == (b"#216", b"\n")
    np.testing.assert_allclose(np.frombuffer(block[4:-1], "<f4"), [1e-12, 10**-3.3, 1e-12, 1e-12], rtol=1e-6)
    layout = line.feed(b":FETC:POW:ALL:CONF?\n")
    np.testing.assert_array_equal(np.frombuffer(layout[4:-1], "<u2"), [1, 1, 2, 1, 3, 1, 4, 1])
    assert ask(line, ":SENS:POW:UNIT:ALL:CSV?") == "0,0,0,0,\n"


def test_the_dark_is_the_noise_floor(twin, laser, line):
    laser.apply(emission_on=False)
    assert ask(line, ":READ2:POW?;:READ4:POW?") == "-9.00000000E+001;-9.00000000E+001\n"
    quiet = KeysightN7744A({"2": twin.handle("head")}, serial_number="1", noise_floor_dbm=-100.0).session()
    assert ask(quiet, ":READ2:POW?") == "-1.00000000E+002\n"
    laser.apply(emission_on=True, power_dbm=-84.0)
    assert ask(line, ":READ2:POW?") == "-8.40000000E+001\n"


def test_more_than_the_range_is_overrange(laser, line):
    ask(line, ":SENS2:POW:RANG -10DBM")
    assert ask(line, ":SENS2:POW:RANG?;RANG:AUTO?;:READ2:POW?") == "-1.00000000E+001;0;+3.40282347E+038\n"
    ask(line, ":SENS2:POW:RANG -4.9")
    assert ask(line, ":SENS2:POW:RANG:UPP?;:READ2:POW?") == "+0.00000000E+000;-3.00000000E+000\n"
    ask(line, ":SENS2:POW:RANG:AUTO 1")
    laser.apply(power_dbm=14.0)
    assert ask(line, ":READ2:POW?") == "+3.40282347E+038\n"


def test_relative_readings(line):
    ask(line, ":SENS2:POW:REF TOREF,-13DBM;REF:STAT 1")
    assert ask(line, ":READ2:POW?;:SENS2:POW:REF? TOREF;REF:STAT?;STAT:RAT?") == (
        "+1.00000000E+001;-1.30000000E+001;1;+255,+0\n"
    )
    ask(line, ":SENS2:POW:REF:DISP")
    assert ask(line, ":READ2:POW?") == "+0.00000000E+000\n"
    ask(line, ":SENS2:POW:REF TOMOD,7DB;REF:STAT:RAT 1,1")
    assert ask(line, ":READ2:POW?;:SENS2:POW:REF:STAT:RAT?;:SENS2:POW:REF? TOMODULE") == (
        "+8.00000000E+001;+1,+1;+7.00000000E+000\n"
    )
    ask(line, ":SENS2:POW:REF:STAT:RAT 7,1")
    assert error(line).startswith("-303")
    ask(line, ":SENS2:POW:REF TOREF,0W")
    assert error(line) == '-222, "Data out of range (StatParmTooSmall)"'


def test_the_calibration_adds_to_the_reading(line):
    ask(line, ":SENS2:CORR:LOSS:INP:MAGN 500 MDB")
    assert ask(line, ":READ2:POW?;:SENS2:CORR?") == "-2.50000000E+000;+5.00000000E-001\n"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (":SENS1:POW:ATIM 0.9us", '-222, "Data out of range (StatParmTooSmall)"'),
        (":SENS1:POW:ATIM 11", '-222, "Data out of range (StatParmTooLarge)"'),
        (":SENS1:POW:WAV 2um", '-222, "Data out of range (StatParmTooLarge)"'),
        (":SENS5:POW:WAV 1um", '-303, "Module slot empty or slot / channel invalid"'),
        (":SENS1:POW:UNIT 2", '-222, "Data out of range (StatParmTooLarge)"'),
        (":SENS1:POW:UNIT VOLT", '-224, "Illegal parameter value"'),
        (":INP1:ATT 3", '-113, "Undefined header"'),
    ],
)
def test_what_is_refused(line, command, reply):
    assert ask(line, command) == ""
    assert error(line) == reply


def test_named_limits_and_reset(line):
    assert ask(line, ":SENS1:POW:WAV? MIN;WAV? MAX;WAV? DEF;WAV?") == (
        "+1.25000000E-006;+1.65000000E-006;+1.45000000E-006;+1.55000000E-006\n"
    )
    ask(line, ":SENS1:POW:UNIT 1;WAV 1310NM;:INIT1:CONT 0;:TRIG1:INP SME;*RST")
    assert ask(line, ":SENS1:POW:UNIT?;WAV?;:INIT1:CONT?") == "0;+1.55000000E-006;1\n"
    assert ask(line, ":TRIG1:INP?;:TRIG2:OUTP?;:TRIG:CONF 2;CONF?") == "SME;DIS;PASS\n"


def test_zeroing_takes_lab_time(laser, line):
    ask(line, ":SENS:CORR:COLL:ZERO:ALL")
    assert ask(line, ":STAT2:OPER:COND?;*OPC?;:SENS2:CORR:COLL:ZERO?;:STAT2:OPER:COND?") == "+8;1;0;+0\n"
    assert laser.lab_time.now_ps() == seconds_to_ps(5.0)
