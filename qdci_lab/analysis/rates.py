"""Rates over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.ordering import check_columns, check_input
from qdci_lab.units import PS_PER_S

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
