"""Period and phase of the transmitter's pulses from time tags alone.

A line at the repetition rate is searched in the phasor sum of the tags (Rayleigh's periodogram, evaluated by
FFT over short blocks), then the phase of a few dozen sections is fitted by a line or, where a drift is
significant, a parabola.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.slot_clock import SlotClock
from qdci_lab.errors import SynchronisationError
from qdci_lab.units import PS_PER_S, seconds_to_ps

Array = NDArray[np.float64]
Lock = TypeVar("Lock")

_OVERSAMPLING = 4
_BLOCKS_PER_CYCLE = 8
_MOST_FFT_POINTS = 1 << 24
_FEWEST_SECTIONS, _MOST_SECTIONS = 6, 64
_SIGNIFICANT_DRIFT_SIGMAS = 5.0


@dataclass(frozen=True)
class ClockSearch:
    """How far the clock may be off, and how often noise alone may pass for a clock or a frame.

    At most the first `first_span_s` of the tags are searched; only if there is no lock in them, twice that
    stretch is, and so on up to `last_span_s`.
    """

    max_offset_ppm: float = 20.0
    max_drift_ppb_per_s: float = 50.0
    false_alarm: float = 1e-9
    first_span_s: float = 2.0
    last_span_s: float = 64.0

    def __post_init__(self) -> None:
        if not (self.max_offset_ppm > 0.0 and self.max_drift_ppb_per_s >= 0.0 and self.first_span_s > 0.0):
            raise ValueError(f"ranges of a clock search must be positive: {self}")
        if not 0.0 < self.false_alarm < 1.0:
            raise ValueError(f"false-alarm probability {self.false_alarm} must lie between 0 and 1")


def search_growing_spans(
    times_ps: NDArray[np.int64], search: ClockSearch, lock: Callable[[NDArray[np.bool_]], Lock]
) -> Lock:
    """The first lock that `lock` makes of the tags (a mask) in the first span, in twice that span, and so on.

    Raises the SynchronisationError of the last attempt.
    """
    span_ps = seconds_to_ps(search.first_span_s)
    while True:
        searched = times_ps < int(times_ps.min()) + span_ps
        try:
            return lock(searched)
        except SynchronisationError:
            if searched.all() or span_ps >= seconds_to_ps(search.last_span_s):
                raise
        span_ps *= 2


@dataclass(frozen=True)
class RecoveredClock:
    """A clock whose frame is still unknown, and how well it stands out.

    `line_power` is |sum of phasors|^2 over the number of tags: exponential of mean 1 for tags at random
    times, the number of tags for perfect pulses. `threshold` is what it had to exceed.
    """

    clock: SlotClock
    line_power: float
    threshold: float


@dataclass(frozen=True)
class _Line:
    """Offset and its rate of change of the arrivals against the nominal clock, in cycles about mid-time."""

    frequency_per_ps: float
    chirp_per_ps2: float
    power: float

    def cycles(self, times: Array) -> Array:
        return self.frequency_per_ps * times + 0.5 * self.chirp_per_ps2 * times * times


def recover_clock(times_ps: NDArray[np.int64], period_ps: float, search: ClockSearch) -> RecoveredClock:
    """The pulse clock in tags already corrected for the detectors' delays; `period_ps` is the nominal period.

    Raises SynchronisationError when no line exceeds what uniformly random tags would show, in all the
    frequencies and drifts searched, with the probability `search.false_alarm`. The number of drifts tried is
    limited, so that the range searched is full for spans up to some seconds at 100 MHz and shrinks beyond.
    """
    if times_ps.size < 2 or int(times_ps.max()) == int(times_ps.min()):
        raise SynchronisationError(
            f"not locked: no clock in {times_ps.size} tags: at least two at different times are needed"
        )
    epoch_ps = int(times_ps.min())
    span_ps = float(int(times_ps.max()) - epoch_ps)
    centred = (times_ps - epoch_ps).astype(np.float64) - 0.5 * span_ps
    angles = 2.0 * math.pi * np.mod(centred, period_ps) / period_ps
    line, trials = _strongest_line(centred, angles, span_ps, period_ps, search)
    threshold = math.log(trials / search.false_alarm)
    if line.power < threshold:
        raise SynchronisationError(
            f"not locked: no clock of {period_ps:.6g} ps within {search.max_offset_ppm:g} ppm in {times_ps.size} tags "
            f"over {span_ps / PS_PER_S:.3g} s: line power {line.power:.1f} does not reach {threshold:.1f}"
        )
    constant, slope, bend = _fit_phase(centred, angles, line, span_ps)
    clock = _as_slot_clock(constant, slope, bend, epoch_ps, span_ps, period_ps)
    return RecoveredClock(clock=clock, line_power=line.power, threshold=threshold)


def _strongest_line(
    centred: Array, angles: Array, span_ps: float, period_ps: float, search: ClockSearch
) -> tuple[_Line, int]:
    """Highest periodogram peak over offset and drift, and the number of points looked at."""
    max_frequency = search.max_offset_ppm * 1e-6 / period_ps
    block_ps = 1.0 / (_BLOCKS_PER_CYCLE * max_frequency)
    blocks = int(span_ps / block_ps) + 1
    block_of = ((centred + 0.5 * span_ps) / block_ps).astype(np.int64)
    sums = np.bincount(block_of, np.cos(angles), blocks) + 1j * np.bincount(block_of, np.sin(angles), blocks)
    middles = (np.arange(blocks) + 0.5) * block_ps - 0.5 * span_ps
    size = 1 << (_OVERSAMPLING * blocks - 1).bit_length()
    frequencies = np.fft.fftfreq(size, block_ps)
    searched = np.flatnonzero(np.abs(frequencies) <= max_frequency)
    chirps = _chirps(span_ps, period_ps, search.max_drift_ppb_per_s, most=_MOST_FFT_POINTS // size)
    best = _Line(0.0, 0.0, -1.0)
    for chirp in chirps:
        flattened = sums * np.exp(-1j * math.pi * chirp * middles * middles)
        power = np.abs(np.fft.fft(flattened, size)[searched]) ** 2 / centred.size
        top = int(np.argmax(power))
        if power[top] > best.power:
            best = _Line(float(frequencies[searched[top]]), float(chirp), float(power[top]))
    return best, searched.size * chirps.size


def _chirps(span_ps: float, period_ps: float, max_drift_ppb_per_s: float, most: int) -> Array:
    """Drifts to try, as cycles per ps^2: neighbours differ by a quarter of a cycle at the ends of the span."""
    largest = max_drift_ppb_per_s * 1e-9 / PS_PER_S / period_ps
    step = 2.0 / span_ps**2
    steps = min(max(math.ceil(largest / step - 0.5), 0), most // 2)
    return step * np.arange(-steps, steps + 1, dtype=np.float64)


def _fit_phase(centred: Array, angles: Array, line: _Line, span_ps: float) -> tuple[float, float, float]:
    """Polynomial of the arrival phase in cycles about mid-time: constant, slope, bend (half the chirp)."""
    coefficients, deviations = _fit_sections(centred, angles, line, span_ps, order=2)
    bend = coefficients[2] + 0.5 * line.chirp_per_ps2
    if abs(bend) < _SIGNIFICANT_DRIFT_SIGMAS * deviations[2]:
        straight = _Line(line.frequency_per_ps, 0.0, line.power)
        coefficients, _ = _fit_sections(centred, angles, straight, span_ps, order=1)
        bend = 0.0
    return coefficients[0], coefficients[1] + line.frequency_per_ps, bend


def _fit_sections(
    centred: Array, angles: Array, line: _Line, span_ps: float, order: int
) -> tuple[list[float], list[float]]:
    """Weighted fit of the phase that is left after `line`: coefficients and their standard deviations."""
    sections = int(min(max(line.power / 10.0, _FEWEST_SECTIONS), _MOST_SECTIONS))
    rest = angles - 2.0 * math.pi * line.cycles(centred)
    mean_phasor = np.sum(np.exp(1j * rest))
    rest -= np.angle(mean_phasor)
    section_of = np.minimum(((centred / span_ps + 0.5) * sections).astype(np.int64), sections - 1)
    cosines, sines = (np.bincount(section_of, part, sections) for part in (np.cos(rest), np.sin(rest)))
    strengths = np.hypot(cosines, sines)
    phases = np.arctan2(sines, cosines)
    scatter = np.bincount(section_of, np.sin(rest - phases[section_of]) ** 2, sections)
    filled = (strengths > 0.0) & (scatter > 0.0)
    weights = np.where(filled, strengths / np.sqrt(np.where(filled, scatter, 1.0)), 0.0)
    counts = np.maximum(np.bincount(section_of, minlength=sections), 1)
    positions = np.bincount(section_of, centred, sections) / counts / span_ps
    design = np.vander(positions, order + 1, increasing=True) * weights[:, np.newaxis]
    inverse = np.linalg.pinv(design)
    fitted = inverse @ (phases * weights)
    fitted[0] += np.angle(mean_phasor)
    scales = 2.0 * math.pi * span_ps ** np.arange(order + 1)
    return list(fitted / scales), list(np.sqrt(np.sum(inverse**2, axis=1)) / scales)


def _as_slot_clock(
    constant: float, slope: float, bend: float, epoch_ps: int, span_ps: float, period_ps: float
) -> SlotClock:
    """The clock with slot 0 at or just after the epoch.

    Arrivals have nominal phase constant + slope t + bend t^2 (cycles, t from mid-time), so they are the times
    at which (1 / period - slope) t - bend t^2 - constant is an integer.
    """

    def count(t: float) -> float:
        return (1.0 / period_ps - slope) * t - bend * t * t - constant

    start = -0.5 * span_ps
    first = math.ceil(count(start))
    time = start
    for _ in range(3):
        time += (first - count(time)) / (1.0 / period_ps - slope - 2.0 * bend * time)
    true_period_ps = 1.0 / (1.0 / period_ps - slope - 2.0 * bend * time)
    drift_per_ps = 2.0 * bend * true_period_ps
    return SlotClock(
        epoch_ps=epoch_ps,
        period_ps=float(true_period_ps),
        phase_ps=float(time - start),
        drift_ppb_per_s=float(drift_per_ps * PS_PER_S * 1e9),
    )
