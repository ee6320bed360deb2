"""The serial line of OZ Optics instruments: text commands, optionally echoed, answered with lines up to `Done`."""

import re
from collections.abc import Callable

from sim_devices.firmware.session import Session

BAD_COMMAND, OVERFLOW = "Error-2", "Error-6"
DONE = "Done"
_CR, _LF = b"\r", b"\n"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


class Refused(Exception):
    """A command that is answered with an error; its text is the error's word."""


class EchoingLine:
    """A line in front of `line` that sends back the characters it hears as long as `echoes()` says so.

    The end of a message, CR, LF or both, is echoed as `end`.
    """

    def __init__(self, line: Session, echoes: Callable[[], bool], *, end: bytes) -> None:
        self._line = line
        self._echoes = echoes
        self._end = end
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        """Bytes from the client to bytes for the client."""
        sent = bytearray()
        for byte in data:
            heard = bytes((byte,))
            if self._echoes():
                sent += self._echo(heard)
            sent += self._line.feed(heard)
            self._last = heard
        return bytes(sent)

    def _echo(self, heard: bytes) -> bytes:
        if heard not in (_CR, _LF):
            return heard
        return b"" if (self._last, heard) == (_CR, _LF) else self._end


def number(text: str) -> float:
    """A plain decimal number. Raises Refused for anything else."""
    if _NUMBER.fullmatch(text) is None:
        raise Refused(BAD_COMMAND)
    return float(text)


def whole(text: str) -> int:
    """A whole number without a sign. Raises Refused for anything else."""
    if re.fullmatch(r"\d+", text) is None:
        raise Refused(BAD_COMMAND)
    return int(text)


def in_range(value: int, last: int) -> int:
    """The value itself. Raises Refused if it is not within 0 and `last`."""
    if not 0 <= value <= last:
        raise Refused(OVERFLOW)
    return value
