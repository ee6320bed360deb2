"""Alignment of the receiver's time tags with the transmitter's symbol code, from the tags alone.

The clock comes from `qdci_lab.analysis.clock_recovery`; the place in the code from an analysis of variance at
every cyclic shift. Whatever the polarization does on the way, the mean count of a detector is linear in three
numbers of the slot: its intensity k, k times the sign of the bit if it is in Z, the same in X. So the counts
of each detector, folded onto one period of the code, are regressed on these three, and the shift is taken at
which they explain most. Misalignment, inversion, even full depolarisation leave at least the intensities.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.clock_recovery import ClockSearch, recover_clock, search_growing_spans
from qdci_lab.analysis.code import SymbolCode, X, Z
from qdci_lab.analysis.receiver import Receiver
from qdci_lab.analysis.slot_clock import SlotClock
from qdci_lab.errors import SynchronisationError

Array = NDArray[np.float64]

_AMBIGUITY = 0.8
_GAUSSIAN_RMS_WITHIN_THREE_SIGMA = 0.98658


@dataclass(frozen=True)
class Synchronisation:
    """A lock of the receiver on the code, with the figures by which to judge it.

    `figure_of_merit` is the variance ratio (F) of the chosen shift; a lock needs more than `threshold`, and
    `runner_up` is the best of all other shifts. `line_power` is the same for the clock (see RecoveredClock).
    `residual_ps` is the rms distance of the clicks from their pulses, clipped at three sigma: the timing jitter
    of the whole chain. `detector_residuals_ps` are the mean distances of each detector's clicks, to be added
    to the detectors' delays. `offset_ppm` is the measured period against the nominal one.
    """

    clock: SlotClock
    figure_of_merit: float
    threshold: float
    runner_up: float
    line_power: float
    residual_ps: float
    offset_ppm: float
    detector_residuals_ps: tuple[float, float, float, float]
    tags: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; inverse of `from_dict`."""
        return {**asdict(self), "detector_residuals_ps": list(self.detector_residuals_ps)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Synchronisation":
        """The lock that `to_dict` described."""
        residuals = tuple(stored["detector_residuals_ps"])
        return cls(**{**stored, "clock": SlotClock(**stored["clock"]), "detector_residuals_ps": residuals})


def synchronise(
    times_ps: NDArray[np.int64],
    channels: NDArray[np.uint8],
    code: SymbolCode,
    intensities: tuple[float, float],
    receiver: Receiver,
    period_ps: float,
    search: ClockSearch | None = None,
) -> Synchronisation:
    """Lock on a stretch of tags; `period_ps` is the nominal slot period, `intensities` are (mu, nu).

    Raises SynchronisationError, with the figures, when clock or frame do not stand out: noise alone passes
    either test, at each attempt, with the probability `search.false_alarm`. The same tags give the same lock to
    the last bit.
    """
    limits = ClockSearch() if search is None else search
    times, detectors = _clicks(times_ps, channels, receiver)
    if times.size == 0:
        raise SynchronisationError(
            f"not locked: no tags of the detectors at inputs {receiver.inputs}: nothing to lock on"
        )
    return search_growing_spans(
        times, limits, lambda part: _lock(times[part], detectors[part], code, intensities, period_ps, limits)
    )


def _lock(
    times: NDArray[np.int64],
    detectors: NDArray[np.int64],
    code: SymbolCode,
    intensities: tuple[float, float],
    period_ps: float,
    limits: ClockSearch,
) -> Synchronisation:
    """One attempt, on delay-corrected clicks."""
    recovered = recover_clock(times, period_ps, limits)
    slots, residuals_ps = recovered.clock.slots_of(times)
    folded = _fold(slots, detectors, code.length)
    frame_offset, figure, runner_up, threshold = _find_frame(folded, code, intensities, limits.false_alarm)
    return Synchronisation(
        clock=replace(recovered.clock, frame_offset=frame_offset),
        figure_of_merit=figure,
        threshold=threshold,
        runner_up=runner_up,
        line_power=recovered.line_power,
        residual_ps=_clipped_rms(residuals_ps),
        offset_ppm=(recovered.clock.period_ps / period_ps - 1.0) * 1e6,
        detector_residuals_ps=_mean_by_detector(residuals_ps, detectors, recovered.clock.period_ps),
        tags=int(times.size),
    )


def _clicks(
    times_ps: NDArray[np.int64], channels: NDArray[np.uint8], receiver: Receiver
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Delay-corrected times and detectors of the tags that belong to a detector."""
    detector_of = np.full(256, -1, dtype=np.int64)
    detector_of[list(receiver.inputs)] = np.arange(4)
    detectors = detector_of[channels]
    wired = detectors >= 0
    delays = np.asarray(receiver.delays_ps, dtype=np.int64)
    return times_ps[wired] - delays[detectors[wired]], detectors[wired]


def _fold(slots: NDArray[np.int64], detectors: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Clicks of each detector by slot modulo the code length, shape [4, length]."""
    return np.bincount(detectors * length + slots % length, minlength=4 * length).reshape(4, length)


def _find_frame(
    folded: NDArray[np.int64], code: SymbolCode, intensities: tuple[float, float], false_alarm: float
) -> tuple[int, float, float, float]:
    """Code position of slot 0, its variance ratio, that of the best other shift, and the threshold."""
    whitened = _whitened(folded)
    regressors = _regressors(code, intensities)
    rank = int(np.linalg.matrix_rank(regressors))
    explained = _explained_variance(whitened, regressors)
    explained_freedom = rank * len(whitened)
    left_freedom = len(whitened) * (code.length - 1) - explained_freedom
    if explained_freedom == 0 or left_freedom <= 0:
        raise SynchronisationError(
            f"not locked: a code of {code.length} slots is too short or too uniform to find its frame"
        )
    left = np.maximum(np.sum(whitened**2) - explained, np.finfo(np.float64).tiny)
    ratio = (explained / explained_freedom) / (left / left_freedom)
    threshold = _variance_ratio_threshold(explained_freedom, left_freedom, false_alarm / code.length)
    best = int(np.argmax(ratio))
    figure = float(ratio[best])
    runner_up = float(np.max(np.delete(ratio, best)))
    found = f"variance ratio {figure:.2f} at shift {best}, next {runner_up:.2f}, threshold {threshold:.2f}"
    clicks = f"{int(folded.sum())} clicks folded onto {code.length} slots"
    if figure < threshold:
        raise SynchronisationError(f"not locked: code not found in {clicks}: {found}")
    if runner_up > _AMBIGUITY * figure:
        raise SynchronisationError(f"not locked: frame is ambiguous in {clicks}: {found}")
    return best, figure, runner_up, threshold


def _whitened(folded: NDArray[np.int64]) -> Array:
    """Deviations from each detector's mean in units of its Poisson noise; dark detectors are left out."""
    counts = folded[folded.sum(axis=1) > 0].astype(np.float64)
    mean = counts.mean(axis=1, keepdims=True)
    return (counts - mean) / np.sqrt(mean)


def _regressors(code: SymbolCode, intensities: tuple[float, float]) -> Array:
    """Intensity, intensity times Z sign, intensity times X sign of each slot, means taken away, [3, length]."""
    strength = np.asarray(intensities, dtype=np.float64)[code.intensity]
    sign = 1.0 - 2.0 * code.bit
    rows = np.stack([strength, strength * sign * (code.basis == Z), strength * sign * (code.basis == X)])
    return rows - rows.mean(axis=1, keepdims=True)


def _explained_variance(whitened: Array, regressors: Array) -> Array:
    """Sum of squares explained by the regressors, all detectors together, at every cyclic shift."""
    length = regressors.shape[1]
    spectra = np.conj(np.fft.rfft(whitened))[:, np.newaxis] * np.fft.rfft(regressors)[np.newaxis]
    correlation = np.fft.irfft(spectra, n=length)
    inverse_gram = np.linalg.pinv(regressors @ regressors.T, hermitian=True)
    return np.einsum("dis,ij,djs->s", correlation, inverse_gram, correlation)


def _variance_ratio_threshold(explained_freedom: int, left_freedom: int, false_alarm: float) -> float:
    """Value that F of these degrees of freedom exceeds with probability `false_alarm`."""
    from scipy.special import betaincinv

    unexplained = float(betaincinv(0.5 * left_freedom, 0.5 * explained_freedom, false_alarm))
    return left_freedom / explained_freedom * (1.0 - unexplained) / unexplained


def _clipped_rms(residuals_ps: Array) -> float:
    """Rms of the residuals within three times itself, as it would be for a Gaussian without the clipping."""
    width = 1.4826 * float(np.median(np.abs(residuals_ps)))
    for _ in range(20):
        inside = residuals_ps[np.abs(residuals_ps) <= 3.0 * width]
        if inside.size == 0:
            break
        width = math.sqrt(float(np.mean(inside**2))) / _GAUSSIAN_RMS_WITHIN_THREE_SIGMA
    return width


def _mean_by_detector(
    residuals_ps: Array, detectors: NDArray[np.int64], period_ps: float
) -> tuple[float, float, float, float]:
    """Circular mean of each detector's residuals; 0 for a detector without clicks."""
    angles = 2.0 * math.pi / period_ps * residuals_ps
    sines, cosines = (np.bincount(detectors, part, 4) for part in (np.sin(angles), np.cos(angles)))
    z0, z1, x0, x1 = np.arctan2(sines, cosines) * period_ps / (2.0 * math.pi)
    return float(z0), float(z1), float(x0), float(x1)
