"""JSON objects that follow each other without a separator, cut out of bytes in any chunking."""

from collections.abc import Iterator

_LONGEST_OBJECT_BYTES = 1 << 20
_DEEPEST_OBJECT = 64
_OPEN, _QUOTE, _ESCAPE = b'{"\\'


class JsonObjectFramer:
    """Collects a client's bytes and yields the text of every object that is complete.

    Whatever stands between objects is skipped; an object that is longer or deeper than any message can be is given up.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._depth = 0
        self._in_string = self._escaped = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add bytes; yield every object that is complete now."""
        for byte in data:
            if self._depth or byte == _OPEN:
                self._buffer.append(byte)
                self._follow(byte)
            if self._buffer and not self._depth:
                yield bytes(self._buffer)
                self._buffer.clear()
            elif len(self._buffer) > _LONGEST_OBJECT_BYTES or self._depth > _DEEPEST_OBJECT:
                self._buffer.clear()
                self._depth, self._in_string, self._escaped = 0, False, False

    def _follow(self, byte: int) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_string:
            self._escaped = byte == _ESCAPE
            self._in_string = byte != _QUOTE
        elif byte == _QUOTE:
            self._in_string = True
        else:
            self._depth += (byte in b"{[") - (byte in b"}]")
