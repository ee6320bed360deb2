"""Settings of the library's own counters, and dead times."""

from typing import Any

import pytest
from ophyd.utils import LimitError

from qdci_lab.errors import (
    LocalProtocolError,
    TransportError,
)
from tests.unit.drivers.qutag.tdcbase import Connected, Tdcbase


def test_exposure_and_window_go_to_the_library_in_its_units(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()
    assert (tagger.exposure_time.get(), tagger.coincidence_window.get()) == (0.1, 1000)
    tagger.exposure_time.set(2.5).wait(timeout=10)
    tagger.coincidence_window.set(30_000).wait(timeout=10)
    assert (library.exposure_ms, library.window_ps) == (2500, 30_000)
    with pytest.raises(LimitError, match=r"65\.535 s"):
        tagger.exposure_time.set(65.6)
    with pytest.raises(LimitError, match="2e\\+09 ps"):
        tagger.coincidence_window.set(2_000_000_001)


def test_dead_times_are_set_when_connecting_and_read_back(connected: Connected, library: Tdcbase) -> None:
    tagger = connected(dead_times_ps=[100, 200, 300, 400_000])
    assert library.dead_times == [0, 100, 200, 300, 400_000]
    assert tuple(tagger.dead_times.get()) == (100, 200, 300, 400_000)


def test_dead_times_stay_unless_given(connected: Connected, library: Tdcbase) -> None:
    connected()
    assert "TDC_setDeadTime" not in library.calls


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dead_times_ps": [1, 2, 3]}, "one dead time for each of 4 inputs"),
        ({"dead_times_ps": [1, 2, 3, -1]}, "dead time of input 4 in ps of -1 is not within 0 to"),
        ({"generation": 3}, "neither 1 nor 2"),
    ],
)
def test_what_no_device_has_is_refused(connected: Connected, options: dict[str, Any], said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        connected(**options)


def test_a_library_without_counters_says_so_when_they_are_wanted(connected: Connected) -> None:
    tagger = connected()
    with pytest.raises(TransportError, match="no function TDC_getCoincCounters"):
        tagger.coincidence_counts.get()
