import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.thorlabs_pm100d import ThorlabsPm100d
from sim_devices.twin.lab_time import LabTime


class Light:
    """A sensor's component that sees a power which may change with lab time."""

    def __init__(self) -> None:
        self.lab_time = LabTime()
        self.power_w = 1e-6
        self.asked: list[tuple[str, float]] = []

    def apply(self, *, over_s: float = 0.0, after_s: float = 0.0, **settings: object) -> None:
        raise AssertionError(f"a meter changes nothing: {settings}, {over_s}, {after_s}")

    def setting(self, name: str) -> object:
        raise ValueError(name)

    def sense(self, quantity: str, average_s: float = 0.0) -> float:
        self.asked.append((quantity, average_s))
        return self.power_w


@pytest.fixture
def light():
    return Light()


@pytest.fixture
def line(light):
    return ThorlabsPm100d({"sensor": light}, serial_number="P0012345").session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode()


SCRIPT = (
    b"*IDN?\r\nSYST:SENS:IDN?;:system:sensor:idn?\nSENS:CORR:WAV 1310;:CORRECTION:WAVELENGTH?\nSENSE:CORR:WAV? MIN\n"
    b"CORR:WAV? MAX\nSENS:POW:UNIT DBM;UNIT?;:MEAS:POW?\nPOW:UNIT W;:MEAS?;:READ?;FETC?\nSENS:RANGE:AUTO ON\n"
    b"SENS:AVER 10;AVER?;:SENS:AVER:COUN?\nSENS:POW:RANG 3e-5;RANG?;RANG:AUTO?\nSENS:AVER:1000\nSYST:ERR?;ERR?\n"
)
REPLIES = (
    b"Thorlabs,PM100D,P0012345,2.4.0\nS154C,130620123,05-Jul-2023,1,2,289;S154C,130620123,05-Jul-2023,1,2,289\n"
    b"1.31000000E+03\n8.00000000E+02\n1.70000000E+03\nDBM;-3.00000000E+01\n"
    b"1.00000000E-06;1.00000000E-06;1.00000000E-06\n10;10\n5.00000000E-05;0\n"
    b'-113,"Undefined header";+0,"No error"\n'
)


@pytest.mark.parametrize("length", [1, 2, 10, 77, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    assert b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length)) == REPLIES


def test_a_measurement_takes_its_samples_in_lab_time(light, line):
    ask(line, "SENS:AVER 100")
    assert light.lab_time.now_ps() == 0
    ask(line, "MEAS:POW?")
    assert light.lab_time.now_ps() == seconds_to_ps(0.3)
    assert light.asked == [("power_w", pytest.approx(0.3))]
    ask(line, "FETC?")
    assert len(light.asked) == 1


def test_the_range_follows_or_overflows(light, line):
    light.power_w = 3e-4
    assert ask(line, "MEAS:POW?;:SENS:POW:RANG?") == "3.00000000E-04;5.00000000E-04\n"
    assert ask(line, "SENS:POW:RANG:UPP 40 uW;:READ?;:STAT:QUES:COND?") == "9.90000000E+37;8\n"
    assert (
        ask(line, "SENS:POW:RANG? MAX;RANG MAX;:READ?;:STAT:QUES:COND?")
        == "5.00000000E-03;3.00000000E-04;0\n"
    )
    light.power_w = 6e-3
    assert ask(line, "SENS:POW:RANG:AUTO 1;:READ?;:STAT:QUES?") == "9.90000000E+37;8\n"


def test_corrections(light, line):
    light.power_w = 1e-4
    assert ask(line, "SENS:CORR:LOSS:INP:MAGN 10 DB;MAGN?;:MEAS:POW?") == "1.00000000E+01;1.00000000E-03\n"
    ask(line, "CORR:LOSS 0;:SENS:POW:REF 4e-5;REF:STAT ON")
    assert ask(line, "MEAS:POW?;:MEAS:CURR?") == "6.00000000E-05;1.00000000E-04\n"
    ask(line, "SENS:POW:REF:STAT 0;:CORR:BEAM 10 MM")
    assert float(ask(line, "MEAS:PDEN?")) == pytest.approx(1e-4 / 0.785398, rel=1e-5)
    assert ask(line, "CONF?;:CONF:POW;:CONF?") == "PDEN;POW\n"


def test_no_light_has_a_lowest_level(light, line):
    light.power_w = 0.0
    assert ask(line, "SENS:POW:UNIT DBM;:MEAS:POW?") == "-2.00000000E+02\n"


def test_zeroing_passes_in_lab_time(light, line):
    assert ask(line, "SENS:CORR:COLL:ZERO;ZERO:STAT?;MAGN?") == "1;0.00000000E+00\n"
    assert ask(line, "*OPC?;:SENS:CORR:COLL:ZERO:STAT?") == "1;0\n"
    assert light.lab_time.now_ps() == seconds_to_ps(1.0)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("SENS:CORR:WAV 799", -222),
        ("SENS:CORR:WAV 1550 UM", -131),
        ("SENS:CORR:WAV? HIGH", -224),
        ("SENS:POW:UNIT MW", -224),
        ("SENS:POW:RANG 1", -222),
        ("SENS:AVER 0", -222),
        ("MEAS:POW? 1", -108),
        ("SENS:POW:UNIT", -109),
        ("MEAS:ENER?", -113),
    ],
)
def test_what_is_refused(line, command, code):
    assert ask(line, command) == ""
    assert ask(line, "SYST:ERR?").split(",")[0] == f"{code:+d}"


def test_reset(line):
    ask(line, "SENS:CORR:WAV 1000;:SENS:POW:UNIT DBM;:SENS:AVER 5;:SENS:POW:RANG 1e-6;*RST")
    assert (
        ask(line, "SENS:CORR:WAV?;:SENS:POW:UNIT?;:SENS:AVER?;:SENS:POW:RANG:AUTO?")
        == "1.55000000E+03;W;1;1\n"
    )


def test_a_meter_without_a_sensor_component_sees_nothing():
    line = ThorlabsPm100d({}, serial_number="A").session()
    assert ask(line, "MEAS:POW?") == "0.00000000E+00\n"
