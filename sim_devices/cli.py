"""The simulated bench on the command line: `python -m sim_devices up TESTBED`, `... check TESTBED`.

`... build-qutag-library FILE` compiles the time tagger's stand-in for programs in other languages.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from qdci_lab.errors import LabError
from sim_devices.bench import Bench
from sim_devices.config import find_mistakes
from sim_devices.server.shared_library import ENVIRONMENT, build

SWITCH_S = 0.0003
"""Threads that draw clicks hold the interpreter for microseconds between two steps of a millisecond without it: each
must get it before another has computed for Python's usual 5 ms.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 orderly, 1 something is wrong with the testbed, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    if options.command == "check":
        return _check(options.testbed)
    try:
        if options.command == "build-qutag-library":
            return _build_library(options)
        return _up(options)
    except (LabError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim_devices", description="The simulated bench.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="serve the simulated devices of a testbed until stopped")
    up.add_argument("testbed", type=Path, help="folder with twin.toml and sim.toml")
    up.add_argument("--json", action="store_true", help="report the addresses as one line of JSON")
    up.add_argument("--seed", type=int, help="seed of all random numbers, in place of twin.toml's")
    up.add_argument("--without", action="append", default=[], metavar="DEVICE", help="leave this device out")
    up.add_argument(
        "--truth", type=Path, metavar="FOLDER", help="write the origin of every click into this folder"
    )
    up.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the program that started this one"
    )
    up.add_argument(
        "--register", type=Path, metavar="FILE", help="note the bench in this file while it is up"
    )
    check = commands.add_parser("check", help="look for mistakes in twin.toml and sim.toml")
    check.add_argument("testbed", type=Path, help="folder with twin.toml and sim.toml")
    library = commands.add_parser(
        "build-qutag-library",
        help="compile the quTAG library's stand-in for programs in C and other languages",
    )
    library.add_argument("file", type=Path, help="the library to write, for example libtdcbase.so")
    library.add_argument("--generation", type=int, choices=(1, 2), default=1, help="of the quTAG (default 1)")
    return parser


def _build_library(options: argparse.Namespace) -> int:
    build(options.file, generation=options.generation)
    print(f"{options.file} is built; programs find the bench by {ENVIRONMENT}=HOST:PORT/DEVICE")
    return 0


def _check(testbed: Path) -> int:
    mistakes = find_mistakes(testbed)
    for mistake in mistakes:
        print(mistake)
    if not mistakes:
        print(f"{testbed}: no mistakes found")
    return 1 if mistakes else 0


def _up(options: argparse.Namespace) -> int:
    sys.setswitchinterval(SWITCH_S)
    bench = Bench(options.testbed, seed=options.seed, without=options.without, truth=options.truth)
    with _stopped_by_signals(bench), bench, _registered(bench, options.register):
        if options.json:
            print(json.dumps(bench.report()), flush=True)
        else:
            _print_devices(bench)
        bench.wait(until_closed=sys.stdin.fileno() if options.until_stdin_closes else None)
    return 0


@contextmanager
def _stopped_by_signals(bench: Bench) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        bench.ask_to_stop()

    former = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _registered(bench: Bench, file: Path | None) -> Iterator[None]:
    """The bench's report in `file`, whole or not at all, until the bench ends; another bench's note is left alone."""
    if file is None:
        yield
        return
    note = json.dumps(bench.report())
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(note, encoding="utf-8")
    draft.replace(file)
    try:
        yield
    finally:
        if file.exists() and file.read_text(encoding="utf-8") == note:
            file.unlink()


def _print_devices(bench: Bench) -> None:
    table = Table(box=None, pad_edge=False, title=f"{bench.testbed}, simulated with seed {bench.twin.seed}")
    table.add_column("device", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("address", overflow="fold")
    for name, device in bench.devices.items():
        table.add_row(name, device.model, device.address)
        for port, address in device.extra_addresses.items():
            table.add_row("", port, address)
    console = Console()
    console.print(table)
    console.print(f"control server at {bench.control_address}; Ctrl-C ends the bench", highlight=False)
