"""Rates over time, and what a detector's dead time does to them.

Counting with dead time: J. W. Mueller, Nucl. Instrum. Methods 112, 47 (1973). Moments of renewal counts:
D. R. Cox, Renewal Theory (1962), section 4.5. Inversion of m = n exp(-n tau): R. M. Corless et al., Adv. Comput.
Math. 5, 329 (1996).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.ordering import check_columns, check_input
from qdci_lab.units import PS_PER_S

DeadTimeKind = Literal["non-paralyzable", "paralyzable"]

_FIRST_ROWS = 64


@dataclass(frozen=True, eq=False)
class Rates:
    """Tags by interval and by channel, int64 of shape [intervals, channels]; the last interval may be incomplete.

    `outside` tags of the channels came before the start or after the most intervals that are kept.
    """

    channels: tuple[int, ...]
    start_ps: int
    interval_ps: int
    counts: NDArray[np.int64]
    outside: int

    @property
    def rates_hz(self) -> NDArray[np.float64]:
        """Counts over the length of an interval, of the shape of `counts`."""
        rates: NDArray[np.float64] = self.counts.astype(np.float64) * (PS_PER_S / self.interval_ps)
        return rates

    @property
    def standard_errors_hz(self) -> NDArray[np.float64]:
        """Poisson errors of `rates_hz`, of one count where there was none."""
        errors: NDArray[np.float64] = np.sqrt(np.maximum(self.counts, 1).astype(np.float64))
        return errors * (PS_PER_S / self.interval_ps)


class RateHistory:
    """Accumulates counts by interval from `start_ps` on; neither cuts nor the order of the stream matter.

    Without a start the first tag of the stream gives it. Memory grows with the intervals that have passed, up
    to `most_intervals`; tags beyond them are counted apart.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        interval_ps: int,
        start_ps: int | None = None,
        most_intervals: int = 1 << 20,
    ) -> None:
        from qdci_lab.analysis import rates_kernel

        if interval_ps < 1 or most_intervals < 1:
            raise ValueError(f"{most_intervals} intervals of {interval_ps} ps: both must be positive")
        if not channels or len(set(channels)) != len(channels):
            raise ValueError(f"different inputs are needed, got {list(channels)}")
        self._kernel = rates_kernel
        self._channels = tuple(check_input(number) for number in channels)
        self._column_of = np.full(256, len(self._channels), dtype=np.int64)
        self._column_of[list(self._channels)] = np.arange(len(self._channels))
        self._start_ps = start_ps
        self._interval_ps = interval_ps
        self._most = most_intervals
        self._rows = 0
        self._counts = self._empty(min(_FIRST_ROWS, most_intervals))
        self._outside = 0

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Count the next tags of the stream: int64 ps and the tagger's input numbers, equally many."""
        times, inputs = check_columns(times_ps, channels)
        if not times.size:
            return
        if self._start_ps is None:
            self._start_ps = int(times[0])
        self._make_room((int(times.max()) - self._start_ps) // self._interval_ps + 1)
        taken = 0
        while taken < times.size:
            taken += self._kernel.count_by_interval(
                times[taken:],
                inputs[taken:],
                self._column_of,
                self._start_ps,
                self._interval_ps,
                self._counts,
            )
            if taken < times.size:
                self._outside += int(self._column_of[inputs[taken]] < len(self._channels))
                taken += 1

    def finish(self) -> Rates:
        """Everything up to the latest interval that has a tag of any channel; the stream may go on afterwards."""
        return Rates(
            channels=self._channels,
            start_ps=0 if self._start_ps is None else self._start_ps,
            interval_ps=self._interval_ps,
            counts=self._counts[: self._rows, :-1].copy(),
            outside=self._outside,
        )

    def _make_room(self, rows: int) -> None:
        self._rows = max(self._rows, min(rows, self._most))
        if self._rows > self._counts.shape[0]:
            grown = self._empty(min(2 * self._rows, self._most))
            grown[: self._counts.shape[0]] = self._counts
            self._counts = grown

    def _empty(self, rows: int) -> NDArray[np.int64]:
        return np.zeros((rows, len(self._channels) + 1), dtype=np.int64)


@dataclass(frozen=True)
class CorrectedRate:
    """Rate of the events that a detector without dead time would have counted, with its standard error."""

    rate_hz: float
    standard_error_hz: float


def correct_dead_time(
    counts: int, duration_s: float, dead_time_s: float, kind: DeadTimeKind = "non-paralyzable"
) -> CorrectedRate:
    """True rate behind `counts` in `duration_s`; ValueError where the dead time would not allow that many.

    Non-paralyzable: m = n / (1 + n tau), and the counts vary by N (1 - m tau)^2. Paralyzable: m = n e^(-n tau) on
    the branch n tau < 1, and the counts vary by N (1 - 2 m tau). The dead time is taken as known.
    """
    if not (counts >= 0 and duration_s > 0.0 and dead_time_s >= 0.0):
        raise ValueError(f"{counts} counts in {duration_s} s with a dead time of {dead_time_s} s")
    measured_hz = counts / duration_s
    dead = measured_hz * dead_time_s
    poisson_hz = math.sqrt(max(counts, 1)) / duration_s
    if kind == "non-paralyzable":
        if dead >= 1.0:
            raise ValueError(
                f"{measured_hz:.6g} counts/s cannot come through a dead time of {dead_time_s:.6g} s"
            )
        return CorrectedRate(measured_hz / (1.0 - dead), poisson_hz / (1.0 - dead))
    if kind != "paralyzable":
        raise ValueError(f"unknown kind of dead time: {kind!r}")
    if dead >= math.exp(-1.0):
        raise ValueError(
            f"{measured_hz:.6g} counts/s exceed the peak rate 1 / (e tau) at {dead_time_s:.6g} s"
        )
    from scipy.special import lambertw

    load = -float(np.real(lambertw(-dead)))
    slope = math.exp(load) / (1.0 - load)
    return CorrectedRate(measured_hz * math.exp(load), poisson_hz * math.sqrt(1.0 - 2.0 * dead) * slope)


@dataclass(frozen=True)
class DeadTime:
    """Non-paralyzable dead time by which the counts vary less than Poisson's; `fano_factor` is variance over mean."""

    dead_time_s: float
    standard_error_s: float
    fano_factor: float


def estimate_dead_time(counts: NDArray[np.int64], interval_s: float) -> DeadTime:
    """Dead time from counts of one detector under steady light in many equal, complete intervals.

    Without dead time variance equals mean; with it their quotient is s^2 + (1/6 + s^4/2 - 2 s^3/3) / mean with
    s = 1 - m tau (Cox's second term for gaps of a constant plus an exponential). Light that fluctuates raises
    the variance and lowers the estimate, which may come out negative. The error is that of the variance of as
    many normal numbers. ValueError for fewer than 3 intervals or no counts.
    """
    mean = float(np.mean(counts)) if counts.size >= 3 else 0.0
    if not (mean > 0.0 and interval_s > 0.0):
        raise ValueError(
            f"a dead time needs counts in at least 3 intervals, got {counts.size} of mean {mean}"
        )
    fano = float(np.var(counts, ddof=1)) / mean
    s = math.sqrt(fano)
    for _ in range(20):
        s = math.sqrt(max(fano - (1.0 / 6.0 + s**4 / 2.0 - 2.0 * s**3 / 3.0) / mean, 0.0))
    fano_error = fano * math.sqrt(2.0 / (counts.size - 1))
    scale_s = interval_s / mean
    return DeadTime(scale_s * (1.0 - s), scale_s * fano_error / (2.0 * max(s, 1e-3)), fano)
