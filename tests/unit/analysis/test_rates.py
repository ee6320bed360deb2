"""Rates over time against a dictionary of intervals."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.rates import RateHistory


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


@pytest.mark.parametrize(
    "wrong", [{"interval_ps": 0}, {"most_intervals": 0}, {"channels": ()}, {"channels": (1, 1)}]
)
def test_histories_that_make_no_sense_are_refused(wrong):
    options = {"channels": (1,), "interval_ps": 10, **wrong}
    with pytest.raises(ValueError, match=r"intervals|inputs"):
        RateHistory(options.pop("channels"), **options)
