"""The `qdci` command: a thin skin over functions that a test or a prompt can call as well."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from qdci_lab.cli.devices import add_check, add_record_wire, add_session
from qdci_lab.cli.experiments import add_demo, add_run
from qdci_lab.cli.options import FAILURE, INTERRUPTED
from qdci_lab.cli.recorded import add_published, add_recover, add_replay, add_runs, add_tags
from qdci_lab.cli.simulation import add_sim
from qdci_lab.errors import Interrupted, LabError

PIPED_WIDTH = 160
COMMANDS = (
    add_run, add_replay, add_recover, add_runs, add_tags, add_session, add_check, add_record_wire, add_published,
    add_demo, add_sim,
)  # fmt: skip
"""In the order in which `qdci --help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Errors are printed in the user's words, without a traceback."""
    options = _parser().parse_args(arguments)
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(stderr=bool(getattr(options, "json", False)), width=width)
    try:
        return options.command(options, console)
    except LabError as error:
        _print_error(error)
        return INTERRUPTED if isinstance(error, Interrupted) else FAILURE
    except (ValueError, OSError) as error:
        _print_error(error)
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def _print_error(error: Exception) -> None:
    Console(stderr=True).print(f"[bold red]error[/bold red] {type(error).__name__}: ", end="")
    print(error, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qdci", description="Quantum-secured optical links: run, replay, check."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return parser
