import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.errors import RemoteProtocolError
from qdci_lab.wire.block import BlockReception
from qdci_lab.wire.scpi import block


def received(stream: bytes, target: memoryview, size: int) -> int:
    """Feed a stream, at most `size` bytes at a time and never more than is asked for; how many were taken."""
    reception, taken = BlockReception(target), 0
    while reception.place:
        piece = stream[taken : taken + min(size, len(reception.place))]
        assert piece, "more is asked for than comes"
        reception.place[: len(piece)] = piece
        taken += len(piece)
        reception.take(len(piece))
    return taken


@given(st.binary(max_size=300), st.integers(1, 400), st.booleans(), st.sampled_from([b"\n", b"\r\n"]))
def test_a_block_fills_its_target_and_nothing_behind_it_is_touched(
    data: bytes, size: int, indefinite: bool, end: bytes
):
    stream = (b"#0" + data if indefinite else block(data)) + end
    target = bytearray(len(data))
    assert received(stream + b"+1.0\n", memoryview(target), size) == len(stream)
    assert target == data


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"-1\n", "not a block: b'-1'"),
        (b"#H12", "not a block: b'#H'"),
        (b"#3a00xyz\n", "not a block length: b'a00'"),
        (b"#15abcde\n", "a block of 5 bytes, where 4 were expected"),
        (b"#13abc\n", "a block of 3 bytes, where 4 were expected"),
        (b"#14abcde\n", "a block of 4 bytes goes on with b'e'"),
        (b"#0abcde\n", "a block of 4 bytes goes on with b'e'"),
        (b"#0abcd\r\r", "a block of 4 bytes goes on with b'\\\\r'"),
    ],
)
def test_what_is_no_block_of_that_length_is_the_instruments_mistake(stream: bytes, message: str):
    with pytest.raises(RemoteProtocolError, match=message):
        received(stream, memoryview(bytearray(4)), 1)


def test_a_large_block_goes_to_its_place_in_one_piece():
    target = memoryview(bytearray(1 << 20))
    reception = BlockReception(target)
    reception.place[:] = b"#0"
    reception.take(2)
    assert len(reception.place) == 1 << 20
    assert reception.place.obj is target.obj
