"""Commands that connect to a testbed's devices: session, check, record-wire."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from qdci_lab.cli.options import ASSIGNMENT_HELP, Commands, add_testbed, addresses_of, assignments
from qdci_lab.errors import ConfigError, Mistake, NotConnected

TRANSCRIPTS = Path(__file__).parents[2] / "tests" / "transcripts"


def add_session(commands: Commands) -> None:
    """An IPython prompt with the bench."""
    session = commands.add_parser("session", help="an IPython prompt with the bench")
    add_testbed(session)
    session.add_argument(
        "--out", type=Path, default=Path("data"), metavar="DIR", help="where files go (data)"
    )
    session.set_defaults(command=_session)


def add_check(commands: Commands) -> None:
    """Say which devices answer."""
    check = commands.add_parser("check", help="connect to every device, and say which answer")
    add_testbed(check)
    check.set_defaults(command=_check)


def add_record_wire(commands: Commands) -> None:
    """Record what passes on the wires."""
    record = commands.add_parser("record-wire", help="record what passes on the wires, to replay it later")
    add_testbed(record)
    record.add_argument("plan", nargs="?", help="a plan to run; without it every device is only connected")
    record.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=ASSIGNMENT_HELP)
    record.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder without recordings")
    record.set_defaults(command=_record_wire)


def _session(options: argparse.Namespace, _console: Console) -> int:
    from qdci_lab.ipython import start_prompt

    start_prompt(options.testbed, addresses=addresses_of(options), directory=options.out, seed=options.seed)
    return 0


def _check(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.session import open_session

    session = open_session(options.testbed, addresses=addresses_of(options), seed=options.seed)
    try:
        failures = session.try_to_connect()
        tree = Tree(f"{session.testbed.name} ({session.source})")
        for role, device in session.devices.items():
            error = failures[role]
            if error is None:
                identity = device.identity.read()[device.identity.name]["value"]
                tree.add(Text.assemble(f"{role}  ", (identity, "green"), (_balance(type(device)), "dim")))
            else:
                tree.add(Text(f"{role}  {str(error).removeprefix(f'{role}: ')}", style="bold red"))
        console.print(tree, soft_wrap=True, highlight=False)
    finally:
        session.close()
    broken = {role: error for role, error in failures.items() if error is not None}
    if broken:
        raise NotConnected(broken)
    return 0


def _balance(driver: type) -> str:
    """From where the driver's protocol is known, exchange by exchange; nothing where the tests are not installed."""
    from qdci_lab.wire.transcript import find_transcript

    if not TRANSCRIPTS.is_dir():
        return ""
    transcript = find_transcript(driver, TRANSCRIPTS)
    if transcript is None:
        return "  (no transcript)"
    return f"  ({', '.join(f'{count} {source}' for source, count in transcript.balance().items())})"


def _record_wire(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.experiment import record_wires

    if options.set and options.plan is None:
        raise ConfigError([Mistake("command line", "--set", "there is no plan that takes it")])
    record_wires(
        options.testbed, options.out, addresses=addresses_of(options), console=console, seed=options.seed,
        plan_name=options.plan, arguments=assignments(options.set),
    )  # fmt: skip
    return 0
