"""Output filters of the quTAG: events that the device counts and does not hand over.

Reference: qutools tdcbase.h, TDC_configureFilter and TDC_preselectSingleStop. Assumed, for the header only names them:
the coincidence filter passes an event with another one of any chosen input within one coincidence window; the sync
filter passes the first event of an input after an event of any chosen input.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_codes import require_range
from sim_devices.firmware.qutag_stream import Channels, Times

_NO_TIMES: Times = np.empty(0, np.int64)
_NO_CHANNELS: Channels = np.empty(0, np.uint8)


class FilterType(IntEnum):
    """TDC_FilterType without its invalid value."""

    NONE = 0
    MUTE = 1
    COINCIDENCE = 2
    SYNC = 3


class OutputFilters:
    """One filter for each of the channels 1 to 5. Events that a later one may still decide on are held back."""

    def __init__(self, channels: tuple[int, ...], *, first_bit: int) -> None:
        self._filters: dict[int, tuple[FilterType, int]] = dict.fromkeys(channels, (FilterType.NONE, 0))
        self._first_bit = first_bit
        self._held = _NO_TIMES, _NO_CHANNELS
        self._recent = _NO_TIMES, _NO_CHANNELS
        self._seen: dict[int, bool] = {}

    def configure(self, channel: int, kind: int, mask: int) -> None:
        """Bit n of the mask is channel n, or n + 1 where masks begin with channel 1."""
        require_range(channel in self._filters and kind in tuple(FilterType))
        allowed = sum(1 << (number - self._first_bit) for number in self._filters)
        require_range(mask & ~allowed == 0)
        self._filters[channel] = FilterType(kind), mask
        self._seen[channel] = False

    def filter(self, channel: int) -> tuple[int, int]:
        """Type and mask that hold for a channel."""
        require_range(channel in self._filters)
        return self._filters[channel]

    def pass_events(
        self, times: Times, channels: Channels, complete_ps: int, window_ps: int
    ) -> tuple[Times, Channels, int]:
        """The events that pass, and until when they are complete."""
        active = {channel: (kind, mask) for channel, (kind, mask) in self._filters.items() if kind}
        if not active and not self._held[0].size:
            return times, channels, complete_ps
        looks_ahead = any(kind is FilterType.COINCIDENCE for kind, _ in active.values())
        times = np.concatenate([self._held[0], times])
        channels = np.concatenate([self._held[1], channels])
        horizon_ps = complete_ps - window_ps if looks_ahead else complete_ps
        ready = int(np.searchsorted(times, horizon_ps))
        passed = np.ones(ready, np.bool_)
        for channel, (kind, mask) in active.items():
            chosen = self._chosen(mask)
            own = channels[:ready] == channel
            if kind is FilterType.MUTE:
                passed &= ~own
            elif kind is FilterType.COINCIDENCE:
                others = chosen[chosen != channel]
                passed &= ~own | self._accompanied(times, channels, others, window_ps)[:ready]
            else:
                passed &= ~own | self._first_after(channel, own, np.isin(channels[:ready], chosen))
        self._remember(times, channels, ready, window_ps)
        return times[:ready][passed], channels[:ready][passed], horizon_ps

    def _accompanied(
        self, times: Times, channels: Channels, chosen: NDArray[np.uint8], window_ps: int
    ) -> NDArray[np.bool_]:
        """Which events have one of the chosen channels no further than the window away, before or after."""
        others = np.concatenate(
            [self._recent[0][np.isin(self._recent[1], chosen)], times[np.isin(channels, chosen)]]
        )
        near = np.searchsorted(others, times - window_ps, "left")
        far = np.searchsorted(others, times + window_ps, "right")
        return far > near

    def _first_after(
        self, channel: int, own: NDArray[np.bool_], other: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which own events follow an event of the chosen channels with no other own event in between."""
        marks = np.cumsum(other) + int(self._seen.get(channel, False))
        before = np.concatenate([[0], marks[own]])[:-1]
        first = np.zeros(own.size, np.bool_)
        first[own] = marks[own] > before
        if own.any():
            self._seen[channel] = bool(marks[-1] > marks[own][-1])
        elif marks.size:
            self._seen[channel] = bool(marks[-1])
        return first

    def _remember(self, times: Times, channels: Channels, ready: int, window_ps: int) -> None:
        self._held = times[ready:].copy(), channels[ready:].copy()
        recent_times = np.concatenate([self._recent[0], times[:ready]])
        recent_channels = np.concatenate([self._recent[1], channels[:ready]])
        oldest_ps = recent_times[-1] - 2 * window_ps if recent_times.size else 0
        first = int(np.searchsorted(recent_times, oldest_ps))
        self._recent = recent_times[first:].copy(), recent_channels[first:].copy()

    def _chosen(self, mask: int) -> NDArray[np.uint8]:
        return np.array([c for c in self._filters if mask >> (c - self._first_bit) & 1], np.uint8)


class SingleStops:
    """Lets only the first event of each stop input after a start event pass, once there was a start event."""

    def __init__(self) -> None:
        self.on = False
        self._starts = 0
        self._used: dict[int, int] = {}

    def pass_events(self, times: Times, channels: Channels) -> tuple[Times, Channels]:
        """The events that pass."""
        if not self.on:
            return times, channels
        starts = self._starts + np.cumsum(channels == 0)
        passed = channels == 0
        for channel in np.unique(channels[channels != 0]).tolist():
            own = np.flatnonzero(channels == channel)
            before = np.concatenate([[self._used.get(channel, 0)], starts[own]])[:-1]
            passed[own] = (starts[own] > before) | (starts[own] == 0)
            self._used[channel] = int(starts[own][-1])
        self._starts = int(starts[-1]) if starts.size else self._starts
        return times[passed], channels[passed]
