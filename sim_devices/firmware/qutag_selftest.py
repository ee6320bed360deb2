"""Test signals that a quTAG makes itself, and the ticks of its clock.

Reference: qutools tdcbase.h, TDC_configureSelftest and TDC_enableMarkers. Assumed: the bursts begin when they are
configured, all chosen inputs fire at the same time, and the distance is that from a burst's last event.
"""

from collections.abc import Sequence

import numpy as np

from sim_devices.firmware.qutag_codes import require_range
from sim_devices.firmware.qutag_profile import Generation
from sim_devices.firmware.qutag_stream import Channels, Times

TICK_PS = 10**9
TICK_CHANNEL = 104


class Selftest:
    """Bursts of equidistant events on chosen inputs; none at first."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._inputs: tuple[int, ...] = ()
        self._since_ps = 0
        self._period_ps = 1
        self._size = 1
        self._cycle_ps = 1

    def configure(self, mask: int, period: int, size: int, pause: int, *, now_ps: int) -> None:
        """Bit n of the mask is stop input n + 1; of a first-generation device bit 4 is the start input."""
        profile = self._generation
        for value, (low, high) in (
            (period, profile.selftest_periods),
            (size, profile.selftest_sizes),
            (pause, profile.selftest_pauses),
        ):
            require_range(low <= value <= high)
        wanted = [bit + 1 for bit in range(32) if mask >> bit & 1]
        self._inputs = tuple(
            sorted({number % profile.inputs for number in wanted if number <= profile.inputs})
        )
        self._since_ps = now_ps
        self._period_ps = period * profile.selftest_period_ps
        self._size = size
        self._cycle_ps = (size - 1) * self._period_ps + max(
            pause * profile.selftest_pause_ps, self._period_ps
        )

    @property
    def rate_hz(self) -> float:
        """Mean rate of all test events."""
        return len(self._inputs) * self._size * 1e12 / self._cycle_ps

    def between(self, begin_ps: int, end_ps: int) -> tuple[Times, Channels]:
        """Test events of a span of time, sorted."""
        if not self._inputs:
            return np.empty(0, np.int64), np.empty(0, np.uint8)
        first = max(0, (begin_ps - self._since_ps) // self._cycle_ps)
        last = (end_ps - self._since_ps) // self._cycle_ps + 1
        bursts = self._since_ps + self._cycle_ps * np.arange(first, max(first, last), dtype=np.int64)
        times = (bursts[:, None] + self._period_ps * np.arange(self._size, dtype=np.int64)).ravel()
        times = times[(times >= begin_ps) & (times < end_ps)]
        return np.repeat(times, len(self._inputs)), np.tile(np.array(self._inputs, np.uint8), times.size)


def ticks_between(begin_ps: int, end_ps: int) -> Times:
    """The device's ticks, one each ms of its clock."""
    return np.arange(-(-begin_ps // TICK_PS), -(-end_ps // TICK_PS), dtype=np.int64) * TICK_PS


def merged(*streams: tuple[Times, Channels]) -> tuple[Times, Channels]:
    """Sorted streams as one sorted stream."""
    filled: Sequence[tuple[Times, Channels]] = [stream for stream in streams if stream[0].size]
    if len(filled) <= 1:
        return filled[0] if filled else streams[0]
    times = np.concatenate([stream[0] for stream in filled])
    channels = np.concatenate([stream[1] for stream in filled])
    order = np.argsort(times, kind="stable")
    return times[order], channels[order]
