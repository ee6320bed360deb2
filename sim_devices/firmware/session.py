"""What the servers need of a firmware: a model name and one session per client connection."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable


class Session(Protocol):
    """One client's conversation: its input buffer, and the shared instrument behind it."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the client in any chunking; return the bytes to send back, b"" if there are none."""
        ...


@runtime_checkable
class StreamingSession(Session, Protocol):
    """A conversation in which the instrument speaks without being asked."""

    def pull(self) -> bytes:
        """What comes next; asked for when the client has read everything that came before."""
        ...


@dataclass(frozen=True)
class ExtraPort:
    """A further TCP port of an instrument, `offset` above its first one, and its conversations.

    An instrument that has any lists them by name in an attribute `extra_ports`.
    """

    offset: int
    session: Callable[[], Session]


class Firmware(Protocol):
    """The inside of one simulated instrument; several sessions may use it from several threads."""

    MODEL: ClassVar[str]

    def session(self) -> Session:
        """A new conversation with an empty input buffer; the instrument's state is shared by all."""
        ...
