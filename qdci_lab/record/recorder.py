"""The callback that records a run while it is measured: every document reaches the disk before the plan goes on."""

import logging
import math
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from qdci_lab.errors import RecordError
from qdci_lab.record.disk_space import RESERVE_BYTES, check_space
from qdci_lab.record.hdf5 import SUFFIX, build
from qdci_lab.record.journal import JOURNAL_SUFFIX, JournalWriter
from qdci_lab.record.tag_stream import path_of

LOG = logging.getLogger("qdci_lab")
_REST_AFTER_BUILD = 20.0
"""How many times as long as a file took to build the next building waits: a twentieth of the time at most."""

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
    segments: set[Path] = field(default_factory=set)
    next_build_s: float = math.inf

    def bytes_to_build(self) -> int:
        """What the finished file will need about, while journal and segments are still there."""
        return self.journal.size + sum(path.stat().st_size for path in self.segments if path.exists())


class Recorder:
    """Subscribe it first: `RE.subscribe(recorder)`; keep a reference, bluesky holds callbacks weakly.

    Each run gets a journal `<YYYYmmdd-HHMMSS>_<plan>_<uid>.journal` in `directory`, and after its stop document a
    file `.h5` of the same name, read back and compared before the journal and the tag segments are removed. A run that
    lasts longer than `build_interval_s` has such a file now and then while it goes on. Files are built on a thread of
    their own: `path` waits for the last one. Runs within runs each have their own.

    Any failure to record is a RecordError that names the file, and so aborts the plan before its next point; what was
    acknowledged until then stays in the journal. A failure to build is raised by `path`, `wait` and the next run.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sync_interval_s: float = 0.0,
        build_interval_s: float = 600.0,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self.directory = directory
        self._sync_interval_s = sync_interval_s
        self._build_interval_s = build_interval_s
        self._reserve_bytes = reserve_bytes
        self._lock = threading.RLock()
        self._runs: dict[str, _OpenRun] = {}
        self._refused: set[str] = set()
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._building: list[Future[None]] = []
        self._path: Path | None = None

    @property
    def path(self) -> Path | None:
        """File of the run that ended last, once it is finished: waits for that, and raises as `wait` does."""
        self.wait()
        return self._path

    def wait(self) -> None:
        """Return when every run that has ended has its file; RecordError for one that could not be built."""
        while self._building:
            building = self._building[0]
            try:
                building.result()
            finally:
                if building in self._building:
                    self._building.remove(building)

    @property
    def journals(self) -> tuple[Path, ...]:
        """Journals of the runs that are open now, the oldest first."""
        return tuple(dict.fromkeys(run.journal.path for run in self._runs.values()))

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Record one document; returns when it is safe on the disk."""
        with self._lock:
            if name == "start":
                self._start(document)
            elif name == "stop" and document["run_start"] in self._refused:
                self._refused.remove(document["run_start"])
            else:
                self._continue(name, document)

    def _start(self, document: Mapping[str, Any]) -> None:
        self._refused.add(document["uid"])
        self._raise_earlier_failure()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(f"cannot create {self.directory}: {error.strerror}") from error
        self._check_space()
        next_build_s = time.monotonic() + self._build_interval_s
        run = _OpenRun(document["uid"], self._new_journal(document), next_build_s=next_build_s)
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
        self._check_space(run)
        run.journal.append(name, document)
        if name == "stream_resource" and document["uri"].startswith("file:"):
            run.segments.add(path_of(document["uri"]))
        elif time.monotonic() >= run.next_build_s:
            run.next_build_s = math.inf
            self._builder.submit(self._build_now, run)
        if name in {"descriptor", "resource", "stream_resource"}:
            self._adopt(run, document["uid"])

    def _stop(self, run: _OpenRun, document: Mapping[str, Any]) -> None:
        for uid in run.members:
            del self._runs[uid]
        try:
            run.journal.append("stop", document)
            run.journal.sync()
        except RecordError:
            run.journal.close()
            raise
        self._building.append(self._builder.submit(self._finish, run.journal))

    def _finish(self, journal: JournalWriter) -> None:
        """The file of a run that has ended; on the builder's thread.

        The journal stays open, and with it its lock: nobody else takes the run for one that was left behind.
        """
        try:
            built = build(journal.path)
            self._path = built.path
            if built.lost_tags:
                raise RecordError(
                    f"{built.path} lacks {'; '.join(built.lost_tags)}; its journal and segments were kept"
                )
            built.remove_sources()
        finally:
            journal.close()

    def _build_now(self, run: _OpenRun) -> None:
        """The file of a run that goes on, as far as it has come; on the builder's thread."""
        began_s = time.monotonic()
        try:
            build(run.journal.path)
        except RecordError as error:
            LOG.error("the run goes on, but %s", error)
        ended_s = time.monotonic()
        run.next_build_s = ended_s + max(self._build_interval_s, _REST_AFTER_BUILD * (ended_s - began_s))

    def _raise_earlier_failure(self) -> None:
        for building in [building for building in self._building if building.done()]:
            self._building.remove(building)
            building.result()

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

    def _check_space(self, run: _OpenRun | None = None) -> None:
        """Stop while there is still room to finish the file."""
        unfinished_bytes = run.bytes_to_build() if run else 0
        check_space(self.directory, reserve_bytes=self._reserve_bytes, unfinished_bytes=unfinished_bytes)


def _stem(start: Mapping[str, Any]) -> str:
    when = datetime.fromtimestamp(start["time"]).astimezone()
    plan = re.sub(r"[^A-Za-z0-9.-]+", "_", str(start.get("plan_name") or "run")).strip("._") or "run"
    return f"{when:%Y%m%d-%H%M%S}_{plan}_{start['uid'][:8]}"
