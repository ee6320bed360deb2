"""A sweep that was measured in several parts: which points each part holds, and all parts as one run.

The start document of a part that goes on where another ended says so under `resumes`: {"uid", "file" (its name),
"points": [[number, label], ...] that are measured already, in whatever part, "ended_s": when the last of them was
complete (Unix time), "source": of that part, and "elapsed_s": how long the parts before took on the lab's clock, where
the plan says so}.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qdci_lab.errors import RecordError
from qdci_lab.record.replay import Run

NUMBER, LABEL = "sweep_point", "sweep_label"
SWEEP = "sweep"
"""The stream with an event for each complete point."""
RESUMES = "resumes"
ELAPSED = "campaign_elapsed"
"""How long a sweep has taken on the lab's clock, over all its parts and without the pauses between them; in s."""


def complete_points(run: Run) -> dict[int, str]:
    """Labels of the points that were measured whole, in this part or one before, by number; empty for no sweep."""
    before = {int(number): str(label) for number, label in run.start.get(RESUMES, {}).get("points", ())}
    return before | points_of(run)


def points_of(run: Run) -> dict[int, str]:
    """Labels of the points that this part measured whole, by number."""
    if SWEEP not in run.streams:
        return {}
    return {int(event["data"][NUMBER]): str(event["data"][LABEL]) for event in run.events(SWEEP)}


def link_to(run: Run) -> dict[str, Any]:
    """What the start document of the next part says under `resumes`."""
    points = [[number, label] for number, label in sorted(complete_points(run).items())]
    return {"uid": run.start["uid"], "file": run.path.name, "points": points, **_passed(run)}


def _passed(run: Run) -> dict[str, Any]:
    """When a part's last complete point was over, and how long all parts took on the lab's clock."""
    done = list(run.events(SWEEP)) if SWEEP in run.streams else []
    if not done:
        before = run.start.get(RESUMES, {})
        return {key: before[key] for key in ("ended_s", "source", "elapsed_s") if key in before}
    elapsed = {"elapsed_s": done[-1]["data"][ELAPSED]} if ELAPSED in done[-1]["data"] else {}
    return {"ended_s": done[-1]["time"], "source": str(run.start.get("source", "bench")), **elapsed}


def parts_of(run: Run) -> list[Run]:
    """The parts that a run continues, oldest first, and itself; they are looked for beside it (RecordError)."""
    parts = [run]
    while RESUMES in parts[0].start:
        link = parts[0].start[RESUMES]
        parts.insert(0, _part(parts[0].path.parent, link))
    return parts


def _part(folder: Path, link: dict[str, Any]) -> Run:
    path = folder / link["file"]
    if not path.is_file():
        raise RecordError(f"{path}, which this run continues, is not there: put the parts into one folder")
    part = Run(path)
    if part.start["uid"] != link["uid"]:
        raise RecordError(f"{path} is another run than the one that was continued ({link['uid']})")
    return part


class JoinedRun(Run):
    """A run with the rows of the parts that it continues before its own; what a part left incomplete is left out.

    Start, configuration and tags are those of the last part; `parts` gives each part for itself.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.parts = parts_of(Run(path))

    def events(self, stream: str = "primary") -> Iterator[dict[str, Any]]:
        """Every event of the stream in each part that has it."""
        for part, complete in self._parts_with(stream):
            for event in part.events(stream):
                if complete is None or event["data"].get(NUMBER) in (None, *complete):
                    yield event

    def table(self, stream: str = "primary") -> dict[str, np.ndarray]:
        """Columns that all parts have; see `Run.table`."""
        tables = []
        for part, complete in self._parts_with(stream):
            table = part.table(stream)
            if complete is not None and NUMBER in table:
                rows = np.isin(table[NUMBER], list(complete))
                table = {key: column[rows] for key, column in table.items()}
            tables.append(table)
        if not tables:
            return super().table(stream)
        shared = [key for key in tables[-1] if all(key in table for table in tables)]
        return {key: np.concatenate([table[key] for table in tables]) for key in shared}

    def _parts_with(self, stream: str) -> Iterator[tuple[Run, dict[int, str] | None]]:
        """Each part that has the stream, and its complete points; None for the last, of which every row counts."""
        for part in self.parts:
            if stream in part.streams:
                yield part, None if part is self.parts[-1] else points_of(part)
