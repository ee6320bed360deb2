import math

import pytest

from sim_devices.firmware.s_fifteen_spad import SFifteenSpad
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin

DARK_RATE_HZ = 600.0
DETECTORS = {
    "number": 4,
    "efficiency": 0.05,
    "dark_rate_hz": DARK_RATE_HZ,
    "dead_time_ns": 100.0,
    "afterpulse_probability": 0.0,
    "afterpulse_time_us": 1.0,
    "jitter_ps": 100.0,
    "nominal_bias_v": 64.0,
    "breakdown_bias_v": 60.0,
    "nominal_temperature_c": -40.0,
}


@pytest.fixture
def detectors():
    layout = Layout(5, {"detectors": ComponentSpec("single_photon_detectors", DETECTORS)}, ())
    return Twin(layout).handle("detectors")


@pytest.fixture
def line(detectors):
    return SFifteenSpad({"detectors": detectors}, serial_number="007").session()


def ask(line, command: str) -> str:
    reply = line.feed(command.encode() + b"\r\n")
    assert reply == b"" or reply.endswith(b"\r\n")
    return reply.decode().strip()


def test_it_says_what_it_is(line):
    assert "SPD" in ask(line, "*idn?")
    assert "007" in ask(line, "*IDN?")


def test_it_begins_with_what_the_detectors_stand_at(line):
    assert float(ask(line, "hvolt?")) == 64.0
    assert float(ask(line, "settemp?")) == -40.0
    assert ask(line, "loop?") == "1"
    assert ask(line, "time?") == "1000"


@pytest.mark.parametrize(
    ("name", "sent", "read_back"),
    [
        ("hvolt", "62.5", 62.5),
        ("hvolt", "62.503", 62.5),
        ("hvolt", "1e9", 100.0),
        ("hvolt", "-3", 0.0),
        ("threshvolt", "0.05", 0.05),
        ("constp", "2.5", 2.5),
        ("consti", "0.25", 0.25),
        ("time", "250.0", 250.0),
        ("time", "0", 1.0),
        ("settemp", "-30", -30.0),
        ("delay", "12", 12.0),
        ("loop", "0", 0.0),
    ],
)
def test_setters_are_silent_and_hold_their_range(line, name, sent, read_back):
    assert ask(line, f"{name} {sent}") == ""
    assert float(ask(line, f"{name}?")) == read_back


def test_settings_reach_the_detectors(line, detectors):
    ask(line, "hvolt 63")
    ask(line, "threshvolt 0.12")
    assert detectors.setting("bias_v") == 63.0
    assert detectors.setting("threshold_v") == 0.12


def test_counting_takes_lab_time_and_gives_the_dark_counts_of_four(line, detectors):
    ask(line, "time 20000")
    counts = int(ask(line, "counts?"))
    assert detectors.lab_time.now_ps() == 20 * 10**12
    expected = 4 * DARK_RATE_HZ * 20.0
    assert abs(counts - expected) < 6.0 * math.sqrt(expected)  # false alarm 2e-9, seed fixed


def test_no_counts_below_breakdown(line):
    ask(line, "hvolt 59")
    assert ask(line, "counts?") == "0"


def test_cooling_takes_lab_time(line, detectors):
    ask(line, "settemp -50")
    assert float(ask(line, "temp?")) == pytest.approx(-40.0, abs=0.4)  # a ramp is made of steps
    detectors.lab_time.advance_by(5 * 10**12)
    assert float(ask(line, "temp?")) == pytest.approx(-45.0, abs=0.4)
    detectors.lab_time.advance_by(6 * 10**12)
    assert float(ask(line, "temp?")) == -50.0


def test_with_an_open_loop_the_peltier_voltage_decides(line, detectors):
    ask(line, "loop 0")
    ask(line, "pvolt 1.0")
    detectors.lab_time.advance_by(100 * 10**12)
    assert float(ask(line, "temp?")) == 5.0


@pytest.mark.parametrize(
    "command", ["hello", "hvolt", "hvolt x", "hvolt nan", "hvolt? 3", "counts? 1", "counts 1"]
)
def test_nonsense_is_called_so(line, command):
    assert ask(line, command) == "Unknown command"


def test_commands_may_share_a_line(line):
    assert line.feed(b"time 5;time?;") == b"5\r\n"


def test_help_names_every_command(line):
    for word in ("hvolt", "threshvolt", "counts?", "settemp", "save"):
        assert word in ask(line, "help")
    assert ask(line, "save") != ""


def test_without_detectors_it_counts_nothing():
    line = SFifteenSpad({}, serial_number="1").session()
    assert ask(line, "counts?") == "0"
    assert float(ask(line, "temp?")) == -50.0
