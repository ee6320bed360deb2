"""Thorlabs APT messages (Thorlabs, APT Controllers Host-Controller Communications Protocol, issue 25).

A message is a header of six bytes, and data if the destination's highest bit is set. Little-endian throughout.
"""

import struct
from dataclasses import dataclass

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError

HOST, GENERIC_USB_UNIT = 0x01, 0x50
HEADER_BYTES = 6
MAX_DATA_BYTES = 1024

_DATA_FOLLOWS = 0x80
_SHORT = struct.Struct("<HBBBB")
_LONG = struct.Struct("<HHBB")


@dataclass(frozen=True)
class AptMessage:
    """One message: its number, two parameters (0 where there are data), and data (empty where there are none)."""

    number: int
    param_1: int = 0
    param_2: int = 0
    data: bytes = b""
    destination: int = GENERIC_USB_UNIT
    source: int = HOST

    def to_bytes(self) -> bytes:
        """The message as it goes on the wire; LocalProtocolError for numbers that do not fit."""
        try:
            if self.data:
                destination = self.destination | _DATA_FOLLOWS
                return _LONG.pack(self.number, len(self.data), destination, self.source) + self.data
            return _SHORT.pack(self.number, self.param_1, self.param_2, self.destination, self.source)
        except struct.error as error:
            raise LocalProtocolError(f"not an APT message: {self}: {error}") from error

    @classmethod
    def from_bytes(cls, message: bytes) -> "AptMessage":
        """A whole message; RemoteProtocolError if its length is another one than it says."""
        if len(message) < HEADER_BYTES:
            raise RemoteProtocolError(f"not an APT message: {message!r}")
        number, param_1, param_2, destination, source = _SHORT.unpack_from(message)
        if len(message) != _length(message):
            raise RemoteProtocolError(f"an APT message of another length than it says: {message!r}")
        if not destination & _DATA_FOLLOWS:
            return cls(number, param_1, param_2, b"", destination, source)
        return cls(number, 0, 0, message[HEADER_BYTES:], destination & ~_DATA_FOLLOWS, source)


class AptFraming:
    """Messages to the host, each with its header; nothing separates them, so that a lost byte is found by the address.

    What is sent must be whole messages.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def encode(self, message: bytes) -> bytes:
        """The message as it is; LocalProtocolError unless its length is what its header says."""
        if len(message) < HEADER_BYTES or len(message) != _length(message):
            raise LocalProtocolError(f"not an APT message: {message!r}")
        return message

    def feed(self, data: bytes) -> None:
        """Take in bytes."""
        self._buffer += data

    def next_reply(self) -> bytes | None:
        """The next message with its header; RemoteProtocolError for one that is not for the host, or too long."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        length = _length(self._buffer)
        if self._buffer[4] & ~_DATA_FOLLOWS != HOST or length > HEADER_BYTES + MAX_DATA_BYTES:
            raise RemoteProtocolError(f"not a message to the host: {bytes(self._buffer[:HEADER_BYTES])!r}")
        if len(self._buffer) < length:
            return None
        message = bytes(self._buffer[:length])
        del self._buffer[:length]
        return message

    def reset(self) -> None:
        """Forget everything received."""
        self._buffer.clear()


def _length(header: bytes | bytearray) -> int:
    """Header and data together."""
    has_data = header[4] & _DATA_FOLLOWS
    return HEADER_BYTES + (int.from_bytes(header[2:4], "little") if has_data else 0)
