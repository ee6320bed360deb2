"""What every file of time tags offers, whatever its format: facts, complaints, and the tags block by block."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdci_lab.record.tag_files.order import in_order

TagBlock = tuple[NDArray[np.int64], NDArray[np.uint8]]

BLOCK_TAGS = 1 << 20
LAST_INPUT = 33
"""Inputs are numbered up to 32, or to 33 where the start input of a 32-channel device is counted as one."""
MARKERS = frozenset([*range(100, 109), *range(200, 204)])
"""100 to 103 marker inputs rising, 104 the device's 1 ms tick, 105 to 108 and 200 to 203 marker inputs falling."""


class TagFormat(StrEnum):
    """What a file of tags is written in."""

    QUTAG_BINARY = "qutag-binary"
    QUTAG_COMPRESSED = "qutag-compressed"
    QUTAG_RAW = "qutag-raw"
    QUTAG_ASCII = "qutag-ascii"
    PTU_T2 = "ptu-t2"
    PTU_T3 = "ptu-t3"


@dataclass(frozen=True)
class TagSummary:
    """What is in a stream of tags: `inputs`, `markers` and `unknown` count tags by channel number.

    Inversions are tags earlier than their predecessor; `largest_inversion_ps` is by how much at most.
    """

    count: int
    first_ps: int | None
    last_ps: int | None
    inputs: Mapping[int, int]
    markers: Mapping[int, int]
    unknown: Mapping[int, int]
    inversions: int
    largest_inversion_ps: int

    @property
    def duration_ps(self) -> int:
        """Between the earliest and the latest tag; 0 without tags."""
        return 0 if self.first_ps is None or self.last_ps is None else self.last_ps - self.first_ps


class TagTally:
    """Counts a stream of tags block by block, in constant memory."""

    def __init__(self) -> None:
        self._by_channel = np.zeros(256, np.int64)
        self._first_ps: int | None = None
        self._last_ps: int | None = None
        self._previous: NDArray[np.int64] = np.empty(0, np.int64)
        self._inversions = 0
        self._largest_ps = 0

    def add(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Take in the next tags, times in ps."""
        if not len(times):
            return
        self._by_channel += np.bincount(channels, minlength=256)
        first_ps, last_ps = int(times.min()), int(times.max())
        self._first_ps = first_ps if self._first_ps is None else min(first_ps, self._first_ps)
        self._last_ps = last_ps if self._last_ps is None else max(last_ps, self._last_ps)
        back_ps = -np.diff(times, prepend=self._previous if len(self._previous) else times[:1])
        self._inversions += int(np.count_nonzero(back_ps > 0))
        self._largest_ps = max(self._largest_ps, int(back_ps.max()))
        self._previous = times[-1:].copy()

    def summary(self) -> TagSummary:
        """Everything up to now."""
        counts = {
            int(channel): int(self._by_channel[channel]) for channel in np.flatnonzero(self._by_channel)
        }
        return TagSummary(
            count=sum(counts.values()),
            first_ps=self._first_ps,
            last_ps=self._last_ps,
            inputs={channel: n for channel, n in counts.items() if channel <= LAST_INPUT},
            markers={channel: n for channel, n in counts.items() if channel in MARKERS},
            unknown={c: n for c, n in counts.items() if c > LAST_INPUT and c not in MARKERS},
            inversions=self._inversions,
            largest_inversion_ps=self._largest_ps,
        )


@dataclass(frozen=True)
class Delivery:
    """How tags leave a file: `shift` is added to the numbers of inputs, `max_disorder_ps` sorts them."""

    shift: int = 0
    markers: bool = True
    max_disorder_ps: int | None = None


class TagFile(ABC):
    """One file of tags. It is read anew by every call of `blocks`, in constant memory, and never changed.

    `facts` is what the header says. `complaints` are what is wrong with the file and was survived, as sentences.
    """

    def __init__(
        self, path: Path, tag_format: TagFormat, delivery: Delivery, *, count: int | None = None
    ) -> None:
        self.path = path
        self.format = tag_format
        self.count = count
        """Records in the file, where its size tells; None where only reading does."""
        self.facts: Mapping[str, int | float | str] = {}
        self.complaints: tuple[str, ...] = ()
        self._delivery = delivery

    def blocks(self, block_tags: int = BLOCK_TAGS) -> Iterator[TagBlock]:
        """Times (int64 ps) and channels (uint8) of the same length, at most `block_tags` records at a time.

        Channels are front-panel numbers (0: start or sync input), 100 and more: markers. Tags come in the order of
        the file, or sorted where a disorder was stated. RecordError where the file makes no sense.
        """
        if block_tags < 1:
            raise ValueError(f"block_tags of {block_tags} is not at least 1")
        blocks = map(self._deliver, self._records(block_tags))
        if self._delivery.max_disorder_ps is not None:
            blocks = in_order(blocks, self._delivery.max_disorder_ps, label=str(self.path))
        return (block for block in blocks if len(block[0]))

    def summary(self) -> TagSummary:
        """Read the file once from end to end and count."""
        tally = TagTally()
        for times, channels in map(self._deliver, self._records(BLOCK_TAGS)):
            tally.add(times, channels)
        return tally.summary()

    @abstractmethod
    def _records(self, block_tags: int) -> Iterator[TagBlock]:
        """The tags as the file has them, with the channel numbers of the file."""

    def _deliver(self, block: TagBlock) -> TagBlock:
        times, channels = block
        if self._delivery.shift:
            inputs = channels <= LAST_INPUT
            channels = np.where(inputs, channels + np.uint8(self._delivery.shift), channels).astype(np.uint8)
        if not self._delivery.markers:
            kept = channels < min(MARKERS)
            times, channels = times[kept], channels[kept]
        return times, channels
