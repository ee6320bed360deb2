"""What ends an acquisition early: aborts, pauses, somebody who no longer waits, failures."""

import threading
from typing import Any

import numpy as np
import pytest

from qdci_lab.errors import (
    AcquisitionError,
)
from tests.unit.drivers.qutag.tdcbase import Collector, Connected, HandClock, Tdcbase, acquire


def test_abort_ends_within_one_poll(connected: Connected, library: Tdcbase, clock: HandClock) -> None:
    tagger = connected()
    clock.on_sleep = lambda number: tagger.abort() if number == 3 else None
    collector = Collector()
    with pytest.raises(AcquisitionError, match=r"bob\.tagger: acquisition aborted after"):
        acquire(tagger, collector, max_duration_s=100.0)
    assert (len(clock.sleeps), len(collector.times)) == (3, 2)
    assert not library.input_on


def test_what_a_pause_gives_up_is_no_failure(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    clock.on_sleep = lambda number: tagger.pause() if number == 1 else None
    status = tagger.trigger()
    status.wait(10)
    assert status.success
    assert not tagger.count_rates.is_measured


@pytest.mark.parametrize("way", ["stop", "make_safe"])
def test_stop_and_safe_state_abort(connected: Connected, clock: HandClock, way: str) -> None:
    tagger = connected()
    clock.on_sleep = lambda number: getattr(tagger, way)() if number == 1 else None
    with pytest.raises(AcquisitionError, match="aborted"):
        acquire(tagger, Collector(), max_duration_s=100.0)


def test_abort_reaches_what_is_still_waiting_and_not_what_comes_after(
    connected: Connected, clock: HandClock
) -> None:
    tagger = connected()
    reached, go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == 1:
            reached.set()
            assert go_on.wait(10)

    clock.on_sleep = hold
    running, waiting = tagger.trigger(), tagger.trigger()
    assert reached.wait(10)
    tagger.abort()
    again = tagger.trigger()
    go_on.set()
    for status in (running, waiting):
        with pytest.raises(AcquisitionError, match="aborted"):
            status.wait(10)
    again.wait(10)
    assert tagger.tag_count.last == 100_000


def test_nobody_waits_any_longer(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    ended = threading.Event()
    outcomes: list[Exception] = []

    def work(status: Any) -> None:
        def give_up(_number: int) -> None:
            status.set_exception(TimeoutError("too late"))
            status.exception(timeout=10)

        clock.on_sleep = give_up
        try:
            tagger.acquire(lambda _times, _channels: None, lambda: 0.0, max_duration_s=100.0, status=status)
        except AcquisitionError as error:
            outcomes.append(error)
        ended.set()

    with pytest.raises(TimeoutError):
        tagger.submit(work).wait(10)
    assert ended.wait(10)
    assert "nobody waits" in str(outcomes[0])
    assert len(clock.sleeps) == 1


def test_hung_library_fails_the_status_in_time(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    go_on = threading.Event()
    clock.on_sleep = lambda _number: go_on.wait(10)
    status = tagger.submit(
        lambda status: tagger.acquire(lambda *_: None, lambda: 0.0, max_duration_s=9.0, status=status),
        timeout=0.05,
    )
    with pytest.raises(TimeoutError):
        status.wait(10)
    go_on.set()


def test_failure_of_the_consumer_is_passed_on(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()

    def fail(_times: np.ndarray, _channels: np.ndarray) -> None:
        raise AcquisitionError("no code found")

    work = tagger.submit(lambda _status: tagger.acquire(fail, lambda: 0.0, max_duration_s=1.0))
    with pytest.raises(AcquisitionError, match="no code found"):
        work.wait(10)
    assert not library.input_on
