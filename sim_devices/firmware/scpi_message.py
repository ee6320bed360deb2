"""IEEE 488.2 program messages as bytes: where one ends, its units, and their parameters (chapter 7).

A message ends with LF (or CR LF). A definite block `#<digits><length><bytes>` may hold any byte, LF included; a
string may hold anything but LF, so that a stray quote cannot swallow what follows. Everything jumps from one
interesting byte to the next, so that a block of a million samples costs one search and one copy.
"""

import re
from collections.abc import Iterator

from sim_devices.firmware.scpi_errors import (
    INVALID_BLOCK_DATA,
    INVALID_CHARACTER,
    INVALID_EXPRESSION,
    INVALID_STRING_DATA,
    MISSING_PARAMETER,
    ScpiError,
)

_LF = 0x0A
_QUOTES = b"\"'"
_MESSAGE_STOP = re.compile(rb"[\n\"'#]")
_UNIT_STOP = re.compile(rb"[;\"'#]")
_PARAMETER_STOP = re.compile(rb"[,\"'#(]")
_GUARDED = re.compile(rb"[\"'#(]")
_STRING_STOP = {quote: re.compile(rb"[\n" + bytes([quote]) + rb"]") for quote in _QUOTES}
_UNIT = re.compile(rb"[\x00-\x20]*([^\x00-\x20]*)(.*)", re.DOTALL)
_HEADER = re.compile(rb"\*?[:A-Za-z0-9_]+\??")
_VISIBLE = re.compile(rb"[^\x00-\x20]")
_CONTROL_TO_SPACE = bytes(b" "[0] if code < 0x20 else code for code in range(256))


class MessageFramer:
    """Collects a client's bytes and cuts them into complete program messages, whatever the chunking."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add bytes; yield every message that is complete now, without its LF."""
        self._buffer += data
        while (end := self._find_end()) is not None:
            with memoryview(self._buffer) as view:
                message = bytes(view[:end])
            del self._buffer[: end + 1]
            self._at = 0
            yield message

    def _find_end(self) -> int | None:
        buffer = self._buffer
        while self._at < len(buffer):
            found = _MESSAGE_STOP.search(buffer, self._at)
            if found is None:
                self._at = len(buffer)
                return None
            at = found.start()
            if buffer[at] == _LF:
                return at
            after = _end_of_string(buffer, at) if buffer[at] in _QUOTES else _end_of_block(buffer, at)
            self._at = at if after is None else after
            if after is None:
                return None
        return None


def split_units(message: bytes) -> Iterator[bytes]:
    """Cut a message at the semicolons that stand outside strings and blocks; empty units are dropped."""
    start = at = 0
    while found := _UNIT_STOP.search(message, at):
        at = found.start()
        if message[at] == b";"[0]:
            yield from _not_blank(message[start:at])
            start = at = at + 1
        else:
            after = _end_of_string(message, at) if message[at] in _QUOTES else _end_of_block(message, at)
            at = len(message) if after is None else min(after, len(message))
    yield from _not_blank(message[start:])


def parse_unit(unit: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The upper-case header of a unit and its parameters, each still in its raw bytes.

    Raises ScpiError for bytes that cannot be a header and for a broken string, block or expression.
    """
    match = _UNIT.fullmatch(unit)
    if match is None or not _HEADER.fullmatch(match[1]):
        raise ScpiError(INVALID_CHARACTER)
    return match[1].decode("ascii").upper(), _split_parameters(match[2])


def plain_text(token: bytes) -> str:
    """A parameter that is neither string nor block as text: control characters become blanks, ends are cut."""
    return token.translate(_CONTROL_TO_SPACE).decode("latin-1").strip()


def _not_blank(unit: bytes) -> Iterator[bytes]:
    if _VISIBLE.search(unit):
        yield unit


def _split_parameters(rest: bytes) -> tuple[bytes, ...]:
    if not _VISIBLE.search(rest):
        return ()
    tokens = tuple(_guarded_parameters(rest)) if _GUARDED.search(rest) else tuple(rest.split(b","))
    if b"" in tokens:
        raise ScpiError(MISSING_PARAMETER)
    return tokens


def _guarded_parameters(rest: bytes) -> Iterator[bytes]:
    start = at = 0
    while found := _PARAMETER_STOP.search(rest, at):
        at = found.start()
        if rest[at] == b","[0]:
            yield rest[start:at]
            start = at = at + 1
        else:
            at = _end_of_element(rest, at)
    yield rest[start:]


def _end_of_element(rest: bytes, at: int) -> int:
    if rest[at] in _QUOTES:
        after = _end_of_string(rest, at)
        problem = INVALID_STRING_DATA
    elif rest[at] == b"#"[0]:
        after = len(rest) if rest[at + 1 : at + 2] == b"0" else _end_of_block(rest, at)
        problem = INVALID_BLOCK_DATA
    else:
        closing = rest.find(b")", at)
        after = closing + 1 if closing >= 0 else None
        problem = INVALID_EXPRESSION
    if after is None or after > len(rest):
        raise ScpiError(problem)
    return after


def _end_of_string(data: bytes | bytearray, at: int) -> int | None:
    """Index after the closing quote, index of an LF that comes first, or None if neither is there yet."""
    found = _STRING_STOP[data[at]].search(data, at + 1)
    if found is None:
        return None
    return found.start() if data[found.start()] == _LF else found.end()


def _end_of_block(data: bytes | bytearray, at: int) -> int | None:
    """Index after the block whose `#` stands at `at`, which may lie beyond the data, or None if its header is cut.

    A `#` that cannot begin a parameter is stepped over. An indefinite block `#0` reaches to the LF of its message.
    """
    if at == 0 or (data[at - 1] > 0x20 and data[at - 1] != b","[0]):
        return at + 1
    header = bytes(data[at + 1 : at + 11])
    digits = header[0] - b"0"[0] if header else -1
    if digits == 0:
        end = data.find(b"\n", at)
        return end if end >= 0 else None
    if not 1 <= digits <= 9:
        return at + 1 if header else None
    length = header[1 : 1 + digits]
    if not length.isdigit() and length:
        return at + 1
    return at + 2 + digits + int(length) if len(length) == digits else None
