"""Commands that run an experiment: run, with or without recorded data, resume and rehearse; demo."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from qdci_lab.cli.options import (
    ASSIGNMENT_HELP,
    DATA,
    Commands,
    add_output,
    add_testbed,
    addresses_of,
    assignments,
)
from qdci_lab.errors import ConfigError, Mistake

DEMO_TESTBED = Path("configs") / "ji_mcf"
DEMO_PLAN = "skr_vs_launch_power"


def add_run(commands: Commands) -> None:
    """Run an experiment, or go on with one."""
    run = commands.add_parser("run", help="run an experiment")
    add_testbed(run, nargs="?")
    run.add_argument("plan", nargs="?", help="the plan's name, such as skr_vs_launch_power")
    run.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="go on with the sweep in FILE; testbed and plan are those of FILE",
    )
    run.add_argument("--detections", type=float, help="sifted key-basis detections a point")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=ASSIGNMENT_HELP,
    )
    run.add_argument(
        "--dry", action="store_true", help="only check every setting, and estimate how long it will take"
    )
    run.add_argument(
        "--from",
        dest="recorded",
        type=Path,
        metavar="FILE",
        help="on recorded data: every device answers from FILE",
    )
    add_output(run, None)
    run.set_defaults(command=_run)


def add_demo(commands: Commands) -> None:
    """The main experiment on the simulated bench."""
    demo = commands.add_parser("demo", help="the main experiment on the simulated bench")
    add_output(demo)
    demo.set_defaults(command=_demo)


def _run(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.experiment import run_experiment

    if options.resume is not None:
        return _resume(options, console)
    if options.testbed is None or options.plan is None:
        raise ConfigError(
            [Mistake("command line", "run", "a testbed and a plan are wanted, or --resume FILE")]
        )
    arguments = assignments(options.set)
    if options.detections is not None:
        arguments["detections"] = options.detections
    if options.dry:
        return _rehearse(options, arguments, console)
    outcome = run_experiment(
        options.testbed, options.plan, arguments,
        addresses=addresses_of(options), directory=options.out or DATA, console=console, seed=options.seed,
        recorded=options.recorded,
    )  # fmt: skip
    if options.json:
        print(json.dumps(outcome.to_dict()))
    return 0


def _resume(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.experiment import resume_experiment

    given = {
        "plan": options.plan,
        "--set": options.set,
        "--detections": options.detections,
        "--dry": options.dry,
        "--from": options.recorded,
    }
    mistakes = [
        Mistake(
            "command line",
            word,
            "cannot go with --resume: a sweep goes on with the arguments it was begun with",
        )
        for word, value in given.items()
        if value
    ]
    if mistakes:
        raise ConfigError(mistakes)
    outcome = resume_experiment(
        options.resume, folder=options.testbed, directory=options.out, console=console, seed=options.seed,
        addresses=addresses_of(options) if options.sim or options.addresses else None,
    )  # fmt: skip
    if options.json:
        print(json.dumps(outcome.to_dict()))
    return 0


def _rehearse(options: argparse.Namespace, arguments: dict[str, Any], console: Console) -> int:
    from qdci_lab.experiment import rehearse_experiment

    rehearsal = rehearse_experiment(
        options.testbed, options.plan, arguments,
        addresses=addresses_of(options), console=console, seed=options.seed,
    )  # fmt: skip
    if options.json:
        print(json.dumps({"points": rehearsal.points, "lab_time_s": rehearsal.lab_time_s}))
    return 0


def _demo(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.experiment import run_experiment

    outcome = run_experiment(
        DEMO_TESTBED, DEMO_PLAN, {}, addresses="sim.toml", directory=options.out, console=console
    )
    if options.json:
        print(json.dumps(outcome.to_dict()))
    return 0
