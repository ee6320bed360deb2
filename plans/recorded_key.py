"""The key of another link, read from its run's file while that is still being written, as a device of a plan."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ophyd.status import Status

from plans.campaign import elapsed_s
from qdci_lab.analysis.key_relay import KeyDeposits
from qdci_lab.errors import LabError, RecordError
from qdci_lab.record.append_only import is_being_written
from qdci_lab.record.catalogue import Catalogue
from qdci_lab.record.hdf5 import SUFFIX
from qdci_lab.record.journal import JOURNAL_SUFFIX
from qdci_lab.record.parts import JoinedRun
from qdci_lab.record.replay import Run

BLOCKS = "blocks"
NOTHING = KeyDeposits(np.array([]), np.array([]))
POLL_S = 1.0
PATIENCE_S = 300.0
"""How long, by the wall's clock, a run that goes on may hand over nothing before it is waited for no longer."""


@dataclass(frozen=True)
class KeyHistory:
    """What a run has made so far: key by time spent measuring, up to when that is known, and whether more may come.

    `began_unix_s` is when the first of its parts began.
    """

    deposits: KeyDeposits
    until_s: float
    goes_on: bool
    began_unix_s: float


def key_history(path: Path) -> KeyHistory:
    """The key blocks of a run, finished or not; RecordError for a run that makes none.

    Of a run that continues others, theirs come first: they are looked for beside it, and steps that were cut short and
    measured again are left out. Times are spent measuring, from the first synchronisation of the first part on.
    """
    run = JoinedRun(path)
    goes_on = run.stop is None and _goes_on(path)
    began_unix_s = float(run.parts[0].start["time"])
    if not any(BLOCKS in part.streams for part in run.parts):
        if run.stop is not None:
            raise RecordError(f"{path.name}: this run made no blocks of key")
        return KeyHistory(NOTHING, 0.0, goes_on, began_unix_s)
    table = run.table(BLOCKS)
    bits = np.floor(np.maximum(table["link_key_length_rusca_2018"], 0.0))
    deposits = KeyDeposits(elapsed_s(table, "link_lab_time"), bits)
    until_s = float(deposits.times_s[-1]) if deposits.times_s.size else 0.0
    return KeyHistory(deposits, until_s, goes_on, began_unix_s)


def _goes_on(path: Path) -> bool:
    return path.suffix == JOURNAL_SUFFIX and is_being_written(path)


def find_run(place: str) -> Path:
    """A run's file, or the newest run of a folder; ValueError if there is none.

    A journal that is gone has become a file of its own.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        try:
            return Catalogue(path)[-1].path
        except IndexError:
            raise ValueError(f"relay_with: no run in {path}; start the other link first") from None
    if path.suffix == JOURNAL_SUFFIX and not path.exists():
        path = path.with_suffix(SUFFIX)
    if not path.exists():
        raise ValueError(f"relay_with: there is no run and no folder {path}")
    return path


class RecordedKey:
    """Another link's key; `trigger` reads its file until that covers `wanted_s`, or ends, or stands still for minutes.

    The other run may be on another computer, its folder being mounted here. Times are shifted by `shift_s` to ours.
    """

    parent = None

    def __init__(self, place: str, *, name: str = "other_key") -> None:
        self.name = name
        self._path = find_run(place)
        self.history = key_history(self._path)
        self.start: Mapping[str, Any] = Run(self._path).start
        self.shift_s = 0.0
        self.wanted_s = 0.0
        self._given_up = threading.Event()

    @property
    def description(self) -> str:
        """Which run it is."""
        return f"{self.start.get('testbed', '?')}, {self._path.stem}"

    @property
    def deposits(self) -> KeyDeposits:
        """All that is known, by our time."""
        known = self.history.deposits
        return KeyDeposits(known.times_s + self.shift_s, known.bits)

    @property
    def until_s(self) -> float:
        """Up to when it is known, by our time; for ever once the run has ended."""
        return self.history.until_s + self.shift_s if self.history.goes_on else float("inf")

    def trigger(self) -> Status:
        """Done when the other run is known up to `wanted_s`."""
        status = Status(obj=self)
        self._given_up.clear()
        threading.Thread(target=self._follow, args=(status,), name="other key", daemon=True).start()
        return status

    def pause(self) -> None:
        """Wait no longer; what is known stays."""
        self._given_up.set()

    def stop(self, *, success: bool = False) -> None:
        """As `pause`."""
        del success
        self._given_up.set()

    def _follow(self, status: Status) -> None:
        try:
            grown_s, known = time.monotonic(), -1
            while True:
                self._read()
                if self.until_s >= self.wanted_s or self._given_up.is_set():
                    break
                if self.history.deposits.bits.size != known:
                    grown_s, known = time.monotonic(), self.history.deposits.bits.size
                if time.monotonic() - grown_s > PATIENCE_S or self._given_up.wait(POLL_S):
                    break
            status.set_finished()
        except (LabError, OSError, KeyError, ValueError) as error:
            status.set_exception(error)

    def _read(self) -> None:
        """Read the file anew; the journal of a run that has ended makes room for a file of its own."""
        try:
            self.history = key_history(self._path)
        except RecordError:
            finished = self._path.with_suffix(SUFFIX)
            if self._path.suffix != JOURNAL_SUFFIX or not finished.exists():
                raise
            self._path = finished
            self.history = key_history(finished)
