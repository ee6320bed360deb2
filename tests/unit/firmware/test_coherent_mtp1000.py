import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.coherent_mtp1000 import CoherentMtp1000
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin


@pytest.fixture
def lasers():
    twin = Twin(Layout(1, {name: ComponentSpec("cw_laser") for name in ("signal", "local")}, ()))
    return {"1": twin.handle("signal"), "4": twin.handle("local")}


@pytest.fixture
def line(lasers):
    return CoherentMtp1000(lasers, serial_number="17050").session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode()


SCRIPT = (
    b"*IDN?\r\n*OPT?\n:SOUR1:CHAN1:WAV 1550.12 NM\n:source1:channel1:wavelength?\n:SOUR4:CHAN1:POWER 13.9;POWER?\n"
    b":OUTP4:CHAN1:STATE ON;STATE?;:OUTP4?\n:OUTPUT1:CHAN:STAT?\n:SOUR4:FREQ 193.1THZ;FREQ?;:SOUR4:WAV? MIN\n*OPC?\n"
    b":SOUR:POW 1500 MDBM;:SYST:ERR?;ERR?\n:SOUR4:FREQ:FINE 2 GHZ;FINE?\n:SLOT4:IDN?;OPC?\n"
)
REPLIES = (
    b"Coherent Solutions,MTP1000,17050,1.08\nLaserBlade 1001,,,LaserBlade 1001,,,,,\n1.55012000000000E-06\n"
    b"1.39000000000000E+01\n1;1\n0\n1.93100000000000E+14;1.52760000000000E-06\n1\n"
    b'-222,"Data out of range";0,"No error"\n2.00000000000000E+09\nCoherent Solutions,LaserBlade 1001,4,1.0;1\n'
)


@pytest.mark.parametrize("length", [1, 3, 11, 90, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    assert b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length)) == REPLIES


def test_the_laser_does_what_it_is_told(lasers, line):
    laser = lasers["4"]
    ask(line, ":SOUR4:CHAN1:WAV 1545.5E-9;POW 13.9;:OUTP4:CHAN1:STATE ON")
    assert (laser.setting("emission_on"), laser.setting("power_dbm")) == (True, 13.9)
    assert laser.setting("wavelength_nm") == pytest.approx(1545.5, abs=1e-9)
    assert lasers["1"].setting("emission_on") is False
    ask(line, "*RST")
    assert laser.setting("emission_on") is False


def test_tuning_is_dark_and_takes_its_time(lasers, line):
    laser = lasers["1"]
    ask(line, ":SOUR1:WAV 1550 NM;:OUTP1 1;*OPC?")
    assert laser.lab_time.now_ps() == 0
    ask(line, ":SOUR1:WAV 1551 NM;POW 12")
    assert laser.setting("emission_on") is False
    assert laser.setting("wavelength_nm") == pytest.approx(1550.0)
    assert ask(line, "*OPC?") == "1\n"
    assert laser.lab_time.now_ps() == seconds_to_ps(1.0)
    assert laser.setting("emission_on") is True
    assert laser.setting("wavelength_nm") == pytest.approx(1551.0)
    ask(line, ":SOUR1:FREQ:FINE 1GHZ")
    assert laser.setting("emission_on") is True
    assert laser.setting("wavelength_nm") == pytest.approx(1551.0 - 0.00802, abs=1e-4)


def test_switching_off_ends_the_tuning(lasers, line):
    ask(line, ":OUTP1 1;:SOUR1:WAV 1552 NM;:OUTP1 0")
    assert ask(line, "*OPC?") == "1\n"
    assert lasers["1"].lab_time.now_ps() == 0
    assert lasers["1"].setting("emission_on") is False


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (":SOUR2:WAV 1550NM", -241),
        (":OUTP2 ON", -241),
        (":SOUR10:WAV 1550NM", -114),
        (":SOUR1:CHAN2:POW 10", -114),
        (":SOUR1:WAV 1500 NM", -222),
        (":SOUR1:WAV 1550 W", -131),
        (":SOUR1:POW 17 DBM", -222),
        (":SOUR1:POW", -109),
        (":OUTP1:CHAN1:STATE MAYBE", -141),
    ],
)
def test_what_is_refused(line, command, code):
    assert ask(line, command) == ""
    assert ask(line, "SYST:ERR?").split(",")[0] == str(code)


def test_a_bare_mainframe_has_one_blade():
    line = CoherentMtp1000({}, serial_number="A").session()
    assert ask(line, "*OPT?;:OUTP1 ON;:OUTP1?;:OUTP2?;:SYST:ERR?") == (
        'LaserBlade 1001,,,,,,,,;1;-241,"Hardware missing"\n'
    )
