"""What the terminal shows while a run goes on: a row for each point, and one bar with the time remaining."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from qdci_lab.record.parts import SWEEP
from qdci_lab.signals import TaskStatus

BASELINE = "baseline"
MOST_ROWS = 60


@dataclass(frozen=True)
class Column:
    """A column of the table: the event's key, the heading, the format, and a factor to the printed unit."""

    key: str
    heading: str
    format: str = "{:.3g}"
    factor: float = 1.0
    error_key: str | None = None

    def text(self, data: Mapping[str, Any]) -> str:
        """The cell for one event's data; empty where the event has no such number."""
        if self.key not in data:
            return ""
        number = float(data[self.key]) * self.factor
        if math.isnan(number):
            return "-"
        value = self.format.format(number)
        if self.error_key is None:
            return value
        return f"{value} ± {self.format.format(float(data[self.error_key]) * self.factor)}"


def table_of(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """A finished table of events; of a long run, one in so many."""
    step = _step(len(rows))
    table = Table(title=title + _thinned(step, len(rows)), title_justify="left")
    for column in columns:
        table.add_column(column.heading, justify="right")
    for data in rows[::step]:
        table.add_row(*(column.text(data) for column in columns))
    return table


def _step(points: int) -> int:
    """Every how many points a row is shown, so that a long run does not fill the terminal."""
    return max(1, math.ceil(points / MOST_ROWS))


def _thinned(step: int, points: int) -> str:
    return "" if step == 1 else f" (one of {step} points of {points})"


class LiveTable:
    """Prints each event of the primary stream as it comes, of a long run one in so many; a document callback."""

    def __init__(self, console: Console, columns: Sequence[Column]) -> None:
        self._console = console
        self._columns = columns
        self._primary: set[str] = set()
        self._step = 1
        self._width = [max(len(column.heading), 9 if column.error_key is None else 15) for column in columns]

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Take one document."""
        if name == "start":
            points = int(document.get("num_points", 0))
            self._step = _step(points)
            self._line(
                [column.heading for column in self._columns], style="bold", note=_thinned(self._step, points)
            )
        elif name == "descriptor" and document["name"] == "primary":
            self._primary.add(document["uid"])
        elif (
            name == "event"
            and document["descriptor"] in self._primary
            and document["seq_num"] % self._step == 1 % self._step
        ):
            self._line([column.text(document["data"]) for column in self._columns])

    def _line(self, cells: Sequence[str], style: str = "", note: str = "") -> None:
        padded = (cell.rjust(width) for cell, width in zip(cells, self._width, strict=True))
        self._console.print("  ".join(padded) + note, style=style, highlight=False, soft_wrap=True)


class RunProgress:
    """One bar for the whole run; a document callback, and bluesky's waiting hook.

    A point's share grows with the status that the RunEngine waits for; what comes before the first point is shown, but
    has no length of its own.
    """

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TextColumn("elapsed"), TimeElapsedColumn(), TextColumn("remaining"), TimeRemainingColumn(),
            console=console,
        )  # fmt: skip
        self._task = self.progress.add_task("connecting", total=None)
        self._streams: dict[str, str] = {}
        self._points = 0
        self._done = 0

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Take one document."""
        if name == "start":
            self._points = int(document.get("num_points", 0))
            self.progress.reset(self._task, description="preparing", total=None)
        elif name == "descriptor":
            self._streams[document["uid"]] = document["name"]
        elif name == "event":
            self._count(self._streams.get(document["descriptor"], ""), int(document["seq_num"]))
        elif name == "stop":
            self.progress.update(self._task, description="writing the file")

    def waiting(self, statuses: set[Any] | None) -> None:
        """Bluesky's waiting hook: follow what is waited for."""
        for status in statuses or ():
            if isinstance(status, TaskStatus) and self._started:
                status.watch(self._follow)

    @property
    def _started(self) -> bool:
        return self.progress.tasks[0].total is not None

    def _count(self, stream: str, number: int) -> None:
        if stream == "primary":
            self._done = number
            self.progress.update(
                self._task, completed=number, description=f"point {number} of {self._points}"
            )
            return
        if stream == SWEEP:
            return
        if not self._started and self._points and stream != BASELINE:
            # The remaining time is estimated from the points alone, so the clock starts with what precedes them.
            self.progress.reset(self._task, total=self._points, description=stream)
        self.progress.update(self._task, description=f"{stream} {number}")

    def _follow(self, *, fraction: float | None = None, unit: str = "", **_kwargs: Any) -> None:
        """Take in how far a measurement is; moves, which have a unit, are over too soon to count."""
        if fraction is not None and not unit and self._started:
            self.progress.update(self._task, completed=min(self._done + 1.0 - fraction, self._points))
