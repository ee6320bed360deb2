"""Coincidences by a window that slides, against a search through all choices of tags."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.coincidences import CoincidenceCounter
from qdci_lab.analysis.ordering import PORTION, TagOrder

PATTERNS = ((1, 2), (3, 1), (1, 2, 3), (2, 4), (1, 2, 3, 4))
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 255])

# Few different times within the reach of a window, so that ties and edges of the window are common.
streams = st.lists(st.tuples(st.integers(0, 60), NUMBERS), max_size=30)
delays = st.dictionaries(st.integers(1, 4), st.integers(-20, 20))
cuts_of_a_stream = st.lists(st.integers(0, 30), max_size=8)


def columns(tags, offset=0):
    times = np.array([time + offset for time, _ in tags], dtype=np.int64)
    return times, np.array([number for _, number in tags], dtype=np.uint8)


def pieces(times, channels, cuts):
    return zip(np.split(times, sorted(cuts)), np.split(channels, sorted(cuts)), strict=True)


def in_time(tags, disorder):
    """The tags that are not more than `disorder` below the latest before them."""
    kept, latest = [], None
    for time, number in tags:
        latest = time if latest is None else max(latest, time)
        if time >= latest - disorder:
            kept.append((time, number))
    return kept


def plainly_counted(tags, pattern, window, delay_of):
    times = [[t - delay_of.get(c, 0) for t, c in tags if c == number] for number in pattern]
    return sum(max(choice) - min(choice) <= window for choice in product(*times))


def count(tags, cuts=(), *, window, offset=0, look=False, **options):
    counter = CoincidenceCounter(PATTERNS, window, **options)
    for block in pieces(*columns(tags, offset), cuts):
        counter.add(*block)
        if look:
            counter.finish()
    return counter.finish()


@settings(max_examples=150, deadline=None)
@given(
    tags=streams,
    cuts=cuts_of_a_stream,
    window=st.integers(0, 25),
    delay_of=delays,
    disorder=st.sampled_from([0, 5, 100]),
    sort=st.booleans(),
    offset=st.sampled_from([0, -(2**61), 2**61]),
    look=st.booleans(),
)
def test_every_choice_of_tags_within_the_window_is_counted(
    tags, cuts, window, delay_of, disorder, sort, offset, look
):
    tags = sorted(tags, key=lambda tag: tag[0]) if sort else tags
    options = {"delays_ps": delay_of, "disorder_ps": disorder}
    counted = count(tags, cuts, window=window, offset=offset, look=look, **options)
    kept = in_time(tags, disorder)
    for pattern in PATTERNS:
        assert counted.coincidences[pattern] == plainly_counted(kept, pattern, window, delay_of)
    numbers = [number for _, number in kept]
    assert counted.singles.tolist() == [numbers.count(number) for number in range(256)]
    assert counted.late == len(tags) - len(kept)
    times = [time - delay_of.get(number, 0) for time, number in kept]
    assert counted.span_ps == (max(times) - min(times) if times else 0)


@settings(max_examples=100, deadline=None)
@given(tags=streams, cuts=cuts_of_a_stream, delay_of=delays, disorder=st.sampled_from([0, 7, 100]))
def test_tags_leave_in_the_order_of_time_and_of_coming(tags, cuts, delay_of, disorder):
    order = TagOrder(delays_ps=delay_of, disorder_ps=disorder)
    left = []
    for block in pieces(*columns(tags), cuts):
        for times, channels in order.put(*block):
            left += zip(times.tolist(), channels.tolist(), strict=True)
    times, channels = order.held()
    left += zip(times.tolist(), channels.tolist(), strict=True)
    expected = [(time - delay_of.get(number, 0), number) for time, number in in_time(tags, disorder)]
    assert left == sorted(expected, key=lambda tag: tag[0])


@pytest.mark.parametrize("scatter_ps", [30, 100_000])
def test_long_blocks_are_sorted_in_portions(scatter_ps):
    """Little scatter is sorted by insertion, much of it by merging."""
    rng = np.random.default_rng(8)
    times = 10 * np.arange(3 * PORTION, dtype=np.int64) + rng.integers(0, scatter_ps + 1, 3 * PORTION)
    channels = rng.integers(1, 4, times.size).astype(np.uint8)
    order = TagOrder(disorder_ps=scatter_ps)
    left = [(t.copy(), c.copy()) for t, c in order.put(times, channels)]
    left.append(order.held())
    by_time = np.argsort(times, kind="stable")
    assert np.array_equal(np.concatenate([t for t, _ in left]), times[by_time])
    assert np.array_equal(np.concatenate([c for _, c in left]), channels[by_time])
    assert order.late == 0


def test_blocks_longer_than_a_portion_are_as_their_pieces():
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.integers(0, 40, 5 * PORTION // 2))
    channels = rng.integers(1, 5, times.size).astype(np.uint8)
    counted = []
    for cuts in ([], [PORTION - 1, PORTION, PORTION + 1], list(range(0, times.size, 997))):
        counter = CoincidenceCounter(PATTERNS, 100)
        for block in pieces(times, channels, cuts):
            counter.add(*block)
        counted.append(counter.finish().coincidences)
    assert counted[0] == counted[1] == counted[2]
    assert counted[0][(1, 2, 3)] > 1000


def test_a_pattern_may_be_asked_for_twice_and_in_any_order():
    counter = CoincidenceCounter([(1, 2), (2, 1), (1, 2)], 10)
    counter.add(np.array([0, 5, 100, 101, 102]), np.array([1, 2, 2, 2, 1], dtype=np.uint8))
    assert counter.finish().coincidences == {(1, 2): 3, (2, 1): 3}


def test_accidentals_of_independent_channels():
    """Each number is off by 5 sigma with probability 6e-7."""
    rng = np.random.default_rng(5)
    times = np.sort(rng.integers(0, 10**11, 300_000))
    channels = rng.integers(1, 4, times.size).astype(np.uint8)
    counter = CoincidenceCounter([(1, 2), (1, 2, 3)], 20_000)
    counter.add(times, channels)
    counted = counter.finish()
    for pattern in ((1, 2), (1, 2, 3)):
        expected = counted.accidentals(pattern, 10**11)
        # Pairs that share a tag are not independent: allow them twice the Poisson variance.
        assert abs(counted.coincidences[pattern] - expected) < 5 * np.sqrt(2 * expected)


def test_without_a_span_accidentals_are_unknown():
    assert np.isnan(CoincidenceCounter([(1, 2)], 10).finish().accidentals((1, 2)))


@pytest.mark.parametrize(
    ("patterns", "window", "options"),
    [
        ([(1,)], 10, {}),
        ([(1, 1)], 10, {}),
        ([(1, 256)], 10, {}),
        ([(1, 2)], -1, {}),
        ([(1, 2)], 10, {"disorder_ps": -1}),
        ([(1, 2)], 10, {"delays_ps": {300: 1}}),
    ],
)
def test_counters_that_make_no_sense_are_refused(patterns, window, options):
    with pytest.raises(ValueError, match=r"input|window|disorder"):
        CoincidenceCounter(patterns, window, **options)


def test_columns_of_different_lengths_are_refused_and_nothing_is_taken():
    counter = CoincidenceCounter([(1, 2)], 10)
    with pytest.raises(ValueError, match="do not go with"):
        counter.add(np.zeros(3, np.int64), np.ones(2, np.uint8))
    assert counter.finish().singles.sum() == 0
