"""JSON objects (RFC 8259) one after the other on a stream, with a separator between them, or nothing."""

import json
from collections import deque
from typing import Any

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError

END_OF_BLOCK = b"\x17"
MAX_OBJECT_BYTES = 1 << 26


class JsonFraming:
    """What is received are objects that end with a separator, END_OF_BLOCK unless it is said otherwise.

    What is sent are bare objects, back to back, as their braces tell them apart. Several received objects before one
    separator are several replies.
    """

    def __init__(self, *, separator: bytes = END_OF_BLOCK) -> None:
        self._separator = separator
        self._buffer = bytearray()
        self._replies: deque[bytes] = deque()

    def encode(self, message: bytes) -> bytes:
        """The object as it is; LocalProtocolError for what is none."""
        try:
            json_object(message)
        except RemoteProtocolError as error:
            raise LocalProtocolError(str(error)) from error
        return message

    def feed(self, data: bytes) -> None:
        """Take in bytes; more than 64 MiB without a separator are no object (RemoteProtocolError)."""
        self._buffer += data
        *whole, rest = self._buffer.split(self._separator) if self._separator in data else (self._buffer,)
        for part in whole:
            self._replies.extend(_objects(bytes(part)))
        self._buffer = bytearray(rest)
        if len(self._buffer) > MAX_OBJECT_BYTES:
            raise RemoteProtocolError(f"no end of a JSON object in {len(self._buffer)} bytes")

    def next_reply(self) -> bytes | None:
        """The next object."""
        return self._replies.popleft() if self._replies else None

    def reset(self) -> None:
        """Forget everything received."""
        self._buffer.clear()
        self._replies.clear()


def json_object(message: bytes) -> dict[str, Any]:
    """The object in a message; RemoteProtocolError for anything else."""
    try:
        value = json.loads(message)
    except ValueError as error:
        raise RemoteProtocolError(f"not JSON: {message[:80]!r}") from error
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"not a JSON object: {message[:80]!r}")
    return value


def _objects(part: bytes) -> list[bytes]:
    """The objects that stand back to back in what one separator ends."""
    try:
        text = part.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError(f"not UTF-8: {part[:80]!r}") from error
    decoder, found, start = json.JSONDecoder(), [], 0
    while start < len(text):
        try:
            _, end = decoder.raw_decode(text, start)
        except ValueError as error:
            raise RemoteProtocolError(f"not JSON: {text[start : start + 80]!r}") from error
        found.append(text[start:end].encode())
        start = end + len(text[end:]) - len(text[end:].lstrip())
    return found
