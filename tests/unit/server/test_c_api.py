import ctypes
import threading

import numpy as np
import pytest

from sim_devices.server.c_api import function_table
from sim_devices.server.control import ControlServer

DEVICE = "bob.tagger"
MS = 10**9
OK, ERROR, NOT_CONNECTED, NO_DEVICE, OUT_OF_RANGE, CANT_OPEN, NOT_INITIALIZED = 0, -1, 2, 9, 10, 11, 12


@pytest.fixture
def ready(tdc):
    assert tdc.init(-1) == OK
    assert tdc.setTimestampBufferSize(1000) == OK
    return tdc


def integers(*values: int):
    return (ctypes.c_int32 * len(values))(*values)


# The table


def test_the_table_is_made_once_and_holds_addresses(server):
    table = function_table(server.address, DEVICE)
    assert function_table(server.address, DEVICE) is table
    assert all(name.startswith("TDC_") and address > 0 for name, address in table.items())
    assert len(set(table.values())) == len(table) == 93


def test_what_works_without_a_device(tdc):
    assert tdc.getVersion() > 1.0
    assert tdc.perror(OK) == b"Success"
    assert b"range" in tdc.perror(OUT_OF_RANGE)
    assert tdc.perror(12345) == tdc.perror(8)
    assert tdc.getDevType() == 1
    assert tdc.checkFeatures() == 0
    assert tdc.deInit() == OK


def test_nothing_else_works_before_init(tdc):
    assert tdc.getTimebase(ctypes.pointer(ctypes.c_double())) == NOT_INITIALIZED
    assert tdc.enableChannels(1) == NOT_INITIALIZED
    assert tdc.setExposureTime(70_000) == NOT_INITIALIZED
    assert tdc.getLastTimestamps(1, None, None, ctypes.pointer(ctypes.c_int32())) == NOT_INITIALIZED
    assert tdc.setChannelDelays(None) == NOT_INITIALIZED
    assert tdc.connect(0) == NOT_INITIALIZED


# Initialisation and devices


def test_init_switches_the_input_on_and_deinit_off(tdc, small_bench):
    assert tdc.init(-1) == OK
    assert small_bench.inputs.setting("input_on") is True
    assert tdc.getDevType() == 0
    assert tdc.value("getTimebase", kind=ctypes.c_double) == 1e-12
    assert tdc.checkFeatures() & 0x0C == 0x0C
    assert tdc.checkFeatureHbt() == tdc.checkFeatures() & 1
    assert tdc.deInit() == OK
    assert small_bench.inputs.setting("input_on") is False
    assert tdc.getDeadTime(1, ctypes.pointer(ctypes.c_int32())) == NOT_INITIALIZED


def test_init_forgets_settings(ready):
    ready.enableChannels(3)
    assert ready.init(0) == OK
    assert ready.value("getChannelsEnabled") == 0x1F
    assert ready.value("getTimestampBufferSize") == 0


def test_a_device_with_another_number_leaves_demo_mode(tdc):
    assert tdc.init(7) == NOT_CONNECTED
    assert tdc.setTimestampBufferSize(100) == OK
    parameters = (ctypes.c_double * 2)(1000.0, 10.0)
    assert tdc.generateTimestamps(1, parameters, 50) == OK
    assert len(tdc.last_timestamps(100)) == 50
    assert tdc.getDevType() == 1


def test_devices_by_number(tdc):
    assert tdc.value("discover", kind=ctypes.c_uint) == 1
    assert tdc.enableChannels(1) == NOT_CONNECTED
    kind, number, serial, connected = (
        ctypes.c_int(),
        ctypes.c_int(),
        ctypes.create_string_buffer(16),
        ctypes.c_int32(5),
    )
    outputs = [ctypes.pointer(kind), ctypes.pointer(number), serial, ctypes.pointer(connected)]
    assert tdc.getDeviceInfo(0, *outputs) == OK
    assert (kind.value, serial.value, connected.value) == (0, b"QT-1", 0)
    assert tdc.getDeviceInfo(1, *outputs) == NO_DEVICE
    assert tdc.addressDevice(0) == NOT_CONNECTED
    assert tdc.connect(1) == NO_DEVICE
    assert tdc.connect(0) == OK
    assert tdc.getDeviceInfo(0, None, None, None, outputs[3]) == OK
    assert connected.value == 1
    assert tdc.addressDevice(0) == OK
    assert tdc.value("getCurrentAddress", kind=ctypes.c_uint) == 0
    assert tdc.disconnect(0) == OK
    assert tdc.getCurrentAddress(ctypes.pointer(ctypes.c_uint())) == NOT_CONNECTED


# Settings


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("setCoincidenceWindow", (2_000_000_001,)),
        ("setExposureTime", (65_536,)),
        ("setExposureTime", (-1,)),
        ("setDeadTime", (5, 0)),
        ("setDeadTime", (1, -1)),
        ("getDeadTime", (7, ctypes.pointer(ctypes.c_int32()))),
        ("setTimestampBufferSize", (0,)),
        ("setTimestampBufferSize", (1_000_001,)),
        ("configureSyncDivider", (5, 0)),
        ("configureSignalConditioning", (1, 3, 1, 3.5)),
        ("configureSignalConditioning", (9, 3, 1, 0.5)),
        ("setChannelDelays", (integers(0, 0, 0, 0, 100_001),)),
        ("inputTimestamps", (integers(0), integers(0), -1)),
        ("writeTimestamps", (b"somewhere", 9)),
    ],
)
def test_values_out_of_range(ready, call, arguments):
    assert getattr(ready, call)(*arguments) == OUT_OF_RANGE


def test_settings_are_read_back(ready):
    assert ready.setCoincidenceWindow(5000) == OK
    assert ready.setExposureTime(250) == OK
    window, exposure = ctypes.c_int32(), ctypes.c_int32()
    assert ready.getDeviceParams(ctypes.pointer(window), ctypes.pointer(exposure)) == OK
    assert (window.value, exposure.value) == (5000, 250)
    assert ready.getDeviceParams(None, None) == OK
    assert ready.setDeadTime(3, 45_000) == OK
    assert ready.value("getDeadTime", 3) == 45_000
    assert ready.configureSyncDivider(4, 1) == OK
    divider, reconstruct = ctypes.c_int32(), ctypes.c_int32()
    assert ready.getSyncDivider(ctypes.pointer(divider), ctypes.pointer(reconstruct)) == OK
    assert (divider.value, reconstruct.value) == (4, 1)
    assert ready.configureSignalConditioning(2, 3, 0, -0.5) == OK
    edge, threshold = ctypes.c_int32(5), ctypes.c_double()
    assert ready.getSignalConditioning(2, ctypes.pointer(edge), ctypes.pointer(threshold)) == OK
    assert (edge.value, threshold.value) == (0, pytest.approx(-0.5, abs=1e-3))


def test_delays_are_five_in_and_eight_out(ready):
    assert ready.setChannelDelays(integers(1, -2, 3, -4, 5)) == OK
    delays = (ctypes.c_int32 * 9)(*[77] * 9)
    assert ready.getChannelDelays(delays) == OK
    assert list(delays) == [1, -2, 3, -4, 5, 0, 0, 0, 77]
    assert ready.setChannelDelays(None) == OK
    assert ready.getChannelDelays(delays) == OK
    assert list(delays[:5]) == [0] * 5


def test_missing_outputs(ready):
    assert ready.getTimebase(None) == ERROR
    assert ready.getDataLost(None) == ERROR
    assert ready.getLastTimestamps(1, None, None, None) == ERROR
    assert ready.getCoincCounters(None, None) == ERROR


# Tags


def test_tags_of_a_span_of_lab_time(ready, small_bench):
    small_bench.tags.play((100, 1), (200, 2), (300, 3), (400, 4), (600, 1))
    small_bench.lab_time.advance_by(500)
    assert ready.last_timestamps(10, reset=False) == [(100, 1), (200, 2), (300, 3), (400, 4)]
    assert ready.last_timestamps(10) == [(100, 1), (200, 2), (300, 3), (400, 4)]
    assert ready.last_timestamps(10) == []
    small_bench.lab_time.advance_by(500)
    assert ready.last_timestamps(10) == [(600, 1)]


def test_tags_before_init_are_not_seen(tdc, small_bench):
    small_bench.tags.play((100, 1), (200, 2))
    small_bench.lab_time.advance_by(150)
    tdc.init(-1)
    tdc.setTimestampBufferSize(10)
    small_bench.lab_time.advance_by(150)
    assert tdc.last_timestamps(10) == [(200, 2)]


def test_settings_hold_from_the_moment_they_are_made(ready, small_bench):
    small_bench.tags.play((100, 1), (150, 2), (300, 1), (350, 2), (500, 1))
    small_bench.lab_time.advance_by(200)
    ready.enableChannels(0b00100)
    small_bench.lab_time.advance_by(200)
    ready.setChannelDelays(integers(0, 7, 0, 0, 0))
    ready.enableChannels(0x1F)
    small_bench.lab_time.advance_by(200)
    assert ready.last_timestamps(10) == [(100, 1), (150, 2), (350, 2), (507, 1)]


def test_delays_reorder(ready, small_bench):
    small_bench.tags.play((1000, 1), (1010, 2), (900_000, 3))
    ready.setChannelDelays(integers(0, 50, -50, 0, 0))
    small_bench.lab_time.advance_by(10**6)
    assert ready.last_timestamps(10) == [(960, 2), (1050, 1), (900_000, 3)]


def test_overflow_keeps_the_newest_and_is_latched(ready, small_bench):
    small_bench.tags.play(*((time, 1 + time % 4) for time in range(1500)))
    small_bench.lab_time.advance_by(2000)
    events = ready.last_timestamps(1000)
    assert [time for time, _ in events] == list(range(500, 1500))
    assert ready.value("getDataLost") == 1
    assert ready.value("getDataLost") == 0


def test_only_the_number_may_be_asked_for(ready, small_bench):
    small_bench.tags.play((100, 1), (200, 2))
    small_bench.lab_time.advance_by(500)
    valid = ctypes.c_int32()
    assert ready.getLastTimestamps(0, None, None, ctypes.pointer(valid)) == OK
    assert valid.value == 2
    channels = (ctypes.c_uint8 * 5)(9, 9, 9, 9, 9)
    assert ready.getLastTimestamps(1, None, channels, ctypes.pointer(valid)) == OK
    assert list(channels) == [1, 2, 9, 9, 9]


def test_a_disabled_input(ready, small_bench):
    small_bench.tags.play((100, 1), (300, 2), (500, 3))
    small_bench.lab_time.advance_by(200)
    assert ready.enableTdcInput(0) == OK
    assert small_bench.inputs.setting("input_on") is False
    small_bench.lab_time.advance_by(200)
    assert ready.enableTdcInput(1) == OK
    assert ready.enableTdcInput(1) == OK
    small_bench.lab_time.advance_by(200)
    assert [time for time, _ in ready.last_timestamps(10)] == [100, 500]


def test_frozen_buffers(ready, small_bench):
    small_bench.tags.play((100, 1), (300, 2), (500, 3))
    small_bench.lab_time.advance_by(200)
    ready.freezeBuffers(1)
    small_bench.lab_time.advance_by(200)
    ready.freezeBuffers(0)
    small_bench.lab_time.advance_by(200)
    assert [time for time, _ in ready.last_timestamps(10)] == [100, 500]


def test_a_long_silence_is_read_in_slices(ready, small_bench):
    times = np.arange(5_000_000, dtype=np.int64) * 1000
    small_bench.tags.times, small_bench.tags.channels = times, np.ones(times.size, dtype=np.uint8)
    small_bench.lab_time.advance_by(3 * 3600 * 10**12)
    assert [time for time, _ in ready.last_timestamps(1000)] == times[-1000:].tolist()
    assert 4 < len(small_bench.tags.reads) < 40
    assert small_bench.tags.reads == sorted(small_bench.tags.reads)


def test_coincidence_counters_of_the_last_exposure(ready, small_bench):
    ready.setExposureTime(1)
    ready.setCoincidenceWindow(100)
    small_bench.tags.play(
        (50, 1), (90, 2), (5000, 1), (MS + 10, 3), (2 * MS + 1, 4), (2 * MS + 20, 1), (2 * MS + 30, 2)
    )
    small_bench.lab_time.advance_by(MS + 5)
    counters, updates = (ctypes.c_int32 * 31)(), ctypes.c_int32()
    assert ready.getCoincCounters(counters, ctypes.pointer(updates)) == OK
    assert (list(counters[:6]), sum(counters[6:]), updates.value) == ([0, 2, 1, 0, 0, 1], 0, 1)
    small_bench.lab_time.advance_by(2 * MS)
    assert ready.getCoincCounters(counters, ctypes.pointer(updates)) == OK
    assert (list(counters[:5]), updates.value) == ([0, 1, 1, 0, 1], 2)
    assert (counters[5], counters[8], counters[9], counters[16], sum(counters[5:])) == (1, 1, 1, 1, 4)
    assert ready.getCoincCounters(counters, None) == OK


def test_files(ready, small_bench, tmp_path):
    path = tmp_path / "tags.bin"
    small_bench.tags.play((100, 1), (200, 4), (300, 2))
    assert ready.writeTimestamps(str(path).encode(), 1) == OK
    small_bench.lab_time.advance_by(250)
    assert ready.writeTimestamps(None, 0) == OK
    small_bench.lab_time.advance_by(250)
    assert path.stat().st_size == 40 + 2 * 10
    ready.last_timestamps(10)
    assert ready.readTimestamps(str(path).encode(), 1) == OK
    assert ready.last_timestamps(10) == [(100, 1), (200, 4)]
    assert ready.writeTimestamps(str(tmp_path).encode(), 1) == CANT_OPEN


def test_synthetic_tags(ready):
    times, channels = (ctypes.c_int64 * 3)(5, 6, 7), (ctypes.c_uint8 * 3)(1, 2, 3)
    assert ready.inputTimestamps(times, channels, 3) == OK
    assert ready.last_timestamps(10) == [(5, 1), (6, 2), (7, 3)]
    assert ready.inputTimestamps(None, channels, 3) == ERROR


# Losing the device


def calls_that_need_a_device(tdc) -> list[int]:
    output = ctypes.pointer(ctypes.c_int32())
    return [
        tdc.enableChannels(1),
        tdc.getChannelsEnabled(output),
        tdc.getTimebase(ctypes.pointer(ctypes.c_double())),
        tdc.getDataLost(output),
        tdc.getCoincCounters(integers(*[0] * 31), None),
        tdc.getLastTimestamps(1, None, None, output),
        tdc.setChannelDelays(None),
        tdc.enableTdcInput(0),
        tdc.writeTimestamps(None, 0),
    ]


def test_a_stopped_device_is_gone_until_it_is_initialised_again(ready, small_bench):
    small_bench.stop_device(DEVICE)
    assert set(calls_that_need_a_device(ready)) == {NOT_CONNECTED}
    assert ready.init(-1) == NOT_CONNECTED
    assert set(calls_that_need_a_device(ready)) == {NOT_CONNECTED}
    small_bench.start_device(DEVICE)
    assert set(calls_that_need_a_device(ready)) == {NOT_CONNECTED}
    assert ready.init(-1) == OK
    assert set(calls_that_need_a_device(ready)) == {OK}


def test_a_restart_between_two_calls_is_noticed(ready, small_bench):
    small_bench.stop_device(DEVICE)
    small_bench.start_device(DEVICE)
    assert ready.getChannelsEnabled(ctypes.pointer(ctypes.c_int32())) == NOT_CONNECTED


def test_a_lost_bench_is_noticed_and_found_again(ready, server, small_bench):
    port = int(server.address.rpartition(":")[2])
    server.close()
    assert set(calls_that_need_a_device(ready)) == {NOT_CONNECTED}
    again = ControlServer(small_bench, port=port)
    again.start()
    assert ready.init(-1) == OK
    assert set(calls_that_need_a_device(ready)) == {OK}
    ready.deInit()
    again.close()


def test_calls_from_several_threads(ready, small_bench):
    small_bench.tags.play(*((time, 1) for time in range(1000)))
    seen: list[int] = []

    def drain() -> None:
        for _ in range(50):
            small_bench.lab_time.advance_by(5)
            seen.extend(time for time, _ in ready.last_timestamps(1000))

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted([*seen, *(time for time, _ in ready.last_timestamps(1000))]) == list(range(1000))


def test_lab_time_may_follow_the_walls(tdc, server, small_bench):
    """A program that sleeps by itself sees tags: each look moves lab time by the wall's since the last one."""
    following = type(tdc)(function_table(server.address, DEVICE, 1, 1e6))
    assert following.init(-1) == OK
    assert following.setTimestampBufferSize(10) == OK
    looks = [small_bench.lab_time.now_ps()]
    for _ in range(3):
        following.last_timestamps(10)
        looks.append(small_bench.lab_time.now_ps())
    assert looks == sorted(set(looks))
    following.deInit()


def test_lab_time_stands_still_otherwise(ready, small_bench):
    before_ps = small_bench.lab_time.now_ps()
    ready.last_timestamps(10)
    assert small_bench.lab_time.now_ps() == before_ps
