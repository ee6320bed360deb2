"""The `qdci` command: a thin skin over functions that a test or a prompt can call as well."""

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from qdci_lab import sim_process
from qdci_lab.errors import ConfigError, Interrupted, LabError, Mistake, NotConnected

DEMO_TESTBED = Path("configs") / "ji_mcf"
TRANSCRIPTS = Path(__file__).parents[1] / "tests" / "transcripts"
DATA = Path("data")
DEMO_PLAN = "skr_vs_launch_power"
ASSIGNMENT_HELP = "an argument of the plan, with a TOML value"
FAILURE, INTERRUPTED = 1, 130
PIPED_WIDTH = 160


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

    run = commands.add_parser("run", help="run an experiment")
    _testbed(run, nargs="?")
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
    _output(run, None)
    run.set_defaults(command=_run)

    replay = commands.add_parser("replay", help="show a recorded run: table, figure, numbers")
    replay.add_argument("file", type=Path)
    replay.add_argument(
        "--reanalyse", action="store_true", help="recompute every number from the raw time tags"
    )
    replay.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    replay.set_defaults(command=_replay)

    recover = commands.add_parser("recover", help="build the files of runs that were cut short")
    recover.add_argument(
        "path", type=Path, nargs="?", default=DATA, help="a journal, or a folder of runs (data)"
    )
    recover.add_argument(
        "--out", type=Path, metavar="DIR", help="put the file there, and leave the journal alone"
    )
    recover.set_defaults(command=_recover)

    runs = commands.add_parser("runs", help="list the recorded runs in a folder, those that go on too")
    runs.add_argument("folder", type=Path, nargs="?", default=DATA, help="a folder of runs (data)")
    runs.add_argument(
        "--search", action="append", default=[], metavar="WORD",
        help="only runs with this in their metadata, as WORD or KEY=WORD (plan_args.core=1)",
    )  # fmt: skip
    runs.add_argument("--json", action="store_true", help="print one JSON object a run")
    runs.set_defaults(command=_runs)
    _tags(commands)

    session = commands.add_parser("session", help="an IPython prompt with the bench")
    _testbed(session)
    session.add_argument(
        "--out", type=Path, default=Path("data"), metavar="DIR", help="where files go (data)"
    )
    session.set_defaults(command=_session)

    check = commands.add_parser("check", help="connect to every device, and say which answer")
    _testbed(check)
    check.set_defaults(command=_check)

    record = commands.add_parser("record-wire", help="record what passes on the wires, to replay it later")
    _testbed(record)
    record.add_argument("plan", nargs="?", help="a plan to run; without it every device is only connected")
    record.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=ASSIGNMENT_HELP)
    record.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder without recordings")
    record.set_defaults(command=_record_wire)

    published = commands.add_parser("published", help="published numbers beside what the project obtains")
    published.add_argument(
        "--data", type=Path, metavar="DIR", help="take values from the newest runs in a folder"
    )
    published.add_argument("--write", type=Path, metavar="FILE", help="also write the table as a page")
    published.set_defaults(command=_published)

    demo = commands.add_parser("demo", help="the main experiment on the simulated bench")
    _output(demo)
    demo.set_defaults(command=_demo)

    _sim(
        commands.add_parser("sim", help="the simulated bench").add_subparsers(required=True, metavar="ACTION")
    )
    return parser


def _tags(commands: Any) -> None:
    tags = commands.add_parser("tags", help="look at files of time tags: rates, histogram, correlation")
    tags.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a run, a segment, quTAG or PTU")
    tags.add_argument("--pair", metavar="A,B", help="channels to correlate (the two busiest)")
    tags.add_argument("--bin", type=int, metavar="PS", help="bins of the correlation")
    tags.add_argument("--reach", type=int, metavar="PS", help="reach of the correlation to either side")
    tags.add_argument(
        "--period", type=float, metavar="PS", help="show the arrival in a period instead of intervals"
    )
    tags.add_argument("--stream", default="tags", help="stream of a recorded run (tags)")
    tags.add_argument("--format", help="format of the file, where it cannot be recognised")
    tags.add_argument("--out", type=Path, metavar="DIR", help="where figures go (beside the files)")
    tags.set_defaults(command=_look_at_tags)


def _sim(actions: Any) -> None:
    up = actions.add_parser("up", help="start it, and serve until told to stop")
    up.add_argument("testbed", type=Path)
    up.add_argument("--json", action="store_true", help="print the devices as one line of JSON")
    up.add_argument("--seed", type=int, help="instead of the seed in twin.toml")
    up.add_argument(
        "--without", action="append", default=[], metavar="DEVICE", help="leave a device switched off"
    )
    up.add_argument(
        "--truth", type=Path, metavar="FOLDER", help="write the origin of every click into this folder"
    )
    up.set_defaults(command=_sim_up)
    for name, help_text in (
        ("stop", "switch one device off"), ("start", "switch one device on again"), ("down", "stop the whole bench")
    ):  # fmt: skip
        action = actions.add_parser(name, help=help_text)
        action.add_argument("testbed", type=Path)
        if name != "down":
            action.add_argument("device", help="such as alice.voa")
        action.set_defaults(command=_sim_tell, action=name)
    fault = actions.add_parser("fault", help="let something go wrong with one device")
    fault.add_argument("testbed", type=Path)
    fault.add_argument("device", help="such as alice.voa")
    fault.add_argument("kind", help="such as late_reply; docs/faults.md has them all")
    fault.add_argument("values", nargs="*", metavar="KEY=VALUE", help="such as messages=3 or for_s=0.5")
    fault.set_defaults(command=_sim_fault)
    clear = actions.add_parser("clear", help="end the faults of one device, or of all")
    clear.add_argument("testbed", type=Path)
    clear.add_argument("device", nargs="?", help="such as alice.voa")
    clear.set_defaults(command=_sim_clear)


def _testbed(parser: argparse.ArgumentParser, **options: Any) -> None:
    parser.add_argument("testbed", type=Path, help="a folder such as configs/ji_mcf", **options)
    parser.add_argument("--sim", action="store_true", help="on the simulated bench: addresses from sim.toml")
    parser.add_argument(
        "--addresses", metavar="FILE", help="another address file of the testbed, such as mixed.toml"
    )
    parser.add_argument("--seed", type=int, help="start a simulated bench of our own with this seed")


def _output(parser: argparse.ArgumentParser, default: Path | None = DATA) -> None:
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help="where files go (data)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def _addresses(options: argparse.Namespace) -> str:
    recorded = getattr(options, "recorded", None) is not None
    return options.addresses or ("sim.toml" if options.sim or recorded else "bench.toml")


def _run(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.experiment import run_experiment

    if options.resume is not None:
        return _resume(options, console)
    if options.testbed is None or options.plan is None:
        raise ConfigError(
            [Mistake("command line", "run", "a testbed and a plan are wanted, or --resume FILE")]
        )
    arguments = _assignments(options.set)
    if options.detections is not None:
        arguments["detections"] = options.detections
    if options.dry:
        return _rehearse(options, arguments, console)
    outcome = run_experiment(
        options.testbed, options.plan, arguments,
        addresses=_addresses(options), directory=options.out or DATA, console=console, seed=options.seed,
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
        addresses=_addresses(options) if options.sim or options.addresses else None,
    )  # fmt: skip
    if options.json:
        print(json.dumps(outcome.to_dict()))
    return 0


def _rehearse(options: argparse.Namespace, arguments: dict[str, Any], console: Console) -> int:
    from qdci_lab.experiment import rehearse_experiment

    rehearsal = rehearse_experiment(
        options.testbed, options.plan, arguments,
        addresses=_addresses(options), console=console, seed=options.seed,
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


def _published(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.config import resolve

    tables = resolve("plans.published:families_of")(resolve("plans.published:newest_runs")(options.data))
    for title, rows in tables:
        console.print(resolve("plans.published:as_table")(title, rows))
    if options.write is not None:
        options.write.write_text(resolve("plans.published:as_markdown")(tables), encoding="utf-8")
    return 0


def _replay(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.experiment import compare_with_raw_data, replay_file

    outcome = replay_file(options.file, console=console)
    differences = compare_with_raw_data(options.file, console) if options.reanalyse else []
    if options.json:
        extra = {"differences": [str(entry) for entry in differences]} if options.reanalyse else {}
        print(json.dumps({**outcome.to_dict(), **extra}))
    return FAILURE if differences else 0


def _recover(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.record.recovery import recover, recover_folder

    if options.path.is_dir() and options.out is None:
        lines = recover_folder(options.path) or [f"nothing was left behind in {options.path}"]
    else:
        journals = sorted(options.path.glob("*.journal")) if options.path.is_dir() else [options.path]
        lines = [str(recover(journal, options.out, tidy=options.out is None)) for journal in journals]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return FAILURE if any(line.startswith("not recovered") for line in lines) else 0


def _runs(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.record.catalogue import Catalogue

    catalogue = Catalogue(options.folder).search(*options.search)
    if options.json:
        for summary in catalogue.summaries():
            print(json.dumps(summary.to_dict()))
    else:
        console.print(str(catalogue), soft_wrap=True, highlight=False, markup=False)
    return 0


def _look_at_tags(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.tag_source import open_source
    from qdci_lab.tag_view import Look, draw, look_at, show

    pair = None if options.pair is None else _pair(options.pair)
    look = Look(pair, options.bin, options.reach, options.period)
    for path in options.files:
        source = open_source(path, stream=options.stream, tag_format=options.format)
        view = look_at(source, look)
        show(view, console)
        figure = (options.out or path.parent) / f"{path.name}.tags.png"
        draw(view, figure)
        console.print(f"figure: {figure}", markup=False, soft_wrap=True)
    return 0


def _pair(words: str) -> tuple[int, int]:
    try:
        first, second = (int(word) for word in words.split(","))
    except ValueError as error:
        raise ConfigError([Mistake("--pair", words, "two channels are written as 1,2", None)]) from error
    return first, second


def _session(options: argparse.Namespace, _console: Console) -> int:
    from qdci_lab.ipython import start_prompt

    start_prompt(options.testbed, addresses=_addresses(options), directory=options.out, seed=options.seed)
    return 0


def _check(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.session import open_session

    session = open_session(options.testbed, addresses=_addresses(options), seed=options.seed)
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
        options.testbed, options.out, addresses=_addresses(options), console=console, seed=options.seed,
        plan_name=options.plan, arguments=_assignments(options.set),
    )  # fmt: skip
    return 0


def _sim_up(options: argparse.Namespace, _console: Console) -> int:
    arguments = [
        *(["--json"] if options.json else []),
        *([] if options.seed is None else ["--seed", str(options.seed)]),
        *(word for device in options.without for word in ("--without", device)),
        *([] if options.truth is None else ["--truth", str(options.truth)]),
    ]
    sim_process.serve(options.testbed, arguments)


def _bench_that_is_up(testbed: Path) -> sim_process.SimulatedBench:
    bench = sim_process.find_bench(testbed)
    if bench is None:
        raise LabError(f"no simulated bench is up for {testbed}: start one with `qdci sim up`")
    return bench


def _sim_fault(options: argparse.Namespace, console: Console) -> int:
    bench = _bench_that_is_up(options.testbed)
    fault = {"kind": options.kind, **_assignments(options.values)}
    sim_process.ask(bench.control, {"op": "fault", "device": options.device, "fault": fault})
    console.print(f"{options.device}: {options.kind}")
    return 0


def _sim_clear(options: argparse.Namespace, console: Console) -> int:
    bench = _bench_that_is_up(options.testbed)
    device = {} if options.device is None else {"device": options.device}
    sim_process.ask(bench.control, {"op": "clear_faults", **device})
    console.print(f"{options.device or 'every device'}: no faults")
    return 0


def _sim_tell(options: argparse.Namespace, console: Console) -> int:
    bench = _bench_that_is_up(options.testbed)
    if options.action == "down":
        sim_process.ask(bench.control, {"op": "shutdown"})
        console.print("the simulated bench was told to stop")
    else:
        sim_process.ask(bench.control, {"op": f"{options.action}_device", "device": options.device})
        console.print(f"{options.device}: {'off' if options.action == 'stop' else 'on'}")
    return 0


def _assignments(words: Sequence[str]) -> dict[str, Any]:
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


if __name__ == "__main__":
    sys.exit(main())
