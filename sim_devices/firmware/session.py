"""What the servers need of a firmware: a model name and one session per client connection."""

from typing import ClassVar, Protocol


class Session(Protocol):
    """One client's conversation: its input buffer, and the shared instrument behind it."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the client in any chunking; return the bytes to send back, b"" if there are none."""
        ...


class Firmware(Protocol):
    """The inside of one simulated instrument; several sessions may use it from several threads."""

    MODEL: ClassVar[str]

    def session(self) -> Session:
        """A new conversation with an empty input buffer; the instrument's state is shared by all."""
        ...
