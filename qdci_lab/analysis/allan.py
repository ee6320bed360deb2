"""Allan deviation of a series taken at a steady pace: how much a mean over some time differs from the next one.

W. J. Riley, Handbook of Frequency Stability Analysis, NIST Special Publication 1065 (2008), eq. (9): the overlapping
estimator, here for means of the quantity itself.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_DIFFERENCES = 4


@dataclass(frozen=True, eq=False)
class AllanDeviation:
    """`deviation` in the units of the series at each averaging time; arrays of one length.

    `error` is the standard error for white noise, deviation over the square root of twice the independent
    differences: a rough one, as it is for other kinds of noise.
    """

    averaging_s: NDArray[np.float64]
    deviation: NDArray[np.float64]
    error: NDArray[np.float64]


def allan_deviation(values: ArrayLike, interval_s: float) -> AllanDeviation:
    """Overlapping Allan deviation at averaging times of 1, 2, 4, ... intervals.

    NaN stands for a missing value; a pair of means with one in it is left out. Times with fewer than four
    differences are left out. Raises ValueError for an interval that is not positive.
    """
    if not interval_s > 0.0:
        raise ValueError(f"interval of {interval_s} s: must be positive")
    series = np.asarray(values, dtype=np.float64)
    found: list[tuple[float, float, float]] = []
    width = 1
    while 2 * width <= series.size:
        means = np.convolve(series, np.full(width, 1.0 / width), mode="valid")
        differences = means[width:] - means[:-width]
        seen = differences[np.isfinite(differences)]
        if seen.size >= FEWEST_DIFFERENCES:
            deviation = math.sqrt(0.5 * float(np.mean(seen**2)))
            independent = max(seen.size / width, 1.0)
            found.append((width * interval_s, deviation, deviation / math.sqrt(2.0 * independent)))
        width *= 2
    columns = np.array(found, dtype=np.float64).reshape(-1, 3).T
    return AllanDeviation(*columns)
