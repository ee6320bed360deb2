import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.oz_dd100mc import OzDd100mc
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin

SCRIPT = b"CD\rA10.5\rd\r\nS+20\r\nF\nB\rA?\rS?\rS-1070\rQ\rH\rE1\rD\r\nE0\r\nL1.5\rA3\rD\rRES?\rA99\r"
DONE = b"Done\r\n\r\n"
REPLIES = (
    b"DD100MC\r\nV6.2a\r\nNO:303699-01\r\nMAX ATTEN:60.00\r\nOVERSHOOT:-30\r\nCALIB:MAR-02-2022\r\n"
    b"GEAR RATIO:485:1\r\nMINTERVAL(MS):0.90\r\nMOTOR VOLT:5\r\nIL:0.00\r\nWAVELENGTH:1550\r\nI2C ADDRESS:64\r\n"
    b"W0 1550\r\n" + DONE + b"Pos:1050\r\n" + DONE + b"DPos:1050\r\nATTEN:10.50\r\n" + DONE
    + b"Pos:1070\r\n" + DONE + b"Pos:1071\r\n" + DONE + b"Pos:1070\r\n" + DONE + b"Atten:10.70(dB)\r\n" + DONE
    + b"Pos:1070\r\n" + DONE + b"Pos:0\r\n" + DONE + b"Error-2\r\n" + DONE + b"Diff=0\r\n" + DONE
    + DONE + b"D\r\nDPos:0\r\nATTEN:0.00\r\n" + DONE + b"E0\r\n" + DONE + DONE + b"Pos:150\r\n" + DONE
    + b"DPos:150\r\nATTEN:3.00\r\n" + DONE + b"DPos:150\r\nATTEN:3.00\r\n" + DONE + b"Error-6\r\n" + DONE
)  # fmt: skip


@pytest.fixture
def twin():
    attenuator = ComponentSpec("attenuator", {"insertion_loss_db": 1.0})
    link = Link(PortAddress("laser", "out"), PortAddress("attenuator", "in"))
    twin = Twin(Layout(1, {"laser": ComponentSpec("cw_laser"), "attenuator": attenuator}, (link,)))
    twin.handle("laser").apply(emission_on=True, power_dbm=0.0)
    return twin


@pytest.fixture
def attenuator(twin):
    return twin.handle("attenuator")


@pytest.fixture
def line(attenuator):
    return OzDd100mc({"attenuator": attenuator}, serial_number="303699-01").session()


def ask(line, command: str) -> list[str]:
    reply = line.feed(command.encode() + b"\r").decode()
    assert reply.endswith("Done\r\n\r\n")
    return reply.split("\r\n")[:-3]


@given(st.lists(st.integers(0, len(SCRIPT)), max_size=8))
def test_a_conversation_in_any_chunking(cuts):
    line = OzDd100mc({}, serial_number="303699-01").session()
    edges = [0, *sorted(cuts), len(SCRIPT)]
    replies = [line.feed(SCRIPT[begin:end]) for begin, end in itertools.pairwise(edges)]
    assert b"".join(replies) == REPLIES


def test_byte_by_byte(line):
    assert b"".join(line.feed(bytes((byte,))) for byte in SCRIPT) == REPLIES


def test_the_reply_comes_when_the_motor_has_arrived(line, attenuator):
    assert ask(line, "A20") == ["Pos:2000"]
    assert attenuator.lab_time.now_ps() == seconds_to_ps(1.8)
    assert attenuator.setting("attenuation_db") == 20.0
    assert attenuator.sense("output_power_w") == pytest.approx(1e-3 * 10**-2.1)


def test_the_light_changes_on_the_way(line, attenuator):
    ask(line, "A20")
    on_the_way_w = attenuator.sense("output_power_w", average_s=1.8)
    assert 1e-3 * 10**-2.1 < on_the_way_w < 1e-3 * 10**-0.1


def test_homing_takes_seconds_but_less_than_half_a_minute(line, attenuator):
    ask(line, "S6000")
    before_ps = attenuator.lab_time.now_ps()
    assert ask(line, "H") == ["Diff=0"]
    assert seconds_to_ps(2.0) < attenuator.lab_time.now_ps() - before_ps < seconds_to_ps(30.0)
    assert attenuator.setting("attenuation_db") == 0.0


def test_questions_cost_no_lab_time(line, attenuator):
    for question in ("A?", "S?", "D", "CD", "RES?", "EVA?", "I2C?", "E0", "L0", "W0"):
        ask(line, question)
    assert attenuator.lab_time.now_ps() == 0


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("A60.01", "Error-6"),
        ("A-1", "Error-6"),
        ("S6001", "Error-6"),
        ("S-11", "Error-6"),
        ("S+6000", "Error-6"),
        ("CI128", "Error-6"),
        ("L-1", "Error-6"),
        ("A", "Error-2"),
        ("Aten", "Error-2"),
        ("A1e1", "Error-2"),
        ("S", "Error-2"),
        ("S1.5", "Error-2"),
        ("W1", "Error-2"),
        ("E2", "Error-2"),
        ("EVA7", "Error-2"),
        ("CHxy", "Error-2"),
        ("x" * 2000, "Error-6"),
    ],
)
def test_refusals_change_nothing(line, attenuator, command, error):
    ask(line, "S10")
    before_ps = attenuator.lab_time.now_ps()
    assert ask(line, command) == [error]
    assert ask(line, "D") == ["DPos:10", "ATTEN:0.10"]
    assert attenuator.lab_time.now_ps() == before_ps


def test_modes_and_addresses_are_remembered(line):
    for command in ("EVA9", "I2C3", "CH7F", "CS01"):
        assert ask(line, command) == []
    assert (ask(line, "EVA?"), ask(line, "I2C?")) == (["EVA9"], ["3.3V"])
    assert "I2C ADDRESS:127" in ask(line, "CD")


def test_a_unit_that_is_not_homed_knows_no_position_and_homes_before_it_moves(attenuator):
    components = {"attenuator": attenuator}
    line = OzDd100mc(components, serial_number="1", homed_at_start=False).session()
    assert ask(line, "A?") == ["Atten:unknown"]
    assert ask(line, "D") == ["DPos:unknown", "ATTEN:unknown"]
    assert ask(line, "A1") == ["Pos:100"]
    assert attenuator.lab_time.now_ps() == seconds_to_ps(2.0 + 0.09)


def test_a_restart_ends_the_echo():
    line = OzDd100mc({}, serial_number="1").session()
    line.feed(b"E1\r")
    assert line.feed(b"RST\r") == b"RST\r\nDone\r\n\r\n"
    assert line.feed(b"S?\r") == b"Pos:0\r\nDone\r\n\r\n"
