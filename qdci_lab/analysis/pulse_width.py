"""Width of a pulse in a histogram over one period.

Near the top and near half of the height the logarithm of the counts is followed by a parabola, which is exact for
a Gaussian and close for anything smooth. Bins hold means over their width; to second order the density itself is
f - w^2 f'' / 24, which is what the width is taken of, so that wide bins do not widen the pulse.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLINGS = 200
_SEED = 20_240_229
_QUARTERS = (0.25, 0.75)


@dataclass(frozen=True)
class PulseWidth:
    """Full width at half maximum above the background in ps, with its standard error."""

    fwhm_ps: float
    standard_error_ps: float


def estimate_pulse_width(counts: NDArray[np.int64], bin_ps: float) -> PulseWidth:
    """Width of the highest pulse in a histogram over one period, whose ends meet.

    Bins should be no wider than a quarter of it. The background is the mean of the half of the period farthest
    from the highest bin. The error is the spread over 200 resampled histograms of Poisson counts (fixed seed).
    ValueError if the pulse does not stand out of the background by five of its standard deviations.
    """
    observed = np.asarray(counts, dtype=np.float64)
    if observed.size < 8:
        raise ValueError(f"a pulse width needs a histogram of at least 8 bins, not {observed.size}")
    background, height = _levels(_centred(observed))
    if not height - background > 5.0 * math.sqrt(max(background, 1.0)):
        raise ValueError(f"no pulse: highest bin {height:.6g} over a background of {background:.6g}")
    resampled = np.random.default_rng(_SEED).poisson(observed, (_RESAMPLINGS, observed.size))
    widths = np.array([_width_bins(row.astype(np.float64)) for row in resampled])
    return PulseWidth(_width_bins(observed) * bin_ps, float(widths.std(ddof=1)) * bin_ps)


def _centred(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The histogram turned so that the highest run of three bins is in the middle."""
    smooth = counts + np.roll(counts, 1) + np.roll(counts, -1)
    return np.roll(counts, counts.size // 2 - int(np.argmax(smooth)))


def _levels(centred: NDArray[np.float64]) -> tuple[float, float]:
    quarter = centred.size // 4
    return float(np.concatenate([centred[:quarter], centred[-quarter:]]).mean()), float(centred.max())


def _width_bins(counts: NDArray[np.float64]) -> float:
    """Width at half maximum in bins."""
    centred = _centred(counts)
    pulse = centred - _levels(centred)[0]
    middle = centred.size // 2
    low, high = _run_above(pulse, middle, _QUARTERS[1] * float(pulse.max()))
    crown = _LogParabola.through(pulse, low, high)
    half = 0.5 * crown.density(crown.summit)
    return _half_width(pulse[middle:], half) + _half_width(pulse[middle::-1], half)


def _run_above(pulse: NDArray[np.float64], middle: int, limit: float) -> tuple[int, int]:
    """First and last of the bins about the middle that are not below a limit."""
    low = high = middle
    while low > 0 and pulse[low - 1] >= limit:
        low -= 1
    while high < pulse.size - 1 and pulse[high + 1] >= limit:
        high += 1
    return low, high


def _half_width(flank: NDArray[np.float64], half: float) -> float:
    """Bins from the first one to where the falling flank passes `half`: a parabola through its middle half."""
    below = np.flatnonzero(flank < half)
    after = max(int(below[0]) if below.size else flank.size - 1, 1)
    low, high = max(after - 2, 0), min(after + 1, flank.size - 1)
    while low > 0 and flank[low - 1] <= 2.0 * _QUARTERS[1] * half:
        low -= 1
    while high < flank.size - 1 and flank[high + 1] >= 2.0 * _QUARTERS[0] * half:
        high += 1
    curve = _LogParabola.through(flank, low, high)
    near, far = after - 1.5, after + 0.5
    for _ in range(40):
        place = 0.5 * (near + far)
        near, far = (place, far) if curve.density(place) > half else (near, place)
    return near


@dataclass(frozen=True)
class _LogParabola:
    """exp(bend x^2 + slope x + level), x in bins from `origin`, as a mean over each bin."""

    origin: float
    bend: float
    slope: float
    level: float

    @staticmethod
    def through(pulse: NDArray[np.float64], low: int, high: int) -> "_LogParabola":
        """Fit to the bins low..high that hold something, weighted by their counts."""
        origin = 0.5 * (low + high)
        places = low + np.flatnonzero(pulse[low : high + 1] > 0.0)
        degree = max(min(places.size - 1, 2), 0)
        weights = np.sqrt(pulse[places])
        found = np.polyfit(places - origin, np.log(pulse[places]), degree, w=weights)
        bend, slope, level = np.concatenate([np.zeros(2 - degree), found])
        return _LogParabola(origin, float(bend), float(slope), float(level))

    @property
    def summit(self) -> float:
        """Place of the highest value; the origin where the parabola has none."""
        return self.origin - 0.5 * self.slope / self.bend if self.bend < 0.0 else self.origin

    def density(self, place: float) -> float:
        """The density at a place."""
        x = place - self.origin
        steepness = 2.0 * self.bend * x + self.slope
        smeared = (2.0 * self.bend + steepness**2) / 24.0
        return math.exp(self.bend * x * x + self.slope * x + self.level - smeared)
