import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.keysight_e36312a import KeysightE36312A
from sim_devices.twin.lab_time import LabTime


class Load:
    """A resistor at an output, with the timeline of its switch."""

    def __init__(self, lab_time: LabTime, ohm: float) -> None:
        self.lab_time = lab_time
        self.ohm = ohm
        self.settings: dict[str, object] = {}
        self.switch: list[tuple[int, bool]] = []
        self.averages_s: list[float] = []

    def apply(self, *, over_s: float = 0.0, after_s: float = 0.0, **settings: object) -> None:
        assert over_s == 0.0
        at_ps = self.lab_time.now_ps() + seconds_to_ps(after_s)
        if "output_on" in settings:
            now_ps = self.lab_time.now_ps()
            self.switch = [entry for entry in self.switch if entry[0] <= now_ps]
            self.switch.append((at_ps, bool(settings.pop("output_on"))))
        self.settings |= settings

    def setting(self, name: str) -> object:
        if name == "output_on":
            return next(on for at_ps, on in reversed(self.switch) if at_ps <= self.lab_time.now_ps())
        return self.settings[name]

    def sense(self, quantity: str, average_s: float = 0.0) -> float:
        self.averages_s.append(average_s)
        voltage_v, limit_a = (
            float(str(self.settings["voltage_v"])),
            float(str(self.settings["current_limit_a"])),
        )
        volts = min(voltage_v, limit_a * self.ohm) if self.setting("output_on") else 0.0
        return volts if quantity == "voltage_v" else volts / self.ohm


@pytest.fixture
def supply():
    return KeysightE36312A({}, serial_number="MY6100")


@pytest.fixture
def line(supply):
    return supply.session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode()


SCRIPT = (
    b"*IDN?\r\nVOLT 5, (@1)\nVOLTAGE 12.5 V,(@2,3);:volt? (@1:3)\n:SOUR:CURR:LEV:IMM:AMPL 500mA,(@2);:CURR? (@2)\n"
    b"OUTP ON,(@1,3);OUTP? (@1:3)\nMEAS:VOLT? (@1,2);CURR? (@1,3)\nINST P25V;INST?;:INST:NSEL?\nVOLT?;:VOLT? MAX\n"
    b"APPL CH1,1.5,0.25;APPL? P6V;:CURR? MIN,(@1)\nVOLT 7,(@1)\nVOLT 1,(@4)\nSYST:ERR?;ERR?;ERR?\n*OPC?\n"
)
REPLIES = (
    b"Keysight Technologies,E36312A,MY6100,2.1.1-1.0.4-1.12\n+5.00000000E+00,+1.25000000E+01,+1.25000000E+01\n"
    b"+5.00000000E-01\n1,0,1\n+5.00000000E+00,+0.00000000E+00;+5.00000000E-01,+1.00000000E+00\nCH2;2\n"
    b'+1.25000000E+01;+2.57500000E+01\n"1.500000,0.250000";+0.00000000E+00\n'
    b'-222,"Data out of range";-222,"Data out of range";+0,"No error"\n1\n'
)


@pytest.mark.parametrize("length", [1, 3, 8, 50, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    assert b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length)) == REPLIES


def test_a_list_is_taken_as_a_whole_or_not_at_all(line):
    ask(line, "VOLT 2,(@1:3);:VOLT 20,(@2,1)")
    assert ask(line, "SYST:ERR?;:VOLT? (@1:3)") == (
        '-222,"Data out of range";+2.00000000E+00,+2.00000000E+00,+2.00000000E+00\n'
    )
    ask(line, "VOLT MAX,(@1:3)")
    assert ask(line, "VOLT? (@3,1)") == "+2.57500000E+01,+6.18000000E+00\n"


def test_the_load_decides_between_constant_voltage_and_current(supply, line):
    isum = "STAT:QUES:INST:ISUM{}:COND?"
    ask(line, "VOLT 10,(@2);CURR 0.5,(@2);:OUTP 1,(@2)")
    assert (
        ask(line, "MEAS:VOLT? (@2);:MEAS:CURR? (@2);:" + isum.format(2))
        == "+5.00000000E+00;+5.00000000E-01;+1\n"
    )
    ask(line, "VOLT 4,(@2)")
    assert (
        ask(line, "MEAS:VOLT? (@2);:MEAS:CURR? CH2;:" + isum.format(2))
        == "+4.00000000E+00;+4.00000000E-01;+2\n"
    )
    assert ask(line, isum.format(1)) == "+0\n"
    assert supply.lab_time.now_ps() == seconds_to_ps(0.08)


def test_a_component_gets_the_settings_and_gives_the_readings():
    load = Load(LabTime(), 4.0)
    line = KeysightE36312A({"3": load}, serial_number="A").session()
    ask(line, "VOLT 2,(@3);CURR 0.8,(@3);:OUTP ON,(@3)")
    assert (load.settings, load.setting("output_on")) == ({"voltage_v": 2.0, "current_limit_a": 0.8}, True)
    assert ask(line, "MEAS:VOLT? (@3);CURR? (@3)") == "+2.00000000E+00;+5.00000000E-01\n"
    assert 0.02 in load.averages_s
    ask(line, "OUTP OFF,(@3)")
    assert load.setting("output_on") is False


def test_over_voltage_shuts_down_until_it_is_cleared(line):
    ask(line, "VOLT:PROT 3,(@2);:OUTP 1,(@2);:VOLT 3,(@2)")
    assert ask(line, "OUTP? (@2);:VOLT:PROT:TRIP? (@1:3)") == "1;0,0,0\n"
    ask(line, "VOLT 3.5,(@2)")
    assert ask(line, "OUTP? (@2);:VOLT:PROT:TRIP? (@2);:MEAS:VOLT? (@2)") == "0;1;+0.00000000E+00\n"
    assert ask(line, "STAT:QUES:INST:ISUM2:COND?") == "+512\n"
    ask(line, "VOLT:PROT:CLE (@2)")
    assert ask(line, "VOLT:PROT:TRIP? (@2)") == "1\n"
    ask(line, "VOLT 2,(@2);:OUTP:PROT:CLE (@2)")
    assert ask(line, "OUTP? (@2);:MEAS:VOLT? (@2)") == "1;+2.00000000E+00\n"
    ask(line, "VOLT:PROT:STAT OFF,(@2);:VOLT 9,(@2)")
    assert ask(line, "OUTP? (@2);:VOLT:PROT:STAT? (@1,2)") == "1;1,0\n"


def test_over_current_shuts_down_after_its_delay():
    load = Load(LabTime(), 10.0)
    supply = KeysightE36312A({"1": load}, serial_number="A")
    line = supply.session()
    ask(line, "CURR:PROT:STAT ON,(@1);DEL 0.3,(@1);:VOLT 5,(@1);:CURR 0.2,(@1);:OUTP ON,(@1)")
    assert ask(line, "OUTP? (@1);:CURR:PROT:TRIP? (@1)") == "1;0\n"
    supply.lab_time.advance_by(seconds_to_ps(0.29))
    assert ask(line, "CURR:PROT:TRIP? (@1)") == "0\n"
    assert load.setting("output_on") is True
    supply.lab_time.advance_by(seconds_to_ps(0.01))
    assert load.setting("output_on") is False
    assert ask(line, "CURR:PROT:TRIP? (@1);:OUTP? (@1)") == "1;0\n"
    ask(line, "CURR 1,(@1);:CURR:PROT:CLE (@1)")
    assert ask(line, "OUTP? (@1);:CURR:PROT:TRIP? (@1)") == "1;0\n"
    assert load.setting("output_on") is True


def test_an_over_current_that_goes_away_in_time_is_forgiven():
    load = Load(LabTime(), 10.0)
    supply = KeysightE36312A({"1": load}, serial_number="A")
    line = supply.session()
    ask(line, "CURR:PROT:STAT ON,(@1);:VOLT 5,(@1);:CURR 0.2,(@1);:OUTP ON,(@1);:VOLT 1,(@1)")
    supply.lab_time.advance_by(seconds_to_ps(1.0))
    assert ask(line, "OUTP? (@1)") == "1\n"
    assert load.setting("output_on") is True


def test_status_goes_up_to_the_status_byte(line):
    ask(line, "STAT:QUES:INST:ISUM2:ENAB 1;:STAT:QUES:INST:ENAB 6;:STAT:QUES:ENAB 8192;*SRE 8;*CLS")
    ask(line, "VOLT 20,(@2);:OUTP ON,(@2)")
    assert ask(line, "*STB?") == "72\n"
    assert ask(line, "STAT:QUES?;:STAT:QUES:INST?;:STAT:QUES:INST:ISUM2?") == "+8192;+4;+1\n"
    assert ask(line, "STAT:QUES:INST:ISUM2?;:STAT:QUES:INST:ISUM4?;:SYST:ERR?") == (
        '+0;-114,"Header suffix out of range"\n'
    )


def test_levels_can_wait_for_a_trigger(line):
    ask(line, "VOLT:TRIG 3,(@2,3);:CURR:TRIG 0.5,(@2,3);:INIT (@2);*TRG")
    assert ask(line, "VOLT? (@2,3);:CURR? (@2)") == "+3.00000000E+00,+0.00000000E+00;+5.00000000E-01\n"


def test_setups_are_saved_and_reset(line):
    ask(line, "VOLT 3,(@1:3);:OUTP 1,(@1);*SAV 3;*RST")
    assert ask(line, "VOLT? (@1,2);:CURR? (@1,2);:OUTP? (@1);:VOLT:PROT? (@1,2)") == (
        "+0.00000000E+00,+0.00000000E+00;+5.00000000E+00,+1.00000000E+00;0;+6.60000000E+00,+2.75000000E+01\n"
    )
    ask(line, "*RCL 3")
    assert ask(line, "VOLT? (@1,2);:OUTP? (@1,2)") == "+3.00000000E+00,+3.00000000E+00;1,0\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("VOLT", -109),
        ("VOLT (@1)", -109),
        ("VOLT 1,2,(@1)", -108),
        ("VOLT 1 A,(@1)", -131),
        ("CURR 1.1,(@2)", -222),
        ("OUTP ON,(@0)", -222),
        ("OUTP ON,(@)", -222),
        ("OUTP ON,(@x)", -171),
        ("INST CH4", -224),
        ("INST:NSEL 4", -222),
        ("VOLT? HIGH,(@1)", -224),
        ("MEAS:POW? (@1)", -113),
    ],
)
def test_what_is_refused(line, command, code):
    assert ask(line, command) == ""
    assert ask(line, "SYST:ERR?;ERR?").split(",")[0] == f"{code:+d}"


def test_twenty_errors_fit(line):
    ask(line, "X;" * 25)
    replies = ask(line, "SYST:ERR?;" + ":SYST:ERR?;" * 20).rstrip("\n").split(";")
    assert replies[18:] == ['-113,"Undefined header"', '-350,"Queue overflow"', '+0,"No error"']
