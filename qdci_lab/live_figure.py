"""The figure of a run, drawn again and again while the run goes on, beside it in a thread of its own.

It is drawn from the journal, by the same function that draws it from the file in the end, into the file that will hold
the final figure; a viewer that looks at the file anew shows it grow. Drawing never takes more than a twentieth of the
time, however long it comes to take.
"""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from qdci_lab.errors import RecordError
from qdci_lab.record.parts import JoinedRun
from qdci_lab.record.recorder import Recorder
from qdci_lab.report import Report, report_of

LOG = logging.getLogger("qdci_lab")
SHORTEST_INTERVAL_S = 10.0
REST = 20.0
"""Pause after drawing, in units of the time that it took."""


class LiveFigure:
    """A document callback; to be subscribed after the recorder.

    With `finish`, the figure of a run that has ended is drawn from its file, too, and `tell` is told where it is. Plans
    without a report have no figure. A run that has too few points for its figure is drawn later.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        interval_s: float = SHORTEST_INTERVAL_S,
        finish: Callable[[Path], object] | None = None,
    ) -> None:
        self._recorder = recorder
        self._interval_s = interval_s
        self._finish = finish
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="figure")
        self._ended = threading.Event()
        self._due_s = 0.0
        self._report: Report | None = None
        self._journal: Path | None = None

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Take one document."""
        if name == "start":
            self._begin(document)
        elif name == "event" and self._report is not None and time.monotonic() >= self._due_s:
            self._due_s = float("inf")
            self._submit(self._draw_journal, logging.DEBUG)  # the first points may be too few
        elif name == "stop" and self._report is not None:
            self._ended.set()
            if self._finish is not None:
                self._submit(self._draw_file, logging.WARNING)

    def wait(self) -> None:
        """Return when nothing is drawn any longer."""
        self._thread.submit(lambda: None).result()

    def _begin(self, start: Mapping[str, Any]) -> None:
        self._ended.clear()
        self._journal = next(reversed(self._recorder.journals), None)
        try:
            self._report = report_of(str(start["plan_name"])) if self._journal is not None else None
        except (RecordError, KeyError):
            self._report = None
        self._due_s = time.monotonic() + self._interval_s

    def _submit(self, work: Callable[[], None], level: int) -> None:
        drawn = self._thread.submit(work)
        drawn.add_done_callback(functools.partial(_say_why_not, level))

    def _draw_journal(self) -> None:
        began_s = time.monotonic()
        try:
            if self._journal is not None and not self._ended.is_set():
                self._draw(self._journal)
        finally:
            now_s = time.monotonic()
            self._due_s = now_s + max(self._interval_s, REST * (now_s - began_s))

    def _draw_file(self) -> None:
        path = self._recorder.path
        if path is not None and self._finish is not None:
            self._draw(path)
            self._finish(path.with_suffix(".png"))

    def _draw(self, path: Path) -> None:
        assert self._report is not None
        unfinished = path.with_suffix(".live.png")
        try:
            self._report.draw(JoinedRun(path), unfinished)
            os.replace(unfinished, path.with_suffix(".png"))
        finally:
            unfinished.unlink(missing_ok=True)


def _say_why_not(level: int, drawn: "Future[None]") -> None:
    error = drawn.exception()
    if error is not None:
        LOG.log(level, "the figure could not be drawn: %r", error)
