"""OzOdl650 against its transcript and against a delay line that takes its time."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ophyd.utils import LimitError

from drivers.delay_line import oz_odl650_codec as codec
from drivers.delay_line.oz_odl650 import OzOdl650
from qdci_lab.errors import AcquisitionError, InstrumentError, LocalProtocolError, RemoteProtocolError
from qdci_lab.transport.memory import MemoryTransport

WAIT_S = 5.0
STEPS_PER_POLL = 5000


class Line:
    """A delay line that says `Done` at once and moves a little each time it is asked where it is."""

    def __init__(self, *, homed: bool = True) -> None:
        self.position: int | None = 0 if homed else None
        self.target = 0
        self.polls_until_homed = 0
        self.stuck = False
        self.name = "ODL-650-MC"
        self.said: list[str] = []

    def answer(self, data: bytes) -> bytes:
        assert data.endswith(b"\r\n")
        word = data.decode().strip()
        self.said.append(word)
        return f"{self.reply(word)}\r\n".encode()

    def reply(self, word: str) -> str:
        if word == "S?":
            self.move()
            return f"\r\n{'UNKNOWN' if self.position is None else f'POS:{self.position}'}\r\nDone"
        if word == "V1":
            return f"V1\r\n{self.name}V1.0_2\r\nDone"
        if word == "V2":
            return "\r\n180234-01\r\nDone"
        if word == "FH":
            self.position, self.target, self.polls_until_homed = None, 0, 4
        else:
            self.target = int(word.removeprefix("S"))
        return "\r\nDone"

    def move(self) -> None:
        if self.stuck:
            return
        if self.position is not None:
            away = self.target - self.position
            self.position += max(-STEPS_PER_POLL, min(STEPS_PER_POLL, away))
        elif self.polls_until_homed:
            self.polls_until_homed -= 1
            self.position = None if self.polls_until_homed else 0


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def delay_line(connected: Any, line: Line) -> Any:
    return connected(OzOdl650, MemoryTransport(line.answer, chunk=4))


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted_line: Any):
    delay_line, transport = scripted_line(OzOdl650, transcript("oz_odl650"))
    assert delay_line.identify() == "ODL-650-MCV1.0_ 180234"
    with pytest.raises(InstrumentError, match=r"lab\.dev: .*home\(\)"):
        delay_line.move(100.0)
    assert delay_line.ask(codec.home()) is None
    assert delay_line.ask_delay_ps() == 0.0
    delay_line.delay.set(100.0).wait(WAIT_S)
    assert delay_line.delay.last == pytest.approx(100.0, abs=0.5 * codec.PS_PER_STEP)
    assert transport.exhausted


def test_the_scale_is_that_of_light_in_vacuum():
    assert pytest.approx(16.9451, abs=1e-4) == codec.PS_PER_STEP * 32768
    assert codec.to_delay_ps(codec.MAX_STEPS) == pytest.approx(667.128, abs=1e-3)
    assert round(codec.MAX_STEPS / 6450.4) == 200


def test_setting_waits_until_the_line_has_arrived(delay_line: Any, line: Line, clock: Any):
    before_ps = clock.now_ps()
    delay_line.delay.set(20.0).wait(WAIT_S)
    assert line.position == codec.to_steps(20.0) > 4 * STEPS_PER_POLL
    assert delay_line.delay.last == pytest.approx(20.0, abs=0.5 * codec.PS_PER_STEP)
    assert clock.now_ps() > before_ps


def test_a_line_that_does_not_move_fails_in_finite_time(delay_line: Any, line: Line, clock: Any):
    line.stuck = True
    with pytest.raises(AcquisitionError, match=r"dev_delay: set to 20\.0 ps, .* reports 0\.0 ps"):
        delay_line.delay.set(20.0).wait(WAIT_S)
    assert 60e12 <= clock.now_ps() < 61e12


def test_an_unhomed_line_says_so_and_can_be_homed(connected: Any, clock: Any):
    line = Line(homed=False)
    delay_line = connected(OzOdl650, MemoryTransport(line.answer))
    assert delay_line.homed.last is False
    assert math.isnan(delay_line.delay.last)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -1, .*unknown: home\(\)"):
        delay_line.delay.set(10.0).wait(WAIT_S)
    assert not any(word.startswith("S") and word != "S?" for word in line.said)
    delay_line.home().wait(WAIT_S)
    assert delay_line.homed.last is True
    assert delay_line.delay.last == 0.0
    assert clock.now_ps() == 3 * 50_000_000_000
    delay_line.delay.set(10.0).wait(WAIT_S)
    assert line.position == codec.to_steps(10.0)


def test_homing_that_does_not_end_is_given_up(connected: Any, clock: Any):
    line = Line(homed=False)
    line.stuck = True
    delay_line = connected(OzOdl650, MemoryTransport(line.answer))
    with pytest.raises(AcquisitionError, match=r"lab\.dev: not homed after 30 s"):
        delay_line.home().wait(WAIT_S)
    assert 30e12 <= clock.now_ps() < 31e12


def test_delays_beyond_the_line_are_refused_before_anything_is_sent(delay_line: Any, line: Line):
    said = len(line.said)
    for wrong in (-0.1, 667.2):
        with pytest.raises(LimitError, match=r"dev_delay: .* ps is"):
            delay_line.delay.set(wrong)
    assert len(line.said) == said


def test_reading_does_no_io_and_gives_units(delay_line: Any, line: Line):
    said = len(line.said)
    assert delay_line.read()["dev_delay"]["value"] == 0.0
    assert delay_line.describe()["dev_delay"]["units"] == "ps"
    assert len(line.said) == said


def test_another_instrument_is_not_taken_for_a_delay_line(connected: Any, line: Line):
    line.name = "EPC-400"
    with pytest.raises(RemoteProtocolError, match="expected a OZ Optics ODL-650-MC"):
        connected(OzOdl650, MemoryTransport(line.answer))


@given(st.floats(0.0, codec.to_delay_ps(codec.MAX_STEPS)))
def test_a_delay_is_met_within_half_a_step(delay_ps: float):
    assert abs(codec.to_delay_ps(codec.to_steps(delay_ps)) - delay_ps) <= 0.5001 * codec.PS_PER_STEP


@pytest.mark.parametrize("delay_ps", [-1.0, 668.0, float("nan"), float("inf")])
def test_codec_refuses_what_the_line_does_not_have(delay_ps: float):
    with pytest.raises(LocalProtocolError, match="delay"):
        codec.to_steps(delay_ps)


@pytest.mark.parametrize("steps", [-1, codec.MAX_STEPS + 1])
def test_codec_refuses_steps_beyond_the_ends(steps: int):
    with pytest.raises(LocalProtocolError, match="step"):
        codec.move_to(steps)


@pytest.mark.parametrize(
    ("reply", "steps"),
    [(b"POS:17\r\nDone", 17), (b"S?\r\nPOS: 17\r\nDone", 17), (b"S?\r\nUNKNOWN\r\nDone", None)],
)
def test_positions(reply: bytes, steps: int | None):
    assert codec.position().parse(reply) == steps


@pytest.mark.parametrize("reply", [b"Done", b"17\r\nDone", b"POS:17"])
def test_positions_that_are_none_are_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError):
        codec.position().parse(reply)


def test_a_name_needs_a_line():
    assert codec.model().parse(b"ODL-650V1.0_\r\nDone") == "ODL-650V1.0_"
    with pytest.raises(RemoteProtocolError, match="line of text"):
        codec.model().parse(b"V1\r\nDone")
