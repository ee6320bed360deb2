"""When the pulses arrive at each detector: delays between detectors, and the shape of the arrival.

Each detector is locked on the transmitter's code by itself, so that delays are found whatever they are within half a
period of the code, and before anything is known of them; two detectors with clicks at opposite phases would hide the
clock from each other.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.bb84 import Bb84Settings
from qdci_lab.analysis.synchronisation import Synchronisation, synchronise
from qdci_lab.errors import SynchronisationError

Array = NDArray[np.float64]

DETECTORS = 4
BINS = 500


@dataclass(frozen=True, eq=False)
class Arrivals:
    """What was found; arrays have shape (4,), `histograms` (4, BINS), in the order Z0, Z1, X0, X1.

    `delays_ps` are the detectors' delays against the earliest one, `errors_ps` their standard errors (that of a
    detector's own arrival). `widths_ps` are the rms widths of the arrivals without the flat background. The histograms
    show one pulse period, with the mean arrival of each detector in the middle.
    """

    delays_ps: Array
    errors_ps: Array
    widths_ps: Array
    clicks: NDArray[np.int64]
    histograms: NDArray[np.int64]
    period_ps: float


def find_arrivals(
    times_ps: NDArray[np.int64], channels: NDArray[np.uint8], settings: Bb84Settings
) -> Arrivals:
    """Delays and shapes from a stretch of tags; SynchronisationError, naming the input, where there is no lock."""
    moment_ps = int(times_ps[times_ps.size // 2]) if times_ps.size else 0
    found = [_one(times_ps, channels, settings, detector, moment_ps) for detector in range(DETECTORS)]
    places = np.array([place for place, _, _ in found])
    period_ps = float(np.mean([lock.clock.period_ps for _, lock, _ in found]))
    frame_ps = settings.code.length * period_ps
    lags = _wrapped(-(places - places[0]) * period_ps, frame_ps)
    return Arrivals(
        delays_ps=lags - lags.min(),
        errors_ps=np.array([_phase_error_ps(residuals, period_ps) for _, _, residuals in found]),
        widths_ps=np.array([lock.residual_ps for _, lock, _ in found]),
        clicks=np.array([residuals.size for _, _, residuals in found]),
        histograms=np.stack([_histogram(residuals, period_ps) for _, _, residuals in found]),
        period_ps=period_ps,
    )


def full_width_half_maximum_ps(rms_ps: float) -> float:
    """Width of a Gaussian at half of its height."""
    return 2.0 * math.sqrt(2.0 * math.log(2.0)) * rms_ps


def _one(
    times_ps: NDArray[np.int64],
    channels: NDArray[np.uint8],
    settings: Bb84Settings,
    detector: int,
    moment_ps: int,
) -> tuple[float, Synchronisation, Array]:
    """Place in the code at a moment, in slots; the lock; and the distances of the clicks from their pulses in ps."""
    receiver = replace(settings.receiver, delays_ps=(0, 0, 0, 0))
    number = receiver.inputs[detector]
    own = channels == number
    times = times_ps[own]
    intensities = settings.protocol.intensities
    try:
        lock = synchronise(
            times, channels[own], settings.code, intensities, receiver, settings.period_ps, settings.search
        )
    except SynchronisationError as error:
        raise SynchronisationError(f"input {number}: {error}") from error
    _, residuals = lock.clock.slots_of(times)
    slot, ahead_ps = lock.clock.slots_of(np.array([moment_ps]))
    place = float((slot[0] + lock.clock.frame_offset) % settings.code.length)
    return place + float(ahead_ps[0]) / lock.clock.period_ps, lock, residuals


def _wrapped(value: Array, period: float) -> Array:
    return value - period * np.round(value / period)


def _phase_error_ps(residuals_ps: Array, period_ps: float) -> float:
    """Standard error of the circular mean, which a flat background widens."""
    angles = 2.0 * math.pi * residuals_ps / period_ps
    spread = float(np.std(np.sin(angles))) / abs(float(np.mean(np.cos(angles))))
    return spread / math.sqrt(residuals_ps.size) * period_ps / (2.0 * math.pi)


def _histogram(residuals_ps: Array, period_ps: float) -> NDArray[np.int64]:
    counts, _ = np.histogram(residuals_ps, BINS, (-0.5 * period_ps, 0.5 * period_ps))
    return counts.astype(np.int64)
