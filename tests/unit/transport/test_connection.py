import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from qdci_lab.connection import LOG_BYTES, Connection
from qdci_lab.errors import (
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
    TransportTimeout,
)
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.pipe import open_pipe
from qdci_lab.wire.framing import LineFraming, ScpiFraming
from qdci_lab.wire.message import BlockQuery, Command, Query
from qdci_lab.wire.scpi import block, block_data, error_report, integer, text

NO_ERROR = b'+0,"No error"\n'
SLOW, FAST, HALF, HANG_UP = (Query.text(word, text) for word in ("SLOW?", "FAST?", "HALF?", "HANG UP"))


@pytest.fixture
def released() -> threading.Event:
    return threading.Event()


@pytest.fixture
def instrument(loopback: Any, released: threading.Event) -> Iterator[Any]:
    """Holds back its answer to SLOW? until it is released, breaks off its answer to HALF?."""

    def answer(line: bytes) -> bytes | None:
        word = line.strip()
        if word == b"SLOW?":
            released.wait(10.0)
            return b"slow\n"
        if word.endswith(b"N?"):
            return word[:-2] + b"\n"
        return {
            b"FAST?": b"fast\n",
            b"HALF?": b"12",
            b"HANG UP": None,
            b"STUCK?": b"#0ab",
            b":SYST:ERR?": NO_ERROR,
        }[word]

    yield loopback(answer)
    released.set()


@pytest.fixture(params=["visa_address", "serial_url"])
def connection(request: pytest.FixtureRequest, instrument: Any) -> Iterator[Connection]:
    pipe = open_pipe(getattr(instrument, request.param), timeout_s=2.0)
    connection = Connection("lab.dev", pipe, ScpiFraming(), timeout_s=2.0)
    connection.open()
    yield connection
    connection.close()


def test_a_late_answer_never_answers_the_next_question(
    connection: Connection, instrument: Any, released: threading.Event
):
    with pytest.raises(TransportTimeout, match=r"^lab\.dev: \S+127\.0\.0\.1\S+: no answer within 0.0\d+ s"):
        connection.query(SLOW, timeout_s=0.05)
    released.set()
    assert [connection.query(FAST) for _ in range(3)] == ["fast"] * 3
    assert instrument.connections == 2


def test_half_an_answer_is_not_put_before_the_next(connection: Connection):
    with pytest.raises(TransportTimeout, match=r"lab\.dev: "):
        connection.query(HALF, timeout_s=0.05)
    assert connection.query(FAST) == "fast"


def test_a_link_that_broke_is_opened_anew_by_the_next_message(connection: Connection, instrument: Any):
    with pytest.raises(TransportError, match=r"lab\.dev: .*127\.0\.0\.1"):
        connection.query(HANG_UP)
    assert connection.query(FAST) == "fast"
    assert instrument.connections == 2


def test_threads_get_the_answers_to_their_own_questions(connection: Connection):
    def ask(number: int) -> int:
        return connection.query(Query.text(f"{number}N?", integer))

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert list(pool.map(ask, range(200))) == list(range(200))


def test_an_instrument_that_is_gone_is_named(connection: Connection, instrument: Any):
    instrument.stop()
    with pytest.raises(TransportError, match=r"^lab\.dev: "):
        connection.query(FAST)
    with pytest.raises(TransportError, match=r"^lab\.dev: "):
        connection.open()


def scpi(errors: list[str]) -> Callable[[bytes], bytes]:
    """Refuses whatever begins with BAD, silently, until its error queue is read."""

    def answer(data: bytes) -> bytes:
        if data.startswith(b"BAD"):
            errors.append('-113, "Undefined header"')
        if data == b":SYST:ERR?\n":
            return (errors.pop(0) if errors else '+0,"No error"').encode() + b"\n"
        if data == b"BLOCK?\n":
            return block(b"\n" * 7) + b"\n"
        return b"one two\n" if data.endswith(b"?\n") and not data.startswith(b"BAD") else b""

    return answer


def in_memory(answer: Callable[[bytes], bytes], **options: Any) -> Connection:
    connection = Connection("lab.dev", MemoryTransport(answer, chunk=3), ScpiFraming(), **options)
    connection.open()
    return connection


def test_a_command_that_was_obeyed_is_silent():
    connection = in_memory(scpi([]))
    connection.checked(Command.text("GOOD"))
    assert [entry.data for entry in connection.log] == [b"GOOD\n", b":SYST:ERR?\n", b'+0,"No error"']


def test_a_refused_command_raises_its_first_error_and_empties_the_queue():
    errors = ['-222, "Data out of range"', '-100, "Command error"']
    connection = in_memory(scpi(errors))
    with pytest.raises(
        InstrumentError, match=r"lab\.dev: error -222, 'Data out of range' in answer to 'BAD'"
    ) as caught:
        connection.checked(Command.text("BAD"))
    assert (caught.value.code, caught.value.text, caught.value.instrument) == (
        -222,
        "Data out of range",
        "lab.dev",
    )
    assert errors == []
    connection.checked(Command.text("GOOD"))


def test_an_error_queue_that_never_empties_is_given_up():
    connection = in_memory(lambda _data: b'-350, "Queue overflow"\n')
    with pytest.raises(InstrumentError, match="-350"):
        connection.checked(Command.text("BAD"))


def test_a_refused_query_is_explained_by_the_error_queue():
    connection = in_memory(scpi([]))
    with pytest.raises(
        InstrumentError, match=r"lab\.dev: error -113, 'Undefined header' in answer to 'BAD\?'"
    ):
        connection.checked_query(Query.text("BAD?", text))
    assert connection.checked_query(Query.text("GOOD?", text)) == "one two"


def test_a_query_that_is_silent_without_reason_is_a_timeout():
    connection = in_memory(lambda data: b'0,"No error"\n' if b"ERR" in data else b"")
    with pytest.raises(TransportTimeout, match=r"^lab\.dev: memory: no answer"):
        connection.checked_query(Query.text("WHO?", text))


def test_an_answer_that_cannot_be_understood_is_named_and_leaves_the_link_open():
    connection = in_memory(scpi([]))
    with pytest.raises(RemoteProtocolError, match=r"^lab\.dev: not a number: b'one two'"):
        connection.query(Query.text("GOOD?", integer))
    assert connection.transport.is_open


def test_a_message_that_must_not_be_said_is_named_and_not_said():
    said: list[bytes] = []

    def listen(data: bytes) -> bytes:
        said.append(data)
        return b""

    connection = Connection("lab.dev", MemoryTransport(listen), LineFraming())
    connection.open()
    with pytest.raises(LocalProtocolError, match=r"^lab\.dev: the message contains its own terminator"):
        connection.command(Command.text("A\nB"))
    assert said == []


def test_a_block_is_one_reply():
    assert in_memory(scpi([])).query(Query.text("BLOCK?", block_data)) == b"\n" * 7


def test_a_block_is_received_where_it_is_wanted():
    connection = in_memory(scpi([]))
    target = bytearray(7)
    connection.fetch(BlockQuery.text("BLOCK?"), memoryview(target))
    assert target == b"\n" * 7
    assert connection.query(Query.text("GOOD?", text)) == "one two"
    assert connection.log[-3].data == b"\n" * 7


def test_a_block_of_another_length_is_named_and_closes_the_link():
    connection = in_memory(scpi([]))
    with pytest.raises(RemoteProtocolError, match=r"^lab\.dev: a block of 7 bytes, where 8 were expected"):
        connection.fetch(BlockQuery.text("BLOCK?"), memoryview(bytearray(8)))
    assert not connection.transport.is_open
    assert connection.query(Query.text("GOOD?", text)) == "one two"


def test_a_refused_block_is_explained_by_the_error_queue():
    with pytest.raises(
        InstrumentError, match=r"lab\.dev: error -113, 'Undefined header' in answer to 'BAD BLOCK\?'"
    ):
        in_memory(scpi([])).fetch(BlockQuery.text("BAD BLOCK?"), memoryview(bytearray(7)))


def test_a_block_that_stays_away_without_reason_is_a_timeout():
    connection = in_memory(lambda data: b'0,"No error"\n' if b"ERR" in data else b"#0123")
    with pytest.raises(TransportTimeout, match=r"^lab\.dev: memory: no answer"):
        connection.fetch(BlockQuery.text("BLOCK?"), memoryview(bytearray(7)))
    connection.check_errors()


def test_half_a_block_is_not_put_before_the_next_answer(connection: Connection):
    with pytest.raises(TransportTimeout, match=r"lab\.dev: "):
        connection.fetch(BlockQuery.text("STUCK?"), memoryview(bytearray(9)), timeout_s=0.05)
    assert connection.query(FAST) == "fast"


def test_an_instrument_has_its_own_way_to_be_asked_for_errors():
    connection = in_memory(lambda data: b'-113,"Undefined header"\n' if data == b"ERR? STR\n" else b"")
    connection.next_error = Query.text("ERR? STR", error_report)
    with pytest.raises(InstrumentError, match="-113"):
        connection.check_errors()


def test_the_log_keeps_the_beginning_of_what_passed():
    connection = in_memory(scpi([]))
    connection.command(Command(b"DATA " + b"x" * 1000))
    connection.query(Query.text("GOOD?", text))
    directions = [entry.direction for entry in connection.log]
    assert directions == [">", ">", "<"]
    assert len(connection.log[0].data) == LOG_BYTES
    assert connection.log[2].data == b"one two"


def test_a_conversation_opens_its_link_by_itself():
    connection = Connection("lab.dev", MemoryTransport(scpi([])), ScpiFraming())
    assert connection.query(Query.text("GOOD?", text)) == "one two"
