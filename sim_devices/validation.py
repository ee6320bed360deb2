"""What a user may write into a file, checked: pydantic models of dataclasses, and mistakes in the user's words."""

import difflib
from collections.abc import Collection, Iterator
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from qdci_lab.errors import Mistake


def dataclass_model(kind: type[Any]) -> type[BaseModel]:
    """The pydantic model of a dataclass: its fields with their types, bounds and defaults, and no others."""
    hints = get_type_hints(kind, include_extras=True)
    entries: dict[str, Any] = {
        entry.name: (hints[entry.name], ... if entry.default is MISSING else entry.default)
        for entry in fields(kind)
    }
    config = ConfigDict(extra="forbid", frozen=True, strict=True)
    return create_model(kind.__name__, __config__=config, **entries)


def tupled(value: Any) -> Any:
    """TOML's arrays as tuples, which is what strict validation of a frozen model asks for."""
    if isinstance(value, dict):
        return {key: tupled(item) for key, item in value.items()}
    return tuple(map(tupled, value)) if isinstance(value, list) else value


def validation_mistakes(
    file: str, place: tuple[str | int, ...], error: ValidationError, known: Collection[str]
) -> Iterator[Mistake]:
    """Pydantic's findings; a key that does not exist gets the nearest one that does."""
    for finding in error.errors(include_url=False):
        where = (*place, *finding["loc"])
        if finding["type"] == "extra_forbidden":
            yield Mistake(file, key_of(where), "is not known here", nearest(str(where[-1]), known))
        elif finding["type"] == "missing":
            yield Mistake(file, key_of(where), "is missing")
        else:
            yield Mistake(file, key_of(where), f"{finding['msg']}, not {finding['input']!r}")


def key_of(where: tuple[str | int, ...]) -> str:
    """A place in a file as its user would write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return text.removeprefix(".")


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant."""
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)
