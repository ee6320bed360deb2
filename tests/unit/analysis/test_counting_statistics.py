"""Coverage of the binomial intervals and propagation of Poisson errors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis import estimate_proportion
from qdci_lab.analysis.statistics import poisson_standard_error

INTERVALS = ["wilson", "clopper-pearson"]


def coverage(interval, probability, trials, confidence, seed):
    events = np.random.default_rng(seed).binomial(trials, probability, 4000)
    found = {
        k: estimate_proportion(k, trials, confidence=confidence, interval=interval)
        for k in set(events.tolist())
    }
    return np.mean([found[k].low <= probability <= found[k].high for k in events.tolist()])


@pytest.mark.parametrize("confidence", [0.683, 0.95])
@pytest.mark.parametrize(("probability", "trials"), [(0.0127, 20_000), (0.0127, 400), (0.5, 60)])
def test_the_exact_interval_never_covers_less_than_it_says(confidence, probability, trials):
    """4000 experiments; five sigma of a coverage just at `confidence`: false-alarm rate below 3e-7 each."""
    slack = 5 * math.sqrt(confidence * (1 - confidence) / 4000)
    assert coverage("clopper-pearson", probability, trials, confidence, seed=1) >= confidence - slack


@pytest.mark.parametrize("confidence", [0.683, 0.95])
def test_the_score_interval_covers_as_often_as_it_says(confidence):
    """Averaged over 20 probabilities, 80 000 experiments; within 1.5 %, nine sigma at least."""
    covered = [
        coverage("wilson", p, 500, confidence, seed) for seed, p in enumerate(np.linspace(0.01, 0.2, 20))
    ]
    assert np.mean(covered) == pytest.approx(confidence, abs=0.015)


@settings(deadline=None)
@given(
    trials=st.integers(1, 10**9),
    fraction=st.floats(0, 1),
    confidence=st.floats(0.5, 0.999),
    interval=st.sampled_from(INTERVALS),
)
def test_intervals_contain_the_estimate_and_stay_within_bounds(trials, fraction, confidence, interval):
    events = round(fraction * trials)
    found = estimate_proportion(events, trials, confidence=confidence, interval=interval)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    mirrored = estimate_proportion(trials - events, trials, confidence=confidence, interval=interval)
    assert mirrored.low == pytest.approx(1.0 - found.high, abs=1e-9)


def test_score_interval_by_hand():
    """10 of 100 at z = 1.96: (0.1 + 0.019208 +- 1.96 sqrt(0.0009 + 0.00009604)) / 1.038416."""
    found = estimate_proportion(10, 100, confidence=0.9500042097)
    half = 1.96 * math.sqrt(0.0009 + 0.00009604)
    assert found.low == pytest.approx((0.119208 - half) / 1.038416, abs=1e-8)
    assert found.high == pytest.approx((0.119208 + half) / 1.038416, abs=1e-8)


def test_exact_interval_without_events():
    """The upper end solves (1 - p)^n = (1 - confidence) / 2."""
    found = estimate_proportion(0, 50, confidence=0.9, interval="clopper-pearson")
    assert found.low == 0.0
    assert found.high == pytest.approx(1.0 - 0.05 ** (1 / 50))


def test_nothing_counted_is_unknown():
    nothing = estimate_proportion(0, 0)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="3 events in 2 trials"):
        estimate_proportion(3, 2)
    with pytest.raises(ValueError, match="confidence"):
        estimate_proportion(1, 2, confidence=1.0)


def test_error_of_a_ratio_of_counts():
    """Var(a/b) = (a/b)^2 (1/a + 1/b) for large Poisson counts."""
    counts = np.array([4.0e4, 9.0e4])
    error = poisson_standard_error(lambda values: values[:, 0] / values[:, 1], counts)
    assert error == pytest.approx(4 / 9 * math.sqrt(1 / 4e4 + 1 / 9e4), rel=1e-3)


def test_empty_counts_carry_no_error():
    assert poisson_standard_error(lambda values: values.sum(axis=1), np.zeros(3)) == 0.0
