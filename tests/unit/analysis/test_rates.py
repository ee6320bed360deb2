"""Rates over time against a dictionary of intervals, and dead time against detectors that have one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.rates import RateHistory, correct_dead_time, estimate_dead_time


@settings(max_examples=150, deadline=None)
@given(
    tags=st.lists(st.tuples(st.integers(-50, 400), st.sampled_from([1, 2, 7])), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=8),
    interval=st.integers(1, 50),
    start=st.sampled_from([None, 0, -7]),
    most=st.sampled_from([1, 3, 1000]),
)
def test_counts_are_those_of_a_dictionary_of_intervals(tags, cuts, interval, start, most):
    times = np.array([time for time, _ in tags], dtype=np.int64)
    channels = np.array([number for _, number in tags], dtype=np.uint8)
    history = RateHistory((2, 1), interval_ps=interval, start_ps=start, most_intervals=most)
    for block in zip(np.split(times, sorted(cuts)), np.split(channels, sorted(cuts)), strict=True):
        history.add(*block)
        history.finish()
    rates = history.finish()
    begin = (tags[0][0] if tags else 0) if start is None else start
    cells = [((time - begin) // interval, number) for time, number in tags]
    rows = max(0, min(most, max((row + 1 for row, _ in cells), default=0)))
    counter = Counter(cells)
    assert rates.counts.tolist() == [[counter[row, number] for number in (2, 1)] for row in range(rows)]
    assert rates.outside == sum(not 0 <= row < most and number != 7 for row, number in cells)


def test_rates_and_their_errors_are_per_second():
    history = RateHistory((1,), interval_ps=10**9)
    history.add(np.array([0, 10, 20, 30, 2 * 10**9]), np.ones(5, np.uint8))
    rates = history.finish()
    assert rates.rates_hz[:, 0].tolist() == [4000.0, 0.0, 1000.0]
    assert rates.standard_errors_hz[:, 0].tolist() == [2000.0, 1000.0, 1000.0]


def detect(rng, rate_hz, dead_time_s, duration_s, kind):
    """Clicks of a detector with dead time under steady light, times in s; it starts in its steady state."""
    warm_up_s = 100 * dead_time_s
    if kind == "non-paralyzable":
        gaps = dead_time_s + rng.exponential(1 / rate_hz, int(1.2 * rate_hz * (duration_s + warm_up_s)))
        clicks = np.cumsum(gaps)
    else:
        arrivals = np.cumsum(rng.exponential(1 / rate_hz, int(1.2 * rate_hz * (duration_s + warm_up_s))))
        clicks = arrivals[1:][np.diff(arrivals) > dead_time_s]
    return clicks[(clicks >= warm_up_s) & (clicks < warm_up_s + duration_s)] - warm_up_s


@pytest.mark.parametrize("kind", ["non-paralyzable", "paralyzable"])
def test_corrected_rates_scatter_about_the_truth_as_their_errors_say(kind):
    """150 acquisitions: mean pull off by 5 standard errors with probability 6e-7, spread within 30 % (5 sigma)."""
    rng = np.random.default_rng(6)
    pulls = []
    for _ in range(150):
        clicks = detect(rng, 1e6, 3e-7, 0.02, kind)
        corrected = correct_dead_time(clicks.size, 0.02, 3e-7, kind)
        pulls.append((corrected.rate_hz - 1e6) / corrected.standard_error_hz)
    assert abs(np.mean(pulls)) < 5 / np.sqrt(150)
    assert abs(np.std(pulls) - 1.0) < 0.3


@pytest.mark.parametrize(("rate_hz", "dead_time_s"), [(1e6, 3e-7), (1e6, 0.0), (3e6, 1e-6)])
def test_estimated_dead_times_scatter_about_the_truth_as_their_errors_say(rate_hz, dead_time_s):
    """100 estimates of 400 intervals of some 15 counts or more; 5 sigma of the mean pull, and of its spread."""
    rng = np.random.default_rng(10)
    pulls = []
    for _ in range(100):
        clicks = detect(rng, rate_hz, dead_time_s, 400 * 2e-5, "non-paralyzable")
        estimate = estimate_dead_time(np.bincount((clicks / 2e-5).astype(int), minlength=400), 2e-5)
        pulls.append((estimate.dead_time_s - dead_time_s) / estimate.standard_error_s)
    assert abs(np.mean(pulls)) < 0.5
    assert abs(np.std(pulls) - 1.0) < 0.36


def test_without_dead_time_nothing_is_corrected():
    for kind in ("non-paralyzable", "paralyzable"):
        corrected = correct_dead_time(400, 2.0, 0.0, kind)
        assert (corrected.rate_hz, corrected.standard_error_hz) == (200.0, 10.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((100, 1.0, 0.01, "non-paralyzable"), "cannot come"),
        ((100, 1.0, 0.004, "paralyzable"), "peak rate"),
        ((100, 0.0, 0.004, "paralyzable"), "in 0.0 s"),
        ((100, 1.0, 0.001, "other"), "unknown"),
    ],
)
def test_impossible_counts_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        correct_dead_time(*arguments)


@pytest.mark.parametrize("counts", [np.array([3, 4]), np.zeros(10, int)])
def test_a_dead_time_needs_counts_in_some_intervals(counts):
    with pytest.raises(ValueError, match="at least 3"):
        estimate_dead_time(counts, 1.0)


@pytest.mark.parametrize(
    "wrong", [{"interval_ps": 0}, {"most_intervals": 0}, {"channels": ()}, {"channels": (1, 1)}]
)
def test_histories_that_make_no_sense_are_refused(wrong):
    options = {"channels": (1,), "interval_ps": 10, **wrong}
    with pytest.raises(ValueError, match=r"intervals|inputs"):
        RateHistory(options.pop("channels"), **options)
