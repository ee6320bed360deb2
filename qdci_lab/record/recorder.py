"""The callback that records a run while it is measured: every document reaches the disk before the plan goes on."""

import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from qdci_lab.errors import RecordError
from qdci_lab.record.hdf5 import SUFFIX, build
from qdci_lab.record.journal import JournalWriter

JOURNAL_SUFFIX = ".journal"

_PARENT_KEYS = {
    "descriptor": "run_start",
    "stop": "run_start",
    "resource": "run_start",
    "stream_resource": "run_start",
    "event": "descriptor",
    "event_page": "descriptor",
    "stream_datum": "descriptor",
    "datum": "resource",
    "datum_page": "resource",
}


@dataclass
class _OpenRun:
    """A run between its start and its stop document."""

    uid: str
    journal: JournalWriter
    members: set[str] = field(default_factory=set)


class Recorder:
    """Subscribe it first: `RE.subscribe(recorder)`; keep a reference, bluesky holds callbacks weakly.

    Each run gets a journal `<YYYYmmdd-HHMMSS>_<plan>_<uid>.journal` in `directory`, and at its stop document a
    file `.h5` of the same name, read back and compared before the journal and the tag segments are removed. Runs
    within runs each have their own. Any failure is a RecordError that names the file, and so aborts the plan before
    its next point; what was acknowledged until then stays in the journal.
    """

    def __init__(
        self, directory: Path, *, sync_interval_s: float = 0.0, reserve_bytes: int = 256 << 20
    ) -> None:
        self.directory = directory
        self.path: Path | None = None
        """File of the run that ended last, once it is finished."""
        self._sync_interval_s = sync_interval_s
        self._reserve_bytes = reserve_bytes
        self._lock = threading.RLock()
        self._runs: dict[str, _OpenRun] = {}
        self._refused: set[str] = set()

    @property
    def journals(self) -> tuple[Path, ...]:
        """Journals of the runs that are open now, the oldest first."""
        return tuple(dict.fromkeys(run.journal.path for run in self._runs.values()))

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Record one document; returns when it is safe (at a stop document, when the file is finished)."""
        with self._lock:
            if name == "start":
                self._start(document)
            elif name == "stop" and document["run_start"] in self._refused:
                self._refused.remove(document["run_start"])
            else:
                self._continue(name, document)

    def _start(self, document: Mapping[str, Any]) -> None:
        self._refused.add(document["uid"])
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(f"cannot create {self.directory}: {error.strerror}") from error
        self._check_space()
        run = _OpenRun(document["uid"], self._new_journal(document))
        try:
            run.journal.append("start", document)
        except RecordError:
            run.journal.close()
            run.journal.path.unlink()
            raise
        self._refused.remove(document["uid"])
        self._adopt(run, document["uid"])

    def _continue(self, name: str, document: Mapping[str, Any]) -> None:
        run = self._run_of(name, document)
        if name == "stop":
            self._stop(run, document)
            return
        self._check_space()
        run.journal.append(name, document)
        if name in {"descriptor", "resource", "stream_resource"}:
            self._adopt(run, document["uid"])

    def _stop(self, run: _OpenRun, document: Mapping[str, Any]) -> None:
        for uid in run.members:
            del self._runs[uid]
        try:
            run.journal.append("stop", document)
            run.journal.sync()
        finally:
            run.journal.close()
        built = build(run.journal.path)
        self.path = built.path
        if built.lost_tags:
            raise RecordError(
                f"{built.path} lacks {'; '.join(built.lost_tags)}; its journal and segments were kept"
            )
        built.remove_sources()

    def _adopt(self, run: _OpenRun, uid: str) -> None:
        self._runs[uid] = run
        run.members.add(uid)

    def _run_of(self, name: str, document: Mapping[str, Any]) -> _OpenRun:
        parent = document.get(_PARENT_KEYS.get(name, ""), "")
        if parent not in self._runs:
            raise RecordError(f"a document {name!r} that belongs to no open run cannot be recorded")
        return self._runs[parent]

    def _new_journal(self, start: Mapping[str, Any]) -> JournalWriter:
        path = self.directory.resolve() / f"{_stem(start)}{JOURNAL_SUFFIX}"
        if path.with_suffix(SUFFIX).exists():
            raise RecordError(f"{path.with_suffix(SUFFIX)} exists already")
        return JournalWriter(path, sync_interval_s=self._sync_interval_s)

    def _check_space(self) -> None:
        """Stop while there is still room to finish the file."""
        free = shutil.disk_usage(self.directory).free
        if free < self._reserve_bytes:
            raise RecordError(
                f"only {free / 1e6:.0f} MB are free for {self.directory}; {self._reserve_bytes / 1e6:.0f} MB are kept "
                f"for finishing the file"
            )


def _stem(start: Mapping[str, Any]) -> str:
    when = datetime.fromtimestamp(start["time"]).astimezone()
    plan = re.sub(r"[^A-Za-z0-9.-]+", "_", str(start.get("plan_name") or "run")).strip("._") or "run"
    return f"{when:%Y%m%d-%H%M%S}_{plan}_{start['uid'][:8]}"
