"""What several commands take and how it is read: a testbed, addresses, where files go, arguments of a plan."""

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qdci_lab.errors import ConfigError, Mistake

DATA = Path("data")
ASSIGNMENT_HELP = "an argument of the plan, with a TOML value"
FAILURE, INTERRUPTED = 1, 130

Commands = Any
"""Where a command is added; argparse keeps the type to itself."""


def add_testbed(parser: argparse.ArgumentParser, **options: Any) -> None:
    """The testbed, and where its devices are; `options` are for the testbed's own argument."""
    parser.add_argument("testbed", type=Path, help="a folder such as configs/ji_mcf", **options)
    parser.add_argument("--sim", action="store_true", help="on the simulated bench: addresses from sim.toml")
    parser.add_argument(
        "--addresses", metavar="FILE", help="another address file of the testbed, such as mixed.toml"
    )
    parser.add_argument("--seed", type=int, help="start a simulated bench of our own with this seed")


def add_output(parser: argparse.ArgumentParser, default: Path | None = DATA) -> None:
    """Where files go, and whether the last line is for programs."""
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help="where files go (data)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def addresses_of(options: argparse.Namespace) -> str:
    """The address file: as named, else the simulated bench's with `--sim` and on recorded data, else the bench's."""
    recorded = getattr(options, "recorded", None) is not None
    return options.addresses or ("sim.toml" if options.sim or recorded else "bench.toml")


def assignments(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words with TOML values; ConfigError with every one that is not."""
    mistakes: list[Mistake] = []
    values: dict[str, Any] = {}
    for word in words:
        key, _, text = word.partition("=")
        try:
            values.update(tomllib.loads(f"{key.strip()} = {text}"))
        except tomllib.TOMLDecodeError as error:
            mistakes.append(Mistake("command line", word, f"is not key=value with a TOML value: {error}"))
    if mistakes:
        raise ConfigError(mistakes)
    return values
