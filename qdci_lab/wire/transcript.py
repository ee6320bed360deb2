"""Transcripts: exchanges with an instrument as data, each with where it is known from."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from qdci_lab.errors import ConfigError, Mistake

SOURCES = ("manual", "captured", "public driver", "assumed")


@dataclass(frozen=True)
class Exchange:
    """One message and what comes back (None: nothing); `source` begins with one of SOURCES."""

    send: bytes
    reply: bytes | None
    source: str

    @property
    def provenance(self) -> str:
        """Which of SOURCES it is."""
        return next(kind for kind in SOURCES if self.source.startswith(kind))


@dataclass(frozen=True)
class Transcript:
    """What was said in one conversation with one model."""

    model: str
    exchanges: tuple[Exchange, ...]

    def balance(self) -> dict[str, int]:
        """How many exchanges are known from where."""
        return {kind: sum(exchange.provenance == kind for exchange in self.exchanges) for kind in SOURCES}


def load_transcript(path: Path) -> Transcript:
    """Read a transcript file; an exchange without provenance is a ConfigError."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    mistakes = [
        Mistake(path.name, f"exchange[{index}].source", f"must begin with one of {', '.join(SOURCES)}")
        for index, entry in enumerate(data["exchange"])
        if not str(entry.get("source", "")).startswith(SOURCES)
    ]
    if mistakes:
        raise ConfigError(mistakes)
    exchanges = (
        Exchange(_bytes(entry["send"]), _bytes(entry["reply"]) if "reply" in entry else None, entry["source"])
        for entry in data["exchange"]
    )
    return Transcript(data["model"], tuple(exchanges))


def _bytes(text: str) -> bytes:
    """Latin-1, so that every byte can be written in TOML as a character or an escape."""
    return text.encode("latin-1")
