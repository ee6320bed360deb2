"""Histograms of the time between tags of two channels: all pairs (g2), and start to next stop.

Normalisation of g2: pairs over those of independent streams of constant rate, N1 N2 bin (T - |lag|) / T^2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.jobs import Run, one_after_the_other
from qdci_lab.analysis.ordering import (
    EARLIEST_PS,
    NO_DELAYS,
    PORTION,
    SHARE,
    TagBlock,
    TagOrder,
    check_input,
)


@dataclass(frozen=True, eq=False)
class Correlation:
    """All pairs of tags by their time difference, second less first.

    Bin k of `pairs` (int64, shape [2 n + 1]) counts differences d with edges_ps[k] <= d < edges_ps[k + 1]; the
    bins are centred on multiples of `bin_ps`, from -n to n. Of a channel with itself a tag makes no pair with
    itself, and any two tags make one pair at either sign. `span_ps` is from the first tag to the last of all.
    """

    bin_ps: int
    pairs: NDArray[np.int64]
    firsts: int
    seconds: int
    same_channel: bool
    span_ps: int
    late: int

    @property
    def edges_ps(self) -> NDArray[np.int64]:
        """Edges of the bins in ps, shape [2 n + 2]."""
        return _lowest_edge_ps(self.pairs.size // 2, self.bin_ps) + self.bin_ps * np.arange(
            self.pairs.size + 1
        )

    @property
    def lags_ps(self) -> NDArray[np.int64]:
        """Centres of the bins in ps, from -n to n bins, shape [2 n + 1]."""
        n = self.pairs.size // 2
        return self.bin_ps * np.arange(-n, n + 1)

    def g2(self, span_ps: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Normalised correlation of each bin and its standard error.

        The error is that of Poisson counts, of one pair where there was none; uncertainty of the rates is
        left out. In the central bin of a channel with itself every two tags count twice, which is allowed for.
        `span_ps` is the time of the acquisition where it is known. Bins that expect nothing are NaN.
        """
        span = float(self.span_ps if span_ps is None else span_ps)
        combinations = self.firsts * (self.seconds - int(self.same_channel))
        overlap = np.clip(span - np.abs(self.lags_ps.astype(np.float64)), 0.0, None)
        expected = combinations * self.bin_ps * overlap / max(span, 1.0) ** 2
        usual = np.where(expected > 0.0, expected, np.nan)
        variance = np.maximum(self.pairs, 1).astype(np.float64)
        if self.same_channel:
            variance[self.pairs.size // 2] *= 2.0
        return self.pairs / usual, np.sqrt(variance) / usual


@dataclass(frozen=True, eq=False)
class StartStop:
    """Times from a start to the first stop after it: bin k counts k bin_ps <= d < (k + 1) bin_ps.

    `beyond` differences exceed the last bin, `unstarted` stops came without a start since the last stop,
    `starts` are all starts (those followed by another start before a stop are not in the histogram).
    """

    bin_ps: int
    counts: NDArray[np.int64]
    starts: int
    unstarted: int
    beyond: int
    late: int


class CrossCorrelator:
    """Accumulates all pairs of tags of two channels within +-`bins_each_side` bins, exactly.

    Blocks may have any size; the result does not depend on where the stream was cut. Tags may be out of order
    by up to `disorder_ps`. Both channels may be the same one.
    """

    def __init__(
        self,
        first: int,
        second: int,
        *,
        bin_ps: int,
        bins_each_side: int,
        delays_ps: Mapping[int, int] = NO_DELAYS,
        disorder_ps: int = 0,
        run: Run = one_after_the_other,
    ) -> None:
        from qdci_lab.analysis import correlation_kernel

        _check_bins(bin_ps, bins_each_side, fewest=0)
        self._kernel = correlation_kernel
        self._channels = check_input(first), check_input(second)
        self._bin_ps = bin_ps
        self._reach_ps = -_lowest_edge_ps(bins_each_side, bin_ps)
        self._run = run
        portion = PORTION if run is one_after_the_other else SHARE
        self._order = TagOrder(delays_ps=delays_ps, disorder_ps=disorder_ps, portion=portion)
        self._pairs = np.zeros(2 * bins_each_side + 1, dtype=np.int64)
        self._firsts, self._seconds = 0, 0
        self._kept = _Parted(np.empty(0, np.int64), np.empty(0, np.int64), EARLIEST_PS)
        self._first_ps: int | None = None
        self._last_ps = 0

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Correlate the next tags of the stream: int64 ps and the tagger's input numbers, equally many.

        The channels of tags are parted in one job while those before them are correlated in another.
        """
        parted: list[_Parted] = []
        for block in self._order.put(times_ps, channels):
            if not block[0].size:
                continue
            waiting = parted[-1:]
            jobs = [
                partial(self._part_into, parted, block),
                *(partial(self._correlate, each) for each in waiting),
            ]
            self._run(jobs)
            del parted[:-1]
            self._first_ps = int(block[0][0]) if self._first_ps is None else self._first_ps
            self._last_ps = int(block[0][-1])
        for last in parted:
            self._correlate(last)

    def finish(self) -> Correlation:
        """Everything up to now, pairs still waiting for later tags included; the stream may go on afterwards."""
        pairs = self._pairs.copy()
        held = self._order.held()
        last = self._part(held)
        self._count(replace(self._kept.followed_by(last), horizon_ps=np.iinfo(np.int64).max), pairs)
        first_ps, last_ps = self._first_ps, self._last_ps
        if held[0].size:
            first_ps, last_ps = int(held[0][0]) if first_ps is None else first_ps, int(held[0][-1])
        same = self._channels[0] == self._channels[1]
        if same:
            pairs[pairs.size // 2] -= self._seconds + last.seconds.size
        return Correlation(
            bin_ps=self._bin_ps,
            pairs=pairs,
            firsts=self._firsts + last.firsts.size,
            seconds=self._seconds + last.seconds.size,
            same_channel=same,
            span_ps=0 if first_ps is None else last_ps - first_ps,
            late=self._order.late,
        )

    def _part_into(self, parted: list["_Parted"], block: TagBlock) -> None:
        parted.append(self._part(block))

    def _part(self, block: TagBlock) -> "_Parted":
        firsts, seconds = (np.empty(block[0].size + 1, np.int64) for _ in self._channels)
        n, m = self._kernel.part(*block, *self._channels, firsts, seconds)
        return _Parted(firsts[:n], seconds[:m], int(block[0][-1]) if block[0].size else EARLIEST_PS)

    def _correlate(self, parted: "_Parted") -> None:
        """Count the pairs that are complete; `_pairs` counts a tag with itself, too."""
        self._firsts += parted.firsts.size
        self._seconds += parted.seconds.size
        self._kept = self._count(self._kept.followed_by(parted), self._pairs)

    def _count(self, parted: "_Parted", pairs: NDArray[np.int64]) -> "_Parted":
        """Count pairs, and what is still needed afterwards."""
        gone, gone_seconds = self._kernel.correlate(
            parted.firsts, parted.seconds, parted.horizon_ps, self._reach_ps, self._bin_ps, pairs
        )
        return _Parted(parted.firsts[gone:], parted.seconds[gone_seconds:], parted.horizon_ps)


@dataclass(frozen=True, eq=False)
class _Parted:
    """Times of either channel, and the time below which no more come."""

    firsts: NDArray[np.int64]
    seconds: NDArray[np.int64]
    horizon_ps: int

    def followed_by(self, later: "_Parted") -> "_Parted":
        return _Parted(
            np.concatenate([self.firsts, later.firsts]),
            np.concatenate([self.seconds, later.seconds]),
            later.horizon_ps,
        )


class StartStopHistogram:
    """Accumulates start-stop times from blocks of tags of any size, wherever the stream was cut.

    A stop is taken with the latest start before it, and only the first one after a start. Tags of equal times
    follow each other as they came. With one channel for both, the times between successive tags are counted.
    """

    def __init__(
        self,
        start: int,
        stop: int,
        *,
        bin_ps: int,
        bins: int,
        delays_ps: Mapping[int, int] = NO_DELAYS,
        disorder_ps: int = 0,
    ) -> None:
        from qdci_lab.analysis import correlation_kernel

        _check_bins(bin_ps, bins, fewest=1)
        self._kernel = correlation_kernel
        self._setting = check_input(start), check_input(stop), bin_ps
        self._order = TagOrder(delays_ps=delays_ps, disorder_ps=disorder_ps)
        self._state = np.zeros(correlation_kernel.START_STOP_STATE, dtype=np.int64)
        self._counts = np.zeros(bins, dtype=np.int64)

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Take the next tags of the stream: int64 ps and the tagger's input numbers, equally many."""
        for times, inputs in self._order.put(times_ps, channels):
            self._kernel.start_stop(times, inputs, *self._setting, self._state, self._counts)

    def finish(self) -> StartStop:
        """Everything up to now, tags still waiting for their order included; the stream may go on afterwards."""
        state, counts = self._state.copy(), self._counts.copy()
        self._kernel.start_stop(*self._order.held(), *self._setting, state, counts)
        k = self._kernel
        return StartStop(
            bin_ps=self._setting[2],
            counts=counts,
            starts=int(state[k.STARTS]),
            unstarted=int(state[k.UNSTARTED]),
            beyond=int(state[k.BEYOND]),
            late=self._order.late,
        )


def _lowest_edge_ps(bins_each_side: int, bin_ps: int) -> int:
    return -bins_each_side * bin_ps - bin_ps // 2


def _check_bins(bin_ps: int, bins: int, *, fewest: int) -> None:
    if bin_ps < 1 or bins < fewest:
        raise ValueError(
            f"{bins} bins of {bin_ps} ps: at least {fewest} of a whole picosecond or more are needed"
        )
    if bins * bin_ps >= 2**50:
        raise ValueError(f"{bins} bins of {bin_ps} ps reach beyond 2^50 ps")
