"""Start-stop histograms of the quTAG library.

Reference: qutools tdcstartstop.h. Assumed, for the header leaves it open: of several starts before a stop the last one
counts; `count` are the differences within the bins; reading a histogram that was not added is out of range.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_codes import ReturnCode, TdcRefusal, require_range
from sim_devices.firmware.qutag_stream import Channels, Times

BIN_WIDTHS, BIN_COUNTS = (1, 1_000_000), (2, 1_000_000)
_ANY = (-1, 0)


@dataclass
class _Histogram:
    start: int
    stop: int
    bins: NDArray[np.int64]
    too_small: int = 0
    too_large: int = 0
    starts: int = 0
    stops: int = 0
    first_ps: int | None = None
    last_ps: int = 0
    last_event: tuple[Times, Channels] = field(
        default_factory=lambda: (np.empty(0, np.int64), np.empty(0, np.uint8))
    )

    def feed(self, times: Times, channels: Channels, bin_width_ps: int) -> None:
        """A stop counts when its predecessor among the events of both channels is a start."""
        if self.start >= 0:
            own = (channels == self.start) | (channels == self.stop)
            times, channels = times[own], channels[own]
        if not times.size:
            return
        self._note(times, channels)
        times = np.concatenate([self.last_event[0], times])
        channels = np.concatenate([self.last_event[1], channels])
        self.last_event = times[-1:].copy(), channels[-1:].copy()
        differences = np.diff(times)
        if self.start >= 0:
            differences = differences[(channels[:-1] == self.start) & (channels[1:] == self.stop)]
        places = differences // bin_width_ps
        self.too_small += int(np.count_nonzero(places < 0))
        self.too_large += int(np.count_nonzero(places >= self.bins.size))
        inside = places[(places >= 0) & (places < self.bins.size)]
        np.add.at(self.bins, inside, 1)

    def _note(self, times: Times, channels: Channels) -> None:
        any_channel = self.start < 0
        self.starts += int(times.size if any_channel else np.count_nonzero(channels == self.start))
        self.stops += int(times.size if any_channel else np.count_nonzero(channels == self.stop))
        self.first_ps = int(times[0]) if self.first_ps is None else self.first_ps
        self.last_ps = int(times[-1])

    @property
    def exposure_ps(self) -> int:
        return 0 if self.first_ps is None else self.last_ps - self.first_ps


class StartStop:
    """The histograms of one device: one over all channels, and those that were added."""

    def __init__(self, highest_channel: int) -> None:
        self._highest_channel = highest_channel
        self._enabled = False
        self._bin_width_ps, self._bin_count = 1, 10_000
        self._pairs: set[tuple[int, int]] = {_ANY}
        self._histograms: dict[tuple[int, int], _Histogram] = {}

    def enable(self, on: int) -> None:
        """Begin with empty histograms, or end."""
        self._enabled = on != 0
        self._clear()

    def add(self, start: int, stop: int, add: int) -> None:
        """Add or remove the histogram of a pair of channels."""
        self._require_enabled()
        require_range(0 <= start <= self._highest_channel and 1 <= stop <= self._highest_channel)
        if add and (start, stop) not in self._pairs:
            self._pairs.add((start, stop))
            self._histograms[start, stop] = self._empty((start, stop))
        elif not add:
            self._pairs.discard((start, stop))
            self._histograms.pop((start, stop), None)

    def set_params(self, bin_width_ps: int, bin_count: int) -> None:
        """Width and number of bins; clears."""
        self._require_enabled()
        require_range(BIN_WIDTHS[0] <= bin_width_ps <= BIN_WIDTHS[1])
        require_range(BIN_COUNTS[0] <= bin_count <= BIN_COUNTS[1])
        self._bin_width_ps, self._bin_count = bin_width_ps, bin_count
        self._clear()

    def params(self) -> tuple[int, int]:
        """Width in ps and number of bins."""
        self._require_enabled()
        return self._bin_width_ps, self._bin_count

    def clear(self) -> None:
        """Empty all histograms."""
        self._require_enabled()
        self._clear()

    def histogram(
        self, start: int, stop: int, reset: int
    ) -> tuple[NDArray[np.int64], tuple[int, int, int, int, int, int]]:
        """Bins; then count, too small, too large, starts, stops, exposure in ps. Start -1: all channels."""
        self._require_enabled()
        pair = _ANY if start < 0 or stop <= 0 else (start, stop)
        require_range(pair in self._histograms)
        found = self._histograms[pair]
        if reset:
            self._histograms[pair] = self._empty(pair)
        counts = int(found.bins.sum()), found.too_small, found.too_large, found.starts, found.stops
        return found.bins, (*counts, found.exposure_ps)

    def feed(self, times: Times, channels: Channels) -> None:
        """Count events."""
        for histogram in self._histograms.values():
            histogram.feed(times, channels, self._bin_width_ps)

    def _require_enabled(self) -> None:
        if not self._enabled:
            raise TdcRefusal(ReturnCode.NOT_ENABLED)

    def _clear(self) -> None:
        self._histograms = {pair: self._empty(pair) for pair in self._pairs} if self._enabled else {}

    def _empty(self, pair: tuple[int, int]) -> _Histogram:
        return _Histogram(*pair, np.zeros(self._bin_count, np.int64))
