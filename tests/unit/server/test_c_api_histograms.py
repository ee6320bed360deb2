"""What the quTAG library evaluates, through C pointers, against counting by hand and against models written here."""

import ctypes
import itertools
import math
import struct

import numpy as np
import pytest

from sim_devices.firmware.qutag import Qutag
from sim_devices.server.c_api import function_table

OK, ERROR, OUT_OF_RANGE, NOT_INITIALIZED, NOT_ENABLED, NOT_AVAILABLE = 0, -1, 10, 12, 13, 14
MS = 10**9
DEVICE = "bob.tagger"

HEADER_NAMES = """
getVersion perror getTimebase init deInit getDevType checkFeatureHbt checkFeatureLifeTime checkFeatures getClockState
getChainPosition setChannelLink getChannelLink setFiveChannelMode getFiveChannelMode preselectSingleStop
getSingleStopPreselection startCalibration getCalibrationState enableChannels getChannelsEnabled enableMarkers
getMarkersEnabled configureSignalConditioning getSignalConditioning configureSyncDivider getSyncDivider
setCoincidenceWindow configureFilter getFilter setExposureTime getDeviceParams setChannelDelays getChannelDelays
setDeadTime getDeadTime configureSelftest getDataLost setTimestampBufferSize getTimestampBufferSize enableTdcInput
freezeBuffers getCoincCounters getLastTimestamps writeTimestamps inputTimestamps readTimestamps generateTimestamps
discover getDeviceInfo connect disconnect addressDevice getCurrentAddress
enableStartStop addHistogram setHistogramParams getHistogramParams clearAllHistograms getHistogram
enableHbt setHbtParams getHbtParams setHbtDetectorParams getHbtDetectorParams setHbtInput getHbtInput
resetHbtCorrelations getHbtEventCount getHbtIntegrationTime getHbtCorrelations calcHbtG2 fitHbtG2
getHbtFitStartParams calcHbtModelFct generateHbtDemo createHbtFunction releaseHbtFunction analyseHbtFunction
enableLft setLftStartInput addLftHistogram getLftStartInput setLftParams getLftParams resetLftHistograms
createLftFunction releaseLftFunction analyseLftFunction getLftHistogram calcLftModelFct generateLftDemo
fitLftHistogram
"""


class HbtFunction(ctypes.Structure):
    """TDC_HbtFunction with room for 64 values."""

    _fields_ = (
        ("capacity", ctypes.c_int32),
        ("size", ctypes.c_int32),
        ("binWidth", ctypes.c_int32),
        ("indexOffset", ctypes.c_int32),
        ("values", ctypes.c_double * 64),
    )


def call(tdc, name: str, result, *arguments):
    """A function with a result that is no int."""
    kinds = [ctypes.c_void_p if argument is None else type(argument) for argument in arguments]
    return ctypes.CFUNCTYPE(result, *kinds)(tdc.addresses[f"TDC_{name}"])(*arguments)


def doubles(*values: float):
    return (ctypes.c_double * len(values))(*values)


@pytest.fixture
def ready(tdc):
    assert tdc.init(-1) == OK
    assert tdc.setTimestampBufferSize(100_000) == OK
    return tdc


@pytest.fixture
def demo(tdc):
    assert tdc.init(99) == 2
    return tdc


def feed(tdc, events) -> None:
    times, channels = zip(*events, strict=True)
    count = len(times)
    assert (
        tdc.inputTimestamps((ctypes.c_int64 * count)(*times), (ctypes.c_uint8 * count)(*channels), count)
        == OK
    )


def histogram(tdc, start: int, stop: int, bins: int, *, reset: int = 0):
    data = (ctypes.c_int32 * bins)()
    numbers = [ctypes.c_int32(-1) for _ in range(5)]
    exposure = ctypes.c_int64(-1)
    outputs = [ctypes.pointer(number) for number in [*numbers, exposure]]
    assert tdc.getHistogram(start, stop, reset, data, *outputs) == OK
    return list(data), [number.value for number in numbers], exposure.value


def test_every_name_of_the_header_resolves(server):
    table = function_table(server.address, DEVICE)
    assert sorted(table) == sorted(f"TDC_{name}" for name in HEADER_NAMES.split())


# Start-stop histograms

EVENTS = [(0, 2), (100, 1), (130, 1), (150, 2), (180, 2), (300, 1), (320, 3), (345, 2), (2000, 1), (9000, 2)]


def test_start_stop_counts_the_first_stop_after_the_last_start(ready):
    assert ready.enableStartStop(1) == OK
    assert ready.setHistogramParams(10, 20) == OK
    assert ready.addHistogram(1, 2, 1) == OK
    assert ready.addHistogram(2, 2, 1) == OK
    for part in (EVENTS[:4], EVENTS[4:]):
        feed(ready, part)
    data, (count, small, large, starts, stops), exposure = histogram(ready, 1, 2, 20)
    assert {place: n for place, n in enumerate(data) if n} == {
        2: 1,
        4: 1,
    }  # 20 and 45 ps; 7000 ps is too large
    assert (count, small, large, starts, stops, exposure) == (2, 0, 1, 4, 5, 9000)
    data, (count, _, large, starts, stops), _ = histogram(ready, 2, 2, 20)
    assert {place: n for place, n in enumerate(data) if n} == {15: 1, 3: 1, 16: 1}
    assert (count, large, starts, stops) == (3, 1, 5, 5)
    data, (count, *_), _ = histogram(ready, -1, 0, 20, reset=1)
    steps = np.diff([time for time, _ in EVENTS])
    assert data == np.bincount(steps[steps < 200] // 10, minlength=20).tolist()
    assert histogram(ready, -1, 0, 20)[1] == [0] * 5
    assert ready.clearAllHistograms() == OK
    assert histogram(ready, 1, 2, 20)[1] == [0] * 5


def test_start_stop_of_events_of_the_bench_and_frozen(ready, small_bench):
    small_bench.tags.play(*((1000 * n + 300 * (n % 2), 1 + n % 2) for n in range(100)))
    assert ready.enableStartStop(1) == OK
    assert ready.addHistogram(1, 2, 1) == OK
    small_bench.lab_time.advance_by(50_000)
    data, (count, *_), _ = histogram(ready, 1, 2, 10_000)
    assert (data[1300], count) == (25, 25)
    assert ready.freezeBuffers(1) == OK
    small_bench.lab_time.advance_by(MS)
    assert histogram(ready, 1, 2, 10_000)[1][0] == 25


def test_start_stop_refusals(ready):
    assert ready.addHistogram(1, 2, 1) == NOT_ENABLED
    assert ready.getHistogram(1, 2, 0, *[None] * 7) == NOT_ENABLED
    assert ready.enableStartStop(1) == OK
    for wrong in [(0, 5), (1, 1), (1_000_001, 5), (1, 1_000_001)]:
        assert ready.setHistogramParams(*wrong) == OUT_OF_RANGE
    for wrong in [(-1, 1, 1), (0, 0, 1), (21, 1, 1), (1, 21, 1)]:
        assert ready.addHistogram(*wrong) == OUT_OF_RANGE
    assert ready.addHistogram(0, 20, 1) == OK
    assert ready.getHistogram(0, 20, 0, *[None] * 7) == OK
    assert ready.addHistogram(0, 20, 0) == OK
    assert ready.getHistogram(0, 20, 0, *[None] * 7) == OUT_OF_RANGE
    width, count = ctypes.c_int32(), ctypes.c_int32()
    assert ready.getHistogramParams(ctypes.pointer(width), ctypes.pointer(count)) == OK
    assert (width.value, count.value) == (1, 10_000)


# Second-order correlations


def correlated_by_hand(events, first: int, second: int, width: int, bins: int) -> list[int]:
    counted = [0] * bins
    for (t1, c1), (t2, c2) in itertools.permutations(events, 2):
        if c1 == first and c2 == second and 0 <= t2 - t1 < width * bins:
            counted[(t2 - t1) // width] += 1
    return counted


def hbt_function(tdc, *, name: str, arguments: tuple = ()) -> HbtFunction:
    function = HbtFunction(capacity=64)
    assert getattr(tdc, name)(*arguments, ctypes.pointer(function)) == OK
    return function


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_correlations_and_g2(ready, parts):
    random = np.random.default_rng(11)
    times = np.sort(random.integers(0, 5000, 200))
    events = list(zip(times.tolist(), random.choice([1, 2, 3], 200).tolist(), strict=True))
    assert ready.setHbtParams(7, 16) == OK
    assert ready.setHbtInput(1, 3) == OK
    assert ready.enableHbt(1) == OK
    for part in np.array_split(np.arange(200), parts):
        feed(ready, [events[index] for index in part])
    forward, backward = (hbt_function(ready, name="getHbtCorrelations", arguments=(way,)) for way in (0, 1))
    expected = correlated_by_hand(events, 1, 3, 7, 16), correlated_by_hand(events, 3, 1, 7, 16)
    assert (list(forward.values[:16]), list(backward.values[:16])) == expected
    assert (forward.size, forward.binWidth, forward.indexOffset) == (16, 7, 0)
    own = [time for time, channel in events if channel in (1, 3)]
    singles = [sum(channel == c for _, channel in events) for c in (1, 3)]
    g2 = hbt_function(ready, name="calcHbtG2")
    both = [*expected[1][:0:-1], (expected[0][0] + expected[1][0]) / 2, *expected[0][1:]]
    scale = (own[-1] - own[0]) / (singles[0] * singles[1] * 7)
    assert (g2.size, g2.indexOffset) == (31, 15)
    np.testing.assert_allclose(g2.values[:31], np.array(both) * scale)
    total, last, rate = ctypes.c_int64(), ctypes.c_int64(), ctypes.c_double()
    pointers = [ctypes.pointer(value) for value in (total, last, rate)]
    assert ready.getHbtEventCount(*pointers) == OK
    assert (total.value, last.value) == (len(own), len(own))
    assert rate.value == pytest.approx((len(own) - 1) / (own[-1] - own[0]) * 1e12)
    assert ready.getHbtEventCount(*pointers) == OK
    assert (total.value, last.value) == (len(own), 0)
    assert ready.value("getHbtIntegrationTime", kind=ctypes.c_double) == pytest.approx(
        (own[-1] - own[0]) * 1e-12
    )


def test_g2_of_independent_light_is_one(ready):
    """Two Poisson streams of 20000 events: each bin of 8 ns holds about 333 pairs; 5 standard deviations are 0.28."""
    random = np.random.default_rng(5)
    times = np.sort(random.integers(0, 10**10, 40_000))
    feed(ready, [(0, 4)])
    assert ready.setHbtParams(8000, 30) == OK
    assert ready.setHbtInput(1, 2) == OK
    assert ready.enableHbt(1) == OK
    feed(ready, list(zip(times.tolist(), random.choice([1, 2], 40_000).tolist(), strict=True)))
    g2 = np.array(hbt_function(ready, name="calcHbtG2").values[:59])
    assert np.abs(g2 - 1.0).max() < 0.28
    assert abs(g2.mean() - 1.0) < 0.04


def test_structs_are_made_analysed_and_released(ready):
    assert ready.setHbtParams(50, 20) == OK
    address = call(ready, "createHbtFunction", ctypes.c_void_p)
    assert struct.unpack("<4i", ctypes.string_at(address, 16)) == (40, 0, 50, 0)
    assert ready.calcHbtModelFct(3, doubles(1e-9), ctypes.c_void_p(address)) == OK
    fields, values = [ctypes.c_int32() for _ in range(4)], (ctypes.c_double * 5)()
    pointers = [ctypes.pointer(field) for field in fields]
    call(ready, "analyseHbtFunction", None, ctypes.c_void_p(address), *pointers, values, ctypes.c_int32(5))
    assert [field.value for field in fields] == [40, 39, 50, 19]
    np.testing.assert_allclose(values, [1 - math.exp(-n * 50e-12 / 1e-9) for n in range(19, 14, -1)])
    assert ready.setHbtParams(50, 21) == OK
    assert ready.calcHbtModelFct(3, doubles(1e-9), ctypes.c_void_p(address)) == OUT_OF_RANGE
    call(ready, "releaseHbtFunction", None, ctypes.c_void_p(address))


def test_hbt_refusals(tdc):
    assert call(tdc, "createHbtFunction", ctypes.c_void_p) is None
    assert tdc.setHbtParams(1, 16) == NOT_INITIALIZED
    assert tdc.init(-1) == OK
    assert tdc.calcHbtG2(ctypes.pointer(HbtFunction(capacity=64))) == NOT_ENABLED
    for wrong in [(0, 16), (8193, 16), (1, 15), (1, 8193)]:
        assert tdc.setHbtParams(*wrong) == OUT_OF_RANGE
    assert tdc.setHbtInput(1, 21) == OUT_OF_RANGE
    assert tdc.enableHbt(1) == OK
    assert tdc.calcHbtG2(ctypes.pointer(HbtFunction(capacity=64))) == OUT_OF_RANGE  # 511 values
    assert tdc.calcHbtG2(None) == ERROR
    assert (
        tdc.calcHbtModelFct(14, doubles(*[0.0] * 5), ctypes.pointer(HbtFunction(capacity=64))) == OUT_OF_RANGE
    )
    assert tdc.getHbtInput(None, None) == OK


@pytest.mark.parametrize(
    ("kind", "truth"),
    [
        (2, (0.8, 3e-9, 1.1)),
        (3, (4e-9,)),
        (4, (0.8, 0.7, 30e-9, 3e-9)),
        (9, (4e-9, 1e-9)),
        (6, (4e-9,)),
    ],
)
def test_demo_and_fit_without_a_device(demo, kind, truth):
    """A fit to 63 values with a noise of 0.001 finds the parameters within 5 % (many standard deviations)."""
    assert demo.enableHbt(1) == OK
    assert demo.setHbtParams(600, 32) == OK
    assert demo.setHbtDetectorParams(ctypes.c_double(5e-10)) == OK
    parameters = doubles(*truth, *[0.0] * (5 - len(truth)))
    assert demo.generateHbtDemo(kind, parameters, ctypes.c_double(0.001)) == OK
    assert demo.getHbtCorrelations(0, ctypes.pointer(HbtFunction(capacity=64))) == NOT_AVAILABLE
    function = hbt_function(demo, name="calcHbtG2")
    found, iterations = doubles(*[9.0] * 5), ctypes.c_int32()
    result = demo.fitHbtG2(ctypes.pointer(function), kind, None, found, ctypes.pointer(iterations))
    assert (result, iterations.value > 0) == (OK, True)
    np.testing.assert_allclose(np.abs(found[: len(truth)]), truth, rtol=0.05)
    assert found[len(truth) :] == [0.0] * (5 - len(truth))
    assert demo.generateHbtDemo(0, None, ctypes.c_double(0.0)) == OK
    assert demo.getHbtCorrelations(0, ctypes.pointer(HbtFunction(capacity=64))) == OK


def test_jitter_widens_what_it_is_convolved_with(demo):
    """A dip of 1 - exp(-|t|/t1) whose detectors jitter has sqrt(2) * jitter of Gaussian blur, here integrated anew."""
    assert demo.setHbtParams(500, 32) == OK
    assert demo.setHbtDetectorParams(ctypes.c_double(1e-9)) == OK
    function = hbt_function(demo, name="calcHbtModelFct", arguments=(6, doubles(2e-9)))
    grid = np.linspace(-40e-9, 40e-9, 80_001)
    blur = np.exp(-(grid**2) / (4 * 1e-18))
    at_zero = np.sum((1 - np.exp(-np.abs(grid) / 2e-9)) * blur) / blur.sum()
    assert function.values[31] == pytest.approx(at_zero, abs=2e-3)


def test_recommended_start_parameters(demo):
    copied = doubles(*[9.0] * 5)
    address = call(demo, "getHbtFitStartParams", ctypes.c_void_p, ctypes.c_int(4), copied)
    assert list(ctypes.cast(address, ctypes.POINTER(ctypes.c_double))[:5]) == list(copied)
    assert copied[0] > 0
    assert call(demo, "getHbtFitStartParams", ctypes.c_void_p, ctypes.c_int(0), None) is None


# Lifetimes


def test_lifetime_counts_every_stop_after_the_last_start(ready):
    assert ready.setLftParams(10, 16) == OK
    assert ready.setLftStartInput(1) == OK
    assert ready.addLftHistogram(3, 1) == OK
    assert ready.enableLft(1) == OK
    feed(ready, [(5, 3), (100, 1), (130, 3), (144, 3), (150, 2)])
    feed(ready, [(199, 3), (250, 1), (251, 3), (900, 3)])
    function = HbtFunction(capacity=16)
    numbers = [ctypes.c_int32() for _ in range(3)]
    exposure = ctypes.c_int64()
    pointers = [ctypes.pointer(value) for value in [*numbers, exposure]]
    assert ready.getLftHistogram(3, 0, ctypes.pointer(function), *pointers) == OK
    assert {n: v for n, v in enumerate(function.values[:16]) if v} == {3: 1, 4: 1, 9: 1, 0: 1}
    assert [number.value for number in numbers] == [1, 2, 5]
    assert exposure.value == 800
    assert ready.getLftHistogram(1, 1, ctypes.pointer(function), *pointers) == OK
    assert {n: v for n, v in enumerate(function.values[:16]) if v} == {3: 1, 4: 1, 5: 1, 9: 1, 0: 1}
    assert ready.getLftHistogram(1, 0, ctypes.pointer(function), *pointers) == OK
    assert sum(function.values[:16]) == 0
    assert ready.getLftHistogram(2, 0, None, *[None] * 4) == OUT_OF_RANGE
    assert ready.value("getLftStartInput") == 1
    small = HbtFunction(capacity=15)
    assert ready.getLftHistogram(3, 0, ctypes.pointer(small), *[None] * 4) == OUT_OF_RANGE


def test_lifetime_demo_and_fit(demo):
    assert demo.setLftParams(500, 64) == OK
    assert demo.enableLft(1) == OK
    assert demo.generateLftDemo(1, doubles(1e5, 8e-9, 0.0, 0.0), ctypes.c_double(10.0)) == OK
    address = call(demo, "createLftFunction", ctypes.c_void_p)
    assert demo.getLftHistogram(0, 0, ctypes.c_void_p(address), *[None] * 4) == OK
    values = np.frombuffer(ctypes.string_at(address + 16, 64 * 8))
    np.testing.assert_allclose(values, 1e5 * np.exp(-np.arange(64) * 0.5 / 8), atol=60)
    found, iterations = doubles(*[0.0] * 4), ctypes.c_int32()
    start = doubles(5e4, 5e-9, 0.0, 0.0)
    assert demo.fitLftHistogram(ctypes.c_void_p(address), 1, start, found, ctypes.pointer(iterations)) == OK
    np.testing.assert_allclose(found[:2], [1e5, 8e-9], rtol=0.01)
    call(demo, "releaseLftFunction", None, ctypes.c_void_p(address))


# What the device itself does


def test_selftest_bursts(ready, small_bench):
    assert ready.configureSelftest(0b101, 4, 3, 50) == OK  # 20 ns, 3 events, 1 us pause, on channels 1 and 3
    begin = small_bench.lab_time.now_ps()
    small_bench.lab_time.advance_by(3_000_000)
    expected = [
        (begin + burst * 1_040_000 + n * 20_000, c) for burst in range(3) for n in range(3) for c in (1, 3)
    ]
    assert ready.last_timestamps(1000) == [event for event in expected if event[0] < begin + 3_000_000]
    ready.enableTdcInput(0)
    small_bench.lab_time.advance_by(3_000_000)
    assert ready.last_timestamps(1000) == []
    for wrong in [
        (1, 1, 1, 0),
        (1, 61, 1, 0),
        (1, 2, 0, 0),
        (1, 2, 65_536, 0),
        (1, 2, 1, 10_001),
        (1, 2, 1, -1),
    ]:
        assert ready.configureSelftest(*wrong) == OUT_OF_RANGE


def test_a_selftest_faster_than_anybody_reads_is_read_in_slices(ready, small_bench):
    assert ready.configureSelftest(0b1111, 2, 1000, 0) == OK  # 4 x 100 MHz
    small_bench.lab_time.advance_by(10 * MS)
    assert len(ready.last_timestamps(100_000)) == 100_000
    assert ready.value("getDataLost") == 1


def test_five_channel_mode(ready, small_bench):
    small_bench.tags.play((100, 0), (200, 1), (2_000_100, 0), (2_000_200, 1))
    small_bench.lab_time.advance_by(1_000_000)
    assert ready.last_timestamps(10) == [(200, 1)]
    assert ready.setFiveChannelMode(1) == OK
    assert ready.value("getFiveChannelMode") == 1
    small_bench.lab_time.advance_by(2_000_000)
    assert ready.last_timestamps(10) == [(2_000_100, 5), (2_000_200, 1)]


def test_channel_link(ready, small_bench):
    small_bench.tags.play(*((100 * n, n) for n in range(1, 5)))
    assert ready.setChannelLink(1) == OK
    small_bench.lab_time.advance_by(1_000_000)
    assert ready.last_timestamps(10) == [(100, 1), (300, 3)]
    assert ready.value("getChannelLink") == 1


def test_features_that_were_not_bought(tdc, small_bench):
    small_bench.port.tagger = Qutag({"inputs": small_bench.inputs}, serial_number="QT-2", features=0x0C)
    assert tdc.init(-1) == OK
    assert tdc.checkFeatures() == 0x0C
    for name in ("enableHbt", "enableLft", "setFiveChannelMode", "setChannelLink", "enableMarkers"):
        assert getattr(tdc, name)(1) == NOT_AVAILABLE
    assert tdc.configureFilter(1, 1, 0) == NOT_AVAILABLE


def filtered(ready, small_bench, events, *filters: tuple[int, int, int]) -> list[tuple[int, int]]:
    small_bench.tags.play(*events)
    assert ready.setExposureTime(1) == OK
    assert ready.setCoincidenceWindow(50) == OK
    for each in filters:
        assert ready.configureFilter(*each) == OK
    kept = []
    for _ in range(4):
        small_bench.lab_time.advance_by(300)
        kept += ready.last_timestamps(100)
    small_bench.lab_time.advance_by(MS)
    return kept + ready.last_timestamps(100)


def test_mute_filter_hides_from_the_computer_but_not_from_the_counters(ready, small_bench):
    assert filtered(ready, small_bench, [(100, 1), (120, 2), (400, 2)], (2, 1, 0)) == [(100, 1)]
    counters = (ctypes.c_int32 * 31)()
    assert ready.getCoincCounters(counters, None) == OK
    assert (counters[1], counters[2], counters[5]) == (1, 2, 1)


def test_coincidence_filter(ready, small_bench):
    random = np.random.default_rng(2)
    times = np.sort(random.choice(1190, 60, replace=False))
    events = list(zip(times.tolist(), random.choice([1, 2, 3], 60).tolist(), strict=True))
    kept = filtered(ready, small_bench, events, (1, 2, 0b1100))
    expected = [
        (t, c) for t, c in events if c != 1 or any(abs(t - u) <= 50 for u, other in events if other in (2, 3))
    ]
    assert kept == expected


def test_sync_filter(ready, small_bench):
    events = [(10, 1), (20, 1), (30, 2), (40, 1), (50, 1), (310, 2), (320, 2), (620, 1), (630, 1)]
    assert filtered(ready, small_bench, events, (1, 3, 0b100)) == [
        (30, 2), (40, 1), (310, 2), (320, 2), (620, 1)
    ]  # fmt: skip


def test_filters_are_read_back_and_bounded(ready):
    assert ready.configureFilter(4, 2, 0b110) == OK
    kind, mask = ctypes.c_int(), ctypes.c_int32()
    assert ready.getFilter(4, ctypes.pointer(kind), ctypes.pointer(mask)) == OK
    assert (kind.value, mask.value) == (2, 0b110)
    for wrong in [(0, 1, 0), (6, 1, 0), (1, 4, 0), (1, 2, 1), (1, 2, 0b1000000)]:
        assert ready.configureFilter(*wrong) == OUT_OF_RANGE


def test_single_stop_preselection(ready, small_bench):
    assert ready.preselectSingleStop(1) == OK
    small_bench.tags.play((10, 1), (100, 0), (110, 1), (120, 1), (130, 2), (340, 2), (400, 0), (410, 1))
    kept = []
    for _ in range(3):
        small_bench.lab_time.advance_by(200)
        kept += ready.last_timestamps(100)
    assert kept == [(10, 1), (110, 1), (130, 2), (410, 1)]
    assert ready.value("getSingleStopPreselection") == 1


def test_calibration_takes_time_and_holds_tags_back(ready, small_bench):
    begin = small_bench.lab_time.now_ps()
    small_bench.tags.play((begin + 10**12, 1), (begin + 4 * 10**12, 2))
    assert ready.startCalibration() == OK
    polls = 0
    while ready.value("getCalibrationState"):
        polls += 1
    assert 100 < polls < 2000
    small_bench.lab_time.advance_by(5 * 10**12)
    assert ready.last_timestamps(10) == [(begin + 4 * 10**12, 2)]


def test_ticks_are_in_files_and_not_in_the_buffer(ready, small_bench, tmp_path):
    path = tmp_path / "ticks"
    begin = small_bench.lab_time.now_ps()
    small_bench.tags.play((begin + MS // 2, 1), (begin + 5 * MS // 2, 2))
    assert ready.enableMarkers(1 << 4) == OK
    assert ready.value("getMarkersEnabled") == 16
    assert ready.writeTimestamps(str(path).encode(), 3) == OK
    small_bench.lab_time.advance_by(3 * MS + 1)
    assert [channel for _, channel in ready.last_timestamps(10)] == [1, 2]
    assert ready.writeTimestamps(None, 0) == OK
    content = path.read_bytes()
    records = [struct.unpack_from("<qH", content, 10 * n) for n in range(len(content) // 10)]
    ticks = [time for time, channel in records if channel == 104]
    assert [time % MS for time in ticks] == [0] * len(ticks)
    assert len(ticks) in (3, 4)
    assert [time for time, _ in records] == sorted(time for time, _ in records)


def test_compressed_files(ready, small_bench, tmp_path):
    path = tmp_path / "small"
    events = [(10, 1), (2**37 - 5, 4), (2**37 + 3, 2)]
    small_bench.tags.play(*events)
    assert ready.writeTimestamps(str(path).encode(), 2) == OK
    small_bench.lab_time.advance_by(2**38)
    assert ready.last_timestamps(10) == events
    assert ready.writeTimestamps(None, 0) == OK
    content = path.read_bytes()
    words = [int.from_bytes(content[40 + 5 * n : 45 + 5 * n], "little") for n in range(3)]
    assert [(word & (2**37 - 1), word >> 37) for word in words] == [(10, 1), (2**37 - 5, 4), (3, 2)]
    assert ready.readTimestamps(str(path).encode(), 2) == OK
    assert ready.last_timestamps(10) == events


def test_the_features_of_a_file_hold_in_demo_mode(demo, tmp_path):
    path = tmp_path / "real"
    path.write_bytes(struct.pack("<IIII24x", 0xFA91B387, 50, 0x800, 0x73) + struct.pack("<qH", 7, 2))
    assert demo.checkFeatures() == 0
    assert demo.readTimestamps(str(path).encode(), 1) == OK
    assert (demo.checkFeatures(), demo.checkFeatureHbt(), demo.checkFeatureLifeTime()) == (3, 1, 1)
