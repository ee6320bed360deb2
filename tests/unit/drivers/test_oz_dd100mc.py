"""OzDd100mc against its transcript and against a motor of our own."""

import re
from typing import Any

import pytest
from ophyd.utils import LimitError

from drivers.oz_motor_codec import END_MARKS, accepted
from drivers.voa import oz_dd100mc_codec as codec
from drivers.voa.oz_dd100mc import OzDd100mc
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportTimeout,
)
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.wire.message import Query

WAIT_S = 5.0
STEPS_PER_DB = 157.5


class Motor:
    """An attenuator; `stuck` acknowledges and does not move, `echo` repeats what it hears."""

    def __init__(self, *, echo: bool = False) -> None:
        self.steps = 189
        self.echo = echo
        self.stuck = False
        self.refusal = ""
        self.said: list[str] = []

    def answer(self, data: bytes) -> bytes:
        assert data.endswith(b"\r")
        word = data.decode().strip()
        self.said.append(word)
        echo = f"{word}\r\n" if self.echo else ""
        return f"{echo}{self.refusal or self.reply(word)}\r\n\r\n".encode()

    def reply(self, word: str) -> str:
        if word == "CD":
            return "DD-100-MC\r\nIL:1.20\r\nMAX ATTEN:60.00\r\nDone"
        if word == "D":
            return f"DPos:{self.steps}\r\nATTEN:{self.steps / STEPS_PER_DB:.2f}\r\nDone"
        if word == "H":
            self.steps = 0
            return "Done"
        if match := re.fullmatch(r"A(\d+\.\d\d)", word):
            if not self.stuck:
                self.steps = round(float(match[1]) * STEPS_PER_DB)
            return f"Pos:{self.steps}\r\nDone"
        return "Error-2"


@pytest.fixture
def motor() -> Motor:
    return Motor()


@pytest.fixture
def voa(connected: Any, motor: Motor) -> Any:
    return connected(OzDd100mc, MemoryTransport(motor.answer, chunk=5))


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted_line: Any):
    exchanges = transcript("oz_dd100mc")
    configuration, move, position, homing, refusal = exchanges
    voa, transport = scripted_line(
        OzDd100mc,
        [configuration, configuration, position, configuration, move, position, homing, position, refusal],
        terminator=b"\r", reply_end=b"\r\n\r\n",
    )  # fmt: skip
    assert voa.identify() == "OZ Optics DD-100-MC"
    assert voa.ask_insertion_loss() == 1.2
    assert voa.ask_position() == codec.Position(3150, 20.0)
    assert voa.ask(codec.configuration()) == codec.Configuration(1.2, 60.0)
    voa.attenuation.set(20.0).wait(WAIT_S)
    voa.home().wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error 2, 'bad command' in answer to 'XYZ'"):
        voa.ask(Query.text("XYZ", accepted))
    assert transport.exhausted


def test_a_move_ends_at_what_the_instrument_reports(voa: Any, motor: Motor):
    voa.attenuation.set(33.333).wait(WAIT_S)
    assert "A33.33" in motor.said
    assert voa.attenuation.last == pytest.approx(33.33, abs=0.01)
    assert voa.motor_position.last == motor.steps


def test_the_echo_does_no_harm(connected: Any):
    voa = connected(OzDd100mc, MemoryTransport(Motor(echo=True).answer, chunk=1))
    voa.attenuation.set(12.0).wait(WAIT_S)
    assert voa.attenuation.last == 12.0


def test_the_bounds_are_the_units_own(voa: Any, motor: Motor):
    assert voa.attenuation.limits == (1.2, 60.0)
    said = len(motor.said)
    with pytest.raises(LimitError, match=r"dev_attenuation: 60\.1 dB is above the bound of 60 dB"):
        voa.attenuation.set(60.1)
    with pytest.raises(LimitError, match=r"dev_attenuation: 1 dB is below the bound of 1\.2 dB"):
        voa.attenuation.set(1.0)
    assert len(motor.said) == said


def test_a_motor_that_is_stuck_fails_the_move(voa: Any, motor: Motor):
    motor.stuck = True
    with pytest.raises(
        AcquisitionError, match=r"dev_attenuation: set to 30\.0 dB, but the instrument reports"
    ):
        voa.attenuation.set(30.0).wait(WAIT_S)


def test_homing_moves_to_the_sensor(voa: Any, motor: Motor):
    voa.attenuation.set(30.0).wait(WAIT_S)
    voa.home().wait(WAIT_S)
    assert (motor.steps, voa.motor_position.last, voa.attenuation.last) == (0, 0, 0.0)


def test_the_safe_state_is_the_highest_attenuation(voa: Any, motor: Motor):
    voa.make_safe().wait(WAIT_S)
    assert motor.steps == round(60 * STEPS_PER_DB)
    assert voa.attenuation.last == 60.0


def test_without_a_shutter_it_blocks_by_attenuation_and_nothing_need_be_set_to_let_light_pass(voa: Any):
    for signal, value in voa.blocking():
        signal.set(value).wait(WAIT_S)
    assert voa.attenuation.get() == 60.0
    assert voa.passing() == ()


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        ("Error-5", "error 5, 'home sensor error'"),
        ("Error-6", "error 6, 'overflow'"),
        ("Error-7", "error 7, 'motor voltage exceeds safe limits'"),
    ],
)
@pytest.mark.parametrize("tail", ["", "\r\nDone"], ids=["alone", "followed by Done"])
def test_a_refusal_has_the_instruments_number_and_leaves_nothing_behind(
    voa: Any, motor: Motor, refusal: str, text: str, tail: str
):
    motor.refusal = refusal + tail
    with pytest.raises(InstrumentError, match=rf"lab\.dev: {text}"):
        voa.home().wait(WAIT_S)
    motor.refusal = ""
    voa.attenuation.set(20.0).wait(WAIT_S)
    assert voa.attenuation.last == 20.0


def test_another_instrument_is_not_taken_for_an_attenuator(connected: Any):
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected IL"):
        connected(OzDd100mc, MemoryTransport(lambda _data: b"Hello\r\nDone\r\n\r\n"))


def test_silence_is_a_timeout(connected: Any):
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        connected(OzDd100mc, MemoryTransport(lambda _data: b""))


def test_homing_may_take_half_a_minute(voa: Any):
    assert voa.patience_s > 30.0


@pytest.mark.parametrize("attenuation_db", [-0.01, float("nan"), float("inf")])
def test_codec_refuses_what_is_no_attenuation(attenuation_db: float):
    with pytest.raises(LocalProtocolError, match="attenuation"):
        codec.set_attenuation(attenuation_db)


@pytest.mark.parametrize(
    "reply", [b"ATTEN:1.0\r\nDone", b"DPos:1.5\r\nATTEN:1\r\nDone", b"DPos:5\r\nATTEN:x\r\nDone", b"DPos:5"]
)
def test_positions_that_are_none_are_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError, match="expected"):
        codec.position().parse(reply)


def test_units_behind_numbers_are_left_out():
    assert codec.position().parse(b"DPos: 12\r\nATTEN: 3.50(dB)\r\nDone") == codec.Position(12, 3.5)
    assert codec.set_attenuation(3.5).parse(b"Pos:10\r\nPos:12\r\nDone") == 12


def test_every_error_is_an_end_mark():
    for mark in END_MARKS[1:]:
        with pytest.raises(InstrumentError):
            accepted(b"Pos:1\r\n" + mark)
