"""Counts without clicks: against the exact distribution of a renewal process, and against the tags of one bench."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats

from qdci_lab.units import PS_PER_S
from sim_devices.twin.counting import DeadUntil, draw_count
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.streams import KeyedStream
from tests.physics.ji_bench import JiBench

FALSE_ALARM = 1e-4


def process(rate_hz: float, dead_s: float, afterpulse: float = 0.0, memory_s: float = 1e-6) -> ClickProcess:
    dead_ps, memory_ps = round(dead_s * PS_PER_S), memory_s * PS_PER_S
    return ClickProcess(
        KeyedStream(1), None, np.zeros(1), rate_hz, 0.0, dead_ps, afterpulse, memory_ps, 0.0, 0.0
    )


def counts(of: ClickProcess, span_s: float, number: int, seed: int = 1, cuts: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(number):
        dead, edges = DeadUntil(), np.linspace(0.0, span_s, cuts + 1)
        drawn.append(sum(draw_count(of, a, b, dead, generator) for a, b in pairwise(edges)))
    return np.array(drawn)


@pytest.mark.parametrize("cuts", [1, 7])
@pytest.mark.parametrize(("rate_hz", "span_s"), [(1e5, 2e-4), (1e5, 4e-3), (2e6, 5e-4), (1e3, 1e-3)])
def test_counts_follow_the_exact_distribution(rate_hz: float, span_s: float, cuts: int):
    """P(N >= n) is the chance that n - 1 dead times and a gamma variate of n waits fit into the span."""
    dead_s = 2e-6
    drawn = counts(process(rate_hz, dead_s), span_s, 4000, cuts=cuts)
    n = np.arange(drawn.max() + 50)
    at_least = special.gammainc(np.maximum(n, 1e-12), np.maximum(rate_hz * (span_s - (n - 1) * dead_s), 0.0))
    at_least[0] = 1.0
    chance = at_least[:-1] - at_least[1:]
    assert chance.sum() == pytest.approx(1.0, abs=1e-6)
    expected, seen = [], []
    left_chance, left_seen = 0.0, 0
    for value, share in enumerate(chance):
        left_chance, left_seen = left_chance + share, left_seen + int(np.sum(drawn == value))
        if left_chance * len(drawn) > 10:
            expected.append(left_chance)
            seen.append(left_seen)
            left_chance, left_seen = 0.0, 0
    expected[-1] += 1.0 - sum(expected)
    seen[-1] += len(drawn) - sum(seen)
    result = stats.chisquare(seen, np.array(expected) * len(drawn))
    assert result.pvalue > FALSE_ALARM / 8


def test_afterpulses_raise_the_count_and_widen_it():
    """Against gaps that are drawn one by one here: mean and variance over many spans."""
    of, generator = process(5e4, 1e-6, 0.1), np.random.default_rng(2)
    waits_s = generator.exponential(2e-5, 2_000_000)
    trapped = generator.random(waits_s.size) < 0.1
    waits_s[trapped] = np.minimum(waits_s[trapped], generator.exponential(1e-6, trapped.sum()))
    times_s = np.cumsum(waits_s + 1e-6)
    span_s = 5e-3
    reference = np.histogram(times_s, np.arange(0.0, times_s[-1], span_s))[0]
    drawn = counts(of, span_s, 4000)
    z = stats.norm.isf(FALSE_ALARM / 4)
    mean_error = np.hypot(reference.std() / reference.size**0.5, drawn.std() / drawn.size**0.5)
    # A span begins with a ready detector here and anywhere in the reference: less than one dead time's worth.
    assert abs(drawn.mean() - reference.mean()) < z * mean_error + 0.05
    assert abs(drawn.var() / reference.var() - 1) < z * np.hypot(
        (2 / reference.size) ** 0.5, (2 / drawn.size) ** 0.5
    )


def test_the_bench_counts_as_many_as_it_tags():
    """Mean and scatter of 10 ms counts of the whole array against those of the tags of the same light."""
    bench = JiBench(fibre={"drift_rad_per_sqrt_s": 0.0}, detectors={"dead_time_ns": 1000.0})
    bench.align()
    bench.twin.lab_time.advance_by(PS_PER_S // 10)
    bench.twin.tagger("tagger").start(bench.twin.lab_time.now_ps())
    detectors, span_s, counted, tagged = bench.twin.handle("detectors"), 0.01, [], []
    for _ in range(150):
        tagged.append(len(bench.read(span_s)[0]))
        counted.append(detectors.sense("count_rate_hz", span_s) * span_s)
    z = stats.norm.isf(FALSE_ALARM / 4)
    error = (np.var(tagged) + np.var(counted)) ** 0.5 / 150**0.5
    assert abs(np.mean(counted) - np.mean(tagged)) < z * error + 2e-3 * np.mean(tagged)
    assert abs(np.log(np.var(counted) / np.var(tagged))) < z * (4 / 149) ** 0.5
    # The dead time is felt: at 0.32 clicks a microsecond and detector the scatter is far below Poisson's.
    assert np.var(counted) < 0.75 * np.mean(counted)


def test_an_hour_is_counted_as_quickly_as_a_second():
    """A click a microsecond for an hour: 3.6e9 clicks, none of which is made."""
    of = process(1e6, 1e-7)
    drawn = counts(of, 3600.0, 50)
    rate_hz = 1e6 / 1.1
    error = (3600.0 * rate_hz) ** 0.5 * (1 - rate_hz * 1e-7)
    assert abs(drawn.mean() - 3600.0 * rate_hz) < stats.norm.isf(FALSE_ALARM / 2) * error / 50**0.5 + 1
