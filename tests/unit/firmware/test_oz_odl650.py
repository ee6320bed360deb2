import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.oz_odl650 import LAST_STEP, OzOdl650, delay_ps

SCRIPT = b"S?\r\nFH\r\nS32768\r\nS?\r\nV1\r\nV2\r\nd?\r\ne1\r\nS?\r\ne0\r\nnonsense\r\nS9999999\r\nOW\r\nOZ-SHS1\r\n"
REPLIES = (
    b"\r\nPos:UNKNOWN\r\nDone\r\n\r\nPos:0\r\nDone\r\n\r\nPos:32768\r\nDone\r\n\r\nPos:32768\r\nDone\r\n"
    b"\r\nODL-650-MCV1.2_\r\nDone\r\n\r\nAB12\r\nDone\r\n\r\nMAR-02-2022\r\nDone\r\n\r\nDone\r\n"
    b"S?\r\nPos:32768\r\nDone\r\ne0\r\nDone\r\n\r\nError-2\r\nDone\r\n\r\nError-6\r\nDone\r\n"
    b"\r\nDone\r\n\r\nDone\r\n"
)


@pytest.fixture
def line(held):
    return OzOdl650({"line": held}, serial_number="AB12").session()


@pytest.fixture
def homed(line):
    ask(line, "FH")
    return line


def ask(line, command: str) -> list[str]:
    lines = line.feed(command.encode() + b"\r\n").decode().split("\r\n")
    assert (lines[0], lines[-2:]) == ("", ["Done", ""])
    return lines[1:-2]


@given(st.lists(st.integers(0, len(SCRIPT)), max_size=8))
def test_a_conversation_in_any_chunking(cuts):
    line = OzOdl650({}, serial_number="AB12").session()
    edges = [0, *sorted(cuts), len(SCRIPT)]
    replies = [line.feed(SCRIPT[begin:end]) for begin, end in itertools.pairwise(edges)]
    assert b"".join(replies) == REPLIES


def test_one_turn_is_5_08_mm_of_path(homed, held):
    before_ps = held.lab_time.now_ps()
    assert ask(homed, "S32768") == ["Pos:32768"]
    assert held.setting("delay_ps") == pytest.approx(5.08 / 0.299792458, rel=1e-9)
    assert held.lab_time.now_ps() - before_ps == pytest.approx(seconds_to_ps(0.5), rel=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 12345, LAST_STEP])
def test_every_position_is_reached(homed, held, steps):
    assert ask(homed, f"S{steps}") == [f"Pos:{steps}"]
    assert held.setting("delay_ps") == delay_ps(steps)


def test_homing_takes_less_than_half_a_minute(homed, held):
    ask(homed, f"S{LAST_STEP}")
    before_ps = held.lab_time.now_ps()
    assert ask(homed, "FH") == ["Pos:0"]
    assert seconds_to_ps(2.0) < held.lab_time.now_ps() - before_ps < seconds_to_ps(30.0)


def test_before_homing_nothing_moves(line, held):
    for command in ("S100", "GF", "GR"):
        assert ask(line, command) == ["Pos:UNKNOWN"]
    assert (held.setting("delay_ps"), held.lab_time.now_ps()) == (0.0, 0)


def test_a_run_goes_on_until_it_is_stopped(homed, held):
    assert ask(homed, "GF") == []
    held.lab_time.advance_by(seconds_to_ps(1.0))
    assert ask(homed, "G0") == ["Pos:65536"]
    assert held.setting("delay_ps") == delay_ps(65536)
    held.lab_time.advance_by(seconds_to_ps(1.0))
    assert ask(homed, "S?") == ["Pos:65536"]


def test_a_run_ends_at_the_end(homed, held):
    ask(homed, "GF")
    held.lab_time.advance_by(seconds_to_ps(60.0))
    assert ask(homed, "S?") == [f"Pos:{LAST_STEP}"]
    ask(homed, "GR")
    held.lab_time.advance_by(seconds_to_ps(60.0))
    assert ask(homed, "S?") == ["Pos:0"]


def test_who_polls_a_run_sees_it_progress(homed, held):
    ask(homed, "GF")
    before_ps = held.lab_time.now_ps()
    assert [ask(homed, "S?"), ask(homed, "S?")] == [["Pos:327"], ["Pos:655"]]
    assert held.lab_time.now_ps() - before_ps == seconds_to_ps(0.01)


@pytest.mark.parametrize("command", [f"S{LAST_STEP + 1}", "S-1", "S1.5", "S", "V3", "OZ-SHS2", "x" * 2000])
def test_refusals_change_nothing(homed, held, command):
    ask(homed, "S7")
    before_ps = held.lab_time.now_ps()
    assert ask(homed, command)[0].startswith("Error-")
    assert (ask(homed, "S?"), held.lab_time.now_ps()) == (["Pos:7"], before_ps)


def test_reset_forgets_where_it_is(homed):
    ask(homed, "S7")
    assert ask(homed, "RESET") == []
    assert ask(homed, "S?") == ["Pos:UNKNOWN"]
    assert ask(homed, "FH") == ["Pos:0"]
