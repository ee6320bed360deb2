"""Commands on what has been recorded: replay, recover, runs, tags, published."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from qdci_lab.cli.options import DATA, FAILURE, Commands
from qdci_lab.errors import ConfigError, Mistake


def add_replay(commands: Commands) -> None:
    """Show a recorded run."""
    replay = commands.add_parser("replay", help="show a recorded run: table, figure, numbers")
    replay.add_argument("file", type=Path)
    replay.add_argument(
        "--reanalyse", action="store_true", help="recompute every number from the raw time tags"
    )
    replay.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    replay.set_defaults(command=_replay)


def add_recover(commands: Commands) -> None:
    """Build the files of runs that were cut short."""
    recover = commands.add_parser("recover", help="build the files of runs that were cut short")
    recover.add_argument(
        "path", type=Path, nargs="?", default=DATA, help="a journal, or a folder of runs (data)"
    )
    recover.add_argument(
        "--out", type=Path, metavar="DIR", help="put the file there, and leave the journal alone"
    )
    recover.set_defaults(command=_recover)


def add_runs(commands: Commands) -> None:
    """List recorded runs."""
    runs = commands.add_parser("runs", help="list the recorded runs in a folder, those that go on too")
    runs.add_argument("folder", type=Path, nargs="?", default=DATA, help="a folder of runs (data)")
    runs.add_argument(
        "--search", action="append", default=[], metavar="WORD",
        help="only runs with this in their metadata, as WORD or KEY=WORD (plan_args.core=1)",
    )  # fmt: skip
    runs.add_argument("--json", action="store_true", help="print one JSON object a run")
    runs.set_defaults(command=_runs)


def add_tags(commands: Commands) -> None:
    """Look at files of time tags."""
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


def add_published(commands: Commands) -> None:
    """Published numbers beside the project's own."""
    published = commands.add_parser("published", help="published numbers beside what the project obtains")
    published.add_argument(
        "--data", type=Path, metavar="DIR", help="take values from the newest runs in a folder"
    )
    published.add_argument("--write", type=Path, metavar="FILE", help="also write the table as a page")
    published.set_defaults(command=_published)


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
        for entry in (*catalogue.summaries(), *catalogue.orphans()):
            print(json.dumps(entry.to_dict()))
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
        figure.parent.mkdir(parents=True, exist_ok=True)
        draw(view, figure)
        console.print(f"figure: {figure}", markup=False, soft_wrap=True)
    return 0


def _pair(words: str) -> tuple[int, int]:
    try:
        first, second = (int(word) for word in words.split(","))
    except ValueError as error:
        raise ConfigError([Mistake("--pair", words, "two channels are written as 1,2", None)]) from error
    return first, second


def _published(options: argparse.Namespace, console: Console) -> int:
    from qdci_lab.config import resolve

    tables = resolve("plans.published:families_of")(resolve("plans.published:newest_runs")(options.data))
    for title, rows in tables:
        console.print(resolve("plans.published:as_table")(title, rows))
    if options.write is not None:
        options.write.write_text(resolve("plans.published:as_markdown")(tables), encoding="utf-8")
    return 0
