import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.thorlabs_itc4001 import ThorlabsItc4001
from sim_devices.twin.lab_time import LabTime


class Diode:
    """A component that remembers what it was told, and when."""

    def __init__(self) -> None:
        self.lab_time = LabTime()
        self.settings: dict[str, object] = {}
        self.after_s: dict[str, float] = {}

    def apply(self, *, over_s: float = 0.0, after_s: float = 0.0, **settings: object) -> None:
        assert over_s == 0.0
        self.settings |= settings
        self.after_s |= dict.fromkeys(settings, after_s)

    def setting(self, name: str) -> object:
        return self.settings[name]

    def sense(self, quantity: str, average_s: float = 0.0) -> float:
        raise ValueError(f"{quantity} over {average_s} s is not there")


@pytest.fixture
def diode():
    return Diode()


@pytest.fixture
def controller(diode):
    return ThorlabsItc4001({"diode": diode}, serial_number="M00315699")


@pytest.fixture
def line(controller):
    return controller.session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode()


SCRIPT = (
    b"*IDN?\r\nSOUR:CURR:LIM 0.5;LIM?\nsource:current:level:amplitude 65 mA;AMPL?\nSOUR1:CURR?;:SOUR:CURR? MAX\n"
    b"SOUR:FUNC:MODE CURR;MODE?\nSOUR2:TEMP 20.0C;:SOURCE2:TEMPERATURE:SPOINT?;:SOUR2:TEMP:LIM:LOW?;HIGH?\n"
    b"UNIT:TEMP K;:SOUR2:TEMP?;:UNIT:TEMP C\nOUTP2:STAT 1;:OUTP2?;:OUTP ON;:OUTPUT1:STATE?\n"
    b"MEAS:CURR?;VOLT?;:MEAS:CURR1:DC?\nSOUR:CURR 0.6\nSYST:ERR?;ERR?\nSTAT:MEAS:COND?\n"
)
REPLIES = (
    b"THORLABS,ITC4001,M00315699,1.4.0/2.0.3/1.6.0\n5.00000000E-01\n6.50000000E-02\n6.50000000E-02;5.00000000E-01\n"
    b"CURR\n2.00000000E+01;-5.50000000E+01;1.50000000E+02\n2.93150000E+02\n1;1\n"
    b"6.50000000E-02;9.78000000E-01;6.50000000E-02\n"
    b'-222,"Data out of range";+0,"No error"\n512\n'
)


@pytest.mark.parametrize("length", [1, 4, 9, 100, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    assert b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length)) == REPLIES


def test_the_diode_gets_its_current(diode, line):
    assert diode.settings == {"current_a": 0.0, "emission_on": False}
    ask(line, "SOUR:CURR 0.045;:OUTP:DEL 0.2;:OUTP 1")
    assert diode.settings == {"current_a": 0.045, "emission_on": True}
    assert diode.after_s["emission_on"] == 0.2
    ask(line, "SOUR:CURR 0.05")
    assert diode.after_s["emission_on"] == 0.0
    ask(line, "OUTP OFF")
    assert diode.settings == {"current_a": 0.05, "emission_on": False}
    assert ask(line, "MEAS:CURR?;:MEAS:VOLT?") == "0.00000000E+00;0.00000000E+00\n"


def test_the_limit_takes_the_setpoint_along(diode, line):
    ask(line, "SOUR:CURR 0.4;:OUTP ON;:SOUR:CURR:LIM 300MA")
    assert diode.settings["current_a"] == 0.3
    assert ask(line, "SOUR:CURR?;:SOUR:CURR:LIM:TRIP?;:STAT:MEAS:COND?") == "3.00000000E-01;1;8\n"
    ask(line, "SOUR:CURR 0.2")
    assert ask(line, "SOUR:CURR:LIM:TRIP?;:STAT:MEAS?;:STAT:MEAS?") == "0;8;0\n"


def test_the_interlock_switches_off_and_stays_in_the_way(diode, controller, line):
    ask(line, "SOUR:CURR 0.1;:OUTP ON;:STAT:MEAS:ENAB 4")
    controller.set_interlock(is_open=True)
    assert diode.settings["emission_on"] is False
    assert ask(line, "OUTP?;:OUTP:PROT:INTL:TRIP?;:STAT:MEAS:COND?") == "0;1;4\n"
    ask(line, "OUTP ON")
    assert ask(line, "SYST:ERR?;:OUTP?") == '-221,"Settings conflict";0\n'
    controller.set_interlock(is_open=False)
    assert ask(line, "OUTP1:PROT:INTL:TRIP?;:OUTP?;:STAT:MEAS?;:STAT:MEAS?") == "0;0;4;0\n"
    ask(line, "OUTP ON")
    assert diode.settings["emission_on"] is True


def test_the_key_is_a_lock_too(diode):
    line = ThorlabsItc4001({"diode": diode}, serial_number="A", key_locked=True).session()
    ask(line, "OUTP 1")
    assert ask(line, "SYST:ERR?;:OUTP:PROT:KEYL:TRIP?;:STAT:MEAS:COND?") == '-221,"Settings conflict";1;1\n'
    assert diode.settings["emission_on"] is False


def test_too_little_voltage_for_the_diode_switches_off(diode, line):
    ask(line, "OUTP:PROT:VOLT 1.5;:SOUR:CURR 0.4;:OUTP ON;:SOUR:CURR 0.6")
    assert diode.settings["emission_on"] is False
    assert ask(line, "OUTP?;:OUTP:PROT:VOLT:TRIP?;:STAT:MEAS:COND?") == "0;1;2\n"
    ask(line, "SOUR:CURR 0.4;:OUTP ON")
    assert ask(line, "OUTP?;:OUTP:PROT:VOLT:TRIP?") == "1;0\n"


def test_the_temperature_follows_in_lab_time(controller, line):
    assert ask(line, "MEAS:TEMP?") == "2.30000000E+01\n"
    ask(line, "SOUR2:TEMP 33;:OUTP2 ON")
    assert ask(line, "MEAS:TEMP?;:STAT:MEAS:COND?") == "2.30000000E+01;512\n"
    controller.lab_time.advance_by(seconds_to_ps(4.0))
    assert float(ask(line, "MEAS:TEMP?")) == pytest.approx(33 - 10 / 2.718281828)
    controller.lab_time.advance_by(seconds_to_ps(60.0))
    assert ask(line, "STAT:MEAS:COND?") == "0\n"
    assert float(ask(line, "UNIT:TEMP F;:MEAS:TEMP?")) == pytest.approx(91.4, abs=0.001)
    assert float(ask(line, "MEAS:CURR3?")) == pytest.approx(-0.2, abs=0.001)
    ask(line, "OUTP2 OFF;:UNIT:TEMP C")
    assert float(ask(line, "MEAS:TEMP?")) == pytest.approx(33, abs=0.001)
    assert ask(line, "MEAS:CURR3?") == "0.00000000E+00\n"


def test_temperatures_have_limits_and_units(line):
    ask(line, "SOUR2:TEMP:LIM:LOW 15C;HIGH 303.15 K")
    assert ask(line, "SOUR2:TEMP? MIN;:SOUR2:TEMP? MAX") == "1.50000000E+01;3.00000000E+01\n"
    ask(line, "SOUR2:TEMP 31;:SOUR2:TEMP 86 F;:SOUR2:TEMP 20 X")
    assert ask(line, "SYST:ERR?;ERR?;:SOUR2:TEMP?") == (
        '-222,"Data out of range";-131,"Invalid suffix";3.00000000E+01\n'
    )
    ask(line, "SOUR2:TEMP:LIM:LOW 40")
    assert ask(line, "SYST:ERR?") == '-221,"Settings conflict"\n'


def test_configured_readings(line):
    ask(line, "SOUR:CURR 0.5;:OUTP ON;:CONF:VOLT")
    assert (
        ask(line, "READ?;:CONF?;:FETC:CURR?;:MEAS:POW1?")
        == "1.50000000E+00;VOLT;5.00000000E-01;7.50000000E-01\n"
    )


def test_ten_errors_fit(line):
    ask(line, "X;" * 15)
    replies = ask(line, ":SYST:ERR?;" * 11).rstrip("\n").split(";")
    assert replies[8:] == ['-113,"Undefined header"', '-350,"Queue overflow"', '+0,"No error"']


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("SOUR:CURR 1.1", -222),
        ("SOUR:CURR -0.1", -222),
        ("SOUR:CURR 1 V", -131),
        ("SOUR:CURR:LIM 2", -222),
        ("SOUR2:CURR 0.1", -114),
        ("OUTP3 ON", -114),
        ("OUTP2:PROT:VOLT 5", -114),
        ("SOUR:FUNC:MODE POW", -241),
        ("SOUR:FUNC:SHAP PULS", -241),
        ("OUTP:PROT:EXT:MODE X", -224),
        ("MEAS:CURR4?", -114),
        ("OUTP", -109),
    ],
)
def test_what_is_refused(line, command, code):
    assert ask(line, command) == ""
    assert ask(line, "SYST:ERR?").split(",")[0] == f"{code:+d}"


def test_reset_switches_off(diode, line):
    ask(line, "SOUR:CURR 0.2;:SOUR:CURR:LIM 0.3;:OUTP ON;:OUTP2 ON;:SOUR2:TEMP 30;*RST")
    assert diode.settings == {"current_a": 0.0, "emission_on": False}
    assert ask(line, "OUTP2?;:SOUR2:TEMP?;:SOUR:CURR:LIM?") == "0;2.50000000E+01;1.00000000E+00\n"
