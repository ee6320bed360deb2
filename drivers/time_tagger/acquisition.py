"""How long to wait between two readings of a time tagger's buffer, and what an acquisition has come to."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.channel_counts import count_channels
from qdci_lab.units import ps_to_seconds

FIRST_WAIT_S = 0.02
MOST_GROWTH = 10.0
"""So many times faster than when they were last read tags may come at the beginning of an acquisition."""
SHORTEST_WAIT_S = 0.02
"""Shot noise leaves a little to be waited for, again and again: no less than this, which a reading is worth."""
SAFE_FILLING = 0.3
LAST_FILLING = 0.8
MOST_RATE_HZ = 100e6
"""Tags a second that a quTAG's cable carries at most (qutools, data sheet)."""


@dataclass(frozen=True)
class Acquisition:
    """One finished acquisition: when it began and how long it took on the lab's clock, and how many tags came.

    `count` tags were handed on, `lost` ones were read and left out, because those before them were still being worked
    on. `data_lost` also says whether the device's own buffer ran over, which nobody has counted: `overwritten_at_most`
    is what the cable could have brought since the readings before those with such a loss, less what was read.
    """

    start_ps: int
    duration_ps: int
    count: int
    lost: int
    data_lost: bool
    complete: bool
    overwritten_at_most: int = 0


class Tally:
    """What an acquisition has come to so far; `rate_hz` is that of the last reading, for the next wait."""

    def __init__(self, start_ps: int, limit_ps: int, *, inputs: int, rate_hz: float) -> None:
        self.start_ps = start_ps
        self.now_ps = start_ps
        self.count = 0
        self.lost = 0
        self.overwritten_at_most = 0
        self.counts = np.zeros(inputs, np.int64)
        self.rate_hz = rate_hz
        self.fraction = 0.0
        self.data_lost = False
        self._read_ps = start_ps
        self._limit_ps = limit_ps

    @property
    def elapsed_ps(self) -> int:
        """Since the beginning."""
        return self.now_ps - self.start_ps

    @property
    def left_s(self) -> float:
        """Until the acquisition must end."""
        return ps_to_seconds(self._limit_ps - self.elapsed_ps)

    @property
    def complete(self) -> bool:
        """Whether all that is wanted has come."""
        return self.fraction >= 1.0

    @property
    def running(self) -> bool:
        """Whether there is time left and something still wanted."""
        return not self.complete and self.elapsed_ps < self._limit_ps

    @property
    def advance(self) -> float:
        """The nearer end, by what has come or by time, from 0 to 1."""
        return min(max(self.fraction, self.elapsed_ps / self._limit_ps), 1.0)

    def restart(self, read_ps: int, now_ps: int) -> None:
        """Count time from now, when a reading that began at `read_ps` has emptied the buffer."""
        self.start_ps = self.now_ps = now_ps
        self._read_ps = read_ps

    def bound_overwritten(self, read_ps: int, count: int, *, overwritten: bool) -> None:
        """Take in a reading of `count` tags that began at `read_ps` and has just ended; whether it came too late."""
        if overwritten:
            most = math.ceil(MOST_RATE_HZ * ps_to_seconds(self.now_ps - self._read_ps))
            self.overwritten_at_most += max(most - count, 0)
        self._read_ps = read_ps

    def add(self, now_ps: int, channels: NDArray[np.uint8], *, kept: bool = True) -> None:
        """Take in a reading of tags, by their inputs numbered from 1; all count for the rates."""
        span_s = ps_to_seconds(now_ps - self.now_ps)
        self.now_ps = now_ps
        self.rate_hz = len(channels) / span_s if span_s > 0.0 else self.rate_hz
        if kept:
            self.count += len(channels)
        else:
            self.lost += len(channels)
        self.counts += count_channels(channels)[1 : len(self.counts) + 1]

    def rates_hz(self) -> NDArray[np.float64]:
        """Mean rate of each input."""
        return self.counts / max(ps_to_seconds(self.elapsed_ps), np.finfo(float).tiny)

    def __str__(self) -> str:
        return f"after {ps_to_seconds(self.elapsed_ps):.4g} s and {self.count} tags"

    def result(self) -> Acquisition:
        """The acquisition as it stands."""
        return Acquisition(
            self.start_ps,
            self.elapsed_ps,
            self.count,
            self.lost,
            self.data_lost,
            self.complete,
            self.overwritten_at_most,
        )


@dataclass(frozen=True)
class Pace:
    """How the buffer is read: at least every `poll_s`, and before a third of it is full at the present rate."""

    poll_s: float
    buffer_size: int

    def wait_s(self, tally: Tally) -> float:
        """Seconds to the next reading: short at first, then as long as what is still wanted will take."""
        elapsed_s = ps_to_seconds(tally.elapsed_ps)
        if elapsed_s == 0.0:
            wanted_s = self._first_wait_s(tally)
        elif elapsed_s < FIRST_WAIT_S:
            wanted_s = FIRST_WAIT_S - elapsed_s
        elif tally.fraction > 0.0:
            wanted_s = max(elapsed_s * (1.0 - tally.fraction) / tally.fraction, SHORTEST_WAIT_S)
        else:
            wanted_s = self.poll_s
        return min(wanted_s, self.filling_s(tally, SAFE_FILLING), self.poll_s)

    def _first_wait_s(self, tally: Tally) -> float:
        """A moment, in which even the fastest tags that can be expected do not fill the buffer."""
        fastest_hz = min(MOST_GROWTH * tally.rate_hz, MOST_RATE_HZ) if tally.rate_hz > 0.0 else MOST_RATE_HZ
        return min(FIRST_WAIT_S, SAFE_FILLING * self.buffer_size / fastest_hz)

    def filling_s(self, tally: Tally, share: float) -> float:
        """Seconds in which a share of the buffer fills at the present rate; the time between polls without one."""
        return share * self.buffer_size / tally.rate_hz if tally.rate_hz > 0.0 else self.poll_s
