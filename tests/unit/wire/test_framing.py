from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.framing import MAX_LINE_BYTES, Framing, LineFraming, MarkedFraming, ScpiFraming
from qdci_lab.wire.scpi import block
from tests.unit.wire.chunks import assert_found_in_chunks_of_any_size, assert_none_while_incomplete, in_chunks

MARKS = (b"Done", b"Error!")


STREAMS: list[tuple[str, Callable[[], Framing], bytes, list[bytes]]] = [
    ("lines", LineFraming, b"first\nsecond\r\n\nfourth\n", [b"first", b"second", b"", b"fourth"]),
    ("lines without empty ones", lambda: LineFraming(skip_empty=True), b"a\r\n\r\n\nb\n", [b"a", b"b"]),
    ("carriage returns", lambda: LineFraming(reply_end=b"\r"), b"a\r\nb\r", [b"a", b"b"]),
    ("scpi lines", ScpiFraming, b'+1.0\n0,"No error"\r\n', [b"+1.0", b'0,"No error"']),
    (
        "scpi blocks between lines",
        ScpiFraming,
        b"1\n#15a\n#\nb\n#210" + b"\n" * 10 + b"\r\n#10\n2\n",
        [b"1", b"#15a\n#\nb", b"#210" + b"\n" * 10, b"#10", b"2"],
    ),
    (
        "marked replies",
        lambda: MarkedFraming(terminator=b"\r\n", end_marks=MARKS),
        b"Pos:1\r\nAtten:2\r\nDone\r\n\r\nbad Error! \r\nDone\n",
        [b"Pos:1\r\nAtten:2\r\nDone", b"bad Error!", b"Done"],
    ),
]


@pytest.mark.parametrize(
    ("make", "stream", "replies"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS]
)
def test_replies_do_not_depend_on_the_size_of_the_chunks(
    make: Callable[[], Framing], stream: bytes, replies: list[bytes]
):
    assert_found_in_chunks_of_any_size(make, stream, replies)


@pytest.mark.parametrize(
    ("make", "stream", "replies"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS]
)
def test_an_incomplete_reply_is_none(make: Callable[[], Framing], stream: bytes, replies: list[bytes]):
    assert_none_while_incomplete(make, stream, replies)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.integers(1, 17))
def test_blocks_of_any_bytes_pass_whole(contents: list[bytes], size: int):
    blocks = [block(data) for data in contents]
    assert in_chunks(ScpiFraming(), b"".join(data + b"\n" for data in blocks), size) == blocks


@pytest.mark.parametrize("make", [case[1] for case in STREAMS], ids=[case[0] for case in STREAMS])
def test_a_reset_forgets_what_was_received(make: Callable[[], Framing]):
    framing = make()
    framing.feed(b"half of an answ")
    framing.reset()
    framing.feed(b"whole Done\r\n")
    reply = framing.next_reply()
    assert reply is not None
    assert reply.strip() == b"whole Done"


@pytest.mark.parametrize("header", [b"#0abc\n", b"#Habc\n", b"#3a00xyz\n"])
def test_headers_that_are_none_are_the_instruments_mistake(header: bytes):
    framing = ScpiFraming()
    framing.feed(header)
    with pytest.raises(RemoteProtocolError, match="not a"):
        framing.next_reply()


def test_a_line_without_end_is_the_instruments_mistake():
    framing = LineFraming()
    framing.feed(b"x" * MAX_LINE_BYTES)
    with pytest.raises(RemoteProtocolError, match="no end of line"):
        framing.feed(b"x")


def test_a_reply_without_mark_is_the_instruments_mistake():
    framing = MarkedFraming(terminator=b"\r\n", end_marks=MARKS)
    with pytest.raises(RemoteProtocolError, match="no end mark"):
        framing.feed(b"x" * (MAX_LINE_BYTES + 1))


def test_a_message_gets_its_terminator():
    assert LineFraming(terminator=b"\r").encode(b"A?") == b"A?\r"
    assert MarkedFraming(terminator=b"\r\n", end_marks=MARKS).encode(b"V?") == b"V?\r\n"
    assert ScpiFraming().encode(b"*IDN?") == b"*IDN?\n"
    assert ScpiFraming().encode(b":DATA " + block(b"\n\n")) == b":DATA #12\n\n\n"


@pytest.mark.parametrize(
    "framing",
    [LineFraming(terminator=b"\r"), MarkedFraming(terminator=b"\r", end_marks=MARKS)],
    ids=["lines", "marked"],
)
def test_a_terminator_inside_a_message_is_our_mistake(framing: Framing):
    with pytest.raises(LocalProtocolError, match="terminator"):
        framing.encode(b"A1\rA2")
