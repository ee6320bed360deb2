"""What a codec builds: commands, queries that know how to read their reply, queries for much data, reports."""

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
    """A message that the instrument answers; `parse` turns the answer's bytes into a value, or raises LabError.

    Where an instrument also speaks unasked, `answers` says of each message that arrives whether it is the answer (or
    the last one of it); the others are dropped. None: the next message is the answer.
    """

    message: bytes
    parse: Callable[[bytes], T]
    answers: Callable[[bytes], bool] | None = None

    @classmethod
    def text(cls, message: str, parse: Callable[[bytes], T]) -> "Query[T]":
        """A query of plain ASCII; anything else is our mistake (LocalProtocolError)."""
        return cls(to_ascii(message), parse)


@dataclass(frozen=True)
class Report(Generic[T]):
    """A message that the instrument sends by itself; `parse` turns its bytes into a value, or raises LabError."""

    parse: Callable[[bytes], T]


@dataclass(frozen=True)
class BlockQuery:
    """A message that the instrument answers with an IEEE 488.2 block, whose size is known before it comes."""

    message: bytes

    @classmethod
    def text(cls, message: str) -> "BlockQuery":
        """A query of plain ASCII; anything else is our mistake (LocalProtocolError)."""
        return cls(to_ascii(message))


def to_ascii(message: str) -> bytes:
    """The bytes of an ASCII message."""
    try:
        return message.encode("ascii")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"not ASCII: {message!r}") from error
