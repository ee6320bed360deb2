import pytest

from sim_devices.firmware.oz_epc400 import OzEpc400
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin


@pytest.fixture
def squeezers():
    spec = ComponentSpec("polarization_controller", {"v_pi_v": 1.4})
    return Twin(Layout(1, {"squeezers": spec}, ())).handle("squeezers")


@pytest.fixture
def line(squeezers):
    return OzEpc400({"squeezers": squeezers}, serial_number="42").session()


def ask(line, command: str) -> str:
    return line.feed(command.encode() + b"\r\n").decode()


def done(text: str) -> str:
    return f"{text}\r\nDone\r\n"


@pytest.mark.parametrize(
    ("commands", "last_text"),
    [
        (["V3,2500"], "Set CH3 DC Voltage at: 2500mV"),
        (["V1,-5000"], "Set CH1 DC Voltage at: -5000mV"),
        (["V1,+0042"], "Set CH1 DC Voltage at: 42mV"),
        (
            ["V1,2200", "VH2", "V3,-1000", "V4,-4000", "V?"],
            "Voltage(mV): CH1 +2200 CH2 +5000 CH3 -1000 CH4 -4000",
        ),
        (["V?"], "Voltage(mV): CH1 +0000 CH2 +0000 CH3 +0000 CH4 +0000"),
        (["VH4"], "Set CH4 DC Voltage at: 5000mV"),
        (["VL4"], "Set CH4 DC Voltage at: -5000mV"),
        (["VL4", "VZ4"], "Set CH4 DC Voltage at: 0mV"),
        (["F2,47"], "Set CH2 AC Frequency at: 47Hz"),
        (["F1,7", "F2,17", "F3,37", "F4,71", "F?"], "Frequency(Hz): CH1 007  CH2 017  CH3 037  CH4 071"),
        (["MAC"], "Set To AC Mode"),
        (["MDC"], "Set To DC Mode"),
        (["M?"], "Work Mode: DC"),
        (["MAC", "M?"], "Work Mode: AC(Sine)"),
        (["MAC", "WF2", "M?"], "Work Mode: AC(Triangle)"),
        (["WF2"], "Set AC Waveform at: Triangle"),
        (["WF?"], "AC Waveform: Sine"),
        (["ENVF1"], "Enable DC Voltage Output at AC Mode"),
        (["ENVF0"], "Disable DC Voltage Output at AC Mode"),
        (["VF2"], "Set CH2 output to: Volt (if possible)"),
        (["VF2", "VF2"], "Set CH2 output to: Hz (if possible)"),
        (["ENVF1", "VF1", "VF2", "VF?"], "Hz<->Volt at AC Mode is enabled: CH1-V,CH2-V,CH3-F,CH4-F"),
        (["SAVE"], "Write Setting to Flash memory"),
        (["SN?"], "Serial Number: 42"),
        (["v3,2500"], "Set CH3 DC Voltage at: 2500mV"),
        (["V3, 2500"], "Set CH3 DC Voltage at: 2500mV"),
    ],
)
def test_exact_texts(line, commands, last_text):
    replies = [ask(line, command) for command in commands]
    assert replies[-1] == done(last_text)


@pytest.mark.parametrize(
    "command",
    [
        "V5,0",
        "V0,0",
        "V1,5001",
        "V1,-5001",
        "F1,101",
        "F1,-1",
        "WF3",
        "ENVF2",
        "VH5",
        "VF0",
        "V1",
        "VH1,3",
        "HELLO",
        "V1,1.5",
    ],
)
def test_refusals_change_nothing(line, squeezers, command):
    assert ask(line, command).endswith("Error!\r\n")
    assert "Done" not in ask(line, command)
    assert squeezers.setting("voltages_v") == (0.0, 0.0, 0.0, 0.0)
    assert ask(line, "V?") == done("Voltage(mV): CH1 +0000 CH2 +0000 CH3 +0000 CH4 +0000")


def test_voltages_turn_the_light(line, squeezers):
    ask(line, "V1,1500")
    ask(line, "VL3")
    assert squeezers.setting("voltages_v") == (1.5, 0.0, -5.0, 0.0)


def test_in_ac_mode_the_light_keeps_the_dc_state(line, squeezers):
    ask(line, "V2,-700")
    ask(line, "MAC")
    assert squeezers.setting("voltages_v") == (0.0, -0.7, 0.0, 0.0)


def test_two_lines_share_the_instrument():
    instrument = OzEpc400({}, serial_number="1")
    ask(instrument.session(), "V1,100")
    assert "CH1 +0100" in ask(instrument.session(), "V?")


def test_messages_cost_no_lab_time(line, squeezers):
    for command in ("V1,100", "V?", "MAC", "SAVE"):
        ask(line, command)
    assert squeezers.lab_time.now_ps() == 0
