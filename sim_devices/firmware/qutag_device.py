"""One quTAG as its library knows it: what it is set to, and what becomes of its events.

Reference: qutools tdcbase.h. Assumed, for the header leaves it open: exposure time 1 s and coincidence
window 1 ns after initialisation; element n of the channel delays is input n; events pushed out of the
timestamp buffer unread count as data lost. Thresholds and edges are remembered but have no effect, since
the twin knows pulses by their time only. All inputs are enabled at first, as the maker's examples expect.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sim_devices.firmware.qutag_codes import (
    FEATURES,
    MAX_BUFFER_SIZE,
    MAX_COINCIDENCE_WINDOW_PS,
    MAX_DELAY_PS,
    MAX_EXPOSURE_MS,
    MAX_THRESHOLD_V,
    MIN_THRESHOLD_V,
    SYNC_DIVIDERS,
    THRESHOLD_STEP_V,
    TIMEBASE_S,
    ReturnCode,
    SignalConditioning,
    SimulationType,
    TdcRefusal,
    require_range,
)
from sim_devices.firmware.qutag_counters import CoincidenceCounters
from sim_devices.firmware.qutag_files import FileFormat, TagFile, read_tags
from sim_devices.firmware.qutag_stream import CHANNELS, Channels, InputStage, TagRing, Times

_PS_PER_MS = 10**9
_LEGACY_CHANNELS = 8
_PRESETS = {SignalConditioning.LVTTL: (True, 2.0), SignalConditioning.NIM: (False, -0.6)}


class TdcDevice:
    """Settings and data of one device between two initialisations. Methods raise TdcRefusal."""

    def __init__(self, now_ps: int) -> None:
        self._now_ps = now_ps
        self._stage = InputStage()
        self._synthetic = InputStage()
        self._ring = TagRing()
        self._frozen = False
        self._lost = False
        self._file: TagFile | None = None
        self._conditioning = [(True, 1.0)] * CHANNELS
        self._window_ps = 1000
        self._exposure_ms = 1000
        self._generated_ps = 0
        self._random = np.random.default_rng(0)
        self._restart_counters()

    # Settings

    def timebase(self) -> float:
        """Unit of all times in seconds."""
        return TIMEBASE_S

    def clock_state(self) -> tuple[bool, bool]:
        """Whether the clock is locked to another one, and whether another device is locked to it: neither."""
        return False, False

    def enable_channels(self, mask: int) -> None:
        """Bit n lets events of input n into the timestamps; further bits are ignored."""
        self._stage.channel_mask = mask & (1 << CHANNELS) - 1
        self._synthetic.channel_mask = self._stage.channel_mask

    def channels_enabled(self) -> int:
        """The mask that holds."""
        return self._stage.channel_mask

    def configure_signal_conditioning(self, channel: int, kind: int, edge: int, threshold_v: float) -> None:
        """LVTTL and NIM bring their own edge and threshold; MISC takes those given, in steps of 1.47 mV."""
        require_range(0 <= channel < CHANNELS and kind in tuple(SignalConditioning))
        if kind == SignalConditioning.MISC:
            require_range(MIN_THRESHOLD_V <= threshold_v <= MAX_THRESHOLD_V)
            self._conditioning[channel] = (
                edge != 0,
                round(threshold_v / THRESHOLD_STEP_V) * THRESHOLD_STEP_V,
            )
        else:
            self._conditioning[channel] = _PRESETS[SignalConditioning(kind)]

    def signal_conditioning(self, channel: int) -> tuple[bool, float]:
        """Rising edge or not, and threshold in V, as in effect."""
        require_range(0 <= channel < CHANNELS)
        return self._conditioning[channel]

    def configure_sync_divider(self, divider: int, reconstruct: int) -> None:
        """Pass one event in 1, 2, 4 or 8 of input 0; reconstructed events make up for those skipped."""
        require_range(divider in SYNC_DIVIDERS)
        self._stage.sync_divider, self._stage.sync_reconstruct = divider, reconstruct != 0

    def sync_divider(self) -> tuple[int, bool]:
        """Divider, and whether skipped events are reconstructed."""
        return self._stage.sync_divider, self._stage.sync_reconstruct

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

    def set_channel_delays(self, delays_ps: Sequence[int]) -> None:
        """One delay for each input, -100 to 100 ns, added to its timestamps from now on."""
        require_range(all(abs(delay_ps) <= MAX_DELAY_PS for delay_ps in delays_ps))
        self._stage.delays_ps = list(delays_ps)
        self._synthetic.delays_ps = list(delays_ps)

    def channel_delays(self) -> Sequence[int]:
        """Eight values, as many as the header asks to make room for; the last three are 0."""
        return [*self._stage.delays_ps, *[0] * (_LEGACY_CHANNELS - CHANNELS)]

    def set_dead_time(self, channel: int, dead_time_ps: int) -> None:
        """Time for which an input is blind after an event; 0 for none."""
        require_range(0 <= channel < CHANNELS and dead_time_ps >= 0)
        self._stage.dead_times_ps[channel] = dead_time_ps

    def dead_time(self, channel: int) -> int:
        """Dead time of an input in ps."""
        require_range(0 <= channel < CHANNELS)
        return self._stage.dead_times_ps[channel]

    def set_buffer_size(self, size: int) -> None:
        """1 to 1e6 timestamps; the buffer is empty afterwards."""
        require_range(1 <= size <= MAX_BUFFER_SIZE)
        self._ring = TagRing(size)

    def buffer_size(self) -> int:
        """Timestamps that the buffer holds; 0 until a size has been set."""
        return self._ring.capacity

    def freeze_buffers(self, freeze: int) -> None:
        """Keep new events out of the timestamp buffer, or no more; counters and files go on."""
        self._frozen = freeze != 0

    # Data

    def arrive(self, times: Times, channels: Channels, until_ps: int) -> None:
        """Take in the events of the inputs up to `until_ps`."""
        self._now_ps = until_ps
        times, channels, complete_ps = self._stage.pass_events(times, channels, until_ps)
        self._counters.feed(times, channels, complete_ps)
        self._keep(times, channels)

    def lose_events(self) -> None:
        """Take note of events that were lost before they arrived."""
        self._lost = True

    def data_lost(self) -> bool:
        """Whether timestamps were lost since the last call."""
        lost, self._lost = self._lost, False
        return lost

    def coincidence_counters(self) -> tuple[Sequence[int], int]:
        """The 31 counters of the last exposure, and the number of exposures since the last call."""
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
        if file_format == FileFormat.COMPRESSED:
            raise TdcRefusal(ReturnCode.NOT_AVAILABLE)
        try:
            self._file = TagFile(Path(filename.decode()), FileFormat(file_format), FEATURES)
        except OSError as error:
            raise TdcRefusal(ReturnCode.CANT_OPEN) from error

    def close_file(self) -> None:
        """End a file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read_timestamps(self, filename: bytes | None, file_format: int) -> None:
        """Take in the events of a binary file as they are: what wrote them has applied the delays."""
        require_range(file_format in (FileFormat.BINARY, FileFormat.RAW))
        try:
            self._keep(*read_tags(Path((filename or b"").decode())))
        except OSError as error:
            raise TdcRefusal(ReturnCode.CANT_OPEN) from error

    def input_timestamps(self, times: Times, channels: Channels) -> None:
        """Take in synthetic events; mask and delays apply to them, the counters of the device do not see them."""
        require_range(bool(np.all(channels < CHANNELS)))
        order = np.argsort(times, kind="stable")
        passed = self._synthetic.pass_events(times[order], channels[order], 0)
        rest = self._synthetic.release()
        self._keep(*passed[:2])
        self._keep(*rest)

    def generate_timestamps(self, kind: int, centre_ps: float, width_ps: float, count: int) -> None:
        """Take in random events of the enabled inputs, with this centre and width of the time differences."""
        require_range(kind in tuple(SimulationType) and count >= 0)
        require_range(math.isfinite(centre_ps) and math.isfinite(width_ps) and width_ps >= 0)
        enabled = [channel for channel in range(CHANNELS) if self._stage.channel_mask >> channel & 1]
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
        if self._file is not None:
            self._file.append(times, channels)
        if not self._frozen:
            self._lost |= self._ring.write(times, channels)

    def _restart_counters(self) -> None:
        self._counters = CoincidenceCounters(
            window_ps=self._window_ps, exposure_ps=self._exposure_ms * _PS_PER_MS, since_ps=self._now_ps
        )
