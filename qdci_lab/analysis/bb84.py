"""A BB84 acquisition from the first time tag to the finite-key rate, block by block.

The same class serves live acquisition and replay: its result depends on the tags, the settings and the
duration, and not on how the stream was cut into blocks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.bb84_result import Bb84Result, evaluate
from qdci_lab.analysis.clock_recovery import ClockSearch
from qdci_lab.analysis.code import SymbolCode
from qdci_lab.analysis.decoy import OneDecoyProtocol
from qdci_lab.analysis.receiver import Receiver
from qdci_lab.analysis.statistics import BinomialInterval
from qdci_lab.analysis.synchronisation import Synchronisation, synchronise
from qdci_lab.analysis.timetags import TagSifter

TagBlock = tuple[NDArray[np.int64], NDArray[np.uint8]]


@dataclass(frozen=True)
class Bb84Settings:
    """All that the analysis of an acquisition depends on, apart from the tags and the duration.

    `period_ps` is the nominal slot period. The first `sync_tags` tags are what the lock is searched in, fewer
    if the acquisition ends earlier. `tracking` lets the clock follow the pulses after that. With
    `projected_n_z` the key rates are those of a block of that many key-basis detections gathered at the
    measured rates. `confidence` and `interval` are those of the quantum bit error rates.
    """

    code: SymbolCode
    protocol: OneDecoyProtocol
    period_ps: float
    receiver: Receiver = field(default_factory=Receiver)
    search: ClockSearch = field(default_factory=ClockSearch)
    sync_tags: int = 100_000
    tracking: bool = True
    projected_n_z: float | None = None
    confidence: float = 0.95
    interval: BinomialInterval = "wilson"

    def __post_init__(self) -> None:
        if self.sync_tags < 2 or not self.period_ps > 0.0:
            raise ValueError(
                f"sync_tags {self.sync_tags} (at least 2) and period_ps {self.period_ps} must be positive"
            )
        for name in ("p_signal", "p_z"):
            agreed, present = getattr(self.protocol, name), getattr(self.code, name)
            if abs(agreed - present) > 1e-12:
                raise ValueError(f"{name} of the protocol is {agreed}, but the code has {present}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types that `from_dict` turns into equal settings."""
        return {
            "code": self.code.digits,
            "protocol": asdict(self.protocol),
            "period_ps": self.period_ps,
            "receiver": self.receiver.to_dict(),
            "search": asdict(self.search),
            "sync_tags": self.sync_tags,
            "tracking": self.tracking,
            "projected_n_z": self.projected_n_z,
            "confidence": self.confidence,
            "interval": self.interval,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Bb84Settings":
        """The settings that `to_dict` described; ValueError or TypeError if they were damaged."""
        parts = {
            "code": SymbolCode.from_digits(stored["code"]),
            "protocol": OneDecoyProtocol(**stored["protocol"]),
            "receiver": Receiver.from_dict(stored["receiver"]),
            "search": ClockSearch(**stored["search"]),
        }
        return cls(**{**stored, **parts})


@dataclass
class _Buffer:
    """Tags kept until there are enough to lock on."""

    blocks: list[TagBlock] = field(default_factory=list)
    tags: int = 0

    def append(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        self.blocks.append((times_ps.copy(), channels.copy()))
        self.tags += times_ps.size

    def joined(self) -> TagBlock:
        if not self.blocks:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8)
        times, channels = zip(*self.blocks, strict=True)
        return np.concatenate(times), np.concatenate(channels)


class Bb84Analysis:
    """Streaming analysis: `add` blocks of tags, ask for `n_z` meanwhile and for the `result` at any time.

    The first `sync_tags` tags are kept, locked on, and sifted with the rest. A known lock, given to start
    with, skips the search: its clock is extrapolated to these tags (and followed from there, with tracking),
    which holds as long as the extrapolation is good to a small part of the period.
    """

    def __init__(self, settings: Bb84Settings, synchronisation: Synchronisation | None = None) -> None:
        self._settings = settings
        self._synchronisation = synchronisation
        self._sifter = None if synchronisation is None else self._new_sifter(synchronisation)
        self._buffer = _Buffer()

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """The next tags of the stream: int64 ps and the tagger's input numbers.

        Raises SynchronisationError when enough tags have come and there is no lock in them.
        """
        times, inputs = np.asarray(times_ps, dtype=np.int64), np.asarray(channels, dtype=np.uint8)
        if times.shape != inputs.shape or times.ndim != 1:
            raise ValueError(f"times of shape {times.shape} do not go with channels of shape {inputs.shape}")
        if self._sifter is None:
            missing = self._settings.sync_tags - self._buffer.tags
            self._buffer.append(times[:missing], inputs[:missing])
            times, inputs = times[missing:], inputs[missing:]
            if self._buffer.tags == self._settings.sync_tags:
                self._synchronisation, self._sifter = self._lock()
                self._buffer = _Buffer()
        if self._sifter is not None:
            self._sifter.add(times, inputs)

    @property
    def n_z(self) -> int:
        """Key-basis detections sifted up to now; 0 before there is a lock."""
        if self._sifter is None:
            return 0
        receiver = self._settings.receiver
        return int(self._sifter.finish().counts(receiver.double_click, receiver.cross_click).n_z)

    @property
    def synchronisation(self) -> Synchronisation | None:
        """The lock that is in use, with the clock where tracking has brought it; None before there is one.

        Given to the next acquisition, it carries on from here.
        """
        if self._sifter is None or self._synchronisation is None:
            return None
        return replace(self._synchronisation, clock=self._sifter.clock)

    def result(self, duration_ps: int) -> Bb84Result:
        """Evaluate the tags up to now as an acquisition of `duration_ps`; the stream may go on afterwards.

        Locks on the tags there are if fewer than `sync_tags` came; raises SynchronisationError if they do not
        suffice.
        """
        synchronisation, sifter = self._synchronisation, self._sifter
        if sifter is None or synchronisation is None:
            synchronisation, sifter = self._lock()
        settings = self._settings
        return evaluate(
            sifter.finish(),
            synchronisation,
            settings.protocol,
            settings.receiver,
            duration_ps,
            projected_n_z=settings.projected_n_z,
            confidence=settings.confidence,
            interval=settings.interval,
        )

    def _lock(self) -> tuple[Synchronisation, TagSifter]:
        settings = self._settings
        times, channels = self._buffer.joined()
        lock = synchronise(
            times,
            channels,
            settings.code,
            settings.protocol.intensities,
            settings.receiver,
            settings.period_ps,
            settings.search,
        )
        sifter = self._new_sifter(lock)
        sifter.add(times, channels)
        return lock, sifter

    def _new_sifter(self, lock: Synchronisation) -> TagSifter:
        settings = self._settings
        return TagSifter(settings.code, lock.clock, settings.receiver, tracking=settings.tracking)


def analyse(
    blocks: Iterable[TagBlock],
    settings: Bb84Settings,
    duration_ps: int,
    synchronisation: Synchronisation | None = None,
) -> Bb84Result:
    """Replay recorded blocks of (times, channels): equal to the last bit to what the live analysis gave."""
    analysis = Bb84Analysis(settings, synchronisation)
    for times_ps, channels in blocks:
        analysis.add(times_ps, channels)
    return analysis.result(duration_ps)
