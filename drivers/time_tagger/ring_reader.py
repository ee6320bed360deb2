"""Emptying a library's ring buffer while an acquisition goes on, with recording and analysis at work beside it."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.acquisition import LAST_FILLING, SAFE_FILLING, Pace, Tally
from drivers.time_tagger.hand_over import Block, HandOver, Take
from qdci_lab.clock import Clock
from qdci_lab.errors import AcquisitionError
from qdci_lab.units import ps_to_seconds, seconds_to_ps

Consume = Callable[[NDArray[np.int64], NDArray[np.uint8]], object]
Progress = Callable[[], float]

GLANCE_S = 0.005


class TagSource(Protocol):
    """The library, as far as tags are read from it."""

    def take_tags(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> int:
        """Move what is in the buffer into these arrays; how many tags that were."""
        ...

    def data_lost(self) -> bool:
        """Whether tags were lost since this was asked before."""
        ...


class Analysis:
    """Hands tags on, and asks how far that has come, in the thread in which it is called."""

    def __init__(self, consume: Consume, progress: Progress) -> None:
        self._consume = consume
        self._progress = progress
        self.fraction = 0.0

    def take(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """The next tags."""
        if len(times):
            self._consume(times, channels)
        self.fraction = self._progress()


class RingReader:
    """Reads at its `pace` into up to `backlog` blocks; a reading for which none becomes free in time is dropped.

    A dropped reading and a buffer that ran over are losses, by which an acquisition ends if `loss_is_fatal`. Inputs,
    which the library counts from `first_channel_number`, are handed on as counted from 1.
    """

    def __init__(
        self,
        label: str,
        clock: Clock,
        pace: Pace,
        *,
        backlog: int,
        first_channel_number: int,
        loss_is_fatal: bool,
    ) -> None:
        self._label = label
        self._clock = clock
        self._pace = pace
        self._backlog = backlog
        self._channel_shift = np.uint8((1 - first_channel_number) % 256)
        self._loss_is_fatal = loss_is_fatal
        self.make_room()

    def make_room(self) -> None:
        """New blocks for tags: an old one may still be written to by a call that was given up."""
        self._spare, *self._blocks = (Block(self._pace.buffer_size) for _ in range(1 + self._backlog))

    def read(
        self,
        source: TagSource,
        tally: Tally,
        analysis: Analysis,
        others: Sequence[Take] = (),
        *,
        check: Callable[[Tally], None],
        tell: Callable[[float], None],
    ) -> None:
        """Read until the tally has come to its end; `check` may raise before each reading, `tell` hears how far it is.

        What is in the buffer and what was lost before is discarded; the time of the tally begins then.
        """
        with HandOver(self._blocks, [analysis.take, *others]) as hand_over:
            read_ps = self._clock.now_ps()
            source.take_tags(self._spare.times, self._spare.channels)
            source.data_lost()
            tally.restart(read_ps, self._clock.now_ps())
            while tally.running:
                due_ps = self._sleep_until_due(tally)
                check(tally)
                self._take(source, tally, hand_over, due_ps)
                self._await(hand_over.wait_until_idle, tally, SAFE_FILLING)
                hand_over.check()
                tally.fraction = analysis.fraction
                tell(tally.advance)
        hand_over.check()
        tally.fraction = analysis.fraction

    def _sleep_until_due(self, tally: Tally) -> int:
        """Let time pass until the next reading, less what has passed since the last one; returns when that was due."""
        now_ps = self._clock.now_ps()
        wait_s = min(self._pace.wait_s(tally), tally.left_s) - ps_to_seconds(now_ps - tally.now_ps)
        if wait_s <= 0.0:
            return now_ps
        self._clock.sleep(wait_s)
        return now_ps + seconds_to_ps(wait_s)

    def _take(self, source: TagSource, tally: Tally, hand_over: HandOver, due_ps: int) -> None:
        """Empty the library's buffer into a block and hand it over, or drop it when none becomes free in time.

        The reading begins at `due_ps` or, on a busy computer, later.
        """
        kept = self._await(hand_over.wait_for_block, tally, LAST_FILLING)
        block = hand_over.free_block() if kept else None
        target = self._spare if block is None else block
        count = source.take_tags(target.times, target.channels)
        if self._channel_shift:
            target.channels[:count] += self._channel_shift
        tally.add(self._clock.now_ps(), target.channels[:count], kept=block is not None)
        if block is not None:
            hand_over.give(block, count)
        overwritten = source.data_lost() or count == self._pace.buffer_size
        tally.bound_overwritten(due_ps, count, overwritten=overwritten)
        if overwritten or (count and block is None):
            self._note_loss(tally, count)

    def _await(self, happens: Callable[[float], bool], tally: Tally, share: float) -> bool:
        """Whether something happens before a share of the library's buffer has filled since the last reading."""
        if happens(0.0):
            return True
        until_ps = tally.now_ps + seconds_to_ps(self._pace.filling_s(tally, share))
        while not happens(min(GLANCE_S, ps_to_seconds(max(until_ps - self._clock.now_ps(), 0)))):
            if self._clock.now_ps() >= until_ps:
                return False
        return True

    def _note_loss(self, tally: Tally, count: int) -> None:
        tally.data_lost = True
        if self._loss_is_fatal:
            raise AcquisitionError(
                f"{self._label}: time tags were lost {tally}; the last reading had {count}, at {tally.rate_hz:.4g} "
                f"tags/s, and the buffer holds {self._pace.buffer_size}"
            )
