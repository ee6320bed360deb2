"""The recorded runs in a folder, finished ones and those still being measured."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from qdci_lab.errors import RecordError
from qdci_lab.record.hdf5 import SUFFIX
from qdci_lab.record.recorder import JOURNAL_SUFFIX
from qdci_lab.record.replay import Run


class Catalogue:
    """`cat` at the prompt: `cat[-1]` is the newest run, `cat["1a2b3c"]` the one whose uid begins so."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __len__(self) -> int:
        return len(self._paths())

    def __iter__(self) -> Iterator[Run]:
        return (Run(path) for path in self._paths())

    def __getitem__(self, which: int | str) -> Run:
        if isinstance(which, int):
            return Run(self._paths()[which])
        for run in self:
            if run.start["uid"].startswith(which):
                return run
        raise RecordError(f"no run in {self.directory} has a uid that begins with {which!r}")

    def __repr__(self) -> str:
        lines = [
            f"{len(self)} runs in {self.directory}",
            *(_line(number, run) for number, run in enumerate(self)),
        ]
        return "\n".join(lines)

    def _paths(self) -> list[Path]:
        """Oldest first: names begin with the time."""
        found = [path for path in self.directory.glob("*") if path.suffix in (SUFFIX, JOURNAL_SUFFIX)]
        return sorted(found, key=lambda path: path.name)


def _line(number: int, run: Run) -> str:
    start, stop = run.start, run.stop
    when = f"{datetime.fromtimestamp(start['time']).astimezone():%Y-%m-%d %H:%M:%S}"
    status = "running or interrupted" if stop is None else stop["exit_status"]
    what = f"{start.get('plan_name', '?'):24}  {start.get('testbed', '?'):12}"
    return f"{number:4}  {when}  {what}  {status:8}  {run.path.name}"
