"""Thorlabs APT messages: a header of six bytes and, where the destination says so, data.

Reference: Thorlabs APT Controllers Host-Controller Communications Protocol, chapter on the message format: words are
little-endian; bytes 3 and 4 are two parameters, or the length of the data that follows if bit 7 of the destination is
set.

Assumed: bytes that cannot begin a message for this unit are skipped one by one until some can.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HOST, GENERIC_USB_UNIT = 0x01, 0x50
HEADER_BYTES = 6
_HAS_DATA = 0x80
_LONGEST_DATA_BYTES = 255


@dataclass(frozen=True)
class AptMessage:
    """A message from the host: two parameters, or data."""

    code: int
    first: int
    second: int
    data: bytes = b""


class AptFramer:
    """Collects a client's bytes and cuts them into messages, whatever the chunking."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[AptMessage]:
        """Add bytes; yield every message that is complete now."""
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            code, first, second, destination, _ = struct.unpack_from("<HBBBB", self._buffer)
            length = first | second << 8 if destination & _HAS_DATA else 0
            if destination & ~_HAS_DATA != GENERIC_USB_UNIT or length > _LONGEST_DATA_BYTES:
                del self._buffer[0]
                continue
            if len(self._buffer) < HEADER_BYTES + length:
                return
            content = bytes(self._buffer[HEADER_BYTES : HEADER_BYTES + length])
            del self._buffer[: HEADER_BYTES + length]
            yield AptMessage(code, 0, 0, content) if length else AptMessage(code, first, second)


def short(code: int, first: int = 0, second: int = 0) -> bytes:
    """A message to the host that is a header alone."""
    return struct.pack("<HBBBB", code, first, second, HOST, GENERIC_USB_UNIT)


def long(code: int, data: bytes) -> bytes:
    """A message to the host with data."""
    return struct.pack("<HHBB", code, len(data), HOST | _HAS_DATA, GENERIC_USB_UNIT) + data
