"""TL1 messages (Telcordia GR-831-CORE, Language for Operations Application Messages): framing, and what a reply says.

A command ends with a semicolon. A reply ends with a semicolon at the beginning of a line; an acknowledgement, `IP 12`,
with `<`; a part of a reply that goes on ends with `>`. Replies and autonomous messages come in any order: the tag
that a command carries comes back in its reply.
"""

import re
from dataclasses import dataclass

from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.framing import MAX_LINE_BYTES

COMPLETED, DENIED = "COMPLD", "DENY"
NO_CODE = -1

_END = re.compile(rb"(?:\A|\n)[;<]")
_HEADING = re.compile(r"^M\s+(\S+)\s+([A-Z]+)\s*$", re.MULTILINE)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Tl1Reply:
    """A reply: the tag of its command, its completion code, and what stands below."""

    tag: str
    completion: str
    text: str

    @property
    def quoted(self) -> tuple[str, ...]:
        """The quoted lines, without their quotes."""
        return tuple(_QUOTED.findall(self.text))


def parse_reply(message: bytes) -> Tl1Reply | None:
    """The reply in a message; None for an acknowledgement or an autonomous message."""
    words = message.decode("ascii", "replace").replace("\r", "")
    heading = _HEADING.search(words)
    return None if heading is None else Tl1Reply(heading[1], heading[2], words[heading.end() :].strip())


def accepted(message: bytes) -> tuple[str, ...]:
    """The quoted lines of a reply that is completed; InstrumentError with its words if it denies the command."""
    reply = parse_reply(message)
    if reply is not None and reply.completion == DENIED:
        raise InstrumentError(NO_CODE, " ".join(reply.text.split()) or DENIED)
    if reply is None or reply.completion != COMPLETED:
        raise RemoteProtocolError(f"expected a reply that is completed or denied, got {message!r}")
    return reply.quoted


class Tl1Framing:
    """Messages up to the semicolon, or `<`, that begins a line; parts of one reply stay together."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def encode(self, message: bytes) -> bytes:
        """The command with its semicolon; one inside would be two commands (LocalProtocolError)."""
        if b";" in message:
            raise LocalProtocolError(f"the message contains its own terminator: {message!r}")
        return message + b";"

    def feed(self, data: bytes) -> None:
        """Take in bytes; a message beyond 1 MiB is none (RemoteProtocolError)."""
        self._buffer += data
        if len(self._buffer) > MAX_LINE_BYTES and _END.search(self._buffer) is None:
            raise RemoteProtocolError(f"no end of a TL1 message in {len(self._buffer)} bytes")

    def next_reply(self) -> bytes | None:
        """The next message without its end and the blank lines round it."""
        end = _END.search(self._buffer)
        if end is None:
            return None
        message = bytes(self._buffer[: end.end() - 1]).strip(b"\r\n")
        del self._buffer[: end.end()]
        return message

    def reset(self) -> None:
        """Forget everything received."""
        self._buffer.clear()
