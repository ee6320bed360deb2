"""Second-order correlations of the quTAG library.

Reference: qutools tdchbt.h. Assumed: bin k of a correlation holds differences from k to k + 1 bin widths, bin 0 of g(2)
the mean of both directions; rates are events over the time between the first and the last of them; generated data
gives 1000 events at each enquiry, and its noise falls with the root of the number of times g(2) was calculated.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_codes import TIMEBASE_S, ReturnCode, TdcRefusal, require_range
from sim_devices.firmware.qutag_models import HBT_PARAMETERS, Model, Values, hbt_model
from sim_devices.firmware.qutag_stream import Channels, Times

BIN_WIDTHS, BIN_COUNTS = (1, 8192), (16, 8192)
_DEMO_EVENTS = 1000
_NO_TIMES: Times = np.empty(0, np.int64)
_NO_CHANNELS: Channels = np.empty(0, np.uint8)


class Hbt:
    """Cross-correlation of two channels of one device, and g(2)."""

    def __init__(self, highest_channel: int) -> None:
        self._highest_channel = highest_channel
        self._enabled = False
        self._bin_width_ps, self._bin_count = 1, 256
        self._pair = 0, 1
        self._jitter_s = 0.0
        self._random = np.random.default_rng(0)
        self._demo: tuple[Model, tuple[float, ...], float] | None = None
        self._demo_reads = 0
        self._clear()

    def enable(self, on: int) -> None:
        """Begin with empty correlations, or end."""
        self._enabled = on != 0
        self._clear()

    def set_params(self, bin_width_ps: int, bin_count: int) -> None:
        """Width and number of bins; clears."""
        require_range(BIN_WIDTHS[0] <= bin_width_ps <= BIN_WIDTHS[1])
        require_range(BIN_COUNTS[0] <= bin_count <= BIN_COUNTS[1])
        self._bin_width_ps, self._bin_count = bin_width_ps, bin_count
        self._clear()

    def params(self) -> tuple[int, int]:
        """Width in ps and number of bins."""
        return self._bin_width_ps, self._bin_count

    def set_detector_params(self, jitter_s: float) -> None:
        """Jitter of one detector in s, for the models that have it."""
        require_range(jitter_s >= 0.0 and np.isfinite(jitter_s))
        self._jitter_s = jitter_s

    def detector_params(self) -> float:
        """Jitter in s."""
        return self._jitter_s

    def set_input(self, first: int, second: int) -> None:
        """The two channels; clears."""
        require_range(0 <= first <= self._highest_channel and 0 <= second <= self._highest_channel)
        self._pair = first, second
        self._clear()

    def input(self) -> tuple[int, int]:
        """The two channels."""
        return self._pair

    def reset(self) -> None:
        """Clear the correlations."""
        self._require_enabled()
        self._clear()

    def event_count(self) -> tuple[int, int, float]:
        """Events since the reset, since the last enquiry, and their rate in Hz (0 for fewer than two)."""
        self._require_enabled()
        if self._demo is not None:
            self._events += _DEMO_EVENTS
        count = self._events - self._reported
        span_ps = self._last_ps - (self._since_ps if self._since_ps is not None else self._last_ps)
        rate = (count - 1) / (span_ps * TIMEBASE_S) if count > 1 and span_ps > 0 else 0.0
        self._reported, self._since_ps = self._events, None
        return self._events, count, rate

    def integration_time(self) -> float:
        """Time in s between the first and the last event, 0 unless both channels had one."""
        self._require_enabled()
        return (self._last_ps - self._first_ps) * TIMEBASE_S if np.all(self._singles) else 0.0

    def correlations(self, backward: int) -> Values:
        """Differences from the first channel to the second, or (1) the other way."""
        self._require_enabled()
        if self._demo is not None:
            raise TdcRefusal(ReturnCode.NOT_AVAILABLE)
        return self._correlations[1 if backward else 0].astype(np.float64)

    def g2(self) -> Values:
        """g(2) from minus to plus (number of bins - 1) bin widths."""
        self._require_enabled()
        if self._demo is not None:
            return self._demo_g2()
        forward, backward = self._correlations.astype(np.float64)
        both = np.concatenate([backward[:0:-1], [(forward[0] + backward[0]) / 2.0], forward[1:]])
        accidental = float(self._singles[0] * self._singles[1]) * self._bin_width_ps
        duration_ps = self._last_ps - self._first_ps
        return both * duration_ps / accidental if accidental > 0.0 else np.zeros_like(both)

    def model(self, kind: int) -> Model:
        """A model function with the detectors' jitter."""
        return hbt_model(kind, self._jitter_s)

    def generate_demo(self, kind: int, parameters: tuple[float, ...], noise: float) -> None:
        """Show this g(2) from now on, in place of measured data; type 0 ends that."""
        self._require_enabled()
        require_range(
            len(parameters) == HBT_PARAMETERS and bool(np.all(np.isfinite(parameters))) and noise >= 0.0
        )
        self._demo = None if kind == 0 else (self.model(kind), parameters, noise)
        self._demo_reads = 0
        self._clear()

    def feed(self, times: Times, channels: Channels) -> None:
        """Correlate events."""
        if not self._enabled or self._demo is not None:
            return
        own = (channels == self._pair[0]) | (channels == self._pair[1])
        if not own.any():
            return
        times, channels = times[own], channels[own]
        self._note(times, channels)
        reach_ps = self._bin_width_ps * self._bin_count
        all_times, all_channels = (
            np.concatenate([self._late[0], times]),
            np.concatenate([self._late[1], channels]),
        )
        self._correlate(all_times, all_channels, self._late[0].size, reach_ps)
        first = int(np.searchsorted(all_times, all_times[-1] - reach_ps))
        self._late = all_times[first:].copy(), all_channels[first:].copy()

    def _correlate(self, times: Times, channels: Channels, old: int, reach_ps: int) -> None:
        """Count pairs of which the later event is new; pairs of equal time count in both directions."""
        for distance in range(1, times.size):
            begin = max(0, old - distance)
            differences = times[begin + distance :] - times[begin:-distance]
            near = (differences >= 0) & (differences < reach_ps)
            if not near.any():
                return
            earlier, later = channels[begin:-distance][near], channels[begin + distance :][near]
            self._add(differences[near], earlier, later)

    def _add(self, differences: NDArray[np.int64], earlier: Channels, later: Channels) -> None:
        first, second = self._pair
        for direction, (one, other) in enumerate(((first, second), (second, first))):
            chosen = (earlier == one) & (later == other)
            if one != other:
                chosen |= (earlier == other) & (later == one) & (differences == 0)
            bins = differences[chosen] // self._bin_width_ps
            self._correlations[direction] += np.bincount(bins, minlength=self._bin_count)[: self._bin_count]

    def _note(self, times: Times, channels: Channels) -> None:
        if self._events == 0:
            self._first_ps = int(times[0])
        self._since_ps = int(times[0]) if self._since_ps is None else self._since_ps
        self._last_ps = int(times[-1])
        self._events += times.size
        self._singles += [int(np.count_nonzero(channels == channel)) for channel in self._pair]

    def _demo_g2(self) -> Values:
        model, parameters, noise = self._demo or (hbt_model(1, 0.0), (), 0.0)
        self._demo_reads += 1
        values = model.function(self.times_s(), *parameters[: len(model.start)])
        noisy = values + noise / math.sqrt(self._demo_reads) * self._random.standard_normal(values.size)
        return noisy.astype(np.float64)

    def times_s(self) -> Values:
        """Time of each value of g(2)."""
        steps = np.arange(1 - self._bin_count, self._bin_count, dtype=np.float64)
        return (steps * (self._bin_width_ps * TIMEBASE_S)).astype(np.float64)

    def _clear(self) -> None:
        self._correlations = np.zeros((2, self._bin_count), np.int64)
        self._singles = np.zeros(2, np.int64)
        self._events = self._reported = self._first_ps = self._last_ps = 0
        self._since_ps: int | None = None
        self._late = _NO_TIMES, _NO_CHANNELS

    def _require_enabled(self) -> None:
        if not self._enabled:
            raise TdcRefusal(ReturnCode.NOT_ENABLED)
