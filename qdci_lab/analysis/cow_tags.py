"""A coherent-one-way acquisition from the first time tag to the key rates, block by block.

For a periodic code the clicks of each detector, folded onto one period, are all that the rates depend on. The same
class serves live acquisition and replay: its result does not depend on how the stream was cut into blocks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.clock_recovery import ClockSearch
from qdci_lab.analysis.cow_code import CowCode
from qdci_lab.analysis.cow_counts import CowCounts
from qdci_lab.analysis.cow_lock import CowLock, lock_on
from qdci_lab.analysis.cow_result import (
    CowAcquisition,
    CowProtocol,
    CowReceiver,
    CowResult,
    evaluate_cow,
)
from qdci_lab.analysis.slot_clock import SlotClock
from qdci_lab.errors import SynchronisationError

TagBlock = tuple[NDArray[np.int64], NDArray[np.uint8]]
DETECTORS = 3
TRACKING_TAGS = 4096
"""The clock is corrected after this many clicks; gains as of a critically damped second-order loop."""
PHASE_GAIN, PERIOD_GAIN = 0.4, 0.04


@dataclass(frozen=True)
class CowSettings:
    """All that the analysis of an acquisition depends on, apart from the tags, the duration and the loss as told.

    `period_ps` is the nominal slot period (two slots a bit). The first `sync_tags` clicks are what the lock is searched
    in, fewer if the acquisition ends earlier.
    """

    code: CowCode
    protocol: CowProtocol
    receiver: CowReceiver
    period_ps: float
    search: ClockSearch = field(default_factory=ClockSearch)
    sync_tags: int = 20_000

    def __post_init__(self) -> None:
        if self.sync_tags < 2 or not self.period_ps > 0.0:
            raise ValueError(
                f"sync_tags {self.sync_tags} (at least 2) and period_ps {self.period_ps} must be positive"
            )
        if self.receiver.dead_time_ps < 2.0 * self.period_ps:
            raise ValueError(
                f"dead time of {self.receiver.dead_time_ps:g} ps: the detectors must be blind for longer than a bit of "
                f"{2.0 * self.period_ps:g} ps, so that none clicks in both slots of one"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types that `from_dict` turns into equal settings."""
        return {
            "code": self.code.digits,
            "protocol": asdict(self.protocol),
            "receiver": {name: _plain(value) for name, value in asdict(self.receiver).items()},
            "period_ps": self.period_ps,
            "search": asdict(self.search),
            "sync_tags": self.sync_tags,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "CowSettings":
        """The settings that `to_dict` described; ValueError or TypeError if they were damaged."""
        receiver: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored["receiver"].items()
        }
        parts = {
            "code": CowCode.from_digits(stored["code"]),
            "protocol": CowProtocol(**stored["protocol"]),
            "receiver": CowReceiver(**receiver),
            "search": ClockSearch(**stored["search"]),
        }
        return cls(**{**stored, **parts})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class CowAnalysis:
    """Streaming analysis: `add` blocks of tags, ask for `n_key` meanwhile and for the `result` at any time."""

    def __init__(self, settings: CowSettings) -> None:
        self._settings = settings
        receiver = settings.receiver
        self._detector_of = np.full(256, -1, dtype=np.int64)
        self._detector_of[list(receiver.inputs)] = np.arange(DETECTORS)
        self._delays_ps = np.asarray(receiver.delays_ps, dtype=np.int64)
        self._foreign = 0
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._waiting_count = 0
        self._lock: CowLock | None = None
        self._folder: _Folder | None = None
        self._remark = ""
        self._unlocked = np.zeros(DETECTORS, dtype=np.int64)

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """The next tags of the stream: int64 ps and the tagger's input numbers.

        If there is no lock in the first `sync_tags` clicks, clicks are only counted from there on.
        """
        times, inputs = np.asarray(times_ps, dtype=np.int64), np.asarray(channels, dtype=np.uint8)
        if times.shape != inputs.shape or times.ndim != 1:
            raise ValueError(f"times of shape {times.shape} do not go with channels of shape {inputs.shape}")
        detectors = self._detector_of[inputs]
        wired = detectors >= 0
        self._foreign += int(times.size - np.count_nonzero(wired))
        self._waiting.append((times[wired] - self._delays_ps[detectors[wired]], detectors[wired]))
        self._waiting_count += int(np.count_nonzero(wired))
        if self._folder is None and not self._remark and self._waiting_count >= self._settings.sync_tags:
            self._try_to_lock()
        if self._folder is not None:
            self._waiting, self._waiting_count = self._folder.take(*self._joined())
        elif self._remark:
            self._unlocked += np.bincount(self._joined()[1], minlength=DETECTORS)
            self._waiting, self._waiting_count = [], 0

    def _try_to_lock(self) -> None:
        try:
            self._lock, self._folder = self._locked()
        except SynchronisationError as error:
            self._remark = str(error)

    @property
    def n_key(self) -> int:
        """Key bits sifted up to now; 0 before there is a lock."""
        if self._folder is None:
            return 0
        return self._folder.counts(self._settings, self._foreign).n_key

    def result(self, duration_ps: int, told_loss_db: float) -> CowResult:
        """Evaluate the tags up to now as an acquisition of `duration_ps`; the stream may go on afterwards.

        `told_loss_db` is what the channel should lose, as far as the lab knows; the cut-off goes by it. Without a lock
        the result is one of no key, with the reason in `remark`.
        """
        if self._folder is None and not self._remark:
            self._try_to_lock()
        settings = self._settings
        times, detectors = self._joined()
        if self._folder is None:
            clicks = self._unlocked + np.bincount(detectors, minlength=DETECTORS)
            counts = CowCounts.unlocked(clicks, self._foreign)
        else:
            folder = self._folder.copy()
            folder.fold(times, detectors)
            counts = folder.counts(settings, self._foreign)
        acquired = CowAcquisition(counts, self._lock, duration_ps, told_loss_db, self._remark)
        return evaluate_cow(acquired, settings.code, settings.protocol, settings.receiver, settings.period_ps)

    def _joined(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if not self._waiting:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        times, detectors = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        return times, detectors

    def _locked(self) -> tuple[CowLock, "_Folder"]:
        settings = self._settings
        times, detectors = (part[: settings.sync_tags] for part in self._joined())
        lock = lock_on(times, detectors, settings.code, settings.period_ps, settings.search)
        return lock, _Folder(lock.clock, 2 * settings.code.length, settings.receiver.gate_width_ps)


class _Folder:
    """Folds clicks onto the code, and lets the clock follow the pulses in steps of `TRACKING_TAGS` clicks."""

    def __init__(self, clock: SlotClock, slots: int, gate_width_ps: float) -> None:
        self._clock = clock
        self._half_gate_ps = 0.5 * gate_width_ps if gate_width_ps > 0.0 else np.inf
        self._folded = np.zeros((DETECTORS, slots), dtype=np.int64)
        self._singles = np.zeros(DETECTORS, dtype=np.int64)

    def copy(self) -> "_Folder":
        """A folder that goes on by itself."""
        other = _Folder(self._clock, self._folded.shape[1], 0.0)
        other._half_gate_ps = self._half_gate_ps
        other._folded, other._singles = self._folded.copy(), self._singles.copy()
        return other

    def take(
        self, times_ps: NDArray[np.int64], detectors: NDArray[np.int64]
    ) -> tuple[list[tuple[NDArray[np.int64], NDArray[np.int64]]], int]:
        """Fold whole steps of clicks; what is left over, and how many."""
        whole = times_ps.size // TRACKING_TAGS * TRACKING_TAGS
        for start in range(0, whole, TRACKING_TAGS):
            step = slice(start, start + TRACKING_TAGS)
            self._follow(times_ps[step], self.fold(times_ps[step], detectors[step]))
        return [(times_ps[whole:].copy(), detectors[whole:].copy())], times_ps.size - whole

    def fold(self, times_ps: NDArray[np.int64], detectors: NDArray[np.int64]) -> NDArray[np.float64]:
        """Count clicks by detector and slot of the code; returns their distances from the pulses in ps."""
        length = self._folded.shape[1]
        slots, residuals_ps = self._clock.slots_of(times_ps)
        gated = np.abs(residuals_ps) <= self._half_gate_ps
        places = (slots[gated] + self._clock.frame_offset) % length
        cells = detectors[gated] * length + places
        self._folded += np.bincount(cells, minlength=DETECTORS * length).reshape(DETECTORS, length)
        self._singles += np.bincount(detectors, minlength=DETECTORS)
        return residuals_ps

    def counts(self, settings: CowSettings, foreign: int) -> CowCounts:
        """What has been folded."""
        return CowCounts.of_folded(self._folded, self._singles, settings.code, foreign)

    def _follow(self, times_ps: NDArray[np.int64], residuals_ps: NDArray[np.float64]) -> None:
        """Move the clock's origin to the last click, with phase and period corrected by the mean distance.

        A click at distance r (in periods) counts r (1 - 4 r^2), which has no step half-way between two pulses.
        """
        clock = self._clock
        last = int(clock.slots_of(times_ps[-1:])[0][0])
        first = int(clock.slots_of(times_ps[:1])[0][0])
        if last <= first:
            return
        shares = residuals_ps / clock.period_ps
        error_ps = float(np.mean(shares * (1.0 - 4.0 * shares**2))) * clock.period_ps
        arrival_ps = (
            float(clock.arrival_ps(np.array([last]))[0]) + (PHASE_GAIN + 0.5 * PERIOD_GAIN) * error_ps
        )
        whole_ps = int(np.floor(arrival_ps))
        self._clock = SlotClock(
            epoch_ps=clock.epoch_ps + whole_ps,
            period_ps=clock.period_ps
            + clock.drift_ps_per_slot2 * last
            + PERIOD_GAIN * error_ps / (last - first),
            phase_ps=arrival_ps - whole_ps,
            frame_offset=(clock.frame_offset + last) % self._folded.shape[1],
            drift_ppb_per_s=clock.drift_ppb_per_s,
        )


def analyse_cow(
    blocks: Iterable[TagBlock], settings: CowSettings, duration_ps: int, told_loss_db: float
) -> CowResult:
    """Replay recorded blocks of (times, channels): equal to the last bit to what the live analysis gave."""
    analysis = CowAnalysis(settings)
    for times_ps, channels in blocks:
        analysis.add(times_ps, channels)
    return analysis.result(duration_ps, told_loss_db)
