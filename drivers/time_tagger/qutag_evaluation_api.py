"""What a quTAG's library evaluates by itself: counters, filters, start-stop histograms and g(2).

Reference: qutools, tdcbase.h, tdcstartstop.h and tdchbt.h. A function is looked up when it is first called, so that a
library without it still serves for time tags. Times in ps; a refusal is an InstrumentError in the library's own words.
"""

from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, Structure, byref, c_double, c_int, c_int32, c_int64, c_void_p, cast
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError

Filter = Literal["none", "mute", "coincidence", "sync"]

MAX_EXPOSURE_MS = 65_535
MAX_COINCIDENCE_WINDOW_PS = 2_000_000_000
COUNTERS = {1: 31, 2: 59}
FILTERS: tuple[Filter, ...] = ("none", "mute", "coincidence", "sync")
FILTER_CHANNELS = (1, 2, 3, 4, 5)
HISTOGRAM_BIN_WIDTHS_PS, HISTOGRAM_BINS = (1, 1_000_000), (2, 1_000_000)
G2_BIN_WIDTHS_PS, G2_BINS = (1, 8192), (16, 8192)
_HIGHEST_START = {1: 20, 2: 96}

PROTOTYPES: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "TDC_getDeviceParams": (c_int, (POINTER(c_int32), POINTER(c_int32))),
    "TDC_setExposureTime": (c_int, (c_int32,)),
    "TDC_setCoincidenceWindow": (c_int, (c_int32,)),
    "TDC_getCoincCounters": (c_int, (POINTER(c_int32), POINTER(c_int32))),
    "TDC_setDeadTime": (c_int, (c_int32, c_int32)),
    "TDC_getDeadTime": (c_int, (c_int32, POINTER(c_int32))),
    "TDC_configureFilter": (c_int, (c_int32, c_int, c_int32)),
    "TDC_getFilter": (c_int, (c_int32, POINTER(c_int), POINTER(c_int32))),
    "TDC_enableStartStop": (c_int, (c_int32,)),
    "TDC_addHistogram": (c_int, (c_int32, c_int32, c_int32)),
    "TDC_setHistogramParams": (c_int, (c_int32, c_int32)),
    "TDC_getHistogram": (
        c_int,
        (c_int32, c_int32, c_int32, *[POINTER(c_int32)] * 6, POINTER(c_int64)),
    ),
    "TDC_enableHbt": (c_int, (c_int32,)),
    "TDC_setHbtParams": (c_int, (c_int32, c_int32)),
    "TDC_setHbtInput": (c_int, (c_int32, c_int32)),
    "TDC_getHbtEventCount": (c_int, (POINTER(c_int64), POINTER(c_int64), POINTER(c_double))),
    "TDC_getHbtIntegrationTime": (c_int, (POINTER(c_double),)),
    "TDC_calcHbtG2": (c_int, (c_void_p,)),
}
"""Result and argument types by symbol, the same in both generations."""


@dataclass(frozen=True)
class StartStopHistogram:
    """Counts by delay of the first stop after a start; `exposure_ps` is between the first and the last event."""

    start: int
    stop: int
    bin_width_ps: int
    counts: NDArray[np.int64]
    too_large: int
    starts: int
    stops: int
    exposure_ps: int


@dataclass(frozen=True)
class SecondOrderCorrelation:
    """g(2) of two channels by delay in ps; `integration_time_s` is what the library integrated over."""

    channels: tuple[int, int]
    delays_ps: NDArray[np.int64]
    values: NDArray[np.float64]
    events: int
    integration_time_s: float


class EvaluationApi:
    """The evaluating functions of one library; `call(symbol, types, *arguments)` raises for a refusal."""

    def __init__(self, call: Callable[..., None], *, generation: int) -> None:
        self._invoke = call
        self._generation = generation

    def exposure_ms(self) -> int:
        """TDC_getDeviceParams: exposure time of the counters."""
        return self._device_params()[1]

    def set_exposure_ms(self, exposure_ms: int) -> None:
        """TDC_setExposureTime."""
        _check("exposure in ms", exposure_ms, (0, MAX_EXPOSURE_MS))
        self._call("TDC_setExposureTime", exposure_ms)

    def coincidence_window_ps(self) -> int:
        """TDC_getDeviceParams: coincidence window."""
        return self._device_params()[0]

    def set_coincidence_window_ps(self, window_ps: int) -> None:
        """TDC_setCoincidenceWindow."""
        _check("coincidence window in ps", window_ps, (0, MAX_COINCIDENCE_WINDOW_PS))
        self._call("TDC_setCoincidenceWindow", window_ps)

    def coincidence_counters(self) -> tuple[NDArray[np.int64], int]:
        """TDC_getCoincCounters: counts of the last exposure in the header's order, and exposures since last asked."""
        data, updates = (c_int32 * COUNTERS[self._generation])(), c_int32()
        self._call("TDC_getCoincCounters", data, byref(updates))
        return np.array(data, np.int64), updates.value

    def dead_time_ps(self, number: int) -> int:
        """TDC_getDeadTime of an input; the second generation has none."""
        value = c_int32()
        self._call("TDC_getDeadTime", number, byref(value))
        return value.value

    def set_dead_time_ps(self, number: int, dead_time_ps: int) -> None:
        """TDC_setDeadTime."""
        _check(f"dead time of input {number} in ps", dead_time_ps, (0, 2**31 - 1))
        self._call("TDC_setDeadTime", number, dead_time_ps)

    def set_filter(self, channel: int, kind: Filter, with_channels: Sequence[int] = ()) -> None:
        """TDC_configureFilter: events of a channel that are not handed over, by those of others."""
        _check("filtered channel", channel, (FILTER_CHANNELS[0], FILTER_CHANNELS[-1]))
        if kind not in FILTERS or not set(with_channels) <= set(FILTER_CHANNELS):
            raise LocalProtocolError(
                f"a filter {kind!r} with channels {list(with_channels)}: there are {FILTERS}"
            )
        if kind in ("coincidence", "sync") and not with_channels:
            raise LocalProtocolError(
                f"a {kind} filter needs the channels that events are to be together with"
            )
        mask = sum(1 << self._filter_bit(number) for number in set(with_channels))
        self._call("TDC_configureFilter", channel, FILTERS.index(kind), mask)

    def filter(self, channel: int) -> tuple[Filter, tuple[int, ...]]:
        """TDC_getFilter: kind, and the other channels."""
        kind, mask = c_int(), c_int32()
        self._call("TDC_getFilter", channel, byref(kind), byref(mask))
        if not 0 <= kind.value < len(FILTERS):
            raise RemoteProtocolError(f"channel {channel}: a filter of kind {kind.value}")
        return FILTERS[kind.value], tuple(n for n in FILTER_CHANNELS if mask.value >> self._filter_bit(n) & 1)

    def begin_start_stop(self, pairs: Sequence[tuple[int, int]], bin_width_ps: int, bins: int) -> None:
        """TDC_enableStartStop, TDC_setHistogramParams, TDC_addHistogram: empty histograms from now on."""
        _check("bin width in ps", bin_width_ps, HISTOGRAM_BIN_WIDTHS_PS)
        _check("number of bins", bins, HISTOGRAM_BINS)
        for start, stop in pairs:
            _check("start channel", start, (0, _HIGHEST_START[self._generation]))
            _check("stop channel", stop, (1, _HIGHEST_START[self._generation]))
        self._call("TDC_enableStartStop", 1)
        self._call("TDC_setHistogramParams", bin_width_ps, bins)
        for start, stop in pairs:
            self._call("TDC_addHistogram", start, stop, 1)

    def start_stop(self, start: int, stop: int, bin_width_ps: int, bins: int) -> StartStopHistogram:
        """TDC_getHistogram."""
        data, numbers, exposure = (c_int32 * bins)(), [c_int32() for _ in range(5)], c_int64()
        self._call("TDC_getHistogram", start, stop, 0, data, *map(byref, numbers), byref(exposure))
        _, _, too_large, starts, stops = (number.value for number in numbers)
        counts = np.array(data, np.int64)
        return StartStopHistogram(start, stop, bin_width_ps, counts, too_large, starts, stops, exposure.value)

    def end_start_stop(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Remove the histograms and stop making them."""
        for start, stop in pairs:
            self._call("TDC_addHistogram", start, stop, 0)
        self._call("TDC_enableStartStop", 0)

    def begin_g2(self, channels: tuple[int, int], bin_width_ps: int, bins: int) -> None:
        """TDC_setHbtParams, TDC_setHbtInput, TDC_enableHbt: empty correlations from now on."""
        _check("bin width in ps", bin_width_ps, G2_BIN_WIDTHS_PS)
        _check("number of bins", bins, G2_BINS)
        self._call("TDC_setHbtParams", bin_width_ps, bins)
        self._call("TDC_setHbtInput", *channels)
        self._call("TDC_enableHbt", 1)

    def g2(self, channels: tuple[int, int], bins: int) -> SecondOrderCorrelation:
        """TDC_calcHbtG2, TDC_getHbtEventCount, TDC_getHbtIntegrationTime."""
        function = _hbt_function(2 * bins)
        self._call("TDC_calcHbtG2", cast(byref(function), c_void_p))
        if not 0 < function.size <= 2 * bins:
            raise RemoteProtocolError(f"g(2) of {function.size} values where {2 * bins - 1} were expected")
        delays_ps = (np.arange(function.size, dtype=np.int64) - function.index_offset) * function.bin_width
        total, last, rate, duration_s = c_int64(), c_int64(), c_double(), c_double()
        self._call("TDC_getHbtEventCount", byref(total), byref(last), byref(rate))
        self._call("TDC_getHbtIntegrationTime", byref(duration_s))
        values = np.array(function.values[: function.size], np.float64)
        return SecondOrderCorrelation(channels, delays_ps, values, total.value, duration_s.value)

    def end_g2(self) -> None:
        """TDC_enableHbt: stop correlating."""
        self._call("TDC_enableHbt", 0)

    def _filter_bit(self, channel: int) -> int:
        """The header's masks count channels from bit 0 in the first generation, stop 1 from bit 0 in the second."""
        return channel if self._generation == 1 else channel - 1

    def _device_params(self) -> tuple[int, int]:
        window, exposure = c_int32(), c_int32()
        self._call("TDC_getDeviceParams", byref(window), byref(exposure))
        return window.value, exposure.value

    def _call(self, symbol: str, *arguments: Any) -> None:
        self._invoke(symbol, PROTOTYPES[symbol], *arguments)


def _hbt_function(capacity: int) -> Any:
    """A TDC_HbtFunction with room for values."""

    class HbtFunction(Structure):
        _fields_ = (
            ("capacity", c_int32),
            ("size", c_int32),
            ("bin_width", c_int32),
            ("index_offset", c_int32),
            ("values", c_double * capacity),
        )

    return HbtFunction(capacity=capacity)


def _check(what: str, value: int, bounds: tuple[int, int]) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise LocalProtocolError(f"a {what} of {value} is not within {low} to {high}")
