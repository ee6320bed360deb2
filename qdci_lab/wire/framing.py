"""Bytes in, messages out: where a reply ends, for each family of protocols. Fed in any chunking."""

import re
from typing import Protocol

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError

MAX_LINE_BYTES = 1 << 20
BLOCK_START = ord("#")


class Framing(Protocol):
    """The rule by which one instrument separates its messages."""

    def encode(self, message: bytes) -> bytes:
        """The message as it goes on the wire."""
        ...

    def feed(self, data: bytes) -> None:
        """Take in bytes that have arrived."""
        ...

    def next_reply(self) -> bytes | None:
        """The next complete reply without its terminator, or None while it is incomplete."""
        ...

    def reset(self) -> None:
        """Forget everything received: the link was opened anew."""
        ...


class LineFraming:
    """Replies that are lines; a carriage return before the terminator, and empty lines if asked, are dropped."""

    def __init__(
        self, *, terminator: bytes = b"\n", reply_end: bytes = b"\n", skip_empty: bool = False
    ) -> None:
        self._terminator = terminator
        self._reply_end = reply_end
        self._skip_empty = skip_empty
        self._buffer = bytearray()

    def encode(self, message: bytes) -> bytes:
        """The message with its terminator; a terminator inside would be two messages (LocalProtocolError)."""
        if self._terminator in message:
            raise LocalProtocolError(f"the message contains its own terminator: {message!r}")
        return message + self._terminator

    def feed(self, data: bytes) -> None:
        """Take in bytes; a line beyond 1 MiB is not a line (RemoteProtocolError)."""
        self._buffer += data
        if len(self._buffer) > MAX_LINE_BYTES and self._reply_end not in self._buffer:
            raise RemoteProtocolError(f"no end of line in {len(self._buffer)} bytes")

    def next_reply(self) -> bytes | None:
        """The next line."""
        while (end := self._buffer.find(self._reply_end)) >= 0:
            line = bytes(self._buffer[:end]).strip(b"\r\n")
            del self._buffer[: end + len(self._reply_end)]
            if line or not self._skip_empty:
                return line
        return None

    def reset(self) -> None:
        """Forget everything received."""
        self._buffer.clear()


class AnyLineFraming(LineFraming):
    """Replies that end with CR, LF or both, as where that is a setting of the instrument; empty lines are dropped."""

    def __init__(self, *, terminator: bytes) -> None:
        super().__init__(terminator=terminator, skip_empty=True)

    def feed(self, data: bytes) -> None:
        """Take in bytes."""
        super().feed(data.replace(b"\r", b"\n"))


class ScpiFraming:
    """SCPI replies: a line, or an IEEE 488.2 definite-length block `#<n><length><bytes>` and a line end."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def encode(self, message: bytes) -> bytes:
        """The message with its line feed (blocks may hold any byte, so nothing is checked inside)."""
        return message + b"\n"

    def feed(self, data: bytes) -> None:
        """Take in bytes."""
        self._buffer += data

    def next_reply(self) -> bytes | None:
        """The next line or block; a block is returned with its header."""
        if not self._buffer:
            return None
        searched_from = self._block_end() if self._buffer[0] == BLOCK_START else 0
        if searched_from is None:
            return None
        end = self._buffer.find(b"\n", searched_from)
        if end < 0:
            return None
        has_return = end > searched_from and self._buffer[end - 1] == ord("\r")
        reply = bytes(memoryview(self._buffer)[: end - has_return])
        del self._buffer[: end + 1]
        return reply

    def reset(self) -> None:
        """Forget everything received."""
        self._buffer.clear()

    def _block_end(self) -> int | None:
        """Where the block's bytes end; None while the header or the bytes are incomplete."""
        if len(self._buffer) < 2:
            return None
        digits = self._buffer[1] - ord("0")
        if not 1 <= digits <= 9:
            raise RemoteProtocolError(f"not a definite-length block: {bytes(self._buffer[:12])!r}")
        length = self._buffer[2 : 2 + digits]
        if len(length) < digits:
            return None
        if not length.isdigit():
            raise RemoteProtocolError(f"not a block length: {bytes(length)!r}")
        end = 2 + digits + int(length)
        return end if len(self._buffer) >= end else None


class MarkedFraming:
    """Replies of several lines that end with a mark such as `Done` or `Error!` and a line end."""

    def __init__(self, *, terminator: bytes, end_marks: tuple[bytes, ...]) -> None:
        self._terminator = terminator
        marks = b"|".join(re.escape(mark) for mark in end_marks)
        self._end = re.compile(b"(?:" + marks + rb")[ \t]*\r?\n")
        self._buffer = bytearray()

    def encode(self, message: bytes) -> bytes:
        """The message with its terminator."""
        if self._terminator in message:
            raise LocalProtocolError(f"the message contains its own terminator: {message!r}")
        return message + self._terminator

    def feed(self, data: bytes) -> None:
        """Take in bytes; a reply beyond 1 MiB without its mark is none (RemoteProtocolError)."""
        self._buffer += data
        if len(self._buffer) > MAX_LINE_BYTES:
            raise RemoteProtocolError(f"no end mark in {len(self._buffer)} bytes")

    def next_reply(self) -> bytes | None:
        """The reply up to and with its mark, without the blank lines round it."""
        match = self._end.search(self._buffer)
        if match is None:
            return None
        reply = bytes(self._buffer[: match.end()]).strip()
        del self._buffer[: match.end()]
        return reply

    def reset(self) -> None:
        """Forget everything received."""
        self._buffer.clear()
