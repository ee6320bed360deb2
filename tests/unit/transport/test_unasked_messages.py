"""A connection to an instrument that also speaks unasked: picking answers, listening, dropping what is old."""

import pytest

from qdci_lab.connection import Connection
from qdci_lab.errors import InstrumentError, RemoteProtocolError, TransportTimeout
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.wire.framing import LineFraming
from qdci_lab.wire.message import Command, Query, Report
from qdci_lab.wire.scpi import number


class Talker(MemoryTransport):
    """Answers each message with the next of `replies`, and can say something by itself."""

    def __init__(self, *replies: bytes) -> None:
        super().__init__(lambda _data: self.replies.pop(0), chunk=3)
        self.replies = list(replies)

    def say(self, data: bytes) -> None:
        self._waiting += data


def connected(talker: Talker) -> Connection:
    connection = Connection("lab.dev", talker, LineFraming())
    connection.open()
    return connection


def tagged(tag: bytes) -> Query[bytes]:
    return Query(b"ask " + tag, bytes, lambda reply: reply.startswith(tag))


def test_the_answer_is_picked_among_what_comes_unasked():
    connection = connected(Talker(b"event\n2 late\n1 right\n2 next\n"))
    assert connection.query(tagged(b"1")) == b"1 right"
    assert connection.listen(Report(bytes)) == b"2 next"


def test_without_a_rule_the_next_message_is_the_answer():
    assert connected(Talker(b"event\n1 right\n")).query(Query(b"ask", bytes)) == b"event"


def test_an_answer_that_never_comes_is_a_timeout_and_closes_the_link():
    talker = Talker(b"2\n3\n4\n")
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory"):
        connected(talker).query(tagged(b"1"))
    assert not talker.is_open


def test_a_rule_may_refuse():
    def refuse(reply: bytes) -> bool:
        raise InstrumentError(7, reply.decode())

    talker = Talker(b"too hot\nrest\n", b"1 right\n")
    connection = connected(talker)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error 7, 'too hot'"):
        connection.query(Query(b"ask", bytes, refuse))
    assert connection.query(tagged(b"1")) == b"1 right"


def test_listening_parses_and_names_what_is_wrong():
    talker = Talker()
    connection = connected(talker)
    talker.say(b"4.5\nhello\n")
    assert connection.listen(Report(number)) == 4.5
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: not a number"):
        connection.listen(Report(number))
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory"):
        connection.listen(Report(number))


def test_what_is_old_is_dropped_but_half_a_message_is_kept():
    talker = Talker(b"\n1 right\n")
    connection = connected(talker)
    talker.say(b"old\nolder\nhalf")
    connection.discard()
    assert connection.query(Query(b"ask", bytes)) == b"half"
    assert connection.listen(Report(bytes)) == b"1 right"


def test_nothing_is_dropped_of_a_link_that_is_closed():
    talker = Talker(b"answer\n")
    connection = connected(talker)
    connection.close()
    connection.discard()
    assert not talker.is_open
    assert connection.query(Query(b"ask", bytes)) == b"answer"


def test_a_command_does_not_wait_for_the_reports_that_follow_it():
    talker = Talker(b"moved\n")
    connection = connected(talker)
    connection.command(Command(b"move"))
    assert connection.listen(Report(bytes)) == b"moved"
