"""The quTAG's event and coincidence counters: 31, or 59 in the second generation, whose inputs 6 to 32 only count.

Reference: qutools tdcbase.h, TDC_getCoincCounters (order of the counters, exposure, coincidence window).
Assumed, for the header does not say: exposures follow each other from the moment the exposure time was
set; a coincidence begins with an event that no earlier coincidence contains and takes in all events up to
one coincidence window later, within the exposure; three channels that coincide also count for each pair.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_kernels import PATTERN, count_coincidences
from sim_devices.firmware.qutag_stream import CHANNELS, Channels, Times

_PAIRS = "1/2, 1/3, 2/3, 1/4, 2/4, 3/4, 1/5, 2/5, 3/5, 4/5"
_TRIPLES = "1/2/3, 1/2/4, 1/3/4, 2/3/4, 1/2/5, 1/3/5, 2/3/5, 1/4/5, 2/4/5, 3/4/5"
_LARGER = "1/2/3/4, 1/2/3/5, 1/2/4/5, 1/3/4/5, 2/3/4/5, 1/2/3/4/5"
_COMBINATIONS = f"{_PAIRS}, {_TRIPLES}, {_LARGER}".split(", ")
COUNTERS = CHANNELS + len(_COMBINATIONS)
"""Single counters of inputs 0 to 4, then the combinations; 5 in a combination is input 0 where there are five."""

_PATTERNS = 1 << CHANNELS
_MASKS = [sum(1 << int(number) % CHANNELS for number in name.split("/")) for name in _COMBINATIONS]
_CONTAINS = np.array(
    [[pattern & mask == mask for pattern in range(_PATTERNS)] for mask in _MASKS], dtype=np.int64
)
_NO_COINCIDENCE = np.array([-(1 << 62), 0], dtype=np.int64)


class _Exposure:
    """Counts of one exposure: events of each input, and coincidences by the set of inputs that took part."""

    def __init__(self, inputs: int) -> None:
        self.singles = np.zeros(inputs, dtype=np.int64)
        self.patterns = np.zeros(_PATTERNS, dtype=np.int64)

    def counters(self) -> list[int]:
        return [*self.singles.tolist(), *(_CONTAINS @ self.patterns).tolist()]


class CoincidenceCounters:
    """Counts per exposure of lab time; only the last complete exposure and the running one are kept."""

    def __init__(self, *, window_ps: int, exposure_ps: int, since_ps: int, inputs: int = CHANNELS) -> None:
        self._inputs = inputs
        self._bits = _bits(inputs)
        self._window_ps = window_ps
        self._exposure_ps = exposure_ps
        self._since_ps = since_ps
        self._exposures: dict[int, _Exposure] = {}
        self._running = 0
        self._reported = 0
        self._open = _NO_COINCIDENCE.copy()

    def feed(self, times: Times, channels: Channels, until_ps: int) -> None:
        """Count sorted events; there are no further ones before `until_ps`. An exposure of 0 counts nothing."""
        if self._exposure_ps == 0:
            return
        present = max(0, (until_ps - self._since_ps) // self._exposure_ps)
        for index in range(max(self._running, present - 1), present + 1):
            if index > self._running:
                self._close_coincidence()
                self._running = index
            begin_ps = self._since_ps + index * self._exposure_ps
            first, end = np.searchsorted(times, (begin_ps, begin_ps + self._exposure_ps))
            self._count(times[first:end], channels[first:end])
        self._exposures = {i: counts for i, counts in self._exposures.items() if i >= present - 1}

    def latest(self) -> tuple[Sequence[int], int]:
        """The counters of the last complete exposure, and how many became complete since the last call."""
        updates, self._reported = self._running - self._reported, self._running
        return self._exposures.get(self._running - 1, _Exposure(self._inputs)).counters(), updates

    def _count(self, times: Times, channels: Channels) -> None:
        if times.size:
            exposure = self._exposures.setdefault(self._running, _Exposure(self._inputs))
            singles, patterns = exposure.singles, exposure.patterns
            count_coincidences(times, channels, self._window_ps, self._open, self._bits, singles, patterns)

    def _close_coincidence(self) -> None:
        if self._running in self._exposures:
            self._exposures[self._running].patterns[self._open[PATTERN]] += 1
        self._open = _NO_COINCIDENCE.copy()


def _bits(inputs: int) -> NDArray[np.int64]:
    """Bit of each input in a pattern: that of its number modulo 5 for the five that can coincide."""
    numbers = np.arange(inputs)
    coincide = numbers < CHANNELS if inputs == CHANNELS else (numbers >= 1) & (numbers <= CHANNELS)
    return np.where(coincide, 1 << numbers % CHANNELS, 0).astype(np.int64)
