"""SCPI values and errors (IEEE 488.2-1992; SCPI-1999): numbers, booleans, strings, blocks, the error queue's reply."""

import math
import re
from dataclasses import dataclass
from typing import SupportsFloat

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Query

_ERROR = re.compile(rb'\s*([+-]?\d+)\s*,\s*"((?:[^"]|"")*)"\s*$')
_NUMBER = re.compile(rb"\s*[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?\s*")
_SPECIAL_NUMBERS = {9.91e37: math.nan, 9.9e37: math.inf, -9.9e37: -math.inf}
_MAX_BLOCK_BYTES = 999_999_999


@dataclass(frozen=True)
class ErrorReport:
    """One entry of an instrument's error queue; code 0 means that there is none."""

    code: int
    text: str


def number(reply: bytes) -> float:
    """A decimal numeric reply; SCPI's 9.91E37 is not-a-number, 9.9E37 and -9.9E37 are the infinities."""
    if _NUMBER.fullmatch(reply) is None:
        raise RemoteProtocolError(f"not a number: {reply!r}")
    value = float(reply)
    return _SPECIAL_NUMBERS.get(value, value)


def integer(reply: bytes) -> int:
    """An integer reply, also when it is printed as `+1.00000000E+000`."""
    value = number(reply)
    if not value.is_integer():
        raise RemoteProtocolError(f"not an integer: {reply!r}")
    return int(value)


def boolean(reply: bytes) -> bool:
    """A boolean reply: 0 or 1, ON or OFF."""
    word = reply.strip().upper()
    if word in (b"1", b"ON", b"+1"):
        return True
    if word in (b"0", b"OFF", b"+0"):
        return False
    raise RemoteProtocolError(f"neither 0 nor 1: {reply!r}")


def text(reply: bytes) -> str:
    """An ASCII reply without the quotes round it."""
    try:
        word = reply.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError(f"not ASCII: {reply!r}") from error
    return word[1:-1].replace('""', '"') if len(word) > 1 and word[0] == word[-1] == '"' else word


def numbers(reply: bytes) -> tuple[float, ...]:
    """A comma list of numbers."""
    return tuple(number(part) for part in reply.split(b","))


def on_off(state: SupportsFloat) -> int:
    """1 or 0 for a boolean parameter, which may be given as bool or as number (LocalProtocolError for others)."""
    value = float(state)
    if value not in (0.0, 1.0):
        raise LocalProtocolError(f"{state!r}: must be on (1, True) or off (0, False)")
    return int(value)


def finite(value: float) -> float:
    """A number that can be printed in a command; LocalProtocolError for infinities and not-a-number."""
    if not math.isfinite(value):
        raise LocalProtocolError(f"{value} is not a finite number")
    return value


def error_report(reply: bytes) -> ErrorReport:
    """The reply to `SYSTem:ERRor?`, with or without a blank after the comma."""
    match = _ERROR.match(reply)
    if match is None:
        raise RemoteProtocolError(f"not an error report: {reply!r}")
    return ErrorReport(int(match[1]), match[2].decode("ascii", "replace").replace('""', '"'))


def block(data: bytes) -> bytes:
    """Bytes as an IEEE 488.2 definite-length block, whose length has at most nine digits (LocalProtocolError)."""
    if len(data) > _MAX_BLOCK_BYTES:
        raise LocalProtocolError(f"{len(data)} bytes do not fit one block of {_MAX_BLOCK_BYTES}")
    length = str(len(data)).encode()
    return b"#" + str(len(length)).encode() + length + data


def block_data(reply: bytes) -> bytes:
    """The bytes inside a definite-length block."""
    if reply[:1] != b"#" or not reply[1:2].isdigit() or reply[1:2] == b"0":
        raise RemoteProtocolError(f"not a definite-length block: {reply[:12]!r}")
    start = 2 + int(reply[1:2])
    if not reply[2:start].isdigit() or len(reply) != start + int(reply[2:start]):
        raise RemoteProtocolError(f"a block of another length than its header says: {reply[:12]!r}")
    return reply[start:]


IDENTITY = Query.text("*IDN?", text)
OPERATION_COMPLETE = Query.text("*OPC?", boolean)
NEXT_ERROR = Query.text(":SYST:ERR?", error_report)
