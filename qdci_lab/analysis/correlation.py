"""Histograms of the time between tags of two channels: all pairs (g2), and start to next stop.

Normalisation of g2: pairs over those of independent streams of constant rate, N1 N2 bin (T - |lag|) / T^2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.ordering import NO_DELAYS, PORTION, TagOrder, check_input


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
    ) -> None:
        from qdci_lab.analysis import correlation_kernel

        _check_bins(bin_ps, bins_each_side, fewest=0)
        self._kernel = correlation_kernel
        self._channels = check_input(first), check_input(second)
        self._bin_ps = bin_ps
        self._reach_ps = -_lowest_edge_ps(bins_each_side, bin_ps)
        self._order = TagOrder(delays_ps=delays_ps, disorder_ps=disorder_ps)
        self._pairs = np.zeros(2 * bins_each_side + 1, dtype=np.int64)
        self._totals = np.zeros(correlation_kernel.CORRELATION_STATE, dtype=np.int64)
        self._kept = _Kept(0, 0, np.empty(2 * PORTION, np.int64), np.empty(2 * PORTION, np.int64))
        self._first_ps: int | None = None
        self._last_ps = 0

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Correlate the next tags of the stream: int64 ps and the tagger's input numbers, equally many."""
        for times, inputs in self._order.put(times_ps, channels):
            if times.size:
                self._kept = self._correlate(
                    times, inputs, self._kept, self._pairs, self._totals, horizon_ps=int(times[-1])
                )
                self._first_ps = int(times[0]) if self._first_ps is None else self._first_ps
                self._last_ps = int(times[-1])

    def finish(self) -> Correlation:
        """Everything up to now, pairs still waiting for later tags included; the stream may go on afterwards."""
        pairs, totals = self._pairs.copy(), self._totals.copy()
        times, inputs = self._order.held()
        self._correlate(times, inputs, self._kept.copy(), pairs, totals, horizon_ps=np.iinfo(np.int64).max)
        first_ps, last_ps = self._first_ps, self._last_ps
        if times.size:
            first_ps, last_ps = int(times[0]) if first_ps is None else first_ps, int(times[-1])
        same = self._channels[0] == self._channels[1]
        if same:
            pairs[pairs.size // 2] -= totals[self._kernel.SECONDS]
        return Correlation(
            bin_ps=self._bin_ps,
            pairs=pairs,
            firsts=int(totals[self._kernel.FIRSTS]),
            seconds=int(totals[self._kernel.SECONDS]),
            same_channel=same,
            span_ps=0 if first_ps is None else last_ps - first_ps,
            late=self._order.late,
        )

    def _correlate(
        self,
        times: NDArray[np.int64],
        inputs: NDArray[np.uint8],
        kept: "_Kept",
        pairs: NDArray[np.int64],
        totals: NDArray[np.int64],
        *,
        horizon_ps: int,
    ) -> "_Kept":
        """Count the pairs that are complete; `pairs` counts a tag with itself, too. Returns what is still needed."""
        kept = kept.with_room_for(times.size)
        n, m = self._kernel.part(
            times, inputs, *self._channels, kept.first_times, kept.second_times, kept.firsts, kept.seconds
        )
        totals += (n - kept.firsts, m - kept.seconds)
        done, done_seconds = self._kernel.correlate(
            kept.first_times[:n], kept.second_times[:m], horizon_ps, self._reach_ps, self._bin_ps, pairs
        )
        return kept.without(int(n), done, int(m), done_seconds)


@dataclass(frozen=True, eq=False)
class _Kept:
    """Times of both channels that may still make pairs: the first `firsts` and `seconds` of two reused arrays."""

    firsts: int
    seconds: int
    first_times: NDArray[np.int64]
    second_times: NDArray[np.int64]

    def with_room_for(self, tags: int) -> "_Kept":
        needed = max(self.firsts, self.seconds) + tags + 1
        if needed <= self.first_times.size:
            return self
        return self._resized(2 * needed)

    def copy(self) -> "_Kept":
        return self._resized(self.first_times.size)

    def without(self, n: int, gone: int, m: int, gone_seconds: int) -> "_Kept":
        """What is left of n and m tags after the first `gone` ones, moved to the front."""
        self.first_times[: n - gone] = self.first_times[gone:n]
        self.second_times[: m - gone_seconds] = self.second_times[gone_seconds:m]
        return _Kept(n - gone, m - gone_seconds, self.first_times, self.second_times)

    def _resized(self, size: int) -> "_Kept":
        first_times, second_times = np.empty(size, np.int64), np.empty(size, np.int64)
        first_times[: self.firsts] = self.first_times[: self.firsts]
        second_times[: self.seconds] = self.second_times[: self.seconds]
        return _Kept(self.firsts, self.seconds, first_times, second_times)


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
