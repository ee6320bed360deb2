"""What an experiment shows of a run, live or from its file: a table, points as plain numbers, and a figure."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdci_lab.errors import RecordError
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run


@dataclass(frozen=True)
class Report:
    """Belongs to a plan: its module's `REPORT`.

    `points` maps the names of plain numbers to event keys; `draw` makes the figure of a run and saves it; `conclude`
    says in words what the points come to, for example what to write into the configuration.
    """

    columns: tuple[Column, ...]
    points: Mapping[str, str]
    draw: Callable[[Run, Path], None]
    conclude: Callable[[Sequence[Mapping[str, Any]]], str] | None = None
    anew: str = ""
    """What running it again means, for a plan whose next step depends on the last: it cannot be resumed."""

    def plain_points(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
        """The points as numbers by name, without those that this testbed does not measure."""
        return [{name: _plain(row[key]) for name, key in self.points.items() if key in row} for row in rows]


def report_of(plan_name: str) -> Report:
    """The report of a plan by its name; RecordError if no such plan is installed."""
    try:
        return importlib.import_module(f"plans.{plan_name}").REPORT
    except (ImportError, AttributeError) as error:
        raise RecordError(f"no report is installed for the plan {plan_name!r}: {error}") from error


def _plain(value: Any) -> float | int:
    return value.item() if hasattr(value, "item") else value
