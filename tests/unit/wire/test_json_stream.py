import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.json_stream import MAX_OBJECT_BYTES, JsonFraming, json_object
from tests.unit.wire.chunks import assert_found_in_chunks_of_any_size, assert_none_while_incomplete, in_chunks

OBJECTS = [
    b'{"label": "A", "value": {"unit": "\xc2\xb5A", "value": [1.5, 2]}}',
    b'{"label": "B", "value": "}{"}',
    b"{}",
    b'{"label": "C", "value": null}',
]
STREAM = OBJECTS[0] + b"\x17" + OBJECTS[1] + OBJECTS[2] + b"\r\n\x17\x17" + OBJECTS[3] + b"\x17"


def test_objects_do_not_depend_on_the_size_of_the_chunks():
    assert_found_in_chunks_of_any_size(JsonFraming, STREAM, OBJECTS)


def test_an_incomplete_object_is_none():
    assert_none_while_incomplete(JsonFraming, STREAM, OBJECTS)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=4), st.integers(1, 30), st.booleans()
)
def test_any_objects_pass_whole(objects: list[dict[str, Any]], size: int, plain: bool):
    stream = b"".join(json.dumps(item, ensure_ascii=plain).encode() + b"\x17" for item in objects)
    assert [json_object(reply) for reply in in_chunks(JsonFraming(), stream, size)] == objects


def test_a_reset_forgets_what_was_received():
    framing = JsonFraming()
    framing.feed(OBJECTS[0] + b"\x17" + OBJECTS[1][:5])
    framing.reset()
    assert framing.next_reply() is None
    framing.feed(OBJECTS[2] + b"\x17")
    assert framing.next_reply() == b"{}"


@pytest.mark.parametrize("part", [b"hello\x17", b'{"a": 1}}\x17', b'{"a": "\xff"}\x17'])
def test_what_is_no_json_is_the_instruments_mistake(part: bytes):
    with pytest.raises(RemoteProtocolError, match="not"):
        JsonFraming().feed(part)


def test_an_object_without_end_is_the_instruments_mistake():
    with pytest.raises(RemoteProtocolError, match="no end"):
        JsonFraming().feed(b" " * (MAX_OBJECT_BYTES + 1))


@pytest.mark.parametrize("message", [b"", b"[1]", b"{", b'"a"'])
def test_only_objects_are_objects(message: bytes):
    with pytest.raises(RemoteProtocolError, match="not"):
        json_object(message)
    with pytest.raises(LocalProtocolError, match="not"):
        JsonFraming().encode(message)


def test_objects_are_sent_bare():
    assert JsonFraming().encode(OBJECTS[0]) == OBJECTS[0]
