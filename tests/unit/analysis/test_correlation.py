"""Correlation and start-stop histograms against loops over all pairs, and g2 of light that is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.correlation import CrossCorrelator, StartStopHistogram
from qdci_lab.analysis.ordering import PORTION

streams = st.lists(st.tuples(st.integers(0, 80), st.sampled_from([1, 2, 3])), max_size=40)
cuts_of_a_stream = st.lists(st.integers(0, 40), max_size=8)
delays = st.dictionaries(st.integers(1, 3), st.integers(-15, 15))


def columns(tags, offset=0):
    times = np.array([time + offset for time, _ in tags], dtype=np.int64)
    return times, np.array([number for _, number in tags], dtype=np.uint8)


def fill(histogram, tags, cuts, *, offset=0, look=False):
    times, channels = columns(tags, offset)
    for block in zip(np.split(times, sorted(cuts)), np.split(channels, sorted(cuts)), strict=True):
        histogram.add(*block)
        if look:
            histogram.finish()
    return histogram.finish()


def in_order(tags, delay_of, disorder):
    """Tags less their delays in order of time and of coming, without those that are too late."""
    kept, latest = [], None
    for time, number in tags:
        latest = time if latest is None else max(latest, time)
        if time >= latest - disorder:
            kept.append((time - delay_of.get(number, 0), number))
    return sorted(kept, key=lambda tag: tag[0])


cases = given(
    tags=streams,
    cuts=cuts_of_a_stream,
    stop=st.sampled_from([1, 2]),
    bin_ps=st.integers(1, 9),
    bins=st.integers(1, 6),
    delay_of=delays,
    disorder=st.sampled_from([0, 6, 100]),
    sort=st.booleans(),
    offset=st.sampled_from([0, -(2**61), 2**61]),
    look=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@cases
def test_all_pairs_are_in_their_bins(tags, cuts, stop, bin_ps, bins, delay_of, disorder, sort, offset, look):
    tags = sorted(tags, key=lambda tag: tag[0]) if sort else tags
    correlator = CrossCorrelator(
        1, stop, bin_ps=bin_ps, bins_each_side=bins, delays_ps=delay_of, disorder_ps=disorder
    )
    result = fill(correlator, tags, cuts, offset=offset, look=look)
    kept = in_order(tags, delay_of, disorder)
    pairs = [0] * (2 * bins + 1)
    for i, (first_ps, first) in enumerate(kept):
        for j, (second_ps, second) in enumerate(kept):
            if i != j and (first, second) == (1, stop):
                cell = (second_ps - first_ps + bin_ps // 2) // bin_ps + bins
                if 0 <= cell < len(pairs):
                    pairs[cell] += 1
    assert result.pairs.tolist() == pairs
    assert result.firsts == sum(number == 1 for _, number in kept)
    assert result.seconds == sum(number == stop for _, number in kept)
    assert result.late == len(tags) - len(kept)
    assert result.span_ps == (kept[-1][0] - kept[0][0] if kept else 0)
    assert np.array_equal(result.edges_ps[:-1] + bin_ps // 2, result.lags_ps)


@settings(max_examples=200, deadline=None)
@cases
def test_each_start_is_taken_with_its_first_stop(
    tags, cuts, stop, bin_ps, bins, delay_of, disorder, sort, offset, look
):
    tags = sorted(tags, key=lambda tag: tag[0]) if sort else tags
    histogram = StartStopHistogram(
        1, stop, bin_ps=bin_ps, bins=bins, delays_ps=delay_of, disorder_ps=disorder
    )
    result = fill(histogram, tags, cuts, offset=offset, look=look)
    counts, beyond, unstarted, started = [0] * bins, 0, 0, None
    for time, number in in_order(tags, delay_of, disorder):
        if number == stop and started is None:
            unstarted += 1
        elif number == stop and time - started >= bins * bin_ps:
            beyond += 1
        elif number == stop:
            counts[(time - started) // bin_ps] += 1
        if number == 1:
            started = time
        elif number == stop:
            started = None
    assert result.counts.tolist() == counts
    assert (result.beyond, result.unstarted) == (beyond, unstarted)


@pytest.mark.parametrize("second", [1, 2])
def test_many_portions_and_a_reach_of_thousands_of_tags(second):
    rng = np.random.default_rng(4)
    times = np.cumsum(rng.integers(0, 20, 2 * PORTION + 5))
    channels = rng.integers(1, 3, times.size).astype(np.uint8)
    counted = []
    for cuts in ([], [1, 2, PORTION, PORTION + 1, 2 * PORTION + 4]):
        correlator = CrossCorrelator(1, second, bin_ps=999, bins_each_side=20)
        for block in zip(np.split(times, cuts), np.split(channels, cuts), strict=True):
            correlator.add(*block)
        counted.append(correlator.finish())
    firsts, seconds = times[channels == 1], times[channels == second]
    edges = counted[0].edges_ps
    below = [np.searchsorted(seconds, firsts + edge, side="left").sum() for edge in edges]
    expected = np.diff(below)
    if second == 1:
        expected[20] -= firsts.size
    assert np.array_equal(counted[0].pairs, expected)
    assert np.array_equal(counted[1].pairs, expected)


@pytest.mark.parametrize("second", [1, 2])
def test_independent_light_has_g2_of_one_with_the_stated_errors(second):
    """Pulls of 401 bins: their mean square is off by 5 sigma with probability 6e-7."""
    rng = np.random.default_rng(7)
    span_ps = 10**10
    times = np.sort(rng.integers(0, span_ps, 100_000))
    channels = rng.integers(1, 3, times.size).astype(np.uint8)
    correlator = CrossCorrelator(1, second, bin_ps=10_000, bins_each_side=200)
    correlator.add(times, channels)
    g2, error = correlator.finish().g2(span_ps)
    # Of a channel with itself the two signs of the lag are the same pairs.
    pulls = ((g2 - 1.0) / error)[200 if second == 1 else 0 :]
    assert abs(np.mean(pulls**2) - 1.0) < 5 * np.sqrt(2.0 / pulls.size)


def test_pairs_of_photons_stand_out_at_their_delay():
    rng = np.random.default_rng(9)
    firsts = np.sort(rng.integers(0, 10**12, 5000))
    times = np.concatenate([firsts, firsts + 1234])
    channels = np.repeat(np.array([1, 2], dtype=np.uint8), firsts.size)
    order = np.argsort(times, kind="stable")
    correlator = CrossCorrelator(1, 2, bin_ps=100, bins_each_side=50)
    correlator.add(times[order], channels[order])
    result = correlator.finish()
    assert result.lags_ps[np.argmax(result.pairs)] == 1200
    assert result.pairs.max() >= 5000


def test_without_pairs_to_expect_g2_is_unknown():
    g2, error = CrossCorrelator(1, 2, bin_ps=5, bins_each_side=1).finish().g2()
    assert np.isnan(g2).all()
    assert np.isnan(error).all()


@pytest.mark.parametrize("wrong", [{"bin_ps": 0}, {"bins_each_side": -1}, {"bin_ps": 2**50}])
def test_bins_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="bins of"):
        CrossCorrelator(1, 2, **{"bin_ps": 10, "bins_each_side": 3, **wrong})


def test_a_start_stop_histogram_needs_a_bin():
    with pytest.raises(ValueError, match="at least 1"):
        StartStopHistogram(1, 2, bin_ps=10, bins=0)
