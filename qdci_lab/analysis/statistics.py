"""Error bars of counted events: binomial intervals and propagation of Poisson errors.

Wilson score interval: E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
Exact interval: C. J. Clopper and E. S. Pearson, Biometrika 26, 404 (1934).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BinomialInterval = Literal["wilson", "clopper-pearson"]


@dataclass(frozen=True)
class Proportion:
    """An estimated probability with its confidence interval; the value is NaN when nothing was counted."""

    value: float
    low: float
    high: float


def estimate_proportion(
    events: float, trials: float, *, confidence: float = 0.95, interval: BinomialInterval = "wilson"
) -> Proportion:
    """Probability of an event seen `events` times in `trials`, with a two-sided interval of either kind."""
    if not 0.0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials: 0 <= events <= trials is required")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence {confidence} must lie between 0 and 1")
    if trials == 0:
        return Proportion(math.nan, 0.0, 1.0)
    bounds = wilson_interval if interval == "wilson" else clopper_pearson_interval
    return Proportion(events / trials, *bounds(events, trials, confidence))


def wilson_interval(events: float, trials: float, confidence: float) -> tuple[float, float]:
    """Score interval: mean coverage close to `confidence`, single cases a little below or above it."""
    z = NormalDist().inv_cdf(0.5 + 0.5 * confidence)
    fraction = events / trials
    shrink = 1.0 / (1.0 + z * z / trials)
    centre = shrink * (fraction + 0.5 * z * z / trials)
    half_width = shrink * z * math.sqrt(fraction * (1.0 - fraction) / trials + 0.25 * (z / trials) ** 2)
    low = 0.0 if events == 0 else max(0.0, centre - half_width)
    high = 1.0 if events == trials else min(1.0, centre + half_width)
    return low, high


def clopper_pearson_interval(events: float, trials: float, confidence: float) -> tuple[float, float]:
    """Exact interval: coverage never below `confidence`, hence wider than the score interval."""
    from scipy.special import betaincinv

    tail = 0.5 * (1.0 - confidence)
    low = 0.0 if events == 0 else float(betaincinv(events, trials - events + 1.0, tail))
    high = 1.0 if events == trials else float(betaincinv(events + 1.0, trials - events, 1.0 - tail))
    return low, high


def poisson_standard_error(
    estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]], counts: NDArray[np.float64]
) -> float:
    """Standard error of a function of independent Poisson counts by the delta method.

    `estimate` is called once with an array [2 k, k] of displaced counts and returns 2 k values. Slopes are
    central differences over a twentieth of each count's own standard deviation, at least half a count, cut
    at zero counts.
    """
    step = np.maximum(0.5, 0.05 * np.sqrt(counts))
    lower = np.minimum(step, counts)
    values = estimate(np.concatenate([counts + np.diag(step), counts - np.diag(lower)]))
    above, below = np.split(values, 2)
    slopes = (above - below) / (step + lower)
    return float(np.sqrt(np.sum(slopes**2 * counts)))
