"""With a second thread every estimator gives what it gives with one, to the last count."""

import threading

import numpy as np
import pytest

from qdci_lab.analysis import KeyedSequence, Receiver, SlotClock, TagSifter, make_code
from qdci_lab.analysis.coincidences import CoincidenceCounter
from qdci_lab.analysis.correlation import CrossCorrelator
from qdci_lab.analysis.jobs import one_after_the_other
from qdci_lab.analysis.ordering import SHARE
from qdci_lab.two_threads import TwoThreads

CUTS = ([], [5, SHARE, SHARE + 1, 2 * SHARE + 77])


@pytest.fixture(scope="module")
def both():
    with TwoThreads() as run:
        yield run


@pytest.fixture(scope="module", params=[90, 3_000])
def stream(request):
    """Three shares and a bit of tags, with mean steps of 45 or 1500 ps, with ties and a little disorder."""
    rng = np.random.default_rng(request.param)
    times = np.cumsum(rng.integers(0, request.param, 3 * SHARE + 77))
    times[::9] -= rng.integers(0, 50, times[::9].size)
    return times, rng.integers(0, 6, times.size).astype(np.uint8)


def blocks(stream, cuts):
    return zip(*(np.split(column, cuts) for column in stream), strict=True)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize(
    "sequence", [make_code(37, 0.7, 0.6, seed=4), KeyedSequence(make_code(64, 0.7, 0.6, 4), 9)]
)
def test_sifted_counts(stream, both, cuts, sequence):
    sifted = []
    for run in (one_after_the_other, both):
        sifter = TagSifter(sequence, SlotClock(-3, 1e4), Receiver(gate_width_ps=7e3), run=run)
        for block in blocks(stream, cuts):
            sifter.add(*block)
        sifted.append(sifter.finish())
        clock = sifter.clock
    assert np.array_equal(sifted[0].outcomes, sifted[1].outcomes)
    assert sifted[0].gated.tolist() == sifted[1].gated.tolist()
    assert (sifted[0].late, sifted[0].foreign) == (sifted[1].late, sifted[1].foreign)
    assert clock.period_ps != 1e4
    assert sifted[0].outcomes.sum() > 1000


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("disorder_ps", [0, 50])
def test_coincidences(stream, both, cuts, disorder_ps):
    counted = []
    for run in (one_after_the_other, both):
        counter = CoincidenceCounter(
            [(1, 2), (1, 2, 3), (3, 4)], 600, delays_ps={2: 7}, disorder_ps=disorder_ps, run=run
        )
        for block in blocks(stream, cuts):
            counter.add(*block)
        counted.append(counter.finish())
    assert counted[0].coincidences == counted[1].coincidences
    assert counted[0].singles.tolist() == counted[1].singles.tolist()
    assert (counted[0].late, counted[0].span_ps) == (counted[1].late, counted[1].span_ps)
    assert min(counted[0].coincidences.values()) > 0


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("second", [1, 2])
def test_correlations(stream, both, cuts, second):
    correlated = []
    for run in (one_after_the_other, both):
        correlator = CrossCorrelator(1, second, bin_ps=7, bins_each_side=20, disorder_ps=50, run=run)
        for block in blocks(stream, cuts):
            correlator.add(*block)
        correlated.append(correlator.finish())
    assert correlated[0].pairs.tolist() == correlated[1].pairs.tolist()
    assert correlated[0].firsts == correlated[1].firsts
    assert correlated[0].pairs.sum() > 0


def test_jobs_are_done_at_once(both):
    """Each of two jobs ends only after the other has begun."""
    met = threading.Barrier(2, timeout=60.0)
    both([met.wait, met.wait])


def test_an_error_comes_back_when_all_have_ended(both):
    ended = []

    def fail():
        raise ArithmeticError("seen")

    for jobs in ([fail, lambda: ended.append(1)], [lambda: ended.append(1), fail]):
        with pytest.raises(ArithmeticError, match="seen"):
            both(jobs)
    assert len(ended) == 2
