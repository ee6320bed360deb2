"""The two kinds of thing a codec builds: a command, and a query that knows how to read its reply."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from qdci_lab.errors import LocalProtocolError

T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """A message that the instrument obeys without a word."""

    message: bytes

    @classmethod
    def text(cls, message: str) -> "Command":
        """A command of plain ASCII; anything else is our mistake (LocalProtocolError)."""
        return cls(to_ascii(message))


@dataclass(frozen=True)
class Query(Generic[T]):
    """A message that the instrument answers; `parse` turns the answer's bytes into a value, or raises LabError."""

    message: bytes
    parse: Callable[[bytes], T]

    @classmethod
    def text(cls, message: str, parse: Callable[[bytes], T]) -> "Query[T]":
        """A query of plain ASCII; anything else is our mistake (LocalProtocolError)."""
        return cls(to_ascii(message), parse)


def to_ascii(message: str) -> bytes:
    """The bytes of an ASCII message."""
    try:
        return message.encode("ascii")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"not ASCII: {message!r}") from error
