"""Alignment of a coherent-one-way receiver with the transmitter's pattern, from the tags alone.

The slot clock comes from all detectors (`qdci_lab.analysis.clock_recovery`); the place in the code from the data line,
whose counts, folded onto one period of the code, are regressed on the pulses at every cyclic shift.
"""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.clock_recovery import ClockSearch, recover_clock, search_growing_spans
from qdci_lab.analysis.cow_code import CowCode
from qdci_lab.analysis.slot_clock import SlotClock
from qdci_lab.errors import SynchronisationError

DATA = 0
_AMBIGUITY = 0.8


@dataclass(frozen=True)
class CowLock:
    """A lock on clock and code with the figures by which to judge it.

    `figure_of_merit` is the t statistic of the regression at the chosen shift; a lock needs more than `threshold`,
    and `runner_up` is the best of all other shifts. `line_power` is the clock's (see `RecoveredClock`), `residual_ps`
    the rms distance of the clicks from their pulses, `offset_ppm` the measured period against the nominal one.
    """

    clock: SlotClock
    figure_of_merit: float
    threshold: float
    runner_up: float
    line_power: float
    residual_ps: float
    offset_ppm: float
    tags: int


def lock_on(
    times_ps: NDArray[np.int64],
    detectors: NDArray[np.int64],
    code: CowCode,
    period_ps: float,
    search: ClockSearch,
) -> CowLock:
    """Lock on delay-corrected clicks: times in ps, and the detector of each (`DATA` is the data line's).

    Searches the first `search.first_span_s`, then twice that, up to `last_span_s`. SynchronisationError, with the
    figures, when clock or code do not stand out of what noise alone would show with the probability
    `search.false_alarm`.
    """
    if times_ps.size == 0:
        raise SynchronisationError("no tags of the receiver's detectors: nothing to lock on")
    return search_growing_spans(
        times_ps, search, lambda part: _locked(times_ps[part], detectors[part], code, period_ps, search)
    )


def _locked(
    times_ps: NDArray[np.int64],
    detectors: NDArray[np.int64],
    code: CowCode,
    period_ps: float,
    search: ClockSearch,
) -> CowLock:
    recovered = recover_clock(times_ps, period_ps, search)
    slots, residuals_ps = recovered.clock.slots_of(times_ps)
    counts = np.bincount(slots[detectors == DATA] % (2 * code.length), minlength=2 * code.length)
    offset, figure, runner_up, threshold = _find_code(counts, code, search.false_alarm)
    return CowLock(
        clock=replace(recovered.clock, frame_offset=offset),
        figure_of_merit=figure,
        threshold=threshold,
        runner_up=runner_up,
        line_power=recovered.line_power,
        residual_ps=1.4826 * float(np.median(np.abs(residuals_ps))),
        offset_ppm=(recovered.clock.period_ps / period_ps - 1.0) * 1e6,
        tags=int(times_ps.size),
    )


def _find_code(
    counts: NDArray[np.int64], code: CowCode, false_alarm: float
) -> tuple[int, float, float, float]:
    """Place in the code of slot 0, its t statistic, that of the best other shift, and the threshold.

    With n slots, correlation r and n - 2 degrees of freedom t = r sqrt((n - 2) / (1 - r^2)), here as good as normal.
    """
    pulses = code.pulses - code.pulses.mean()
    deviations = counts - counts.mean()
    norm = math.sqrt(float(np.sum(pulses**2) * np.sum(deviations**2)))
    threshold = NormalDist().inv_cdf(1.0 - max(false_alarm / pulses.size, 1e-15))
    if norm == 0.0:
        raise SynchronisationError(
            f"code not found: {int(counts.sum())} clicks of the data line in {pulses.size} slots"
        )
    spectrum = np.conj(np.fft.rfft(deviations)) * np.fft.rfft(pulses)
    correlation = np.clip(np.fft.irfft(spectrum, n=pulses.size) / norm, -1.0, 1.0 - 1e-12)
    statistic = correlation * np.sqrt((pulses.size - 2) / (1.0 - correlation**2))
    best = int(np.argmax(statistic))
    figure = float(statistic[best])
    runner_up = float(np.max(np.delete(statistic, best)))
    found = f"t = {figure:.2f} at shift {best}, next {runner_up:.2f}, threshold {threshold:.2f}"
    clicks = f"{int(counts.sum())} clicks of the data line folded onto {pulses.size} slots"
    if figure < threshold:
        raise SynchronisationError(f"code not found in {clicks}: {found}")
    if runner_up > _AMBIGUITY * figure:
        raise SynchronisationError(f"place in the code is ambiguous in {clicks}: {found}")
    return best, figure, runner_up, threshold
