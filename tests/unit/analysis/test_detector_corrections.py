"""Dead time, afterpulsing and arriving rates from simulated click trains that are made here, click by click."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from qdci_lab.analysis.detector_corrections import (
    arriving_rate_hz,
    estimate_afterpulsing,
    estimate_dead_time_s,
    find_blocked_slots,
)

# Every statistical statement here fails by chance once in 10 000 runs of new seeds; the seeds are fixed.
SIGMAS = stats.norm.isf(0.5e-4)


def clicks(rate_hz, dead_s, afterpulse, memory_s, number, seed, period_s=None):
    """Times in ps of a non-paralysable detector: after each click a dead time, then light or a trapped charge."""
    generator = np.random.default_rng(seed)
    if period_s is None:
        gaps_s = dead_s + generator.exponential(1.0 / rate_hz, number)
    else:
        blocked = math.floor(dead_s / period_s)
        gaps_s = (blocked + generator.geometric(-math.expm1(-rate_hz * period_s), number)) * period_s
    late_s = dead_s + generator.exponential(memory_s, number)
    trapped = (generator.random(number) < afterpulse) & (late_s < gaps_s)
    return np.cumsum(np.rint(np.where(trapped, late_s, gaps_s) * 1e12).astype(np.int64))


@example(rate_hz=1.5, dead_s=5e-324)
@given(rate_hz=st.floats(1.0, 1e6), dead_s=st.floats(0.0, 1e-4))
def test_both_kinds_of_dead_time_are_undone(rate_hz, dead_s):
    assert arriving_rate_hz(rate_hz / (1 + rate_hz * dead_s), dead_s) == pytest.approx(rate_hz, rel=1e-9)
    if rate_hz * dead_s < 0.9:
        counted = rate_hz * math.exp(-rate_hz * dead_s)
        assert arriving_rate_hz(counted, dead_s, kind="paralysable") == pytest.approx(rate_hz, rel=1e-6)


@pytest.mark.parametrize(("kind", "most"), [("non-paralysable", 1.0), ("paralysable", 0.3679)])
def test_a_rate_that_no_light_gives_is_refused(kind, most):
    with pytest.raises(ValueError, match=f"a {kind} detector stays below {most:.3g}"):
        arriving_rate_hz([1e3, 1.01e6], 1e-6, kind=kind)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dead_s", [0.0, 1e-6, 10e-6])
def test_the_scatter_of_counts_tells_the_dead_time(seed, dead_s):
    times_s = clicks(1e5, dead_s, 0.0, 1e-6, 400_000, seed) * 1e-12
    interval_s = 2e-3
    counts = np.histogram(times_s, bins=np.arange(0.0, times_s[-1], interval_s))[0]
    found = estimate_dead_time_s(counts, interval_s)
    assert abs(found.value - dead_s) < SIGMAS * found.standard_error + 5e-3 * dead_s
    assert found.standard_error < 3e-7


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("rate_hz", "afterpulse"), [(1e4, 0.05), (2e5, 0.005), (2e5, 0.0)])
@pytest.mark.parametrize("period_s", [None, 10e-9])
def test_missing_long_gaps_tell_the_afterpulsing(seed, rate_hz, afterpulse, period_s):
    times_ps = clicks(rate_hz, 105e-9, afterpulse, 1e-6, 500_000, seed, period_s)
    found = estimate_afterpulsing(times_ps, 105e-9, 10e-6, period_s=period_s)
    # An afterpulse that light forestalls is none: the share that is seen is p / (1 + R x memory).
    seen = afterpulse / (1 + rate_hz * 1e-6)
    assert abs(found.value - seen) < SIGMAS * found.standard_error + 1e-3 * afterpulse
    assert found.standard_error < 0.01


@pytest.mark.parametrize(("dead_s", "silent"), [(25e-9, 2), (105e-9, 10), (1_009e-9, 100)])
def test_the_silence_after_a_click_is_told_from_the_gaps(dead_s, silent):
    times_ps = clicks(5e5, dead_s, 0.01, 1e-6, 200_000, 1, 10e-9)
    early = times_ps[:2000:2] + round(7 * silent / 10) * 10_000  # a few clicks where there should be none
    assert find_blocked_slots(times_ps, 10e-9) == silent
    assert find_blocked_slots(np.sort(np.concatenate([times_ps, early[:5]])), 10e-9) == silent


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(ValueError, match="needs clicks"):
        find_blocked_slots(np.array([5]), 1e-8)
    with pytest.raises(ValueError, match="99 gaps are within 100 slots of the shortest"):
        find_blocked_slots(np.arange(100) * 10_000, 1e-8)
    with pytest.raises(ValueError, match="at least 3 intervals"):
        estimate_dead_time_s([5, 6], 1.0)
    with pytest.raises(ValueError, match="in order of time"):
        estimate_afterpulsing(np.array([5, 3]), 1e-7, 1e-5)
    with pytest.raises(ValueError, match="must lie beyond the dead time"):
        estimate_afterpulsing(np.arange(9), 1e-5, 1e-7)
    with pytest.raises(ValueError, match="99 gaps are longer than 1e-05 s; at least 100"):
        estimate_afterpulsing(np.arange(100, dtype=np.int64) * 10**9, 1e-7, 1e-5)
