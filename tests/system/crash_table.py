"""Crashes a recording in every way there is, recovers, and prints a table: `python -m tests.system.crash_table`.

A case is one crash. It is good when recovery gives a file that reads back with every acknowledged document, and every
tag that one of them names, and that says so if the end is missing.
"""

import os
import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdci_lab.errors import RecordError
from tests.system.crash_disk import BROKEN, FULL, Log, crash, failing, logged
from tests.system.crash_kill import run_until_call
from tests.system.crash_run import Judge, empty, record

GOOD = frozenset({"kept", "nothing promised"})
LOSSES = (0.0, 1.0, *([0.5] * 24))


@dataclass
class Row:
    """One way to crash: how often each verdict was given."""

    name: str
    verdicts: Counter[str] = field(default_factory=Counter)

    @property
    def bad(self) -> int:
        """Cases in which something acknowledged is not there."""
        return sum(count for verdict, count in self.verdicts.items() if verdict not in GOOD)

    def __str__(self) -> str:
        kept, nothing = self.verdicts["kept"], self.verdicts["nothing promised"]
        return f"{self.name:58} {self.verdicts.total():6} {kept:6} {nothing:17} {self.bad:5}"


def table(folder: Path, *, every: int = 1) -> list[Row]:
    """All rows, from every `every`-th case."""
    judge = Judge()
    rows = [
        Row("kill -9 at a system call", Counter(_killed(folder, judge, every))),
        Row("disk full, at a write of journal or tags", Counter(_full(folder, judge, every))),
        Row("disk full, at a size of the file being built", Counter(_limited(folder, judge, every))),
        Row("failing disk, at a sync", Counter(_broken(folder, judge, every))),
        Row("power lost, unsynced writes and names lost", Counter(_powerless(folder, judge, every))),
    ]
    return rows


def _killed(folder: Path, judge: Judge, every: int) -> Iterator[str]:
    """The count of acknowledged documents comes back through a pipe, a byte for each."""
    call = every
    while True:
        reader, writer = os.pipe()
        empty(folder)
        ended = run_until_call(
            lambda writer=writer: record(folder, lambda _name, _document: os.write(writer, b".")), call
        )
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            acknowledged = len(pipe.read())
        yield judge.verdict(folder, acknowledged)
        if ended is not None:
            return
        call += every


def _full(folder: Path, judge: Judge, every: int) -> Iterator[str]:
    """For good and for a moment, before a write and in the midst of one."""
    for share in (0.0, 0.01, 0.3, 0.9):
        for for_good in (True, False):
            yield from _failing(folder, judge, "write", every, FULL, share=share, for_good=for_good)


def _broken(folder: Path, judge: Judge, every: int) -> Iterator[str]:
    for call, for_good in (("fsync", True), ("fsync", False), ("replace", False), ("open", True)):
        yield from _failing(folder, judge, call, every, BROKEN, for_good=for_good)


def _failing(folder: Path, judge: Judge, call: str, every: int, code: int, **options: Any) -> Iterator[str]:
    number = 1
    while True:
        acknowledged: list[str] = []
        empty(folder)
        done = False
        with suppress(RecordError, OSError), failing(call, number, code, **options):
            record(folder, lambda name, _document, seen=acknowledged: seen.append(name))
            done = True
        yield judge.verdict(folder, len(acknowledged))
        if done:
            return
        number += every


def _limited(folder: Path, judge: Judge, every: int) -> Iterator[str]:
    """No file may grow beyond a size: journal and segment are written before, the recorded file is the largest."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in range(6144, 90_000, 64 * every):
            acknowledged: list[str] = []
            empty(folder)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
            with suppress(RecordError, OSError):
                record(folder, lambda name, _document, seen=acknowledged: seen.append(name))
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            yield judge.verdict(folder, len(acknowledged))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def _powerless(folder: Path, judge: Judge, every: int) -> Iterator[str]:
    log = Log(empty(folder))

    def acknowledge(_name: str, _document: Any) -> None:
        log.documents += 1

    with logged(log):
        record(folder, acknowledge)
    chance = random.Random(1)
    for stop in range(0, len(log.changes) + 1, every):
        acknowledged = log.acknowledged[stop] if stop < len(log.changes) else log.documents
        for kept in LOSSES:
            files = crash(log.changes[:stop], chance, kept=kept)
            empty(folder)
            for name, content in files.items():
                (folder / name).write_bytes(content)
            yield judge.verdict(folder, acknowledged)


def main() -> int:
    """Print the table; 1 if anything that was acknowledged is missing in any case."""
    with tempfile.TemporaryDirectory() as parent:
        rows = table(Path(parent) / "run")
    print(f"{'crash':58} {'cases':>6} {'kept':>6} {'nothing promised':>17} {'bad':>5}")
    for row in rows:
        print(row)
    total = Row("all", sum((row.verdicts for row in rows), Counter()))
    print(total)
    for verdict, count in total.verdicts.items():
        if verdict not in GOOD:
            print(f"bad: {count} times {verdict}")
    return 1 if total.bad else 0


if __name__ == "__main__":
    sys.exit(main())
