"""Rows of published against obtained values, how they are judged, and how they are printed."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from qdci_lab.errors import RecordError
from qdci_lab.record.parts import JoinedRun
from qdci_lab.record.replay import Run

Runs = Mapping[tuple[str, str], Sequence[Run]]
"""Recorded runs by the names of plan and testbed, the newest first."""
Kind = Literal["A", "B", "C", "input"]
KINDS = {
    "A": "from first principles",
    "B": "one parameter calibrated",
    "C": "cannot be derived from what is published",
    "input": "taken as it is",
}


@dataclass(frozen=True)
class Row:
    """One published number.

    `published` and `obtained` are in `unit`, None where there is no number; `tolerance` is the deviation that counts as
    agreement, relative, or in dB for levels. `how` says where the obtained value comes from: `formula`, or the file of
    a run. `note` names the parameter that was calibrated and to what, or the reason why nothing can agree.
    """

    source: str
    quantity: str
    kind: Kind
    unit: str = ""
    published: float | None = None
    spread: float | None = None
    obtained: float | None = None
    tolerance: float | None = None
    how: str = "formula"
    note: str = ""
    published_text: str = ""

    def __post_init__(self) -> None:
        if self.kind == "B" and not self.note:
            raise ValueError(f"{self.source}, {self.quantity}: class B must name its calibrated parameter")
        if self.kind == "C" and not self.note:
            raise ValueError(f"{self.source}, {self.quantity}: class C must give the reason")

    @property
    def deviation(self) -> float | None:
        """Obtained over published less one; None where one of them is no number, or zero is published."""
        if self.published is None or self.obtained is None or self.published == 0.0:
            return None
        return self.obtained / self.published - 1.0

    @property
    def verdict(self) -> str:
        """In words: agrees, misses and by how much, computed (nothing published), not reproducible, not obtained."""
        if self.kind == "input":
            return "input"
        if self.kind == "C":
            return "not reproducible"
        if self.obtained is None:
            return "not obtained"
        if self.published is None:
            return "computed"
        if self.deviation is None:
            return "agrees" if self.obtained == self.published else "misses"
        off, told = self.deviation, f"{100 * self.deviation:+.1f} %"
        if self.unit in LOGARITHMIC and self.published is not None:
            off = self.obtained - self.published
            told = f"{off:+.1f} dB"
        within = self.tolerance is not None and abs(off) <= self.tolerance
        return f"{'agrees' if within else 'misses'} ({told})"

    def cells(self) -> tuple[str, ...]:
        """As printed."""
        spread = "" if self.spread is None else f" ± {_number(self.spread)}"
        published = self.published_text or (
            "-" if self.published is None else f"{_number(self.published)}{spread}"
        )
        obtained = "-" if self.obtained is None else _number(self.obtained)
        how = "" if self.obtained is None else self.how
        return (
            self.source,
            self.quantity,
            self.unit,
            self.kind,
            published,
            obtained,
            self.verdict,
            how,
            self.note,
        )


LOGARITHMIC = ("dB", "dBm")
HEADINGS = (
    "source",
    "quantity",
    "unit",
    "class",
    "published",
    "obtained",
    "verdict",
    "by",
    "calibrated, or why not",
)


@dataclass(frozen=True)
class Family:
    """Rows that belong together, and what computes them."""

    title: str
    rows: Callable[[Runs], Sequence[Row]]


FAMILIES: list[Family] = []


def family(title: str) -> Callable[[Callable[[Runs], Sequence[Row]]], Callable[[Runs], Sequence[Row]]]:
    """Register a function that gives rows."""

    def register(function: Callable[[Runs], Sequence[Row]]) -> Callable[[Runs], Sequence[Row]]:
        FAMILIES.append(Family(title, function))
        return function

    return register


def families_of(runs: Runs) -> list[tuple[str, Sequence[Row]]]:
    """Title and rows of each family."""
    return [(family.title, family.rows(runs)) for family in FAMILIES]


def newest_runs(directory: Path | None) -> dict[tuple[str, str], list[Run]]:
    """The runs in a folder that ran to their end and have points, resumed ones as a whole; none without a folder."""
    found: dict[tuple[str, str], list[Run]] = {}
    if directory is None:
        return found
    if not directory.is_dir():
        raise RecordError(f"there is no folder {directory}")
    for path in sorted(directory.glob("*.h5"), reverse=True):
        run = Run(path)
        if "primary" in run.streams and run.stop is not None and run.stop.get("exit_status") == "success":
            names = str(run.start.get("plan_name", "")), str(run.start.get("testbed", ""))
            found.setdefault(names, []).append(JoinedRun(path))
    return found


def run_of(
    runs: Runs, plan: str, testbed: str, accept: Callable[[Run], bool] = lambda _run: True
) -> Run | None:
    """The newest run of a plan on a testbed that is accepted, None without one."""
    return next((run for run in runs.get((plan, testbed), ()) if accept(run)), None)


def as_table(title: str, rows: Iterable[Row]) -> Table:
    """For the terminal."""
    table = Table(title=title, title_justify="left", show_lines=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in ("published", "obtained") else "left")
    for row in rows:
        table.add_row(*row.cells(), style=_style(row))
    return table


def as_markdown(families: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """The page `docs/published.md`."""
    lines = [
        "# Published and obtained values",
        "",
        "Written by `qdci published --write docs/published.md`. Classes: "
        + "; ".join(f"{k}: {v}" for k, v in KINDS.items())
        + ". Values by formula unless a run is named; "
        + "`qdci published --data DIR` takes those of the newest runs in a folder.",
        "",
    ]
    lines += [f"{_census(families)}", ""]
    for title, rows in families:
        lines += [f"## {title}", "", f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS)]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row.cells())} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def _census(families: Sequence[tuple[str, Sequence[Row]]]) -> str:
    rows = [row for _, group in families for row in group]
    count: dict[str, int] = {}
    for row in rows:
        word = row.verdict.split(" (")[0]
        count[word] = count.get(word, 0) + 1
    return f"{len(rows)} rows: " + ", ".join(f"{number} {word}" for word, number in sorted(count.items()))


def _style(row: Row) -> str:
    if row.verdict.startswith("agrees"):
        return "green"
    if row.verdict.startswith("misses"):
        return "red"
    return "dim" if row.kind == "input" else "yellow"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def points_of(run: Run | None, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """The points of a run as plain numbers, by short names; none without a run."""
    if run is None:
        return []
    return [{name: event["data"][key] for name, key in keys.items()} for event in run.events("primary")]
