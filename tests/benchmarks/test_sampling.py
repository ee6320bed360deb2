"""Clicks a second of the twin's sampling against pulse-by-pulse sampling, and counts against either; in one run.

The light is that of the ji_mcf testbed in the dark, about 1.4 million clicks a second of lab time out of 10^8 pulses;
dead time, afterpulsing and jitter are on. Pulse by pulse means the usual numpy way: a uniform number for every pulse
and detector, in blocks of 10^6 pulses, without dead time and afterpulses. Times are those of the processor, all
threads together; rounds take the ways in turn.
"""

import resource
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from qdci_lab.units import PS_PER_S
from sim_devices.twin import tagger
from sim_devices.twin.counting import DeadUntil, draw_count
from tests.benchmarks.conftest import staying_on, two_processors
from tests.physics.ji_bench import CHANNELS, JiBench

pytestmark = pytest.mark.benchmark
ROUNDS = 7
SPARSE_S, DENSE_S, COUNTED_S = 2.0, 0.05, 1000.0
BLOCK_PULSES = 1_000_000
PULSES_PER_S = 100_000_000
LEAST_CLICKS_PER_S = 1e7


@pytest.fixture(scope="module")
def bench() -> Iterator[JiBench]:
    with staying_on(two_processors()[0]):
        bench = JiBench()
        bench.align()
        bench.read(1.0)
        yield bench


def sparse(bench: JiBench) -> int:
    return len(bench.read(SPARSE_S)[0])


def pulse_by_pulse(bench: JiBench) -> int:
    generator, clicks = np.random.default_rng(1), 0
    chances = [1.0 - np.exp(-bench.slot_hazards(channel)) for channel in CHANNELS]
    for first in range(0, round(DENSE_S * PULSES_PER_S), BLOCK_PULSES):
        slots = (first + np.arange(BLOCK_PULSES)) % len(bench.pattern.bit)
        for chance in chances:
            clicks += len(np.flatnonzero(generator.random(BLOCK_PULSES) < chance[slots]))
    return clicks


def counted(bench: JiBench) -> int:
    generator = np.random.default_rng(1)
    return sum(
        draw_count(bench.process(channel), 0.0, COUNTED_S, DeadUntil(), generator) for channel in CHANNELS
    )


def rate(way: Callable[[JiBench], int], bench: JiBench) -> float:
    """Clicks per second of processor time, that of all threads: what one core does alone."""
    started = time.process_time()
    clicks = way(bench)
    return clicks / (time.process_time() - started)


def test_clicks_per_second(bench: JiBench):
    ways = {"twin, tags": sparse, "pulse by pulse": pulse_by_pulse, "twin, counts alone": counted}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            rates[name].append(rate(way, bench))
    table = Table("way", "clicks a second (median)", "lowest", "over pulse by pulse")
    for name, found in rates.items():
        ratios = [one / other for one, other in zip(found, rates["pulse by pulse"], strict=True)]
        table.add_row(
            name, f"{statistics.median(found):.3g}", f"{min(found):.3g}", f"{statistics.median(ratios):.3g}"
        )
    Console().print(table)
    assert statistics.median(rates["twin, tags"]) >= LEAST_CLICKS_PER_S


def test_memory_does_not_grow_with_the_duration(bench: JiBench):
    """A reader that asks second by second; the process may not grow by more than one such read."""
    bench.read(1.0)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(60):
        bench.read(1.0)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    Console().print(
        f"60 s of lab time, {60 * 1.4:.0f} million clicks: {grown_mib:.0f} MiB more than after one second"
    )
    assert grown_mib < 64
    assert tagger.CHUNK_TAGS * 9 * 8 < 64 * 2**20
    assert bench.twin.lab_time.now_ps() > 60 * PS_PER_S
