"""What holds for every framing, however a transport cuts the stream."""

from collections.abc import Callable, Sequence

from qdci_lab.wire.framing import Framing


def in_chunks(framing: Framing, stream: bytes, size: int) -> list[bytes]:
    """Every reply that a framing finds in a stream fed `size` bytes at a time."""
    replies = []
    for start in range(0, len(stream), size):
        framing.feed(stream[start : start + size])
        while (reply := framing.next_reply()) is not None:
            replies.append(reply)
    return replies


def assert_found_in_chunks_of_any_size(
    make: Callable[[], Framing], stream: bytes, replies: Sequence[bytes]
) -> None:
    for size in range(1, len(stream) + 1):
        found = in_chunks(make(), stream, size)
        assert found == list(replies), f"in chunks of {size} bytes: {found}"


def assert_none_while_incomplete(
    make: Callable[[], Framing], stream: bytes, replies: Sequence[bytes]
) -> None:
    """Of a stream that breaks off, the whole replies are found, made of bytes that came, and never the last."""
    for size in range(len(stream)):
        found = in_chunks(make(), stream[:size], 1)
        assert found == list(replies[: len(found)]), f"in the first {size} bytes: {found}"
        assert sum(map(len, found)) <= size, f"in the first {size} bytes: {found}"
        assert len(found) < len(replies), f"in the first {size} bytes: {found}"
