"""Recording and analysis that are slower than the device."""

import threading
from pathlib import Path

import numpy as np
import pytest

from drivers.time_tagger.acquisition import Acquisition
from drivers.time_tagger.qutag import QuTag
from qdci_lab.errors import (
    AcquisitionError,
    LocalProtocolError,
)
from qdci_lab.record.tag_stream import path_of
from qdci_lab.record.time_tags import TagSegmentReader
from tests.unit.drivers.qutag.tdcbase import PS, Connected, HandClock, RunningClock, Tdcbase


def test_slow_analysis_loses_nothing_on_a_clock_that_waits(connected: Connected, library: Tdcbase) -> None:
    """On lab time the reader waits for the analysis, however long it takes, so that its speed does not matter."""
    tagger = connected(backlog=1)
    at_once: list[int] = []
    waited = threading.Event()

    def linger(_times: np.ndarray, _channels: np.ndarray) -> None:
        at_once.append(len(library.given))
        waited.wait(0.02)

    results: list[Acquisition] = []
    tagger.submit(
        lambda _status: results.append(tagger.acquire(linger, lambda: 0.0, max_duration_s=1.0))
    ).wait(10)
    assert (results[0].count, results[0].lost) == (100_000, 0)
    assert at_once == list(range(2, 2 + len(at_once)))


@pytest.mark.parametrize("clock", [RunningClock()])
def test_readings_that_nobody_can_take_in_time_are_dropped_and_counted(
    connected: Connected, library: Tdcbase, clock: RunningClock, tmp_path: Path
) -> None:
    """The analysis stands still until the library has been read eight times: two readings fit into the backlog."""
    tagger = connected(buffer_size=5000, backlog=2, on_data_loss="record")
    tagger.segment_directory, tagger.keep_tags = tmp_path, True
    tagger.stage()
    tagger.tags.describe_collect()
    go_on = threading.Event()
    library.on_reading = lambda number: go_on.set() if number == 8 else None
    clock.tick_ps = 2 * PS // 1000
    taken: list[int] = []

    def stand_still(times: np.ndarray, _channels: np.ndarray) -> None:
        assert go_on.wait(20)
        taken.append(len(times))

    results: list[Acquisition] = []
    tagger.submit(
        lambda _status: results.append(tagger.acquire(stand_still, lambda: 0.0, max_duration_s=0.6))
    ).wait(20)
    clock.tick_ps = 0
    result = results[0]
    documents = list(tagger.tags.collect_asset_docs())
    tagger.unstage()
    segment = TagSegmentReader(path_of(documents[0][1]["uri"]))
    assert result.data_lost
    assert result.lost >= sum(library.given[3:8]) > 0
    assert result.count == segment.count == sum(taken) == tagger.tag_count.last
    assert result.count + result.lost == sum(library.given[1:])
    assert tagger.tags_lost.last == result.lost


@pytest.mark.parametrize("clock", [RunningClock()])
def test_dropped_readings_end_an_acquisition_where_losses_matter(
    connected: Connected, library: Tdcbase, clock: RunningClock
) -> None:
    tagger = connected(buffer_size=5000, backlog=1)
    go_on = threading.Event()
    library.on_reading = lambda number: go_on.set() if number == 3 else None
    clock.tick_ps = 2 * PS // 1000
    work = tagger.submit(
        lambda _status: tagger.acquire(lambda *_: go_on.wait(20), lambda: 0.0, max_duration_s=0.6)
    )
    with pytest.raises(AcquisitionError, match="time tags were lost"):
        work.wait(20)
    assert tagger.data_lost.last == 1


def test_a_backlog_holds_something(clock: HandClock) -> None:
    with pytest.raises(LocalProtocolError, match="backlog of 0"):
        QuTag("c_api+python:foreign_tdcbase:table", name="tagger", label="bob.tagger", clock=clock, backlog=0)
