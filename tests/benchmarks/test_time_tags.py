"""Time tags beside blockwise numpy, plain C and the memory, on one core and on two, in one run.

All ways are taken in turn in every round, and the ratios are of the same round: what else the machine does meets all.
`--tags 1e7` takes fewer tags, `--peer PYTHON` an interpreter that has pycorrelate, tttrlib or
etabackend.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import blockwise_numpy
import numpy as np
import pytest
from numpy.typing import NDArray
from plain_c import BIN_PS, BINS_EACH_SIDE, GATE_PS, PERIOD_PS, WINDOW_PS, PlainLoops, build
from rich.console import Console
from rounds import rates, ratios, show

from qdci_lab.analysis import Receiver, SlotClock, TagSifter, make_code
from qdci_lab.analysis.coincidences import CoincidenceCounter
from qdci_lab.analysis.correlation import CrossCorrelator
from qdci_lab.analysis.jobs import one_after_the_other
from qdci_lab.record.tag_files.writing import write_tags
from qdci_lab.two_threads import TwoThreads

ROUNDS = 5
MEAN_GAP_SLOTS = 10
PEERS, PEER_REACH_PS = ("pycorrelate", "tttrlib", "etabackend"), 10_000
CODE = make_code(1024, 0.8, 0.9, seed=1)
SAME_C, LESS_C = "C, same results", "C, does less"
NUMPY_TARGET = 5.0
SIFT_NOTE = (
    "C, same results: one pass that follows the clock, merges the clicks of a slot and draws its random bits.\n"
    "C, does less: neither follows the clock nor merges clicks, so that double clicks count as two detections; its "
    "counts are others. It shows what doing the rest for nothing would gain."
)
RECEIVER = Receiver(gate_width_ps=GATE_PS)

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

Tags = tuple[NDArray[np.int64], NDArray[np.uint8]]
Way = Callable[[], object]


def make_tags(count: int) -> Tags:
    """Four detectors at 10 million clicks a second in all, a tenth of them dark, in pulses of 150 ps at 100 MHz."""
    times, channels = np.empty(count, np.int64), np.empty(count, np.uint8)
    rng = np.random.default_rng(1)
    first_slot = 0
    for start in range(0, count, 1 << 20):
        size = min(1 << 20, count - start)
        slots = first_slot + np.cumsum(rng.geometric(1 / (1 + MEAN_GAP_SLOTS), size) - 1)
        block = slots * int(PERIOD_PS) + np.rint(rng.normal(0.0, 150.0, size)).astype(np.int64)
        dark = rng.random(size) < 0.1
        block[dark] += rng.integers(-4_000, 4_000, np.count_nonzero(dark))
        times[start : start + size] = np.sort(block)
        channels[start : start + size] = rng.integers(1, 5, size)
        first_slot = int(slots[-1]) + 2
    return times, channels


@pytest.fixture(scope="module")
def tags(request: pytest.FixtureRequest) -> Tags:
    return make_tags(int(float(str(request.config.getoption("--tags")))))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> PlainLoops:
    return PlainLoops(build("plain_loops.c", tmp_path_factory.mktemp("c")), CODE.symbols)


@pytest.fixture(scope="module")
def both() -> Iterator[TwoThreads]:
    with TwoThreads() as run:
        yield run


def compare(title: str, tags: Tags, ways: Mapping[str, Way], over: tuple[str, ...]) -> dict[str, list[float]]:
    measured = rates(ways, ROUNDS, tags[0].size / 1e6)
    show(f"{title}, {tags[0].size:.0e} tags", "Mtags/s", measured, over)
    return measured


def median_ratio(measured: Mapping[str, list[float]], name: str, over: str) -> float:
    return statistics.median(ratios(measured, name, over))


def test_fold_gate_sift_and_count(tags: Tags, plain: PlainLoops, both: TwoThreads):
    def ours(run=one_after_the_other) -> NDArray[np.int64]:
        sifter = TagSifter(CODE, SlotClock(0, PERIOD_PS), RECEIVER, run=run)
        sifter.add(*tags)
        return sifter.finish().outcomes.ravel()

    assert np.abs(ours() - plain.sift(*tags)).sum() <= 1e-6 * tags[0].size
    assert np.array_equal(ours(both), ours())
    ways = {
        "one core": ours,
        "two cores": lambda: ours(both),
        SAME_C: lambda: plain.sift(*tags),
        LESS_C: lambda: plain.sift_singly(*tags),
        "blockwise numpy": lambda: blockwise_numpy.sift(*tags, CODE.symbols, PERIOD_PS, GATE_PS),
        "sum over the arrays": lambda: plain.add_up(*tags),
    }
    measured = compare("Fold, gate, sift and count", tags, ways, (SAME_C, LESS_C, "blockwise numpy"))
    Console(width=120).print(SIFT_NOTE)
    assert median_ratio(measured, "one core", SAME_C) >= 0.9
    assert median_ratio(measured, "two cores", SAME_C) >= 1.4
    assert median_ratio(measured, "one core", "blockwise numpy") >= NUMPY_TARGET


def test_coincidences(tags: Tags, plain: PlainLoops, both: TwoThreads):
    def ours(run=one_after_the_other) -> int:
        counter = CoincidenceCounter([(1, 2)], WINDOW_PS, run=run)
        counter.add(*tags)
        return counter.finish().coincidences[1, 2]

    assert ours() == ours(both) == plain.coincidences(*tags)
    assert blockwise_numpy.coincidences(*tags, WINDOW_PS) == ours()
    ways = {
        "one core": ours,
        "two cores": lambda: ours(both),
        "plain C": lambda: plain.coincidences(*tags),
        "blockwise numpy": lambda: blockwise_numpy.coincidences(*tags, WINDOW_PS),
        "sum over the arrays": lambda: plain.add_up(*tags),
    }
    measured = compare("Coincidences of two channels", tags, ways, ("plain C", "blockwise numpy"))
    assert median_ratio(measured, "one core", "plain C") >= 0.9


def test_correlation(tags: Tags, plain: PlainLoops, both: TwoThreads):
    def ours(run=one_after_the_other) -> NDArray[np.int64]:
        correlator = CrossCorrelator(1, 2, bin_ps=BIN_PS, bins_each_side=BINS_EACH_SIDE, run=run)
        correlator.add(*tags)
        return correlator.finish().pairs

    expected = plain.correlate(*tags)
    for found in (ours(), ours(both), plain.correlate_parted(*tags)):
        assert np.array_equal(found, expected)
    assert np.array_equal(blockwise_numpy.correlate(*tags, BIN_PS, BINS_EACH_SIDE), expected)
    ways = {
        "one core": ours,
        "two cores": lambda: ours(both),
        "plain C": lambda: plain.correlate(*tags),
        "plain C, channels parted": lambda: plain.correlate_parted(*tags),
        "blockwise numpy": lambda: blockwise_numpy.correlate(*tags, BIN_PS, BINS_EACH_SIDE),
        "sum over the arrays": lambda: plain.add_up(*tags),
    }
    measured = compare("Correlation of two channels", tags, ways, ("plain C", "blockwise numpy"))
    assert median_ratio(measured, "one core", "plain C") >= 0.9
    assert median_ratio(measured, "one core", "plain C, channels parted") >= 0.9


def test_first_call_of_a_fresh_package(tmp_path: Path):
    """Processor time to compile everything into an empty cache, of a process after that, and of the import alone."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    script = Path(__file__).parent / "first_calls.py"
    seconds = [
        json.loads(subprocess.check_output([sys.executable, str(script)], env=environment)) for _ in range(2)
    ]
    console = Console(width=120)
    for name, (first, later) in zip(
        seconds[0], zip(*(each.values() for each in seconds), strict=True), strict=True
    ):
        console.print(f"{name:24s} {first:6.2f} s at first, {later:6.2f} s from the cache")
    assert seconds[0]["in all"] < 20.0
    assert seconds[1]["in all"] < 5.0
    assert min(each["import"] for each in seconds) < 0.5


def peer_words(found: "subprocess.CompletedProcess[bytes]", tags: int) -> str:
    if found.returncode:
        return f"ended with {found.returncode}"
    if not found.stdout.strip():
        return "not installed"
    result = json.loads(found.stdout.splitlines()[-1])
    return (
        f"{tags / result['seconds'] / 1e6:.2f} Mtags/s, {result['pairs']:.0f} pairs of {result['exact']} "
        f"({100 * (1 - result['pairs'] / result['exact']):.2f} % lost)"
    )


def test_beside_a_peer(request: pytest.FixtureRequest, tmp_path: Path):
    """Pairs of two channels by published analysers in an interpreter of its own, and beside what is exact."""
    python = request.config.getoption("--peer")
    if not isinstance(python, str):
        pytest.skip("no interpreter with a peer given by --peer")
    times, channels = make_tags(5_000_000)
    CrossCorrelator(1, 2, bin_ps=BIN_PS, bins_each_side=BINS_EACH_SIDE).add(times[:1000], channels[:1000])
    begun = time.perf_counter()
    correlator = CrossCorrelator(1, 2, bin_ps=BIN_PS, bins_each_side=BINS_EACH_SIDE)
    correlator.add(times, channels)
    pairs = correlator.finish().pairs
    ours = times.size / (time.perf_counter() - begun) / 1e6
    file = tmp_path / "peer.timeres"
    write_tags(file, [(times, channels)])
    firsts, seconds = times[channels == 1], times[channels == 2]
    low_ps = -BINS_EACH_SIDE * BIN_PS - BIN_PS // 2
    ends = (np.searchsorted(seconds, firsts + edge) for edge in (low_ps, low_ps + pairs.size * BIN_PS))
    exact = -np.subtract(*(end.sum() for end in ends))
    console = Console(width=120)
    console.print(f"\nours: {ours:.0f} Mtags/s, {pairs.sum()} pairs of {exact}, reading no file")
    for name in PEERS:
        words = (Path(__file__).parent / "peer_correlation.py", name, file, times.size, PEER_REACH_PS, BIN_PS)
        found = subprocess.run(
            [python, *map(str, words)],
            input=times.tobytes() + channels.tobytes(), stdout=subprocess.PIPE, cwd=tmp_path, check=False,
        )  # fmt: skip
        console.print(f"{name}: {peer_words(found, times.size)}")
    assert pairs.sum() == exact
