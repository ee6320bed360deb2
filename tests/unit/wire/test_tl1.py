import pytest

from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.framing import MAX_LINE_BYTES
from qdci_lab.wire.tl1 import Tl1Framing, Tl1Reply, accepted, parse_reply
from tests.unit.wire.chunks import assert_found_in_chunks_of_any_size, assert_none_while_incomplete, in_chunks

HEADING = b"\r\n\r\n   SWITCH 26-11-21 04:00:00\r\n"
COMPLETED = HEADING + b'M  12 COMPLD\r\n   "1,33"\r\n   "2,34;35"\r\n;'
DENIED = HEADING + b"M  13 DENY\r\n   IIAC\r\n   /* no such port; sorry */\r\n;"
ACKNOWLEDGED = b"\r\n\r\nIP 13\r\n<"
AUTONOMOUS = HEADING + b'A  5 REPT EVT EQPT\r\n   "SYSTEM:ALARM,TC"\r\n;'
IN_PARTS = HEADING + b'M  14 COMPLD\r\n   "1,33"\r\n>' + HEADING + b'M  14 COMPLD\r\n   "2,34"\r\n;'
STREAM = COMPLETED + ACKNOWLEDGED + AUTONOMOUS + DENIED + IN_PARTS
MESSAGES = [part[:-1].strip(b"\r\n") for part in (COMPLETED, ACKNOWLEDGED, AUTONOMOUS, DENIED, IN_PARTS)]


def test_messages_do_not_depend_on_the_size_of_the_chunks():
    assert_found_in_chunks_of_any_size(Tl1Framing, STREAM, MESSAGES)


def test_an_incomplete_message_is_none():
    assert_none_while_incomplete(Tl1Framing, STREAM, MESSAGES)


def test_a_reset_forgets_what_was_received():
    framing = Tl1Framing()
    framing.feed(COMPLETED[:-5])
    framing.reset()
    framing.feed(DENIED)
    assert framing.next_reply() == MESSAGES[3]


def test_a_message_without_end_is_the_instruments_mistake():
    framing = Tl1Framing()
    with pytest.raises(RemoteProtocolError, match="no end"):
        framing.feed(b"x" * (MAX_LINE_BYTES + 1))


def test_a_command_gets_its_semicolon():
    assert Tl1Framing().encode(b"RTRV-HDR:::1:") == b"RTRV-HDR:::1:;"
    with pytest.raises(LocalProtocolError, match="terminator"):
        Tl1Framing().encode(b"RTRV-HDR:::1:;INIT-SYS:::2:")


def test_replies_are_told_from_what_comes_unasked():
    assert parse_reply(MESSAGES[0]) == Tl1Reply("12", "COMPLD", '"1,33"\n   "2,34;35"')
    assert parse_reply(MESSAGES[1]) is None
    assert parse_reply(MESSAGES[2]) is None


def test_completed_replies_are_their_quoted_lines():
    assert accepted(MESSAGES[0]) == ("1,33", "2,34;35")
    assert accepted(MESSAGES[4]) == ("1,33", "2,34")


def test_an_echo_before_the_reply_does_no_harm():
    (reply,) = in_chunks(Tl1Framing(), b"RTRV-PATCH:::12:;" + COMPLETED, 3)
    assert accepted(reply) == ("1,33", "2,34;35")


def test_denials_carry_the_instruments_words():
    with pytest.raises(InstrumentError, match=r"error -1, 'IIAC /\* no such port; sorry \*/'"):
        accepted(MESSAGES[3])


@pytest.mark.parametrize("message", [b"", MESSAGES[1], MESSAGES[2], HEADING + b"M  12 PRTL\r\n"])
def test_anything_else_is_the_instruments_mistake(message: bytes):
    with pytest.raises(RemoteProtocolError, match="completed or denied"):
        accepted(message)
