"""Transcripts: exchanges with an instrument as data, each with where it is known from."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdci_lab.errors import ConfigError, Mistake

SOURCES = ("manual", "captured", "public driver", "assumed")
COMPARISONS = ("exact", "number", "form", "identity", "end")
PRINTED_DIGITS = 1e-8

_NUMBER = re.compile(rb"(?<![A-Za-z0-9.])[+-]?\d+(?:\.\d*)?(?:[Ee][+-]?\d+)?")


@dataclass(frozen=True)
class Exchange:
    """One message and what comes back (None: nothing); `source` begins with one of SOURCES.

    `compare` says what of the reply every instrument of the model must share, in the same state: all of it (`exact`);
    the words, and the numbers within `step` (`number`); the words, and numbers of the same kind (`form`, for what is
    measured); the words of the model's name that are in it (`identity`); what it ends with (`end`).
    """

    send: bytes
    reply: bytes | None
    source: str
    compare: str = "exact"
    step: float = 0.0

    @property
    def provenance(self) -> str:
        """Which of SOURCES it is."""
        return next(kind for kind in SOURCES if self.source.startswith(kind))


@dataclass(frozen=True)
class Transcript:
    """What was said in one conversation with one model.

    `before` are commands that bring an instrument that has just been switched on to where the conversation begins.
    """

    model: str
    exchanges: tuple[Exchange, ...]
    before: tuple[bytes, ...] = ()

    def balance(self) -> dict[str, int]:
        """How many exchanges are known from where."""
        return {kind: sum(exchange.provenance == kind for exchange in self.exchanges) for kind in SOURCES}

    def agrees(self, exchange: Exchange, reply: bytes | None) -> bool:
        """Whether a reply, without its terminator, is the one of the exchange, as far as the exchange says."""
        example = exchange.reply
        if reply is None or example is None:
            return reply is example
        if exchange.compare == "identity":
            names = self.model.encode("latin-1").split()
            return all(name in reply for name in names if name in example)
        if exchange.compare == "end":
            return reply.endswith(example)
        if exchange.compare == "exact":
            return reply == example
        if _words(reply) != _words(example):
            return False
        pairs = zip(_NUMBER.findall(reply), _NUMBER.findall(example), strict=True)
        if exchange.compare == "form":
            return all(_is_whole(found) == _is_whole(wanted) for found, wanted in pairs)
        return all(_is_near(float(found), float(wanted), exchange.step) for found, wanted in pairs)


def find_transcript(driver: type, folder: Path) -> Transcript | None:
    """The transcript of a driver, by the name of its module; None if the folder has none."""
    path = folder / f"{driver.__module__.rpartition('.')[2]}.toml"
    return load_transcript(path) if path.exists() else None


def load_transcript(path: Path) -> Transcript:
    """Read a transcript file; an exchange without provenance, or with an unknown comparison, is a ConfigError."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    mistakes = list(_mistakes(path.name, data["exchange"]))
    if mistakes:
        raise ConfigError(mistakes)
    exchanges = tuple(_exchange(entry) for entry in data["exchange"])
    return Transcript(data["model"], exchanges, tuple(_bytes(text) for text in data.get("before", ())))


def _mistakes(file: str, entries: list[dict[str, Any]]) -> Iterator[Mistake]:
    for index, entry in enumerate(entries):
        if not str(entry.get("source", "")).startswith(SOURCES):
            yield Mistake(file, f"exchange[{index}].source", f"must begin with one of {', '.join(SOURCES)}")
        if entry.get("compare", "exact") not in COMPARISONS:
            yield Mistake(file, f"exchange[{index}].compare", f"must be one of {', '.join(COMPARISONS)}")


def _exchange(entry: dict[str, Any]) -> Exchange:
    reply = _bytes(entry["reply"]) if "reply" in entry else None
    compare, step = entry.get("compare", "exact"), float(entry.get("step", 0.0))
    return Exchange(_bytes(entry["send"]), reply, entry["source"], compare, step)


def _bytes(text: str) -> bytes:
    """Latin-1, so that every byte can be written in TOML as a character or an escape."""
    return text.encode("latin-1")


def _words(reply: bytes) -> list[bytes]:
    """What is no number, with a mark in the place of each number."""
    return _NUMBER.sub(b"#", reply).split()


def _is_whole(number: bytes) -> bool:
    return number.lstrip(b"+-").isdigit()


def _is_near(found: float, wanted: float, step: float) -> bool:
    return abs(found - wanted) <= step + PRINTED_DIGITS * abs(wanted)
