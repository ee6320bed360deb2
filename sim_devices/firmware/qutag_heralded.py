"""Heralded second-order correlations of the second-generation quTAG library.

Reference: qutools tdchg2.h. Assumed: bins are centred, the middle one (number of bins // 2) on equal times;
g(2) is triple coincidences times heralds over the product of both double coincidences; pairs further than half the
bins from their herald are not counted, and heralds are evaluated when half the bins have passed after them.
"""

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_codes import ReturnCode, TdcRefusal, require_range
from sim_devices.firmware.qutag_models import Values
from sim_devices.firmware.qutag_stream import Channels, Times

BIN_WIDTHS, BIN_COUNTS = (1, 1_000_000), (16, 65_536)


class Heralded:
    """Coincidences of two signal channels with an idler, of one device."""

    def __init__(self, highest_channel: int) -> None:
        self._highest_channel = highest_channel
        self._enabled = False
        self._bin_width_ps, self._bin_count = 1, 256
        self._inputs = 1, 2, 3
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

    def set_input(self, idler: int, first: int, second: int) -> None:
        """The three channels; clears."""
        require_range(all(1 <= channel <= self._highest_channel for channel in (idler, first, second)))
        self._inputs = idler, first, second
        self._clear()

    def input(self) -> tuple[int, int, int]:
        """Idler, first and second channel."""
        return self._inputs

    def reset(self) -> None:
        """Clear."""
        self._require_enabled()
        self._clear()

    def g2(self, reset: int) -> Values:
        """g(2) by the second signal's delay."""
        self._require_enabled()
        doubles = self._coincidences * self._second.astype(np.float64)
        values = np.zeros(self._bin_count)
        np.divide(self._heralded * float(self._idlers), doubles, out=values, where=doubles > 0.0)
        if reset:
            self._clear()
        return values

    def triples(self, reset: int) -> dict[int, int]:
        """Triple coincidences by first bin + second bin * number of bins, without those that are 0."""
        self._require_enabled()
        triples = self._triples
        if reset:
            self._triples = {}
        return triples

    def raw(self) -> tuple[int, int, NDArray[np.int64], NDArray[np.int64]]:
        """Idlers, coincidences of the first signal, then by bin: triples with them, and second signals."""
        self._require_enabled()
        return self._idlers, self._coincidences, self._heralded, self._second

    def feed(self, times: Times, channels: Channels) -> None:
        """Correlate events."""
        if not self._enabled:
            return
        own = np.isin(channels, self._inputs)
        if not own.any():
            return
        times = np.concatenate([self._late[0], times[own]])
        channels = np.concatenate([self._late[1], channels[own]])
        reach_ps = self._bin_width_ps * (self._bin_count // 2 + 1)
        heralds = times[channels == self._inputs[0]]
        heralds = heralds[(heralds > self._done_ps) & (heralds <= times[-1] - reach_ps)]
        for herald_ps in heralds.tolist():
            self._count(times, channels, herald_ps, reach_ps)
        if heralds.size:
            self._done_ps = int(heralds[-1])
        first = int(np.searchsorted(times, times[-1] - 2 * reach_ps))
        self._late = times[first:].copy(), channels[first:].copy()

    def _count(self, times: Times, channels: Channels, herald_ps: int, reach_ps: int) -> None:
        near = slice(*np.searchsorted(times, (herald_ps - reach_ps, herald_ps + reach_ps + 1)))
        first, second = (self._bins(times[near][channels[near] == c] - herald_ps) for c in self._inputs[1:])
        self._idlers += 1
        np.add.at(self._second, second, 1)
        hits = int(np.count_nonzero(first == self._bin_count // 2))
        self._coincidences += hits
        np.add.at(self._heralded, second, hits)
        for place in (first[:, None] + self._bin_count * second).ravel().tolist():
            self._triples[place] = self._triples.get(place, 0) + 1

    def _bins(self, differences: NDArray[np.int64]) -> NDArray[np.int64]:
        places = (differences + self._bin_width_ps // 2) // self._bin_width_ps + self._bin_count // 2
        return places[(places >= 0) & (places < self._bin_count)]

    def _clear(self) -> None:
        self._idlers = self._coincidences = 0
        self._heralded = np.zeros(self._bin_count, np.int64)
        self._second = np.zeros(self._bin_count, np.int64)
        self._triples: dict[int, int] = {}
        self._late = np.empty(0, np.int64), np.empty(0, np.uint8)
        self._done_ps = np.iinfo(np.int64).min

    def _require_enabled(self) -> None:
        if not self._enabled:
            raise TdcRefusal(ReturnCode.NOT_ENABLED)
