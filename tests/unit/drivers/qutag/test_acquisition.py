"""What an acquisition brings, and how the buffer is read meanwhile."""

import math
import threading

import numpy as np
import pytest

from drivers.time_tagger.acquisition import Acquisition, Pace, Tally
from qdci_lab.errors import (
    AcquisitionError,
    LocalProtocolError,
)
from tests.unit.drivers.qutag.tdcbase import PS, Collector, Connected, HandClock, Tdcbase, acquire


def test_every_tag_of_the_time_and_no_other(connected: Connected, library: Tdcbase, clock: HandClock) -> None:
    tagger = connected()
    clock.time_ps += PS // 3
    collector = Collector()
    start_ps = clock.now_ps()
    result = acquire(tagger, collector, max_duration_s=1.0)
    times, channels = library.tags_between(start_ps, start_ps + PS)
    np.testing.assert_array_equal(np.concatenate(collector.times), times)
    np.testing.assert_array_equal(np.concatenate(collector.channels), channels)
    assert result == Acquisition(start_ps, PS, len(times), 0, data_lost=False, complete=False)
    assert not library.input_on


def test_acquisition_ends_when_enough_has_come(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    collector = Collector(wanted=50_000)
    result = acquire(tagger, collector, max_duration_s=100.0)
    assert result.complete
    assert 50_000 <= result.count < 50_200
    assert result.duration_ps == sum(round(seconds * PS) for seconds in clock.sleeps)
    assert clock.sleeps[:2] == pytest.approx([0.003, 0.017])
    assert max(clock.sleeps) == 0.2
    assert len(clock.sleeps) < 9


def test_library_may_count_inputs_from_zero(connected: Connected, library: Tdcbase) -> None:
    library.first_channel = 0
    tagger = connected(first_channel_number=0)
    collector = Collector()
    acquire(tagger, collector, max_duration_s=0.1)
    assert set(np.concatenate(collector.channels)) == {1, 2, 3, 4}
    assert tagger.count_rates.last == pytest.approx([25_000.0] * 4)


def test_buffer_is_never_more_than_half_full(
    connected: Connected, library: Tdcbase, clock: HandClock
) -> None:
    library.rate_hz = 2e6
    tagger = connected(buffer_size=50_000)
    acquire(tagger, Collector(), max_duration_s=0.1)
    assert max(clock.sleeps) <= 0.0125


def light_up(library: Tdcbase, clock: HandClock, rate_hz: float, *, in_wait: int) -> None:
    """From one wait on there are tags where there were none before."""
    library.rate_hz = 0.3
    clock.on_sleep = lambda number: setattr(library, "rate_hz", rate_hz if number >= in_wait else 0.3)


def test_the_fastest_input_is_read_in_time_though_nothing_is_known_of_it(
    connected: Connected, library: Tdcbase, clock: HandClock
) -> None:
    """A hundred million tags a second, as many as the cable carries, fill this buffer in half a millisecond."""
    tagger = connected(buffer_size=50_000, on_data_loss="record")
    light_up(library, clock, 1e8, in_wait=1)
    result = acquire(tagger, Collector(), max_duration_s=0.001)
    assert clock.sleeps[0] == pytest.approx(0.3 * 0.0005)
    assert (result.count, result.data_lost) == (100_000, False)


def test_dark_input_is_polled_until_the_time_is_over(
    connected: Connected, library: Tdcbase, clock: HandClock
) -> None:
    library.rate_hz = 1e-3
    tagger = connected()
    result = acquire(tagger, Collector(wanted=10), max_duration_s=2.0)
    assert result == Acquisition(result.start_ps, 2 * PS, 0, 0, data_lost=False, complete=False)
    assert clock.sleeps[2:-1] == [0.2] * 9
    np.testing.assert_array_equal(tagger.count_rates.last, np.zeros(4))


def test_lost_tags_end_the_acquisition_with_figures(
    connected: Connected, library: Tdcbase, clock: HandClock
) -> None:
    tagger = connected()
    clock.on_sleep = lambda number: setattr(library, "lost", number == 2)
    with pytest.raises(
        AcquisitionError, match=r"bob\.tagger: time tags were lost after 0\.02 s and 2000 tags.*1700"
    ):
        acquire(tagger, Collector(), max_duration_s=1.0)
    assert tagger.data_lost.last == 1
    assert not library.input_on


def test_lost_tags_can_be_noted_only(connected: Connected, library: Tdcbase, clock: HandClock) -> None:
    tagger = connected(on_data_loss="record")
    clock.on_sleep = lambda number: setattr(library, "lost", number == 2)
    result = acquire(tagger, Collector(), max_duration_s=1.0)
    assert result.data_lost
    assert result.count == 100_000
    assert tagger.data_lost.last == 1
    assert not acquire(tagger, Collector(), max_duration_s=0.1).data_lost
    assert tagger.data_lost.last == 0


def test_what_was_overwritten_is_bounded_by_what_the_cable_can_bring() -> None:
    """10 ms from the beginning of the reading before to the end of the late one, at 100 million tags a second."""
    so_far = tally(elapsed_s=0.0, fraction=0.0)
    so_far.restart(read_ps=PS // 1000, now_ps=2 * PS // 1000)
    so_far.now_ps = 11 * PS // 1000
    so_far.bound_overwritten(10 * PS // 1000, 300_000, overwritten=True)
    assert so_far.overwritten_at_most == 700_000
    so_far.now_ps = 12 * PS // 1000
    so_far.bound_overwritten(11 * PS // 1000, 300_000, overwritten=False)
    so_far.now_ps = 13 * PS // 1000
    so_far.bound_overwritten(12 * PS // 1000, 300_000, overwritten=True)
    assert so_far.result().overwritten_at_most == 700_000


def test_a_full_ring_that_is_only_noted_bounds_what_it_lost(
    connected: Connected, library: Tdcbase, clock: HandClock
) -> None:
    tagger = connected(buffer_size=1000, on_data_loss="record")
    light_up(library, clock, 1e6, in_wait=2)
    result = acquire(tagger, Collector(), max_duration_s=0.1)
    assert result.data_lost
    assert result.overwritten_at_most >= 100_000 - result.count > 0


def test_loss_before_the_acquisition_does_not_matter(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()
    library.lost = True
    assert not acquire(tagger, Collector(), max_duration_s=0.1).data_lost


def test_full_ring_buffer_is_a_loss(connected: Connected, library: Tdcbase, clock: HandClock) -> None:
    tagger = connected(buffer_size=1000)
    light_up(library, clock, 1e6, in_wait=2)
    with pytest.raises(AcquisitionError, match="the buffer holds 1000"):
        acquire(tagger, Collector(), max_duration_s=1.0)


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.nan])
def test_acquisition_takes_time(connected: Connected, duration_s: float) -> None:
    with pytest.raises(LocalProtocolError):
        acquire(connected(), Collector(), max_duration_s=duration_s)


def test_progress_is_told_to_watchers(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    told: list[float] = []
    begun = threading.Event()
    clock.on_sleep = lambda _number: begun.wait(10)
    status = tagger.trigger()
    status.watch(lambda **now: told.append(1.0 - now["fraction"]))
    begun.set()
    status.wait(10)
    assert told == sorted(told)
    assert told[:2] == pytest.approx([0.003, 0.02])
    assert told[-1] == 1.0


def tally(*, elapsed_s: float, fraction: float, rate_hz: float = 0.0) -> Tally:
    so_far = Tally(0, 100 * PS, inputs=4, rate_hz=rate_hz)
    so_far.now_ps = round(elapsed_s * PS)
    so_far.fraction = fraction
    return so_far


@pytest.mark.parametrize(
    ("so_far", "wait_s"),
    [
        (tally(elapsed_s=0.0, fraction=0.0), 0.003),
        (tally(elapsed_s=0.0, fraction=0.0, rate_hz=1e4), 0.02),
        (tally(elapsed_s=0.0, fraction=0.0, rate_hz=3e6), 0.01),
        (tally(elapsed_s=0.0, fraction=0.0, rate_hz=2e7), 0.003),
        (tally(elapsed_s=0.003, fraction=0.0, rate_hz=1e4), 0.017),
        (tally(elapsed_s=0.003, fraction=0.1, rate_hz=1e8), 0.003),
        (tally(elapsed_s=0.02, fraction=0.0), 0.2),
        (tally(elapsed_s=0.02, fraction=0.25), 0.06),
        (tally(elapsed_s=0.02, fraction=0.01), 0.2),
        (tally(elapsed_s=1.0, fraction=0.99999), 0.02),
        (tally(elapsed_s=1.0, fraction=0.01, rate_hz=5e6), 0.06),
        (tally(elapsed_s=1.0, fraction=0.99999, rate_hz=1e9), 0.0003),
    ],
)
def test_wait_between_readings(so_far: Tally, wait_s: float) -> None:
    assert Pace(0.2, 1_000_000).wait_s(so_far) == pytest.approx(wait_s)


def test_rates_ignore_what_comes_from_no_input() -> None:
    so_far = tally(elapsed_s=0.0, fraction=0.0)
    so_far.add(PS // 2, np.array([1, 1, 4, 0, 104, 2], np.uint8))
    assert so_far.count == 6
    np.testing.assert_array_equal(so_far.rates_hz(), [4.0, 2.0, 0.0, 2.0])
