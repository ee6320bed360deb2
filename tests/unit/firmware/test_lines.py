import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.firmware.lines import LineSession


def echoing(**options) -> LineSession:
    return LineSession(
        lambda message: None if message == "hush" else f"<{message}>", threading.RLock(), **options
    )


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"a\r", b"<a>\r"),
        (b"a\n", b"<a>\n"),
        (b"a\r\n", b"<a>\r\n"),
        (b"a\r\nb\r\n", b"<a>\r\n<b>\r\n"),
        (b"a\rb\r", b"<a>\r<b>\r"),
        (b" a \n", b"<a>\n"),
        (b"\r\n\r\n", b""),
        (b"hush\r\n", b""),
        (b"hush\ra\n", b"<a>\n"),
    ],
)
def test_a_reply_ends_as_the_message_did(sent, received):
    assert echoing().feed(sent) == received


def test_a_fixed_end_and_further_separators():
    assert echoing(reply_end=b"!", separators=b";").feed(b"a;b\n;c\r\n") == b"<a>!<b>!<c>!"


def test_a_message_longer_than_any_command_is_dropped():
    session = echoing()
    assert session.feed(b"x" * 2000 + b"\r") == b""
    assert session.feed(b"a\r") == b"<a>\r"


@given(st.lists(st.sampled_from([b"a", b"bc", b"hush", b"\r", b"\n", b"\r\n", b" "])), st.data())
def test_chunks_do_not_matter(pieces, data):
    sent = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    session, received = echoing(), b""
    for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        received += session.feed(sent[begin:end])
    assert received == echoing().feed(sent)
