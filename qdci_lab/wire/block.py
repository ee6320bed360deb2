"""IEEE 488.2-1992 blocks that are received straight into where their bytes are wanted, without being looked at."""

from collections.abc import Generator

from qdci_lab.errors import RemoteProtocolError

Places = Generator[memoryview, int, None]


class BlockReception:
    """Says where the next bytes of a block belong, until the block and its line end are complete.

    The block fills `target`, a view of bytes, exactly. It is of definite length, `#<n><length><bytes>`, or of
    indefinite length, `#0<bytes>`, where only the receiver can know where it ends. Not a byte behind the line end is
    asked for.
    """

    def __init__(self, target: memoryview) -> None:
        self._places = _receive(target)
        self.place: memoryview = next(self._places)

    def take(self, count: int) -> None:
        """Note that `count` bytes have come to `place`, which is empty when nothing more is wanted.

        RemoteProtocolError for a header that is none, another length, or bytes in the line end's place.
        """
        try:
            self.place = self._places.send(count)
        except StopIteration:
            self.place = memoryview(b"")


def _receive(target: memoryview) -> Places:
    start = yield from _bytes(2)
    length = len(target) if start == b"#0" else (yield from _length(start))
    if length != len(target):
        raise RemoteProtocolError(f"a block of {length} bytes, where {len(target)} were expected")
    yield from _fill(target)
    end = yield from _bytes(1)
    if end == b"\r":
        end = yield from _bytes(1)
    if end != b"\n":
        raise RemoteProtocolError(f"a block of {length} bytes goes on with {end!r}, where it should end")


def _length(start: bytes) -> Generator[memoryview, int, int]:
    if start[:1] != b"#" or not start[1:].isdigit():
        raise RemoteProtocolError(f"not a block: {start!r}")
    digits = yield from _bytes(int(start[1:]))
    if not digits.isdigit():
        raise RemoteProtocolError(f"not a block length: {digits!r}")
    return int(digits)


def _bytes(count: int) -> Generator[memoryview, int, bytes]:
    data = bytearray(count)
    yield from _fill(memoryview(data))
    return bytes(data)


def _fill(view: memoryview) -> Places:
    while view:
        received = yield view
        view = view[received:]
