import struct

import numpy as np
import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.keysight_n7764a import KeysightN7764A
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin

INSERTION_LOSS_DB = 1.5


@pytest.fixture
def twin():
    components = {
        "laser": ComponentSpec("cw_laser"),
        "voa": ComponentSpec("attenuator", {"insertion_loss_db": INSERTION_LOSS_DB}),
        "spare": ComponentSpec("attenuator"),
    }
    twin = Twin(Layout(1, components, (Link(PortAddress("laser", "out"), PortAddress("voa", "in")),)))
    twin.handle("laser").apply(emission_on=True, power_dbm=0.0, wavelength_nm=1550.0)
    return twin


@pytest.fixture
def voa(twin):
    return twin.handle("voa")


@pytest.fixture
def instrument(twin, voa):
    return KeysightN7764A({"1": voa, "3": twin.handle("spare")}, serial_number="DE49300071")


@pytest.fixture
def line(instrument):
    return instrument.session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode("latin-1")


def error(line) -> str:
    return ask(line, ":SYST:ERR?").rstrip("\n")


def sleep(handle, seconds: float) -> None:
    handle.lab_time.advance_by(seconds_to_ps(seconds))


SCRIPT = (
    b"*IDN?\r\n:INPUT1:ATTENUATION 14 dB;attenuation?;:outp1 1;:OUTP2:STAT?\n:inp3:wav 1550.12NM;wav?\n"
    b"INP1:ATT 99\nSYST:ERR?;ERR?\n:SLOT1:HEAD:IDN?;:SLOT3:IDN?\n\n*OPC?;:READ1:POW?;:READ:POW:ALL:CONF?\n"
    b"*OPT?;*TST?\r\n"
)
ANSWERS = (
    b"Keysight Technologies,N7764A,DE49300071,V1.30\n+1.40000000E+001;1\n+1.55012000E-006\n"
    b'-222, "Data out of range (StatParmTooLarge)";+0,"No error"\n'
    b"Keysight Technologies, N7764A-002, DE49300071, V1.30;Keysight Technologies, N7764A-002, DE49300071, V1.30\n"
    b"1;-1.55000000E+001;#216" + struct.pack("<8H", 1, 1, 3, 1, 5, 1, 7, 1) + b"\n"
    b"N7764A-002,  ,N7764A-002,  ,N7764A-002,  ,N7764A-002,  ;0\n"
)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 30, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    replies = b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length))
    assert replies == ANSWERS


def test_power_on_is_dark(voa, line):
    assert (voa.setting("shutter_open"), voa.setting("attenuation_db")) == (False, 0.0)
    assert ask(line, ":OUTP1?;:OUTP1:STAT:APOW?;:INP1:ATT?") == "0;0;+0.00000000E+000\n"


@pytest.mark.parametrize("slot", [1, 2])
def test_both_slots_of_an_attenuator_are_the_same(voa, line, slot):
    ask(line, f":INP{slot}:ATT 12.3456")
    assert voa.setting("attenuation_db") == 12.346
    assert ask(line, ":INP1:ATT?;:INP2:ATT?") == "+1.23460000E+001;+1.23460000E+001\n"
    assert ask(line, ":INP3:ATT?") == "+0.00000000E+000\n"


def test_the_filter_moves_at_its_speed_in_lab_time(voa, line):
    ask(line, ":OUTP1 ON;*OPC?")
    started_ps = voa.lab_time.now_ps()
    ask(line, ":INP1:ATT:SPE 10;:INP1:ATT 40")
    assert voa.setting("attenuation_db") == pytest.approx(0.0, abs=2.0)
    sleep(voa, 1.0)
    assert voa.setting("attenuation_db") == pytest.approx(10.0, abs=2.0)
    ask(line, ":INP1:ATT:SPE 1000;:INP1:ATT 5")  # turns round where it is
    sleep(voa, 0.0025)
    assert voa.setting("attenuation_db") == pytest.approx(7.5, abs=1.0)
    assert ask(line, "*OPC?") == "1\n"
    assert voa.setting("attenuation_db") == 5.0
    assert voa.lab_time.now_ps() - started_ps == pytest.approx(1.005e12, abs=5e7)


def test_polling_a_slot_comes_to_an_end(line):
    ask(line, ":OUTP1 1;*OPC?;:INP1:ATT 18")
    assert [ask(line, ":SLOT1:OPC?") for _ in range(5)] == ["0\n", "0\n", "0\n", "1\n", "1\n"]
    assert ask(line, ":SLOT3:OPC?") == "1\n"
    ask(line, ":INP1:ATT 0;*CLS;*OPC")
    replies = [ask(line, "*ESR?") for _ in range(4)]
    assert replies == ["0\n", "0\n", "0\n", "1\n"]


def test_the_shutter_opens_at_the_configured_speed_and_closes_at_once(voa, line):
    ask(line, ":INP1:ATT 5;ATT:SPE 20;:OUTP1 1")
    assert voa.setting("shutter_open") is True
    sleep(voa, 1.0)
    assert voa.setting("attenuation_db") == pytest.approx(25.0, abs=2.0)
    ask(line, "*OPC?")
    assert (voa.setting("attenuation_db"), voa.lab_time.now_ps()) == (5.0, seconds_to_ps(2.0))
    ask(line, ":OUTP1 0")
    assert voa.setting("shutter_open") is False
    ask(line, ":INP1:ATT 30")
    assert ask(line, ":SLOT1:OPC?") == "1\n"


def test_the_offset_shifts_what_is_shown_and_not_the_filter(voa, line):
    ask(line, ":INP1:ATT 10;OFFS 2.5")
    assert ask(line, ":INP1:ATT?;ATT? MIN;ATT? MAX;ATT? DEF;OFFS?;OFFS? MAX") == (
        "+1.25000000E+001;+2.50000000E+000;+4.75000000E+001;+2.50000000E+000;+2.50000000E+000;+2.00000000E+002\n"
    )
    assert voa.setting("attenuation_db") == 10.0
    ask(line, ":INP1:ATT 3")
    assert voa.setting("attenuation_db") == 0.5
    ask(line, ":INP1:OFFS:DISP")
    assert ask(line, ":INP1:ATT?;OFFS?") == "+0.00000000E+000;-5.00000000E-001\n"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (":INP1:ATT -0.01", '-222, "Data out of range (StatParmTooSmall)"'),
        (":INP1:ATT 45.001", '-222, "Data out of range (StatParmTooLarge)"'),
        (":INP1:WAV 1700NM", '-222, "Data out of range (StatParmTooLarge)"'),
        (":INP1:OFFS -201", '-222, "Data out of range (StatParmTooSmall)"'),
        (":INP1:ATT:SPE 0.01", '-222, "Data out of range (StatParmTooSmall)"'),
        (":OUTP1:ATIM 1ms", '-222, "Data out of range (StatParmTooSmall)"'),
        (":INP9:ATT 1", '-303, "Module slot empty or slot / channel invalid"'),
        (":INP0:ATT?", '-303, "Module slot empty or slot / channel invalid"'),
        (":INP1:CHAN2:ATT 1", '-303, "Module slot empty or slot / channel invalid"'),
        (":INP1:ATT 1 V", '-131, "Invalid suffix"'),
        (":INP1:ATT", '-109, "Missing parameter"'),
        (":INP1:ATT 1,2", '-108, "Parameter not allowed"'),
        (":INPU1:ATT 1", '-113, "Undefined header"'),
        (":OUTP1:POW:CONTR 1", '-301, "Module doesn\'t support this command (StatCmdUnknown)"'),
        (":SENS1:POW:WAV?", '-301, "Module doesn\'t support this command (StatCmdUnknown)"'),
        (":CONF:MEAS:SETT:REC 3", '-290, "Invalid setting"'),
        (":CONF1:OFFS:WAV:STAT 1", '-323, "Flash programming error (StatUserCalTable Empty)"'),
    ],
)
def test_what_is_refused_changes_nothing(voa, line, command, reply):
    assert ask(line, command) == ""
    assert error(line) == reply
    assert error(line) == '+0,"No error"'
    assert voa.setting("attenuation_db") == 0.0


def test_all_attenuators_at_once(twin, voa, line):
    ask(line, ":INP:ATT:ALL 7;:INP:WAV:ALL 1310nm;:OUTP:STAT:ALL ON;*OPC?")
    assert [twin.handle(name).setting("attenuation_db") for name in ("voa", "spare")] == [7.0, 7.0]
    assert ask(line, ":INP7:ATT?;WAV?;:OUTP:ALL 0;:OUTP5?") == "+7.00000000E+000;+1.31000000E-006;0\n"
    ask(line, ":INP3:OFFS 20;:INP:ATT:ALL 10")  # slot 3 cannot show less than 20 dB
    assert error(line) == '-224, "Illegal parameter value"'
    assert voa.setting("attenuation_db") == 7.0


def test_monitors_read_what_leaves(voa, line):
    ask(line, ":INP1:ATT 10;:OUTP1 1;*OPC?;:OUTP1:ATIM 20ms")
    before_ps = voa.lab_time.now_ps()
    assert ask(line, ":READ1:POW?") == "-1.15000000E+001\n"
    assert voa.lab_time.now_ps() - before_ps == seconds_to_ps(0.02)
    ask(line, ":OUTP1:POW:OFFS 2;UN W")
    assert float(ask(line, ":FETC2:CHAN1:SCAL:POW:DC?")) == pytest.approx(10**-1.15 * 1e-3 / 10**0.2)
    assert ask(line, ":OUTP1:POW:UN?;:OUTP3:POW:UN?") == "+1;0\n"
    block = line.feed(b":READ:POW:ALL?\n")
    assert block[:4] == b"#216"
    np.testing.assert_allclose(np.frombuffer(block[4:-1], "<f4"), [10**-4.15, 1e-12, 1e-12, 1e-12], rtol=1e-6)
    csv = ask(line, ":FETC:POW:ALL:CSV?").strip().strip('"').split(", ")
    assert [float(item) for item in csv] == pytest.approx([10**-4.15, 1e-12, 1e-12, 1e-12])


def test_a_set_power_moves_the_filter_once(voa, line):
    ask(line, ":OUTP1 1;*OPC?;:OUTP1:POW -20 dBm;*OPC?")
    assert voa.setting("attenuation_db") == pytest.approx(20.0 - INSERTION_LOSS_DB)
    assert ask(line, ":OUTP1:POW?;APM?;:OUTP1:APM?") == "-2.00000000E+001;1;1\n"
    assert ask(line, ":READ1:POW?") == "-2.00000000E+001\n"
    assert ask(line, ":STAT1:QUES:COND?") == "+0\n"
    ask(line, ":OUTP1:POW 5")  # more than there is
    assert ask(line, ":STAT1:QUES:COND?;:INP1:ATT?") == "+1;+0.00000000E+000\n"
    ask(line, ":INP1:ATT 3")
    assert ask(line, ":OUTP1:APM?") == "0\n"


def test_a_power_set_behind_a_closed_shutter_is_reached_when_it_opens(voa, line):
    ask(line, ":OUTP1:POW 1uW")
    assert voa.setting("attenuation_db") == 0.0
    ask(line, ":OUTP1 1;*OPC?")
    assert voa.setting("attenuation_db") == pytest.approx(30.0 - INSERTION_LOSS_DB)


def test_wavelength_dependent_offsets_add_to_the_power(line):
    ask(line, ":OUTP1 1;*OPC?;:CONF1:OFFS:WAV:VAL 1540nm,1;VAL 1560nm,3dB;STAT 1;:SENS1:FOO")
    assert error(line) == '-113, "Undefined header"'
    assert ask(line, ":READ1:POW?;:STAT1:OPER:COND?") == "-3.50000000E+000;+240\n"
    ask(line, ":INP1:WAV 1560nm")
    assert ask(line, ":READ1:POW?;:STAT1:OPER:COND?;:CONF1:OFFS:WAV:TAB:SIZE?") == "-4.50000000E+000;+48;2\n"
    table = line.feed(b":CONF1:OFFS:WAV:TAB?\n")
    assert table == b"#224" + struct.pack("<dfdf", 1540e-9, 1.0, 1560e-9, 3.0) + b"\n"
    ask(line, ":CONF1:OFFS:WAV:VAL 1550nm,0")
    assert error(line) == '-323, "Flash programming error (StatUserCalActive)"'
    ask(line, "*RST;:CONF1:OFFS:WAV:STAT 0;VAL:DEL:ALL")
    assert ask(line, ":CONF1:OFFS:WAV:TAB:SIZE?;SIZE? MAX") == "0;1000\n"


def test_offsets_from_another_power_meter(line):
    """Slot 3 is dark, so that its monitor shows its floor of -90 dBm."""
    ask(line, ":OUTP1 1;*OPC?;:INP1:OFFS:POW 3,1;:OUTP1:POW:OFFS:POW 3,1")
    assert ask(line, ":INP1:OFFS?;:OUTP1:POW:OFFS?;:READ1:POW?") == (
        "+8.85000000E+001;+8.85000000E+001;-9.00000000E+001\n"
    )
    ask(line, ":CONF1:OFFS:WAV:REF 3,1;VAL 1550nm,TOREF;STAT ON;:OUTP1:POW:OFFS 0")
    assert ask(line, ":CONF1:OFFS:WAV:REF?;STAT?;:READ1:POW?") == "+3,+1;1;-9.00000000E+001\n"
    ask(line, ":INP1:OFFS:POW 9,1")
    assert error(line) == '-303, "Module slot empty or slot / channel invalid"'


def test_settings_are_saved_and_recalled(voa, line):
    assert ask(line, ":CONF:MEAS:SETT:ACT?") == "+0\n"
    ask(line, ":INP1:ATT 8;:CONF:MEAS:SETT:SAVE 2")
    assert ask(line, ":CONF:MEAS:SETT:ACT?") == "+2\n"
    ask(line, ":INP1:ATT 9")
    assert ask(line, ":CONF:MEAS:SETT:ACT?") == "-1\n"
    ask(line, ":CONF:MEAS:SETT:CANC")
    assert (voa.setting("attenuation_db"), ask(line, ":CONF:MEAS:SETT:ACT?")) == (8.0, "+2\n")
    ask(line, ":CONF:MEAS:SETT:PRES")
    assert voa.setting("attenuation_db") == 0.0
    ask(line, ":CONF:MEAS:SETT:REC 2")
    assert voa.setting("attenuation_db") == 8.0
    ask(line, "*RST")
    assert (voa.setting("attenuation_db"), voa.setting("shutter_open")) == (0.0, False)
    ask(line, ":CONF:MEAS:SETT:REC 2")
    assert error(line) == '-290, "Invalid setting"'


def test_status_registers_latch_per_slot(line):
    ask(line, ":STAT1:OPER:ENAB 16;:STAT:OPER:ENAB 2")
    assert ask(line, "*STB?") == "0\n"
    ask(line, ":OUTP1 1;:OUTP1 0")
    assert ask(line, "*STB?;:STAT:OPER:COND?;:STAT1:OPER:COND?") == "128;+2;+0\n"
    assert ask(line, ":STAT1:OPER?;:STAT1:OPER:EVEN?;:STAT:OPER?;:STAT3:OPER?") == "+16;+0;+2;+0\n"
    assert ask(line, ":STAT9:OPER?") == ""
    assert error(line) == '-303, "Module slot empty or slot / channel invalid"'


def test_the_thirtieth_error_is_the_overflow(line):
    ask(line, "X;" * 30)
    replies = ask(line, ":SYST:ERR?;" * 31).rstrip("\n").split(";")
    assert replies == ['-113, "Undefined header"'] * 29 + ['-350, "Queue overflow"', '+0,"No error"']
    ask(line, "X;*RST")
    assert error(line) == '+0,"No error"'


def test_zeroing_darkens_everything_for_a_while(voa, line):
    ask(line, ":OUTP1 1;*OPC?;:OUTP3:CORR:COLL:ZERO")
    assert voa.setting("shutter_open") is False
    assert ask(line, ":STAT1:OPER:COND?;*OPC?;:OUTP3:CORR:COLL:ZERO?") == "+24;1;0\n"
    assert voa.setting("shutter_open") is True


def test_slots_without_a_component_work_too(line):
    ask(line, ":INP5:ATT 20;:OUTP5 1;*OPC?")
    assert ask(line, ":INP5:ATT?;:OUTP6?;:READ5:POW?") == "+2.00000000E+001;1;-9.00000000E+001\n"


def test_unknown_sockets_are_refused(voa):
    with pytest.raises(ValueError, match="no socket 2"):
        KeysightN7764A({"2": voa}, serial_number="1")


def test_the_shutter_may_be_open_at_power_on(voa):
    line = KeysightN7764A({"1": voa}, serial_number="1", shutters_open_at_power_on=True).session()
    assert voa.setting("shutter_open") is True
    assert ask(line, ":OUTP1?;:OUTP1:APOW?;*OPC?;*ESR?") == "1;1;1;0\n"
