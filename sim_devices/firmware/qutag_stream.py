"""What the quTAG does to the events of its inputs before anybody sees them, and the ring that keeps the last ones.

Reference: qutools tdcbase.h (channels, dead time, sync divider, channel delays, timestamp buffer).
"""

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_kernels import merge_delayed, outlive_dead_time

CHANNELS = 5
"""Inputs of a first-generation device: 0 is the start input, 1 to 4 are the stop inputs."""

Times = NDArray[np.int64]
Channels = NDArray[np.uint8]

_LONG_AGO_PS = -(1 << 62)
_NO_TIMES: Times = np.empty(0, dtype=np.int64)
_NO_CHANNELS: Channels = np.empty(0, dtype=np.uint8)


class InputStage:
    """Dead times, sync divider, channel mask and channel delays of the device, in this order.

    Delayed events are sorted again. An event that a later one of another channel could still overtake is
    held until time has passed it by, so the order does not depend on how often somebody reads.
    """

    def __init__(self, inputs: int = CHANNELS) -> None:
        self.inputs = inputs
        self.channel_mask = (1 << inputs) - 1
        self.linked_away: frozenset[int] = frozenset()
        self.delays_ps = [0] * inputs
        self.dead_times_ps = [0] * inputs
        self.sync_divider = 1
        self.sync_reconstruct = False
        self._last_events_ps = np.full(inputs, _LONG_AGO_PS, dtype=np.int64)
        self._sync_events = 0
        self._held_times, self._held_channels = _NO_TIMES, _NO_CHANNELS

    def pass_events(self, times: Times, channels: Channels, until_ps: int) -> tuple[Times, Channels, int]:
        """Take events that came before `until_ps`; give those that leave, and until when they are complete."""
        times, channels = self._after_dead_times(times, channels)
        times, channels = self._after_divider(times, channels)
        times, channels = self._after_mask(times, channels)
        return self._after_delays(times, channels, until_ps)

    def lets_in(self, channel: int) -> bool:
        """Whether events of an input pass: it is enabled, and not given to another one to measure with."""
        return bool(self.channel_mask >> channel & 1) and channel not in self.linked_away

    def release(self) -> tuple[Times, Channels]:
        """The events that are held, for a source that ends."""
        held = self._held_times, self._held_channels
        self._held_times, self._held_channels = _NO_TIMES, _NO_CHANNELS
        return held

    def _after_dead_times(self, times: Times, channels: Channels) -> tuple[Times, Channels]:
        if not any(self.dead_times_ps):
            return times, channels
        dead_times = np.array(self.dead_times_ps, dtype=np.int64)
        alive = outlive_dead_time(times, channels, dead_times, self._last_events_ps)
        return times[alive], channels[alive]

    def _after_divider(self, times: Times, channels: Channels) -> tuple[Times, Channels]:
        if self.sync_divider == 1 or self.sync_reconstruct:
            return times, channels
        events = np.flatnonzero(channels == 0)
        order = self._sync_events + np.arange(events.size)
        self._sync_events += events.size
        passed = np.ones(times.size, dtype=np.bool_)
        passed[events] = order % self.sync_divider == 0
        return times[passed], channels[passed]

    def _after_mask(self, times: Times, channels: Channels) -> tuple[Times, Channels]:
        if self.channel_mask == (1 << self.inputs) - 1 and not self.linked_away:
            return times, channels
        enabled = np.array([self.lets_in(channel) for channel in range(self.inputs)], dtype=np.bool_)
        passed = enabled[channels]
        return (times, channels) if passed.all() else (times[passed], channels[passed])

    def _after_delays(self, times: Times, channels: Channels, until_ps: int) -> tuple[Times, Channels, int]:
        horizon_ps = until_ps + min(self.delays_ps)
        if not self._held_times.size and len(set(self.delays_ps)) == 1:
            return (times + self.delays_ps[0] if self.delays_ps[0] else times), channels, horizon_ps
        delays = np.array(self.delays_ps, dtype=np.int64)
        times, channels = merge_delayed(self._held_times, self._held_channels, times, channels, delays)
        ready = int(np.searchsorted(times, horizon_ps))
        self._held_times, self._held_channels = times[ready:].copy(), channels[ready:].copy()
        return times[:ready], channels[:ready], horizon_ps


class TagRing:
    """The last `capacity` events; the oldest give way to new ones."""

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = capacity
        self._times = np.empty(capacity, dtype=np.int64)
        self._channels = np.empty(capacity, dtype=np.uint8)
        self._end = 0
        self._size = 0
        self._unread = 0

    def write(self, times: Times, channels: Channels) -> bool:
        """Take events in; tells whether some were pushed out that nobody had read."""
        if self.capacity == 0:
            return False
        lost = self._unread + times.size > self.capacity
        times, channels = times[-self.capacity :], channels[-self.capacity :]
        count, first = times.size, min(times.size, self.capacity - self._end)
        self._times[self._end : self._end + first] = times[:first]
        self._channels[self._end : self._end + first] = channels[:first]
        self._times[: count - first] = times[first:]
        self._channels[: count - first] = channels[first:]
        self._end = (self._end + count) % self.capacity
        self._size = min(self.capacity, self._size + count)
        self._unread = min(self.capacity, self._unread + count)
        return lost

    def read(self, *, reset: bool) -> list[tuple[Times, Channels]]:
        """The events kept, oldest first, in pieces that hold until the next write; `reset` empties the ring."""
        begin = (self._end - self._size) % self.capacity if self.capacity else 0
        first = min(self._size, self.capacity - begin)
        pieces = [slice(begin, begin + first), slice(0, self._size - first)]
        self._unread = 0
        if reset:
            self._size = 0
        return [(self._times[piece], self._channels[piece]) for piece in pieces if piece.stop > piece.start]
