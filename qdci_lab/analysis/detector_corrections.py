"""What a detector's own clicks say about it: dead time, afterpulsing, and the rate that arrived.

Dead time: G. F. Knoll, Radiation Detection and Measurement, 4th ed., section 4.VII: non-paralysable
R_out = R / (1 + R tau), paralysable R_out = R e^{-R tau}. Counts of a non-paralysable detector in a time T scatter less
than Poisson's: Var = R_out T (1 - R_out tau)^2.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
DeadTime = Literal["non-paralysable", "paralysable"]

FEWEST_GAPS = 100
FEWEST_SHORT_GAPS = 1000


@dataclass(frozen=True)
class Estimate:
    """A number read from data, with its standard error."""

    value: float
    standard_error: float


def arriving_rate_hz(
    counted_hz: ArrayLike, dead_time_s: ArrayLike, *, kind: DeadTime = "non-paralysable"
) -> Array:
    """The rate that would be counted without dead time; arrays broadcast.

    A paralysable detector has two such rates; the lower one is given, that of a detector not yet over its maximum.
    Raises ValueError where no rate gives the counted one: counted x dead time >= 1, or > 1/e for a paralysable one.
    """
    counted, dead = np.broadcast_arrays(
        np.asarray(counted_hz, np.float64), np.asarray(dead_time_s, np.float64)
    )
    if np.any(counted < 0.0) or np.any(dead < 0.0):
        raise ValueError("count rates and dead times are not negative")
    busy = counted * dead
    most = 1.0 if kind == "non-paralysable" else math.exp(-1.0)
    if np.any(busy >= 1.0 if kind == "non-paralysable" else busy > most):
        raise ValueError(
            f"count rate x dead time reaches {busy.max():.3g}; a {kind} detector stays below {most:.3g}"
        )
    if kind == "non-paralysable":
        return counted / (1.0 - busy)
    from scipy.special import lambertw

    # -W(-b)/b = e^{-W(-b)}: no division, so that the shortest dead times need no case of their own
    return counted * np.exp(-np.real(lambertw(-busy)))


def estimate_dead_time_s(counts: ArrayLike, interval_s: float) -> Estimate:
    """Non-paralysable dead time from how much less than Poisson's the counts of equal intervals scatter.

    `counts`, shape (intervals,), must come from steady light, in intervals far longer than the dead time. Slow
    drift of the light widens the scatter and makes the dead time look shorter; ValueError with fewer than 3
    intervals or no counts.
    """
    values = np.asarray(counts, np.float64)
    if values.ndim != 1 or values.size < 3 or values.mean() <= 0.0:
        raise ValueError("the dead time needs the counts of at least 3 intervals, and clicks in them")
    rate_hz = values.mean() / interval_s
    live = math.sqrt(values.var(ddof=1) / values.mean())
    # Var of a sample variance is 2 sigma^4 / (n - 1), so the live share has half that relative error.
    return Estimate((1.0 - live) / rate_hz, live / math.sqrt(2.0 * (values.size - 1)) / rate_hz)


def estimate_afterpulsing(
    times_ps: NDArray[np.int64], dead_time_s: float, horizon_s: float, *, period_s: float | None = None
) -> Estimate:
    """Probability that a click has an afterpulse, from the gaps between one detector's clicks.

    Gaps beyond `horizon_s`, by when trapped charge must be gone, tell the rate of everything else; fewer gaps
    that long than this rate leaves are afterpulses: P(gap > h) = (1 - p) e^{-R (h - tau)}. With pulsed light
    give its period: then clicks fall on slots, and R (h - tau) is counted in them. Raises ValueError for
    disordered times, a horizon not beyond the dead time, or fewer than 100 gaps beyond it.
    """
    gaps_s = np.diff(times_ps) * 1e-12
    if gaps_s.size and gaps_s.min() < 0.0:
        raise ValueError("the clicks of one detector must be in order of time")
    if not 0.0 <= dead_time_s < horizon_s:
        raise ValueError(f"the horizon of {horizon_s:g} s must lie beyond the dead time of {dead_time_s:g} s")
    if period_s is None:
        beyond, away = gaps_s[gaps_s > horizon_s] - horizon_s, horizon_s - dead_time_s
    else:
        last, blocked = math.floor(horizon_s / period_s), math.floor(dead_time_s / period_s)
        slots = np.rint(gaps_s / period_s)
        beyond, away = slots[slots > last] - last, last - blocked
    if beyond.size < FEWEST_GAPS:
        raise ValueError(
            f"{beyond.size} gaps are longer than {horizon_s:g} s; at least {FEWEST_GAPS} are needed"
        )
    return _missing_gaps(beyond, away, gaps_s.size, discrete=period_s is not None)


def find_blocked_slots(times_ps: NDArray[np.int64], period_s: float) -> int:
    """How many slots after a click a detector in pulsed light stays silent for, from the gaps between its clicks.

    It ends at the first gap that is half as frequent as the most frequent ten neighbours are on average, so that a few
    clicks that jitter has brought forward do not end it. Raises ValueError for fewer than 1000 gaps within 100 slots
    of the shortest.
    """
    slots = np.rint(np.diff(times_ps) * 1e-12 / period_s).astype(np.int64)
    if not slots.size:
        raise ValueError("the silence after a click needs clicks")
    shortest = int(slots.min())
    counts = np.bincount(slots[slots < shortest + 100], minlength=shortest + 100)
    if counts.sum() < FEWEST_SHORT_GAPS:
        raise ValueError(
            f"{counts.sum()} gaps are within 100 slots of the shortest; at least {FEWEST_SHORT_GAPS} are needed"
        )
    usual = np.convolve(counts, np.full(10, 0.1), mode="valid").max()
    return int(np.flatnonzero(counts >= 0.5 * usual)[0]) - 1


def _missing_gaps(beyond: Array, away: float, gaps: int, *, discrete: bool) -> Estimate:
    """p = 1 - (share beyond) / survival, with the binomial error of the share and that of the rate."""
    mean = float(beyond.mean())
    hazard = -math.log1p(-1.0 / mean) if discrete else 1.0 / mean
    share, growth = beyond.size / gaps, math.exp(hazard * away)
    relative = math.hypot(math.sqrt((1.0 - share) / (share * gaps)), hazard * away / math.sqrt(beyond.size))
    return Estimate(1.0 - share * growth, share * growth * relative)
