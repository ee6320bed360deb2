"""Lifetime (start-multistop) histograms of the quTAG library.

Reference: qutools tdclifetm.h. Assumed: generated data shows the model with noise that falls with the root of the
number of readings, and counts no events; the start channel's histogram is always there, others have to be added.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_codes import TIMEBASE_S, ReturnCode, TdcRefusal, require_range
from sim_devices.firmware.qutag_models import LFT_PARAMETERS, Model, Values, lifetime_model
from sim_devices.firmware.qutag_stream import Channels, Times

BIN_WIDTHS, BIN_COUNTS = (1, 8192), (16, 8192)


@dataclass
class _Decay:
    bins: NDArray[np.int64]
    too_big: int = 0
    starts: int = 0
    stops: int = 0
    first_ps: int | None = None
    last_ps: int = 0

    @property
    def exposure_ps(self) -> int:
        return 0 if self.first_ps is None else self.last_ps - self.first_ps


class Lifetime:
    """The histograms of one device by stop channel; that of the start channel takes in all stops."""

    def __init__(self, highest_channel: int) -> None:
        self._highest_channel = highest_channel
        self._enabled = False
        self._bin_width_ps, self._bin_count = 1, 256
        self._start = 0
        self._added: set[int] = set()
        self._last_start_ps: int | None = None
        self._demo: tuple[Model, tuple[float, ...], float] | None = None
        self._demo_reads = 0
        self._random = np.random.default_rng(0)
        self._histograms: dict[int, _Decay] = {}

    def enable(self, on: int) -> None:
        """Begin with empty histograms, or end."""
        self._enabled = on != 0
        self._clear()

    def set_start_input(self, channel: int) -> None:
        """The start channel; clears."""
        require_range(0 <= channel <= self._highest_channel)
        self._start = channel
        self._clear()

    def start_input(self) -> int:
        """The start channel."""
        return self._start

    def add(self, channel: int, add: int) -> None:
        """Add or remove the histogram of a stop channel."""
        require_range(0 <= channel <= self._highest_channel)
        (self._added.add if add else self._added.discard)(channel)
        if self._enabled and add:
            self._histograms.setdefault(channel, self._empty())
        elif channel != self._start:
            self._histograms.pop(channel, None)

    def set_params(self, bin_width_ps: int, bin_count: int) -> None:
        """Width and number of bins; clears."""
        require_range(BIN_WIDTHS[0] <= bin_width_ps <= BIN_WIDTHS[1])
        require_range(BIN_COUNTS[0] <= bin_count <= BIN_COUNTS[1])
        self._bin_width_ps, self._bin_count = bin_width_ps, bin_count
        self._clear()

    def params(self) -> tuple[int, int]:
        """Width in ps and number of bins."""
        return self._bin_width_ps, self._bin_count

    def reset(self) -> None:
        """Clear all histograms."""
        self._require_enabled()
        self._clear()

    def histogram(self, channel: int, reset: int) -> tuple[Values, tuple[int, int, int, int]]:
        """Bins; then too big, starts, stops, exposure in ps."""
        self._require_enabled()
        require_range(channel in self._histograms)
        found = self._histograms[channel]
        if reset:
            self._histograms[channel] = self._empty()
        values = found.bins.astype(np.float64) if self._demo is None else self._demo_values()
        return values, (found.too_big, found.starts, found.stops, found.exposure_ps)

    def model(self, kind: int) -> Model:
        """A decay."""
        return lifetime_model(kind)

    def times_s(self) -> Values:
        """Time of each bin's beginning."""
        steps = np.arange(self._bin_count, dtype=np.float64)
        return (steps * (self._bin_width_ps * TIMEBASE_S)).astype(np.float64)

    def generate_demo(self, kind: int, parameters: tuple[float, ...], noise: float) -> None:
        """Show this decay from now on, in place of measured data; type 0 ends that."""
        self._require_enabled()
        require_range(
            len(parameters) == LFT_PARAMETERS and bool(np.all(np.isfinite(parameters))) and noise >= 0.0
        )
        self._demo = None if kind == 0 else (lifetime_model(kind), parameters, noise)
        self._demo_reads = 0
        self._clear()

    def feed(self, times: Times, channels: Channels) -> None:
        """Count events."""
        if not self._enabled or self._demo is not None or not times.size:
            return
        is_start = channels == self._start
        starts_ps = np.where(is_start, times, np.iinfo(np.int64).min)
        if self._last_start_ps is not None:
            starts_ps[0] = max(starts_ps[0], self._last_start_ps)
        starts_ps = np.maximum.accumulate(starts_ps)
        valid = ~is_start & (starts_ps > np.iinfo(np.int64).min)
        self._last_start_ps = None if starts_ps[-1] == np.iinfo(np.int64).min else int(starts_ps[-1])
        for channel, histogram in self._histograms.items():
            chosen = valid if channel == self._start else valid & (channels == channel)
            self._count(histogram, times[chosen] - starts_ps[chosen])
            self._note(histogram, times[chosen | is_start], int(is_start.sum()), int(chosen.sum()))

    def _count(self, histogram: _Decay, differences: NDArray[np.int64]) -> None:
        places = differences // self._bin_width_ps
        inside = places[places < self._bin_count]
        histogram.too_big += places.size - inside.size
        histogram.bins += np.bincount(inside, minlength=self._bin_count)

    @staticmethod
    def _note(histogram: _Decay, times: Times, starts: int, stops: int) -> None:
        histogram.starts += starts
        histogram.stops += stops
        if times.size:
            histogram.first_ps = int(times[0]) if histogram.first_ps is None else histogram.first_ps
            histogram.last_ps = int(times[-1])

    def _demo_values(self) -> Values:
        model, parameters, noise = self._demo or (lifetime_model(1), (0.0,) * LFT_PARAMETERS, 0.0)
        self._demo_reads += 1
        values = model.function(self.times_s(), *parameters[: len(model.start)])
        noisy = values + noise / math.sqrt(self._demo_reads) * self._random.standard_normal(values.size)
        return np.maximum(np.rint(noisy), 0.0).astype(np.float64)

    def _clear(self) -> None:
        channels = {self._start, *self._added} if self._enabled else set()
        self._histograms = {channel: self._empty() for channel in sorted(channels)}
        self._last_start_ps = None

    def _empty(self) -> _Decay:
        return _Decay(np.zeros(self._bin_count, np.int64))

    def _require_enabled(self) -> None:
        if not self._enabled:
            raise TdcRefusal(ReturnCode.NOT_ENABLED)
