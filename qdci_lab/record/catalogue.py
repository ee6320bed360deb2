"""The recorded runs in a folder, finished ones and those still being measured, without a database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qdci_lab.errors import RecordError
from qdci_lab.record.append_only import is_being_written
from qdci_lab.record.hdf5 import SUFFIX, survey_of
from qdci_lab.record.journal import JOURNAL_SUFFIX, document_of
from qdci_lab.record.layout import ENTRY, PLOT
from qdci_lab.record.orphans import Orphan, orphans_in
from qdci_lab.record.plot import default_plot
from qdci_lab.record.replay import Run, payloads

RUNNING, INTERRUPTED = "running", "interrupted"
_UNSEARCHED = "configuration_files"


@dataclass(frozen=True)
class Summary:
    """A run in one line: `result` is the range of what its plot shows first, `status` how it ended or that it runs."""

    path: Path
    start: Mapping[str, Any]
    status: str
    result: str

    def to_dict(self) -> dict[str, Any]:
        """For printing as JSON; `time` in s since 1970."""
        known = {key: self.start.get(key) for key in ("uid", "time", "plan_name", "testbed", "source")}
        return {**known, "status": self.status, "result": self.result, "file": str(self.path)}

    def __str__(self) -> str:
        when = f"{datetime.fromtimestamp(self.start['time']).astimezone():%Y-%m-%d %H:%M:%S}"
        what = f"{self.start.get('plan_name', '?')!s:24}  {self.start.get('testbed', '?')!s:12}"
        return f"{when}  {what}  {self.status:11}  {self.result:44}  {self.path.name}"


@dataclass(frozen=True)
class Unreadable:
    """A file that has a run's name but cannot be read, and why."""

    path: Path
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """For printing as JSON."""
        return {"file": str(self.path), "status": "unreadable", "reason": self.reason}

    def __str__(self) -> str:
        return f"unreadable: {self.reason}"


class Catalogue:
    """`cat` at the prompt: `cat[-1]` is the newest run, `cat["1a2b3c"]` the one whose uid begins so.

    `cat.search("ji", plan_name="skr_vs_launch_power")` is the catalogue of the runs that fit. Nothing is kept: each
    question looks into the folder again, and so into runs that are being written.
    """

    def __init__(self, directory: Path, terms: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self._terms = terms

    def search(self, *terms: str, **metadata: Any) -> "Catalogue":
        """Runs whose start document holds each word, in any case, or under each key (`plan_args.core`) that text."""
        asked = (*terms, *(f"{key.replace('__', '.')}={value}" for key, value in metadata.items()))
        return Catalogue(self.directory, (*self._terms, *asked))

    def __len__(self) -> int:
        return len(self._found())

    def __iter__(self) -> Iterator[Run]:
        return (Run(path) for path in self._found())

    def __getitem__(self, which: int | str) -> Run:
        if isinstance(which, int):
            return Run(self._found()[which])
        for path in self._found():
            start = _start(path)
            if start is not None and start["uid"].startswith(which):
                return Run(path)
        raise RecordError(f"no run in {self.directory} has a uid that begins with {which!r}")

    def summaries(self) -> Iterator[Summary | Unreadable]:
        """A line for each run, the oldest first; a file that cannot be read has its reason."""
        return map(_summary, self._found())

    def orphans(self) -> list[Orphan]:
        """Time tags that no run names; of a search, none."""
        return [] if self._terms else orphans_in(self.directory)

    def __repr__(self) -> str:
        lines = [f"{number:4}  {summary}" for number, summary in enumerate(self.summaries())]
        return "\n".join([f"{len(lines)} runs in {self.directory}", *lines, *map(str, self.orphans())])

    def _found(self) -> list[Path]:
        paths = _paths(self.directory)
        return [path for path in paths if _fits(_start(path), self._terms)] if self._terms else paths


def _paths(directory: Path) -> list[Path]:
    """Oldest first: names begin with the time. Where there is a journal, it is the truth, whatever else there is."""
    by_name: dict[str, Path] = {}
    for suffix in (SUFFIX, JOURNAL_SUFFIX):
        by_name |= {path.stem: path for path in directory.glob(f"*{suffix}")}
    return [by_name[name] for name in sorted(by_name)]


def _start(path: Path) -> dict[str, Any] | None:
    """The start document, which is the first; None where there is none to read."""
    try:
        for payload in payloads(path):
            return document_of(payload)[1]
    except (RecordError, OSError):
        pass
    return None


def _fits(start: Mapping[str, Any] | None, terms: tuple[str, ...]) -> bool:
    if start is None:
        return False
    texts = dict(_texts({key: value for key, value in start.items() if key != _UNSEARCHED}, ""))
    return all(_has(texts, term.casefold()) for term in terms)


def _has(texts: Mapping[str, str], term: str) -> bool:
    key, equals, wanted = term.partition("=")
    if equals:
        return any(name == key and text == wanted for name, text in texts.items())
    return any(term in text for text in texts.values())


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """(dotted key, text) of everything in a document, in small letters."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{place}.{key}" if place else str(key))
    else:
        yield place.casefold(), str(value).casefold()


def _summary(path: Path) -> Summary | Unreadable:
    start = _start(path)
    if start is None:
        return Unreadable(path, f"{path} holds no start document")
    try:
        status, result = _of_journal(path) if path.suffix == JOURNAL_SUFFIX else _of_file(path)
    except (RecordError, OSError, KeyError) as error:
        return Unreadable(path, f"{path}: {error}")
    return Summary(path, start, status, result)


def _of_file(path: Path) -> tuple[str, str]:
    """Status and result of a recorded file, by its columns alone."""
    with h5py.File(path, "r") as file:
        entry: Any = file[ENTRY]
        status = entry["stop/exit_status"].asstr()[()] if "stop/exit_status" in entry else INTERRUPTED
        if PLOT not in entry:
            return status, ""
        column = entry[PLOT][entry[PLOT].attrs["signal"]]
        return status, _range(column.attrs.get("data_key", column.name.rpartition("/")[2]), column[:],
                              str(column.attrs.get("units", "")))  # fmt: skip


def _of_journal(path: Path) -> tuple[str, str]:
    """Status and result of a run that goes on or was cut short."""
    survey, _ = survey_of(path)
    left_open = RUNNING if is_being_written(path) else INTERRUPTED
    status = str(survey.stop.get("exit_status", left_open))
    plot = default_plot(survey)
    if plot is None:
        return status, ""
    units = survey.streams[plot.stream].data_key(plot.y[0]).get("units")
    return status, _range(plot.y[0], Run(path).table(plot.stream)[plot.y[0]], str(units or ""))


def _range(key: str, values: np.ndarray, units: str) -> str:
    """What a column holds: its name, how many points, the least and the greatest."""
    points = f"{len(values)} point{'' if len(values) == 1 else 's'}"
    finite = values[np.isfinite(values)] if len(values) else values
    if not len(finite):
        return points
    ends = dict.fromkeys((f"{finite.min():.4g}", f"{finite.max():.4g}"))
    return f"{points}, {key} {' to '.join(ends)} {units if units != '1' else ''}".rstrip()
