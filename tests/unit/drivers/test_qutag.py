"""QuTag against a C function table of our own, read independently from the maker's header."""

import ctypes
import math
import re
import sys
import threading
import types
from collections.abc import Callable, Iterator
from ctypes import CFUNCTYPE, POINTER, c_double, c_int, c_longlong, c_ubyte, c_void_p
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError

from drivers.time_tagger.acquisition import Acquisition, Pace, Tally
from drivers.time_tagger.qutag import QuTag
from drivers.time_tagger.qutag_api import PROTOTYPES
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LocalProtocolError,
    RecordError,
    RemoteProtocolError,
    TransportError,
)
from qdci_lab.record.tag_stream import path_of
from qdci_lab.record.time_tags import TagSegmentReader

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


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def library(clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> Tdcbase:
    tdcbase = Tdcbase(clock)
    module: Any = types.ModuleType("foreign_tdcbase")
    module.table = lambda **_parameters: tdcbase.table()
    monkeypatch.setitem(sys.modules, "foreign_tdcbase", module)
    return tdcbase


Connected = Callable[..., QuTag]


@pytest.fixture
def connected(clock: HandClock, library: Tdcbase) -> Iterator[Connected]:
    devices: list[QuTag] = []

    def connect(**options: Any) -> QuTag:
        assert library.clock is clock
        device = QuTag(
            "c_api+python:foreign_tdcbase:table?device=bob.tagger",
            name="tagger",
            label="bob.tagger",
            clock=clock,
            **options,
        )
        device.connect()
        devices.append(device)
        return device

    yield connect
    for device in devices:
        device.disconnect()


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


# --- the library


def ctype(declared: str) -> Any:
    """A C type of the header as ctypes has it."""
    base = {
        "int": c_int, "double": c_double, "Int32": ctypes.c_int32, "Bln32": ctypes.c_int32,
        "Int64": ctypes.c_int64, "Uint8": ctypes.c_uint8, "TDC_DevType": c_int, "TDC_SignalCond": c_int,
    }  # fmt: skip
    name = declared.replace("const", "").replace("*", "").strip()
    if name == "char":
        return ctypes.c_char_p
    return POINTER(base[name]) if "*" in declared else base[name]


def test_prototypes_are_those_of_the_header() -> None:
    declared = {}
    for result, symbol, arguments in re.findall(r"^(.+?)\s*(TDC_\w+)\((.*)\);$", DECLARATIONS, re.MULTILINE):
        kinds = [ctype(argument.rpartition(" ")[0]) for argument in arguments.split(", ") if argument]
        declared[symbol] = (ctype(result), tuple(kinds))
    assert dict(PROTOTYPES) == declared


def test_connecting_applies_the_options(connected: Connected, library: Tdcbase) -> None:
    tagger = connected(
        channels=[1, 3],
        channel_delays_ps=[100, -200, 300, -400],
        thresholds_v=[0.5, 0.5, -0.5, 0.1],
        buffer_size=5000,
    )
    assert library.mask == 0b1010
    assert library.delays == [0, 100, -200, 300, -400]
    assert library.buffer_size == 5000
    assert not library.input_on
    assert tagger.identity.last == "qutools quTAG, library version 1.5"
    assert tagger.channel_delays.last == (100, -200, 300, -400)
    assert tagger.thresholds.last == pytest.approx([0.5, 0.5, -0.5, 0.1], abs=0.00074)
    assert (tagger.channel_mask.last, tagger.buffer_size.last) == (0b1010, 5000)


def test_thresholds_stay_unless_given_and_keep_their_edge(connected: Connected, library: Tdcbase) -> None:
    library.signal[2] = (0, -0.6)
    tagger = connected()
    assert library.signal[2] == (0, -0.6)
    tagger.thresholds.set([0.2, 0.2, 0.2, 0.2]).wait(5)
    assert [library.signal[number][0] for number in (1, 2, 3, 4)] == [1, 0, 1, 1]
    assert tagger.thresholds.last == pytest.approx([0.2] * 4, abs=0.00074)


def test_no_device_is_told_in_the_librarys_words(connected: Connected) -> None:
    with pytest.raises(
        InstrumentError, match=r"bob\.tagger: error 2, 'Device not connected' in answer to 'TDC_init'"
    ):
        connected(device_id=3)
    connected(device_id=7)


def test_every_return_code_is_looked_at(connected: Connected, library: Tdcbase) -> None:
    library.refusals["TDC_setChannelDelays"] = 10
    with pytest.raises(InstrumentError, match="TDC_setChannelDelays") as refusal:
        connected()
    assert (refusal.value.code, refusal.value.text) == (10, "Parameter out of range")


def test_what_is_no_qutag_is_refused(connected: Connected, library: Tdcbase) -> None:
    library.device_type = 1
    with pytest.raises(RemoteProtocolError, match="no device"):
        connected()
    library.device_type, library.time_base_s = 0, 81e-12
    with pytest.raises(RemoteProtocolError, match="time base"):
        connected()


def test_library_without_a_function_is_none(clock: HandClock, library: Tdcbase) -> None:
    table = library.table()
    del table["TDC_getLastTimestamps"]
    sys.modules["foreign_tdcbase"].__dict__["table"] = lambda: table
    tagger = QuTag("c_api+python:foreign_tdcbase:table", name="tagger", clock=clock)
    with pytest.raises(TransportError, match="TDC_getLastTimestamps"):
        tagger.connect()
    with pytest.raises(TransportError, match="not connected"):
        tagger.api.version()
    tagger.disconnect()


def test_disconnecting_lets_the_device_go_and_it_can_be_had_again(
    connected: Connected, library: Tdcbase
) -> None:
    tagger = connected()
    tagger.disconnect()
    assert library.calls[-1] == "TDC_deInit"
    with pytest.raises(TransportError, match=r"bob\.tagger: not connected"):
        tagger.channel_delays.get()
    tagger.connect()
    assert tagger.channel_delays.get() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"channels": []}, {"channels": [0, 1]}, {"channels": [5]}, {"channel_delays_ps": [0, 0, 0]},
        {"channel_delays_ps": [0, 0, 0, 100_001]}, {"buffer_size": 1_000_001}, {"thresholds_v": [0.5]},
        {"thresholds_v": [0.5, 0.5, 0.5, 3.5]},
    ],
)  # fmt: skip
def test_options_beyond_the_header_are_refused(connected: Connected, options: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        connected(**options)


def test_limits_name_the_input(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()
    calls = len(library.calls)
    with pytest.raises(
        LimitError, match="tagger_channel_delays, input 3: 100001 ps is above the bound of 100000 ps"
    ):
        tagger.channel_delays.set([0, 0, 100_001, 0])
    with pytest.raises(LimitError, match=r"tagger_thresholds, input 1: -2.5 V is below"):
        tagger.thresholds.set([-2.5, 0, 0, 0])
    with pytest.raises(LocalProtocolError, match="one delay in ps for each of 4 inputs"):
        tagger.channel_delays.set([0, 0, 0])
    with pytest.raises(LimitError, match="tagger_acquisition_time: 0 s is below"):
        tagger.acquisition_time.set(0)
    assert len(library.calls) == calls


# --- acquisitions


def test_every_tag_of_the_time_and_no_other(connected: Connected, library: Tdcbase, clock: HandClock) -> None:
    tagger = connected()
    clock.time_ps += PS // 3
    collector = Collector()
    start_ps = clock.now_ps()
    result = acquire(tagger, collector, max_duration_s=1.0)
    times, channels = library.tags_between(start_ps, start_ps + PS)
    np.testing.assert_array_equal(np.concatenate(collector.times), times)
    np.testing.assert_array_equal(np.concatenate(collector.channels), channels)
    assert result == Acquisition(start_ps, PS, len(times), 0, data_lost=False, complete=False)
    assert not library.input_on


def test_acquisition_ends_when_enough_has_come(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    collector = Collector(wanted=50_000)
    result = acquire(tagger, collector, max_duration_s=100.0)
    assert result.complete
    assert 50_000 <= result.count < 50_200
    assert result.duration_ps == sum(round(seconds * PS) for seconds in clock.sleeps)
    assert clock.sleeps[0] == 0.02
    assert max(clock.sleeps) == 0.2
    assert len(clock.sleeps) < 8


def test_library_may_count_inputs_from_zero(connected: Connected, library: Tdcbase) -> None:
    library.first_channel = 0
    tagger = connected(first_channel_number=0)
    collector = Collector()
    acquire(tagger, collector, max_duration_s=0.1)
    assert set(np.concatenate(collector.channels)) == {1, 2, 3, 4}
    assert tagger.count_rates.last == pytest.approx([25_000.0] * 4)


def test_buffer_is_never_more_than_half_full(
    connected: Connected, library: Tdcbase, clock: HandClock
) -> None:
    library.rate_hz = 2e6
    tagger = connected(buffer_size=50_000)
    acquire(tagger, Collector(), max_duration_s=0.1)
    assert clock.sleeps[0] == 0.02
    assert max(clock.sleeps[1:]) <= 0.0125
    clock.sleeps.clear()
    acquire(tagger, Collector(), max_duration_s=0.1)
    assert clock.sleeps[0] <= 0.0125


def test_dark_input_is_polled_until_the_time_is_over(
    connected: Connected, library: Tdcbase, clock: HandClock
) -> None:
    library.rate_hz = 1e-3
    tagger = connected()
    result = acquire(tagger, Collector(wanted=10), max_duration_s=2.0)
    assert result == Acquisition(result.start_ps, 2 * PS, 0, 0, data_lost=False, complete=False)
    assert clock.sleeps[1:-1] == [0.2] * 9
    np.testing.assert_array_equal(tagger.count_rates.last, np.zeros(4))


def test_lost_tags_end_the_acquisition_with_figures(
    connected: Connected, library: Tdcbase, clock: HandClock
) -> None:
    tagger = connected()
    clock.on_sleep = lambda number: setattr(library, "lost", number == 2)
    with pytest.raises(
        AcquisitionError, match=r"bob\.tagger: time tags were lost after 0\.22 s and 22000 tags.*20000"
    ):
        acquire(tagger, Collector(), max_duration_s=1.0)
    assert tagger.data_lost.last == 1
    assert not library.input_on


def test_lost_tags_can_be_noted_only(connected: Connected, library: Tdcbase, clock: HandClock) -> None:
    tagger = connected(on_data_loss="record")
    clock.on_sleep = lambda number: setattr(library, "lost", number == 2)
    result = acquire(tagger, Collector(), max_duration_s=1.0)
    assert result.data_lost
    assert result.count == 100_000
    assert tagger.data_lost.last == 1
    assert not acquire(tagger, Collector(), max_duration_s=0.1).data_lost
    assert tagger.data_lost.last == 0


def test_loss_before_the_acquisition_does_not_matter(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()
    library.lost = True
    assert not acquire(tagger, Collector(), max_duration_s=0.1).data_lost


def test_full_ring_buffer_is_a_loss(connected: Connected, library: Tdcbase) -> None:
    tagger = connected(buffer_size=1000)
    library.rate_hz = 1e6
    with pytest.raises(AcquisitionError, match="the buffer holds 1000"):
        acquire(tagger, Collector(), max_duration_s=1.0)


def test_abort_ends_within_one_poll(connected: Connected, library: Tdcbase, clock: HandClock) -> None:
    tagger = connected()
    clock.on_sleep = lambda number: tagger.abort() if number == 3 else None
    collector = Collector()
    with pytest.raises(AcquisitionError, match=r"bob\.tagger: acquisition aborted after"):
        acquire(tagger, collector, max_duration_s=100.0)
    assert (len(clock.sleeps), len(collector.times)) == (3, 2)
    assert not library.input_on


def test_what_a_pause_gives_up_is_no_failure(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    clock.on_sleep = lambda number: tagger.pause() if number == 1 else None
    status = tagger.trigger()
    status.wait(10)
    assert status.success
    assert not tagger.count_rates.is_measured


@pytest.mark.parametrize("way", ["stop", "make_safe"])
def test_stop_and_safe_state_abort(connected: Connected, clock: HandClock, way: str) -> None:
    tagger = connected()
    clock.on_sleep = lambda number: getattr(tagger, way)() if number == 1 else None
    with pytest.raises(AcquisitionError, match="aborted"):
        acquire(tagger, Collector(), max_duration_s=100.0)


def test_abort_reaches_what_is_still_waiting_and_not_what_comes_after(
    connected: Connected, clock: HandClock
) -> None:
    tagger = connected()
    reached, go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == 1:
            reached.set()
            assert go_on.wait(10)

    clock.on_sleep = hold
    running, waiting = tagger.trigger(), tagger.trigger()
    assert reached.wait(10)
    tagger.abort()
    again = tagger.trigger()
    go_on.set()
    for status in (running, waiting):
        with pytest.raises(AcquisitionError, match="aborted"):
            status.wait(10)
    again.wait(10)
    assert tagger.tag_count.last == 100_000


def test_nobody_waits_any_longer(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    ended = threading.Event()
    outcomes: list[Exception] = []

    def work(status: Any) -> None:
        def give_up(_number: int) -> None:
            status.set_exception(TimeoutError("too late"))
            status.exception(timeout=10)

        clock.on_sleep = give_up
        try:
            tagger.acquire(lambda _times, _channels: None, lambda: 0.0, max_duration_s=100.0, status=status)
        except AcquisitionError as error:
            outcomes.append(error)
        ended.set()

    with pytest.raises(TimeoutError):
        tagger.submit(work).wait(10)
    assert ended.wait(10)
    assert "nobody waits" in str(outcomes[0])
    assert len(clock.sleeps) == 1


def test_hung_library_fails_the_status_in_time(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    go_on = threading.Event()
    clock.on_sleep = lambda _number: go_on.wait(10)
    status = tagger.submit(
        lambda status: tagger.acquire(lambda *_: None, lambda: 0.0, max_duration_s=9.0, status=status),
        timeout=0.05,
    )
    with pytest.raises(TimeoutError):
        status.wait(10)
    go_on.set()


def test_failure_of_the_consumer_is_passed_on(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()

    def fail(_times: np.ndarray, _channels: np.ndarray) -> None:
        raise AcquisitionError("no code found")

    work = tagger.submit(lambda _status: tagger.acquire(fail, lambda: 0.0, max_duration_s=1.0))
    with pytest.raises(AcquisitionError, match="no code found"):
        work.wait(10)
    assert not library.input_on


def test_slow_analysis_loses_nothing_on_a_clock_that_waits(connected: Connected, library: Tdcbase) -> None:
    """On lab time the reader waits for the analysis, however long it takes, so that its speed does not matter."""
    tagger = connected(backlog=1)
    at_once: list[int] = []
    waited = threading.Event()

    def linger(_times: np.ndarray, _channels: np.ndarray) -> None:
        at_once.append(len(library.given))
        waited.wait(0.02)

    results: list[Acquisition] = []
    tagger.submit(
        lambda _status: results.append(tagger.acquire(linger, lambda: 0.0, max_duration_s=1.0))
    ).wait(10)
    assert (results[0].count, results[0].lost) == (100_000, 0)
    assert at_once == list(range(2, 2 + len(at_once)))


@pytest.mark.parametrize("clock", [RunningClock()])
def test_readings_that_nobody_can_take_in_time_are_dropped_and_counted(
    connected: Connected, library: Tdcbase, clock: RunningClock, tmp_path: Path
) -> None:
    """The analysis stands still until the library has been read eight times: two readings fit into the backlog."""
    tagger = connected(buffer_size=5000, backlog=2, on_data_loss="record")
    tagger.segment_directory, tagger.keep_tags = tmp_path, True
    tagger.stage()
    tagger.tags.describe_collect()
    go_on = threading.Event()
    library.on_reading = lambda number: go_on.set() if number == 8 else None
    clock.tick_ps = 2 * PS // 1000
    taken: list[int] = []

    def stand_still(times: np.ndarray, _channels: np.ndarray) -> None:
        assert go_on.wait(20)
        taken.append(len(times))

    results: list[Acquisition] = []
    tagger.submit(
        lambda _status: results.append(tagger.acquire(stand_still, lambda: 0.0, max_duration_s=0.6))
    ).wait(20)
    clock.tick_ps = 0
    result = results[0]
    documents = list(tagger.tags.collect_asset_docs())
    tagger.unstage()
    segment = TagSegmentReader(path_of(documents[0][1]["uri"]))
    assert result.data_lost
    assert result.lost >= sum(library.given[3:8]) > 0
    assert result.count == segment.count == sum(taken) == tagger.tag_count.last
    assert result.count + result.lost == sum(library.given[1:])
    assert tagger.tags_lost.last == result.lost


@pytest.mark.parametrize("clock", [RunningClock()])
def test_dropped_readings_end_an_acquisition_where_losses_matter(
    connected: Connected, library: Tdcbase, clock: RunningClock
) -> None:
    tagger = connected(buffer_size=5000, backlog=1)
    go_on = threading.Event()
    library.on_reading = lambda number: go_on.set() if number == 3 else None
    clock.tick_ps = 2 * PS // 1000
    work = tagger.submit(
        lambda _status: tagger.acquire(lambda *_: go_on.wait(20), lambda: 0.0, max_duration_s=0.6)
    )
    with pytest.raises(AcquisitionError, match="time tags were lost"):
        work.wait(20)
    assert tagger.data_lost.last == 1


def test_a_backlog_holds_something(clock: HandClock) -> None:
    with pytest.raises(LocalProtocolError, match="backlog of 0"):
        QuTag("c_api+python:foreign_tdcbase:table", name="tagger", label="bob.tagger", clock=clock, backlog=0)


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.nan])
def test_acquisition_takes_time(connected: Connected, duration_s: float) -> None:
    with pytest.raises(LocalProtocolError):
        acquire(connected(), Collector(), max_duration_s=duration_s)


def test_progress_is_told_to_watchers(connected: Connected, clock: HandClock) -> None:
    tagger = connected()
    told: list[float] = []
    begun = threading.Event()
    clock.on_sleep = lambda _number: begun.wait(10)
    status = tagger.trigger()
    status.watch(lambda **now: told.append(1.0 - now["fraction"]))
    begun.set()
    status.wait(10)
    assert told == sorted(told)
    assert told[0] == pytest.approx(0.02)
    assert told[-1] == 1.0


# --- waiting


def tally(*, elapsed_s: float, fraction: float, rate_hz: float = 0.0) -> Tally:
    so_far = Tally(0, 100 * PS, inputs=4, rate_hz=rate_hz)
    so_far.now_ps = round(elapsed_s * PS)
    so_far.fraction = fraction
    return so_far


@pytest.mark.parametrize(
    ("so_far", "wait_s"),
    [
        (tally(elapsed_s=0.0, fraction=0.0), 0.02),
        (tally(elapsed_s=0.0, fraction=0.0, rate_hz=1e8), 0.005),
        (tally(elapsed_s=0.02, fraction=0.0), 0.2),
        (tally(elapsed_s=0.02, fraction=0.25), 0.06),
        (tally(elapsed_s=0.02, fraction=0.01), 0.2),
        (tally(elapsed_s=1.0, fraction=0.99999), 0.001),
        (tally(elapsed_s=1.0, fraction=0.01, rate_hz=5e6), 0.1),
        (tally(elapsed_s=1.0, fraction=0.99999, rate_hz=1e9), 0.0005),
    ],
)
def test_wait_between_readings(so_far: Tally, wait_s: float) -> None:
    assert Pace(0.2, 1_000_000).wait_s(so_far) == pytest.approx(wait_s)


def test_rates_ignore_what_comes_from_no_input() -> None:
    so_far = tally(elapsed_s=0.0, fraction=0.0)
    so_far.add(PS // 2, np.array([1, 1, 4, 0, 104, 2], np.uint8))
    assert so_far.count == 6
    np.testing.assert_array_equal(so_far.rates_hz(), [4.0, 2.0, 0.0, 2.0])


# --- in plans


def test_trigger_measures_count_rates(connected: Connected) -> None:
    tagger = connected()
    tagger.acquisition_time.set(0.4).wait(5)
    tagger.trigger().wait(10)
    assert tagger.count_rates.last == pytest.approx([25_000.0] * 4)
    assert tagger.tag_count.last == 40_000
    assert tagger.first_tag.last == -1


def test_reading_does_no_io_and_gives_units(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()
    with pytest.raises(AcquisitionError, match="has not been measured yet"):
        tagger.read()
    tagger.trigger().wait(10)
    calls = len(library.calls)
    reading, keys = tagger.read(), tagger.describe()
    settings = tagger.describe_configuration()
    assert len(library.calls) == calls
    assert reading["tagger_data_lost"]["value"] == 0
    units = {
        key: entry.get("units") for key, entry in {**keys, **settings}.items() if entry["dtype"] != "string"
    }
    assert units == {
        "tagger_count_rates": "Hz", "tagger_tags_lost": "1", "tagger_data_lost": "1", "tagger_tag_count": "1",
        "tagger_first_tag": "1", "tagger_coincidence_window": "ps", "tagger_exposure_time": "s",
        "tagger_acquisition_time": "s", "tagger_channel_delays": "ps", "tagger_thresholds": "V",
        "tagger_channel_mask": "1", "tagger_buffer_size": "1",
    }  # fmt: skip
    assert keys["tagger_count_rates"]["shape"] == [4]


def test_plan_counts(connected: Connected) -> None:
    tagger = connected()
    rates: list[np.ndarray] = []
    engine = RunEngine({})
    engine.subscribe(
        lambda name, doc: rates.append(doc["data"]["tagger_count_rates"]) if name == "event" else None
    )
    engine(bp.count([tagger], num=3))
    assert len(rates) == 3
    assert rates[2] == pytest.approx([25_000.0] * 4)


def test_plan_records_tags(connected: Connected, library: Tdcbase, tmp_path: Path) -> None:
    tagger = connected()
    tagger.segment_directory = tmp_path
    documents: list[tuple[str, dict]] = []

    tags: Any = tagger.tags

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan() -> Any:
        yield from bps.declare_stream(tags, name="tags", collect=True)
        yield from bps.mv(tagger.acquisition_time, 0.05)
        yield from bps.trigger_and_read([tagger], name="aside")
        tagger.keep_tags = True
        for _ in range(2):
            yield from bps.trigger_and_read([tagger])
            yield from bps.collect(tags, name="tags")

    engine = RunEngine({})
    engine.subscribe(lambda name, document: documents.append((name, document)))
    engine(plan())
    events = [doc["data"] for name, doc in documents if name == "event"]
    assert [(event["tagger_first_tag"], event["tagger_tag_count"]) for event in events] == [
        (-1, 5000), (0, 5000), (5000, 5000),
    ]  # fmt: skip
    spans = [doc["indices"] for name, doc in documents if name == "stream_datum"]
    assert [(span["start"], span["stop"]) for span in spans] == [(0, 5000)] * 2 + [(5000, 10_000)] * 2
    resource = next(doc for name, doc in documents if name == "stream_resource")
    blocks = list(TagSegmentReader(path_of(resource["uri"])).blocks())
    times = np.concatenate([block[0] for block in blocks])
    expected, channels = library.tags_between(int(times[0]), int(times[0]) + PS // 10)
    np.testing.assert_array_equal(times, expected)
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), channels)


def test_nothing_is_recorded_unless_wanted(connected: Connected, tmp_path: Path) -> None:
    tagger = connected()
    tagger.keep_tags = True
    tagger.trigger().wait(10)
    with pytest.raises(RecordError, match="tagger_tags: no directory"):
        tagger.tags.describe_collect()
    tagger.keep_tags, tagger.segment_directory = False, tmp_path
    tagger.stage()
    tagger.trigger().wait(10)
    tagger.unstage()
    assert tagger.tags.get_index() == 0
    assert list(tmp_path.iterdir()) == []


def test_recording_needs_a_staged_tagger(connected: Connected, tmp_path: Path) -> None:
    tagger = connected()
    tagger.keep_tags, tagger.segment_directory = True, tmp_path
    with pytest.raises(RecordError, match="not staged"):
        tagger.trigger().wait(10)


# --- counters' settings and dead times


def test_exposure_and_window_go_to_the_library_in_its_units(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()
    assert (tagger.exposure_time.get(), tagger.coincidence_window.get()) == (0.1, 1000)
    tagger.exposure_time.set(2.5).wait(timeout=10)
    tagger.coincidence_window.set(30_000).wait(timeout=10)
    assert (library.exposure_ms, library.window_ps) == (2500, 30_000)
    with pytest.raises(LimitError, match=r"65\.535 s"):
        tagger.exposure_time.set(65.6)
    with pytest.raises(LimitError, match="2e\\+09 ps"):
        tagger.coincidence_window.set(2_000_000_001)


def test_dead_times_are_set_when_connecting_and_read_back(connected: Connected, library: Tdcbase) -> None:
    tagger = connected(dead_times_ps=[100, 200, 300, 400_000])
    assert library.dead_times == [0, 100, 200, 300, 400_000]
    assert tuple(tagger.dead_times.get()) == (100, 200, 300, 400_000)


def test_dead_times_stay_unless_given(connected: Connected, library: Tdcbase) -> None:
    connected()
    assert "TDC_setDeadTime" not in library.calls


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dead_times_ps": [1, 2, 3]}, "one dead time for each of 4 inputs"),
        ({"dead_times_ps": [1, 2, 3, -1]}, "dead time of input 4 in ps of -1 is not within 0 to"),
        ({"generation": 3}, "neither 1 nor 2"),
    ],
)
def test_what_no_device_has_is_refused(connected: Connected, options: dict[str, Any], said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        connected(**options)


def test_a_library_without_counters_says_so_when_they_are_wanted(connected: Connected) -> None:
    tagger = connected()
    with pytest.raises(TransportError, match="no function TDC_getCoincCounters"):
        tagger.coincidence_counts.get()
