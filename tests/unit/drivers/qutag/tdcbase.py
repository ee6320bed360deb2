"""A C function table of our own, read independently from the maker's header, and who acquires by it."""

import ctypes
import math
import re
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_double, c_int, c_longlong, c_ubyte, c_void_p
from typing import Any

import numpy as np

from drivers.time_tagger.acquisition import Acquisition
from drivers.time_tagger.qutag import QuTag

PS = 10**12
WORDS = {0: b"Ok", 2: b"Device not connected", 10: b"Parameter out of range", 14: b"Not available"}

DECLARATIONS = """
double TDC_getVersion();
const char * TDC_perror(int rc);
int TDC_getTimebase(double * timebase);
int TDC_init(int deviceId);
int TDC_deInit();
TDC_DevType TDC_getDevType();
int TDC_enableChannels(Int32 channelMask);
int TDC_getChannelsEnabled(Int32 * channelMask);
int TDC_configureSignalConditioning(Int32 channel, TDC_SignalCond conditioning, Bln32 edge, double threshold);
int TDC_getSignalConditioning(Int32 channel, Bln32 * edge, double * threshold);
int TDC_setChannelDelays(const Int32 * delays);
int TDC_getChannelDelays(Int32 * delays);
int TDC_getDataLost(Bln32 * lost);
int TDC_setTimestampBufferSize(Int32 size);
int TDC_getTimestampBufferSize(Int32 * size);
int TDC_enableTdcInput(Bln32 enable);
int TDC_freezeBuffers(Bln32 freeze);
int TDC_getLastTimestamps(Bln32 reset, Int64 * timestamps, Uint8 * channels, Int32 * valid);
"""


class HandClock:
    """A clock that only a sleep moves; `on_sleep` is called at the end of each, with its number."""

    def __init__(self) -> None:
        self.time_ps = 5 * PS
        self.sleeps: list[float] = []
        self.on_sleep: Callable[[int], object] = lambda _number: None

    def now_ps(self) -> int:
        return self.time_ps

    def sleep(self, seconds: float) -> None:
        assert seconds > 0.0
        self.sleeps.append(seconds)
        self.time_ps += round(seconds * PS)
        self.on_sleep(len(self.sleeps))


class RunningClock(HandClock):
    """A clock that goes on whenever somebody looks at it, by `tick_ps`, once it has been started."""

    tick_ps = 0

    def now_ps(self) -> int:
        self.time_ps += self.tick_ps
        return self.time_ps


class Tdcbase:
    """Tags at a steady `rate_hz`, on the inputs 1 to 4 in turn, in a ring buffer; `calls` are the names called."""

    def __init__(self, clock: HandClock, *, rate_hz: float = 1e5, first_channel: int = 1) -> None:
        self.clock = clock
        self.rate_hz = rate_hz
        self.first_channel = first_channel
        self.calls: list[str] = []
        self.refusals: dict[str, int] = {}
        self.lost = False
        self.input_on = True
        self.mask = self.buffer_size = 0
        self.delays = [0] * 5
        self.signal: dict[int, tuple[int, float]] = dict.fromkeys(range(5), (1, 1.0))
        self.device_type, self.time_base_s = 0, 1e-12
        self.window_ps, self.exposure_ms = 1000, 100
        self.dead_times = [0] * 5
        self.emptied_ps = 0
        self.given: list[int] = []
        self.on_reading: Callable[[int], object] = lambda _number: None
        self._alive: list[Any] = []

    def table(self) -> dict[str, int]:
        ints = POINTER(c_int)
        functions = {
            "TDC_getVersion": CFUNCTYPE(c_double)(lambda: 1.5),
            "TDC_perror": CFUNCTYPE(c_void_p, c_int)(self._perror),
            "TDC_getTimebase": self._c(self._get_timebase, POINTER(c_double)),
            "TDC_init": self._c(self._init, c_int),
            "TDC_deInit": self._c(self._de_init),
            "TDC_getDevType": CFUNCTYPE(c_int)(lambda: self.device_type),
            "TDC_enableChannels": self._c(self._enable_channels, c_int),
            "TDC_getChannelsEnabled": self._c(self._get_channels_enabled, ints),
            "TDC_configureSignalConditioning": self._c(
                self._configure_signal_conditioning, c_int, c_int, c_int, c_double
            ),
            "TDC_getSignalConditioning": self._c(self._get_signal_conditioning, c_int, ints, POINTER(c_double)),
            "TDC_setChannelDelays": self._c(self._set_channel_delays, ints),
            "TDC_getChannelDelays": self._c(self._get_channel_delays, ints),
            "TDC_getDataLost": self._c(self._get_data_lost, ints),
            "TDC_setTimestampBufferSize": self._c(self._set_timestamp_buffer_size, c_int),
            "TDC_getTimestampBufferSize": self._c(self._get_timestamp_buffer_size, ints),
            "TDC_enableTdcInput": self._c(self._enable_tdc_input, c_int),
            "TDC_getDeviceParams": self._c(self._get_device_params, ints, ints),
            "TDC_setExposureTime": self._c(self._set_exposure_time, c_int),
            "TDC_setCoincidenceWindow": self._c(self._set_coincidence_window, c_int),
            "TDC_setDeadTime": self._c(self._set_dead_time, c_int, c_int),
            "TDC_getDeadTime": self._c(self._get_dead_time, c_int, ints),
            "TDC_freezeBuffers": self._c(self._freeze_buffers, c_int),
            "TDC_getLastTimestamps": self._c(
                self._get_last_timestamps, c_int, POINTER(c_longlong), POINTER(c_ubyte), ints
            ),
        }  # fmt: skip
        self._alive.append(functions)
        return {name: ctypes.cast(function, c_void_p).value or 0 for name, function in functions.items()}

    def tags_between(self, start_ps: int, end_ps: int) -> tuple[np.ndarray, np.ndarray]:
        """Tag k is at k periods, on input 1 + k mod 4."""
        period_ps = round(PS / self.rate_hz)
        numbers = np.arange(-(-start_ps // period_ps), -(-end_ps // period_ps))
        return numbers * period_ps, (numbers % 4 + self.first_channel).astype(np.uint8)

    def _c(self, method: Callable[..., int], *arguments: Any) -> Any:
        name = "TDC_" + re.sub(r"_(\w)", lambda match: match[1].upper(), method.__name__.strip("_"))

        def called(*values: Any) -> int:
            self.calls.append(name)
            return self.refusals.get(name) or method(*values)

        return CFUNCTYPE(c_int, *arguments)(called)

    def _perror(self, code: int) -> int:
        words = ctypes.create_string_buffer(WORDS.get(code, b"Unknown"))
        self._alive.append(words)
        return ctypes.addressof(words)

    def _get_timebase(self, time_base: Any) -> int:
        time_base[0] = self.time_base_s
        return 0

    def _init(self, device_id: int) -> int:
        return 0 if device_id in (-1, 7) else 2

    def _de_init(self) -> int:
        return 0

    def _enable_channels(self, mask: int) -> int:
        self.mask = mask
        return 0

    def _get_channels_enabled(self, mask: Any) -> int:
        mask[0] = self.mask
        return 0

    def _configure_signal_conditioning(
        self, channel: int, conditioning: int, edge: int, threshold: float
    ) -> int:
        if conditioning != 3:
            return 10
        self.signal[channel] = (edge, round(threshold / 0.00147) * 0.00147)
        return 0

    def _get_signal_conditioning(self, channel: int, edge: Any, threshold: Any) -> int:
        edge[0], threshold[0] = self.signal[channel]
        return 0

    def _set_channel_delays(self, delays: Any) -> int:
        self.delays = [delays[index] for index in range(5)]
        return 0

    def _get_channel_delays(self, delays: Any) -> int:
        for index in range(8):
            delays[index] = [*self.delays, 0, 0, 0][index]
        return 0

    def _get_data_lost(self, lost: Any) -> int:
        lost[0], self.lost = self.lost, False
        return 0

    def _set_timestamp_buffer_size(self, size: int) -> int:
        self.buffer_size = size
        return 0

    def _get_timestamp_buffer_size(self, size: Any) -> int:
        size[0] = self.buffer_size
        return 0

    def _enable_tdc_input(self, enable: int) -> int:
        self.input_on = bool(enable)
        return 0

    def _get_device_params(self, window: Any, exposure: Any) -> int:
        window[0], exposure[0] = self.window_ps, self.exposure_ms
        return 0

    def _set_exposure_time(self, exposure_ms: int) -> int:
        self.exposure_ms = exposure_ms
        return 0

    def _set_coincidence_window(self, window_ps: int) -> int:
        self.window_ps = window_ps
        return 0

    def _set_dead_time(self, channel: int, dead_time_ps: int) -> int:
        self.dead_times[channel] = dead_time_ps
        return 0

    def _get_dead_time(self, channel: int, dead_time: Any) -> int:
        dead_time[0] = self.dead_times[channel]
        return 0

    def _freeze_buffers(self, _freeze: int) -> int:
        return 0

    def _get_last_timestamps(self, reset: int, timestamps: Any, channels: Any, valid: Any) -> int:
        assert reset == 1
        times, inputs = self.tags_between(self.emptied_ps, self.clock.time_ps)
        times, inputs = times[-self.buffer_size :], inputs[-self.buffer_size :]
        self.emptied_ps = self.clock.time_ps
        count = len(times) if self.input_on else 0
        ctypes.memmove(timestamps, np.ascontiguousarray(times, np.int64).ctypes.data, 8 * count)
        ctypes.memmove(channels, inputs.ctypes.data, count)
        valid[0] = count
        self.given.append(count)
        self.on_reading(len(self.given))
        return 0


Connected = Callable[..., QuTag]


class Collector:
    """Keeps what it is given; `fraction` is that of a wanted number of tags."""

    def __init__(self, wanted: float = math.inf) -> None:
        self.wanted = wanted
        self.times: list[np.ndarray] = []
        self.channels: list[np.ndarray] = []

    def take(self, times: np.ndarray, channels: np.ndarray) -> None:
        self.times.append(times.copy())
        self.channels.append(channels.copy())

    def fraction(self) -> float:
        return sum(map(len, self.times)) / self.wanted


def acquire(tagger: QuTag, collector: Collector, *, max_duration_s: float) -> Acquisition:
    """An acquisition in the way another device asks for one."""
    results: list[Acquisition] = []
    tagger.submit(
        lambda status: results.append(
            tagger.acquire(collector.take, collector.fraction, max_duration_s=max_duration_s, status=status)
        )
    ).wait(timeout=20)
    return results[0]
