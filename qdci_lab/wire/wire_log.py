r"""Wire logs: what passed between us and one instrument, as text that a person can read and a replay can play.

One line an entry: seconds since the beginning, a mark, and the bytes. Before them a header. An example:

    # wire log 1
    # address: TCPIP::192.0.2.12::5025::SOCKET
    # model: Keysight N7764A
    # date: 2026-03-01T09:30:00+00:00
        0.000000 +
        0.000312 > *IDN?\n
        0.001704 < Keysight Technologies,N7764A,MY00000001,1.0\n
        0.002311 > :TRAC1:DATA 1,0,#41280\{1281 eAFjYBgFoyEwGgKjITAyQ4ALAAULAAs=}
        2.100000 -

Marks: `>` bytes to the instrument, `<` bytes from it, `+` the link was opened, `-` it was closed, `?` nothing came in
time, `!` the link failed, with the reason. Bytes that are not printable ASCII are written `\n`, `\r`, `\t`, `\\` or
`\xHH`; of long data only the readable beginning is, the rest is `\{<number of bytes> <deflated, in base64>}`. Empty
lines, and lines that begin with `#` after the header, are comments.
"""

import base64
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from qdci_lab.errors import RecordError

TITLE = "# wire log 1"
LITERAL_BYTES = 1024
SHOWN_BYTES = 80
US_PER_S = 1_000_000

_NAMED = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t"}
_BYTES = {escape[1:].decode(): byte for byte, escape in _NAMED.items()}
_UNPRINTABLE = re.compile(rb"[^\x20-\x5b\x5d-\x7e]| \Z")
_ESCAPE = re.compile(r"\\(?:([\\nrt])|x([0-9a-f]{2})|\{(\d+) ([A-Za-z0-9+/=]*)\})")
_ENTRY = re.compile(r" *(\d+)\.(\d{6}) ([><+\-?!])(?: ([\x20-\x7e]*))?")


class Mark(Enum):
    """What an entry is."""

    SENT = ">"
    RECEIVED = "<"
    OPENED = "+"
    CLOSED = "-"
    SILENCE = "?"
    FAILURE = "!"


@dataclass(frozen=True)
class Header:
    """Whose conversation it is, and when it began; `model` is empty where it is not known."""

    address: str
    date: datetime
    model: str = ""


@dataclass(frozen=True)
class Entry:
    """One thing that happened `offset_us` after the beginning; a failure's data are its reason, in UTF-8.

    `line` is where it stands in the file, from 1 (0: in none).
    """

    offset_us: int
    mark: Mark
    data: bytes = b""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class WireLog:
    """A whole recording."""

    header: Header
    entries: tuple[Entry, ...]


def format_header(header: Header) -> str:
    """The first lines of a file."""
    fields = {"address": header.address, "model": header.model, "date": header.date.isoformat()}
    lines = [f"# {name}: {_escaped(text.encode())}" for name, text in fields.items() if text]
    return "\n".join([TITLE, *lines, ""])


def format_entry(entry: Entry) -> str:
    """The line of an entry, with its end."""
    seconds, micros = divmod(entry.offset_us, US_PER_S)
    data = f" {_packed(entry.data)}" if entry.data else ""
    return f"{seconds:5d}.{micros:06d} {entry.mark.value}{data}\n"


def format_wire_log(log: WireLog) -> str:
    """A whole file."""
    return format_header(log.header) + "".join(map(format_entry, log.entries))


def parse_wire_log(text: str) -> WireLog:
    """What a file says; RecordError names the line that is none of a wire log."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != TITLE:
        raise RecordError(f"line 1: a wire log begins with {TITLE!r}")
    header = dict(_header_fields(lines))
    try:
        date = datetime.fromisoformat(header["date"])
        known = Header(header["address"], date, header.get("model", ""))
    except (KeyError, ValueError) as error:
        raise RecordError(f"the header of the wire log lacks address or date: {error}") from error
    return WireLog(known, tuple(_entries(lines)))


def _header_fields(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, start=1):
        if not line.startswith("#"):
            return
        name, colon, text = line[1:].partition(": ")
        if colon:
            yield name.strip(), _bytes(text, number).decode("utf-8", "replace")


def _entries(lines: Iterable[str]) -> Iterator[Entry]:
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            yield _entry(line, number)


def _entry(line: str, number: int) -> Entry:
    match = _ENTRY.fullmatch(line)
    if match is None:
        raise RecordError(f"line {number}: neither time, mark and data nor a comment: {line[:SHOWN_BYTES]!r}")
    seconds, micros, mark, text = match.groups()
    offset_us = int(seconds) * US_PER_S + int(micros)
    return Entry(offset_us, Mark(mark), _bytes(text or "", number), number)


def _packed(data: bytes) -> str:
    """Long data with their readable beginning as it is, the rest deflated."""
    if len(data) <= LITERAL_BYTES:
        return _escaped(data)
    unreadable = _UNPRINTABLE.search(data, 0, SHOWN_BYTES)
    shown = SHOWN_BYTES if unreadable is None else unreadable.start()
    rest = base64.b64encode(zlib.compress(memoryview(data)[shown:], 1)).decode("ascii")
    return f"{_escaped(data[:shown])}\\{{{len(data) - shown} {rest}}}"


def _escaped(data: bytes) -> str:
    return _UNPRINTABLE.sub(_escape, data).decode("ascii")


def _escape(match: re.Match[bytes]) -> bytes:
    byte = match.group()
    return _NAMED.get(byte, b"\\x%02x" % byte[0])


def _bytes(text: str, number: int) -> bytes:
    plain, *rest = _ESCAPE.split(text)
    pieces = [plain, *rest[4::5]]
    if any("\\" in piece for piece in pieces):
        raise RecordError(f"line {number}: a backslash that begins no escape")
    try:
        data = [plain.encode("ascii")]
        for index, piece in enumerate(pieces[1:]):
            data += [_unescaped(*rest[5 * index : 5 * index + 4]), piece.encode("ascii")]
    except (ValueError, zlib.error) as error:
        raise RecordError(f"line {number}: {error}") from error
    return b"".join(data)


def _unescaped(named: str | None, digits: str | None, count: str | None, packed: str | None) -> bytes:
    if named is not None:
        return _BYTES[named]
    if digits is not None:
        return bytes.fromhex(digits)
    data = zlib.decompress(base64.b64decode(packed or "", validate=True))
    if len(data) != int(count or 0):
        raise ValueError(f"{len(data)} packed bytes, but {count} are announced")
    return data
