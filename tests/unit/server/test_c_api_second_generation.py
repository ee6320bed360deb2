"""The second generation of the quTAG library: what its header has that the first one's has not, and the other way."""

import ctypes

import numpy as np
import pytest

from sim_devices.firmware.qutag import Qutag
from sim_devices.server.c_api import function_table

DEVICE = "bob.tagger"
OK, OUT_OF_RANGE, NOT_ENABLED = 0, 10, 13
MS = 10**9

ONLY_FIRST = {
    "getChainPosition", "setChannelLink", "getChannelLink", "setFiveChannelMode", "getFiveChannelMode",
    "setChannelDelays", "getChannelDelays", "setDeadTime", "getDeadTime",
}  # fmt: skip
ONLY_SECOND = {
    "getModuleCount", "getChannelCount", "enableExternalClock", "disableClockReset", "getClockResetDisabled",
    "configureInputLink", "getInputLink", "setChannelDelay", "getChannelDelay", "enableHg2", "setHg2Params",
    "getHg2Params", "setHg2Input", "getHg2Input", "resetHg2Correlations", "calcHg2G2", "calcHg2Tcp", "calcHg2Tcp1D",
    "getHg2Raw",
}  # fmt: skip


@pytest.fixture
def second(server, small_bench, tdc):
    small_bench.port.tagger = Qutag(
        {"inputs": small_bench.inputs}, serial_number="HR-1", tags=small_bench.tags, generation=2
    )
    binding = type(tdc)(function_table(server.address, DEVICE, "2"))
    assert binding.init(-1) == OK
    assert binding.setTimestampBufferSize(1000) == OK
    yield binding
    binding.deInit()


def test_names_of_both_headers(server):
    first, second = (set(function_table(server.address, DEVICE, number)) for number in (1, 2))
    assert first - second == {f"TDC_{name}" for name in ONLY_FIRST}
    assert second - first == {f"TDC_{name}" for name in ONLY_SECOND}


def test_a_third_generation_does_not_exist():
    with pytest.raises(ValueError, match="generation 3"):
        Qutag({}, serial_number="1", generation=3)
    for wrong in (-1, 0x400, "HBT"):
        with pytest.raises(ValueError, match="no flags from 0 to 0x3ff"):
            Qutag({}, serial_number="1", features=wrong)


def test_what_it_is(second):
    assert (second.getDevType(), second.getModuleCount(), second.getChannelCount()) == (1, 2, 33)
    assert second.checkFeatures() == 0x1 | 0x2 | 0x20 | 0x40 | 0x80
    assert second.deInit() == OK
    assert second.getDevType() == 3


def test_channels_are_enabled_start_and_stops_apart(second, small_bench):
    events = [(100, 0), (200, 1), (300, 2), (400, 17), (500, 32)]
    small_bench.tags.play(*events, *((time + MS, channel) for time, channel in events))
    assert second.enableChannels(0, 0b10) == OK
    small_bench.lab_time.advance_by(MS)
    assert second.last_timestamps(10) == [(300, 2)]
    assert second.enableChannels(1, -1) == OK
    start, stops = ctypes.c_int32(), ctypes.c_int32()
    assert second.getChannelsEnabled(ctypes.pointer(start), ctypes.pointer(stops)) == OK
    assert (start.value, stops.value) == (1, -1)
    assert second.disableClockReset(1) == OK
    small_bench.lab_time.advance_by(MS)
    assert second.last_timestamps(10) == [(time + MS, channel) for time, channel in events]


def test_one_delay_at_a_time(second, small_bench):
    small_bench.tags.play((1000, 20), (1100, 2))
    assert second.setChannelDelay(20, 500) == OK
    small_bench.lab_time.advance_by(MS)
    assert second.last_timestamps(10) == [(1100, 2), (1500, 20)]
    assert second.value("getChannelDelay", 20) == 500
    for wrong in [(33, 0), (-1, 0), (1, 100_001)]:
        assert second.setChannelDelay(*wrong) == OUT_OF_RANGE


def test_counters_of_33_inputs_and_26_coincidences(second, small_bench):
    small_bench.tags.play((100, 1), (105, 32), (110, 5), (400, 2), (405, 5), (900, 6), (901, 0))
    assert second.setCoincidenceWindow(50) == OK
    assert second.setExposureTime(1) == OK
    small_bench.lab_time.advance_by(MS + 1)
    counters, updates = (ctypes.c_int32 * 60)(*[-7] * 60), ctypes.c_int32()
    assert second.getCoincCounters(counters, ctypes.pointer(updates)) == OK
    assert updates.value == 1
    assert counters[59] == -7
    singles = {0: 1, 1: 1, 2: 1, 5: 2, 6: 1, 32: 1}
    assert {channel: n for channel, n in enumerate(counters[:33]) if n} == singles
    assert {place: n for place, n in enumerate(counters[:59]) if place > 32 and n} == {
        33 + 6: 1,
        33 + 7: 1,
    }  # 1/5, 2/5


def test_input_links_switch_inputs_off(second, small_bench):
    small_bench.tags.play(*((100 * n, n) for n in range(1, 18)))
    assert second.configureInputLink(0, 1) == OK
    assert second.configureInputLink(1, 3) == OK
    small_bench.lab_time.advance_by(MS)
    assert [channel for _, channel in second.last_timestamps(100)] == [1, 4, 5, 8, 9, 17]
    assert second.value("getInputLink", 1, kind=ctypes.c_int) == 3
    for wrong in [(2, 0), (-1, 0), (0, 4)]:
        assert second.configureInputLink(*wrong) == OUT_OF_RANGE


def test_selftest_and_filters_have_other_numbers(second, small_bench):
    assert second.configureSelftest(1 << 31, 100, 1, 2) == OK
    begin = small_bench.lab_time.now_ps()
    small_bench.lab_time.advance_by(1_000_000)
    assert second.last_timestamps(10) == [(begin + n * 400_000, 32) for n in range(3)]
    assert second.configureSelftest(1, 2, 1001, 2) == OUT_OF_RANGE
    assert second.configureSelftest(1, 2, 1, 1) == OUT_OF_RANGE
    assert second.configureFilter(1, 2, 0b11111) == OK
    assert second.configureFilter(1, 2, 0b100000) == OUT_OF_RANGE


def test_external_clock(second):
    locked, uplink = ctypes.c_int32(), ctypes.c_int32()
    assert second.enableExternalClock(1) == OK
    assert second.getClockState(ctypes.pointer(locked), ctypes.pointer(uplink)) == OK
    assert (locked.value, uplink.value) == (1, 0)


def heralded_by_hand(events, width: int, bins: int):
    half = bins // 2

    def place(difference: int) -> int:
        return (difference + width // 2) // width + half

    by_channel = {c: [t for t, channel in events if channel == c] for c in (1, 2, 3)}
    triples, heralded, second, coincidences = (
        np.zeros((bins, bins), int),
        np.zeros(bins, int),
        np.zeros(bins, int),
        0,
    )
    for herald in by_channel[1]:
        a = [place(t - herald) for t in by_channel[2] if 0 <= place(t - herald) < bins]
        b = [place(t - herald) for t in by_channel[3] if 0 <= place(t - herald) < bins]
        coincidences += a.count(half)
        for k in b:
            second[k] += 1
            heralded[k] += a.count(half)
            for j in a:
                triples[j, k] += 1
    return len(by_channel[1]), coincidences, heralded, second, triples


@pytest.mark.parametrize("parts", [1, 7])
def test_heralded_correlations(second, parts):
    assert second.resetHg2Correlations() == NOT_ENABLED
    assert second.setHg2Params(10, 16) == OK
    assert second.setHg2Input(1, 2, 3) == OK
    assert second.enableHg2(1) == OK
    random = np.random.default_rng(8)
    times = np.sort(random.choice(10_000, 900, replace=False))
    events = list(zip(times.tolist(), random.choice([1, 2, 3], 900).tolist(), strict=True))
    for part in np.array_split(np.array([*events, (10**6, 2)]), parts):
        count = len(part)
        columns = (
            (ctypes.c_int64 * count)(*part[:, 0].tolist()),
            (ctypes.c_uint8 * count)(*part[:, 1].tolist()),
        )
        assert second.inputTimestamps(*columns, count) == OK
    idlers, coincidences, heralded, seconds, triples = heralded_by_hand(events, 10, 16)
    counted = [ctypes.c_int64(), ctypes.c_int64()]
    bins, size = [(ctypes.c_int64 * 16)(), (ctypes.c_int64 * 16)()], ctypes.c_int32(16)
    assert second.getHg2Raw(*map(ctypes.pointer, counted), *bins, ctypes.pointer(size)) == OK
    assert [number.value for number in counted] == [idlers, coincidences]
    assert [list(each) for each in bins] == [heralded.tolist(), seconds.tolist()]
    values = (ctypes.c_double * 16)()
    assert second.calcHg2G2(values, ctypes.pointer(size), 0) == OK
    np.testing.assert_allclose(values, heralded * idlers / (coincidences * seconds))
    flat, flat_size = (ctypes.c_int64 * 256)(), ctypes.c_int32(256)
    assert second.calcHg2Tcp1D(flat, ctypes.pointer(flat_size), 0) == OK
    np.testing.assert_array_equal(np.array(flat).reshape(16, 16).T, triples)
    rows = [(ctypes.c_int64 * 16)() for _ in range(16)]
    pointers = (ctypes.c_void_p * 16)(*[ctypes.addressof(row) for row in rows])
    assert second.calcHg2Tcp(pointers, 1) == OK
    np.testing.assert_array_equal(np.array([list(row) for row in rows]), triples)
    small = ctypes.c_int32(15)
    assert second.calcHg2G2(values, ctypes.pointer(small), 1) == OUT_OF_RANGE
