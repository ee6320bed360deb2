"""When in the period of a clock tags arrive: a histogram over a stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.ordering import NO_DELAYS, check_columns, check_input
from qdci_lab.analysis.pulse_width import PulseWidth, estimate_pulse_width
from qdci_lab.analysis.slot_clock import SlotClock

_SECTION_BITS = 36


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Tags by channel and by place in the period, int64 of shape [channels, bins]; the pulse is at the middle."""

    channels: tuple[int, ...]
    period_ps: float
    counts: NDArray[np.int64]

    @property
    def centres_ps(self) -> NDArray[np.float64]:
        """Centres of the bins in ps from the pulse of the clock, shape [bins]."""
        bins = self.counts.shape[1]
        return (np.arange(bins) + 0.5 - 0.5 * bins) * (self.period_ps / bins)

    def pulse_width(self, channel: int | None = None) -> PulseWidth:
        """Full width at half maximum of one channel, or of all together; ValueError if no pulse stands out."""
        counts = self.counts.sum(axis=0) if channel is None else self.counts[self.channels.index(channel)]
        return estimate_pulse_width(counts, self.period_ps / counts.size)


class ArrivalHistogram:
    """Accumulates the arrival of tags within the period of a clock with offset and drift, at a fixed clock.

    Each tag is placed by itself, so neither the cuts of the stream nor the order of its tags matter. The clock
    is extrapolated in rational numbers to the start of each section of 2^36 ps (69 ms), and in float64 within:
    places are good to 0.01 ps however long ago the epoch was.
    """

    def __init__(
        self,
        clock: SlotClock,
        channels: Sequence[int],
        *,
        bins: int,
        delays_ps: Mapping[int, int] = NO_DELAYS,
    ) -> None:
        from qdci_lab.analysis import arrival_kernel

        if bins < 1 or len(set(channels)) != len(channels) or not channels:
            raise ValueError(f"{bins} bins for inputs {list(channels)}: bins and different inputs are needed")
        self._kernel = arrival_kernel
        self._clock = clock
        self._channels = tuple(check_input(number) for number in channels)
        self._row_of = np.full(256, len(self._channels), dtype=np.int64)
        self._row_of[list(self._channels)] = np.arange(len(self._channels))
        self._delay_of = np.zeros(256, dtype=np.int64)
        for number, delay_ps in delays_ps.items():
            self._delay_of[check_input(number)] = delay_ps
        self._counts = np.zeros((len(self._channels) + 1, bins), dtype=np.int64)
        self._section = (0, 0, 0.0, 0.0, 0.0)

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Place the next tags of the stream: int64 ps and the tagger's input numbers, equally many."""
        times, inputs = check_columns(times_ps, channels)
        taken = 0
        while taken < times.size:
            taken += self._kernel.fold(
                times[taken:], inputs[taken:], self._row_of, self._delay_of, *self._section, self._counts
            )
            if taken < times.size:
                self._section = _section(self._clock, int(times[taken]) - int(self._delay_of[inputs[taken]]))

    def finish(self) -> Arrivals:
        """Everything up to now; the stream may go on afterwards."""
        return Arrivals(self._channels, self._clock.period_ps, self._counts[:-1].copy())


def _section(clock: SlotClock, time_ps: int) -> tuple[int, int, float, float, float]:
    """Start and end of the section of a time, a pulse in it after its start, 1 / period and curvature there."""
    start_ps = clock.epoch_ps + ((time_ps - clock.epoch_ps) >> _SECTION_BITS << _SECTION_BITS)
    period, drift = Fraction(clock.period_ps), Fraction(clock.drift_ps_per_slot2)
    wanted = Fraction(start_ps - clock.epoch_ps) - Fraction(clock.phase_ps)
    slot = round(wanted / period)
    for _ in range(4):  # Newton's method; the drift is a tiny correction, so it converges at once
        slot -= round((slot * period + slot * slot * drift / 2 - wanted) / (period + slot * drift))
    remainder_ps = float(slot * period + slot * slot * drift / 2 - wanted)
    local_period = period + slot * drift
    if local_period <= 0:
        raise ValueError(f"the period of {clock} drifts to {float(local_period)} ps at {time_ps} ps")
    return (
        start_ps,
        start_ps + (1 << _SECTION_BITS),
        remainder_ps,
        float(1 / local_period),
        float(drift / (2 * local_period)),
    )
