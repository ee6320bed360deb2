"""Transcripts: exchanges with an instrument as data, each with where it is known from."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdci_lab.errors import ConfigError, Mistake

SOURCES = ("manual", "captured", "public driver", "assumed")
COMPARISONS = ("exact", "number", "form", "identity", "end", "lines", "objects")
PRINTED_DIGITS = 1e-8
OBJECTS_END = b"\x17"

_NUMBER = re.compile(rb"(?<![A-Za-z0-9.])[+-]?\d+(?:\.\d*)?(?:[Ee][+-]?\d+)?")


@dataclass(frozen=True)
class Exchange:
    """One message and what comes back (None: nothing); `source` begins with one of SOURCES.

    `compare` says what of the reply every instrument of the model must share, in the same state: all of it (`exact`);
    the words, and the numbers within `step` (`number`); the words, and numbers of the same kind (`form`, for what is
    measured); the words of the model's name that are in it (`identity`); what it ends with (`end`); that each of its
    lines is among those of the reply, in any order, with numbers of the same kind (`lines`); the same of JSON objects
    with OBJECTS_END between them, which may have further keys in the reply (`objects`).
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
    `has_unasked` says that more may come than was asked for, or that nobody knows whether it does.
    `options` are those of the device that it is about, such as the slot, where messages name it.
    """

    model: str
    exchanges: tuple[Exchange, ...]
    before: tuple[bytes, ...] = ()
    has_unasked: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

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
        if exchange.compare == "lines":
            return {_form(line) for line in example.splitlines()} <= {
                _form(line) for line in reply.splitlines()
            }
        if exchange.compare == "objects":
            return _has_objects(reply, example)
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
    before = tuple(_bytes(text) for text in data.get("before", ()))
    return Transcript(
        data["model"], exchanges, before, bool(data.get("has_unasked", False)), data.get("options", {})
    )


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


def _has_objects(reply: bytes, example: bytes) -> bool:
    try:
        found = [json.loads(part) for part in reply.split(OBJECTS_END) if part.strip()]
    except ValueError:
        return False
    return all(
        any(_contains(candidate, json.loads(part)) for candidate in found)
        for part in example.split(OBJECTS_END)
    )


def _contains(found: Any, wanted: Any) -> bool:
    """Equal, or an object that has at least the wanted keys with what is wanted of them."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key in found and _contains(found[key], value) for key, value in wanted.items()
        )
    return type(found) is type(wanted) and found == wanted


def _words(reply: bytes) -> list[bytes]:
    """What is no number, with a mark in the place of each number."""
    return _NUMBER.sub(b"#", reply).split()


def _form(line: bytes) -> tuple[bytes, ...]:
    """The words of a line, with its numbers replaced by what kind they are."""
    kinds = _NUMBER.sub(lambda number: b"<whole>" if _is_whole(number[0]) else b"<decimal>", line)
    return tuple(kinds.split())


def _is_whole(number: bytes) -> bool:
    return number.lstrip(b"+-").isdigit()


def _is_near(found: float, wanted: float, step: float) -> bool:
    return abs(found - wanted) <= step + PRINTED_DIGITS * abs(wanted)
