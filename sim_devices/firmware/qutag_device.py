"""One quTAG as its library knows it: what it is set to, and what becomes of its events.

Reference: qutools tdcbase.h. Assumed, for the header leaves it open: exposure time 1 s and coincidence
window 1 ns after initialisation; events pushed out of the timestamp buffer unread count as data lost; ticks are at
whole milliseconds of the device's clock.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sim_devices.firmware.qutag_codes import (
    MAX_BUFFER_SIZE,
    MAX_COINCIDENCE_WINDOW_PS,
    MAX_EXPOSURE_MS,
    ReturnCode,
    SimulationType,
    TdcRefusal,
    require_range,
)
from sim_devices.firmware.qutag_counters import CoincidenceCounters
from sim_devices.firmware.qutag_files import FileFormat, TagFile, features_of, read_tags
from sim_devices.firmware.qutag_hbt import Hbt
from sim_devices.firmware.qutag_heralded import Heralded
from sim_devices.firmware.qutag_inputs import InputSettings
from sim_devices.firmware.qutag_lifetime import Lifetime
from sim_devices.firmware.qutag_profile import GENERATIONS, Feature, Generation
from sim_devices.firmware.qutag_selftest import TICK_CHANNEL, merged, ticks_between
from sim_devices.firmware.qutag_startstop import StartStop
from sim_devices.firmware.qutag_stream import Channels, TagRing, Times

_PS_PER_MS = 10**9
_TICK_BIT = 4
_START_AS_CHANNEL = 5


class TdcDevice(InputSettings):
    """Settings and data of one device between two initialisations. Methods raise TdcRefusal.

    `demo` is a library without a device: all functions can be used, and `features` are those of the file last read.
    """

    def __init__(
        self,
        now_ps: int,
        generation: Generation = GENERATIONS[1],
        features: int | None = None,
        *,
        demo: bool = False,
    ) -> None:
        super().__init__(now_ps, generation, features)
        self.demo_features = 0
        self._demo = demo
        self._ring = TagRing()
        self._frozen = False
        self._lost = False
        self._file: TagFile | None = None
        self._file_ps = now_ps
        self._window_ps = 1000
        self._exposure_ms = 1000
        self._generated_ps = 0
        self._random = np.random.default_rng(0)
        self.startstop = StartStop(generation.highest_channel)
        self.hbt = Hbt(generation.highest_channel)
        self.lifetime = Lifetime(generation.highest_channel)
        self.heralded = Heralded(generation.highest_channel)
        self._restart_counters()

    def set_coincidence_window(self, window_ps: int) -> None:
        """0 to 2e9 ps; counting starts anew."""
        require_range(0 <= window_ps <= MAX_COINCIDENCE_WINDOW_PS)
        self._window_ps = window_ps
        self._restart_counters()

    def set_exposure_time(self, exposure_ms: int) -> None:
        """0 to 65535 ms; counting starts anew."""
        require_range(0 <= exposure_ms <= MAX_EXPOSURE_MS)
        self._exposure_ms = exposure_ms
        self._restart_counters()

    def device_params(self) -> tuple[int, int]:
        """Coincidence window in ps and exposure time in ms."""
        return self._window_ps, self._exposure_ms

    def set_buffer_size(self, size: int) -> None:
        """1 to 1e6 timestamps; the buffer is empty afterwards."""
        require_range(1 <= size <= MAX_BUFFER_SIZE)
        self._ring = TagRing(size)

    def buffer_size(self) -> int:
        """Timestamps that the buffer holds; 0 until a size has been set."""
        return self._ring.capacity

    def freeze_buffers(self, freeze: int) -> None:
        """Keep new events out of timestamp buffer and histograms, or no more; counters and files go on."""
        self._frozen = freeze != 0

    def enable_hbt(self, on: int) -> None:
        """Correlate, if the feature is there."""
        self._require_feature_unless_demo(Feature.HBT)
        self.hbt.enable(on)

    def enable_lifetime(self, on: int) -> None:
        """Make lifetime histograms, if the feature is there."""
        self._require_feature_unless_demo(Feature.LIFETIME)
        self.lifetime.enable(on)

    def _require_feature_unless_demo(self, feature: Feature) -> None:
        if not self._demo:
            self.require_feature(feature)

    # Data

    def arrive(self, times: Times, channels: Channels, until_ps: int, *, live: bool = True) -> None:
        """Take in the events of the inputs up to `until_ps`, and those of the selftest if the input is `live`."""
        begin_ps, self._now_ps = self._now_ps, until_ps
        if live:
            times, channels = merged((times, channels), self._selftest.between(begin_ps, until_ps))
        ready = int(np.searchsorted(times, self._calibrated_ps))
        times, channels, complete_ps = self._stage.pass_events(times[ready:], channels[ready:], until_ps)
        self._counters.feed(times, channels, complete_ps)
        passed = self._filters.pass_events(times, channels, complete_ps, self._window_ps)
        self._hand_over(*self._single_stops.pass_events(*passed[:2]), complete_ps=passed[2])

    def _hand_over(self, times: Times, channels: Channels, *, complete_ps: int) -> None:
        """To the computer: start events as channel 5, or for the histograms only; the ticks for a file only."""
        if self._five_channels:
            channels = np.where(channels == 0, _START_AS_CHANNEL, channels).astype(np.uint8)
        self._histogram(times, channels)
        if not self._five_channels and not self._clock_reset_disabled:
            stops = channels != 0
            if not stops.all():
                times, channels = times[stops], channels[stops]
        self._store(times, channels, self._ticks_until(complete_ps))

    def _ticks_until(self, complete_ps: int) -> Times:
        begin_ps, self._file_ps = self._file_ps, max(self._file_ps, complete_ps)
        if self._file is None or not self._marker_mask >> _TICK_BIT & 1:
            return np.empty(0, np.int64)
        return ticks_between(begin_ps, self._file_ps)

    def lose_events(self) -> None:
        """Take note of events that were lost before they arrived."""
        self._lost = True

    def data_lost(self) -> bool:
        """Whether timestamps were lost since the last call."""
        lost, self._lost = self._lost, False
        return lost

    def coincidence_counters(self) -> tuple[Sequence[int], int]:
        """The counters of the last exposure, and the number of exposures since the last call."""
        return self._counters.latest()

    def last_timestamps(self, reset: int) -> Sequence[tuple[Times, Channels]]:
        """The timestamp buffer, oldest first, in at most two pieces that hold until the next event arrives."""
        return self._ring.read(reset=reset != 0)

    def write_timestamps(self, filename: bytes | None, file_format: int) -> None:
        """Write all events from now on to a file; an empty name or the format NONE ends it."""
        self.close_file()
        if not filename or file_format == FileFormat.NONE:
            return
        require_range(file_format in tuple(FileFormat))
        try:
            self._file = TagFile(Path(filename.decode()), FileFormat(file_format), self.features)
        except OSError as error:
            raise TdcRefusal(ReturnCode.CANT_OPEN) from error

    def close_file(self) -> None:
        """End a file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read_timestamps(self, filename: bytes | None, file_format: int) -> None:
        """Take in the events of a binary file as they are: what wrote them has applied the delays."""
        require_range(file_format in (FileFormat.BINARY, FileFormat.RAW, FileFormat.COMPRESSED))
        path = Path((filename or b"").decode())
        try:
            self.demo_features = (features_of(path) or 0) & (Feature.HBT | Feature.LIFETIME)
            self._keep(*read_tags(path, FileFormat(file_format)))
        except OSError as error:
            raise TdcRefusal(ReturnCode.CANT_OPEN) from error

    def input_timestamps(self, times: Times, channels: Channels) -> None:
        """Take in synthetic events; mask and delays apply to them, the counters of the device do not see them."""
        require_range(bool(np.all(channels < self.generation.inputs)))
        order = np.argsort(times, kind="stable")
        passed = self._synthetic.pass_events(times[order], channels[order], 0)
        rest = self._synthetic.release()
        self._keep(*passed[:2])
        self._keep(*rest)

    def generate_timestamps(self, kind: int, centre_ps: float, width_ps: float, count: int) -> None:
        """Take in random events of the enabled inputs, with this centre and width of the time differences."""
        require_range(kind in tuple(SimulationType) and count >= 0)
        require_range(math.isfinite(centre_ps) and math.isfinite(width_ps) and width_ps >= 0)
        enabled = [channel for channel in range(self.generation.inputs) if self._stage.lets_in(channel)]
        if not enabled:
            raise TdcRefusal(ReturnCode.NOT_ENABLED)
        if kind == SimulationType.FLAT:
            steps = self._random.uniform(centre_ps - width_ps / 2, centre_ps + width_ps / 2, count)
        else:
            steps = self._random.normal(centre_ps, width_ps, count)
        times = self._generated_ps + np.cumsum(np.rint(steps[steps >= 0]).astype(np.int64))
        self._generated_ps = int(times[-1]) if times.size else self._generated_ps
        self._keep(times, self._random.choice(np.array(enabled, dtype=np.uint8), times.size))

    def _keep(self, times: Times, channels: Channels) -> None:
        self._histogram(times, channels)
        self._store(times, channels, np.empty(0, np.int64))

    def _histogram(self, times: Times, channels: Channels) -> None:
        if not self._frozen:
            for histograms in (self.startstop, self.hbt, self.lifetime, self.heralded):
                histograms.feed(times, channels)

    def _store(self, times: Times, channels: Channels, ticks: Times) -> None:
        if self._file is not None:
            self._file.append(
                *merged((times, channels), (ticks, np.full(ticks.size, TICK_CHANNEL, np.uint8)))
            )
        if not self._frozen:
            self._lost |= self._ring.write(times, channels)

    def _restart_counters(self) -> None:
        self._counters = CoincidenceCounters(
            window_ps=self._window_ps,
            exposure_ps=self._exposure_ms * _PS_PER_MS,
            since_ps=self._now_ps,
            inputs=self.generation.inputs,
        )
