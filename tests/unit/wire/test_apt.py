import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.apt import HOST, MAX_DATA_BYTES, AptFraming, AptMessage
from tests.unit.wire.chunks import assert_found_in_chunks_of_any_size, assert_none_while_incomplete, in_chunks

HOMED = bytes.fromhex("44 04 01 00 01 50")
STATUS = bytes.fromhex("91 04 0e 00 81 50 01 00 59 05 00 00 00 00 00 00 00 04 00 80")
REPLIES = [HOMED, STATUS, STATUS, HOMED]
STREAM = b"".join(REPLIES)


def test_messages_do_not_depend_on_the_size_of_the_chunks():
    assert_found_in_chunks_of_any_size(AptFraming, STREAM, REPLIES)


def test_an_incomplete_message_is_none():
    assert_none_while_incomplete(AptFraming, STREAM, REPLIES)


MESSAGES = st.builds(
    AptMessage,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFF),
    st.integers(0, 0xFF),
    destination=st.just(HOST),
    source=st.integers(0, 0x7F),
) | st.builds(
    AptMessage,
    st.integers(0, 0xFFFF),
    data=st.binary(min_size=1, max_size=90),
    destination=st.just(HOST),
    source=st.integers(0, 0x7F),
)


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 40))
def test_messages_with_any_bytes_in_them_pass_whole(messages: list[AptMessage], size: int):
    stream = b"".join(message.to_bytes() for message in messages)
    assert [AptMessage.from_bytes(reply) for reply in in_chunks(AptFraming(), stream, size)] == messages


def test_headers_are_those_of_the_protocol():
    assert AptMessage(0x0443, 1).to_bytes() == bytes.fromhex("43 04 01 00 50 01")
    moved = AptMessage(0x0453, data=bytes.fromhex("01 00 40 0d 03 00"))
    assert moved.to_bytes() == bytes.fromhex("53 04 06 00 d0 01 01 00 40 0d 03 00")


@pytest.mark.parametrize(
    "header",
    [
        "44 04 01 00 50 01",  # on its way from the host
        "04 01 00 01 50 91",  # a byte was lost
        f"91 04 {MAX_DATA_BYTES + 1 & 0xFF:02x} {MAX_DATA_BYTES + 1 >> 8:02x} 81 50",
    ],
)
def test_a_stream_that_is_out_of_step_is_found(header: str):
    framing = AptFraming()
    framing.feed(bytes.fromhex(header))
    with pytest.raises(RemoteProtocolError, match="not a message to the host"):
        framing.next_reply()


def test_a_reset_forgets_what_was_received():
    framing = AptFraming()
    framing.feed(STATUS[:9])
    framing.reset()
    framing.feed(HOMED)
    assert framing.next_reply() == HOMED


@pytest.mark.parametrize("message", [b"", HOMED[:5], STATUS[:-1], HOMED + b"\x00"])
def test_pieces_of_messages_are_not_sent(message: bytes):
    with pytest.raises(LocalProtocolError, match="not an APT message"):
        AptFraming().encode(message)


def test_whole_messages_are_sent_as_they_are():
    assert AptFraming().encode(STATUS) == STATUS


@pytest.mark.parametrize("message", [b"", HOMED[:5], STATUS[:-1]])
def test_pieces_of_messages_are_the_instruments_mistake(message: bytes):
    with pytest.raises(RemoteProtocolError, match="APT message"):
        AptMessage.from_bytes(message)


@pytest.mark.parametrize("number", [-1, 0x10000])
def test_numbers_that_do_not_fit_are_our_mistake(number: int):
    with pytest.raises(LocalProtocolError, match="not an APT message"):
        AptMessage(number).to_bytes()
