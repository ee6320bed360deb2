import itertools
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.firmware.qutag import Qutag
from sim_devices.firmware.qutag_codes import ReturnCode, TdcRefusal
from sim_devices.firmware.qutag_counters import COUNTERS, CoincidenceCounters
from sim_devices.firmware.qutag_device import TdcDevice
from sim_devices.firmware.qutag_files import FileFormat, read_tags
from sim_devices.firmware.qutag_stream import InputStage, TagRing
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin

MS = 10**9
LONG_AGO = -(10**15)


def tags(*events: tuple[int, int]):
    times, channels = zip(*events, strict=True) if events else ((), ())
    return np.array(times, dtype=np.int64), np.array(channels, dtype=np.uint8)


def listed(times, channels) -> list[tuple[int, int]]:
    return list(zip(times.tolist(), channels.tolist(), strict=True))


def kept(device: TdcDevice, *, reset: int = 0) -> list[tuple[int, int]]:
    return [event for piece in device.last_timestamps(reset) for event in listed(*piece)]


def refused(call, *arguments) -> ReturnCode:
    with pytest.raises(TdcRefusal) as refusal:
        call(*arguments)
    return refusal.value.code


# The input stage


def test_mask_and_divider():
    stage = InputStage()
    stage.channel_mask = 0b00101
    stage.sync_divider = 2
    events = tags((1, 0), (2, 1), (3, 2), (4, 0), (5, 0), (6, 4))
    assert listed(*stage.pass_events(*events, 10)[:2]) == [(1, 0), (3, 2), (5, 0)]
    stage.sync_reconstruct = True
    assert listed(*stage.pass_events(*events, 20)[:2]) == [(1, 0), (3, 2), (4, 0), (5, 0)]


def test_dead_time_holds_for_each_input_and_from_read_to_read():
    stage = InputStage()
    stage.dead_times_ps[1] = 100
    first = stage.pass_events(*tags((0, 1), (10, 2), (20, 2), (99, 1), (150, 1)), 200)
    assert listed(*first[:2]) == [(0, 1), (10, 2), (20, 2), (150, 1)]
    second = stage.pass_events(*tags((240, 1), (250, 1), (349, 1), (350, 1)), 400)
    assert listed(*second[:2]) == [(250, 1), (350, 1)]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 4)), max_size=60).map(sorted),
    st.lists(st.integers(0, 40), min_size=5, max_size=5),
    st.integers(0, 300),
)
def test_dead_times_are_what_walking_through_gives(events, dead_times, cut):
    stage = InputStage()
    stage.dead_times_ps = dead_times
    seen = []
    for begin, end in ((0, cut), (cut, 400)):
        batch = [event for event in events if begin <= event[0] < end]
        seen += listed(*stage.pass_events(*tags(*batch), end)[:2])
    expected, last = [], [LONG_AGO] * 5
    for time, channel in events:
        if time - last[channel] >= dead_times[channel]:
            expected.append((time, channel))
            last[channel] = time
    assert seen == expected


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 4)), max_size=60).map(sorted),
    st.lists(st.integers(-200, 200), min_size=5, max_size=5),
    st.lists(st.integers(0, 1000), max_size=4).map(sorted),
)
def test_delayed_events_come_in_order_however_they_are_read(events, delays, cuts):
    stage = InputStage()
    stage.delays_ps = delays
    seen, horizon = [], LONG_AGO
    for begin, end in itertools.pairwise([0, *cuts, 1001, 2000]):
        batch = [event for event in events if begin <= event[0] < end]
        times, channels, complete = stage.pass_events(*tags(*batch), end)
        assert all(horizon <= time < complete for time in times.tolist())
        seen += listed(times, channels)
        horizon = complete
    assert sorted(seen) == sorted((time + delays[channel], channel) for time, channel in events)
    assert [time for time, _ in seen] == sorted(time for time, _ in seen)


# The timestamp buffer


@given(st.integers(1, 10), st.lists(st.tuples(st.integers(0, 25), st.booleans(), st.booleans()), max_size=12))
def test_ring_keeps_the_newest(capacity, steps):
    ring, model, unread, serial = TagRing(capacity), [], 0, 0
    for count, look, reset in steps:
        new = [(serial + i, (serial + i) % 5) for i in range(count)]
        serial += count
        assert ring.write(*tags(*new)) == (unread + count > capacity)
        model = [*model, *new][-capacity:]
        unread = min(capacity, unread + count)
        if look:
            assert [event for piece in ring.read(reset=reset) for event in listed(*piece)] == model
            model, unread = ([] if reset else model), 0


def test_ring_without_a_size_keeps_nothing():
    ring = TagRing()
    assert not ring.write(*tags((1, 1)))
    assert ring.read(reset=False) == []


# The counters


def counted_one_by_one(events, window: int) -> dict[int, int]:
    patterns: dict[int, int] = {}
    leader, pattern = LONG_AGO, 0
    for time, channel in events:
        if time > leader + window:
            patterns[pattern] = patterns.get(pattern, 0) + 1
            leader, pattern = time, 0
        pattern |= 1 << channel
    patterns[pattern] = patterns.get(pattern, 0) + 1
    return patterns


@given(
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 4)), max_size=60).map(sorted),
    st.integers(0, 60),
    st.lists(st.integers(0, 999), max_size=4).map(sorted),
)
def test_counters_are_what_walking_through_gives(events, window, cuts):
    counters = CoincidenceCounters(window_ps=window, exposure_ps=1000, since_ps=0)
    for begin, end in itertools.pairwise([0, *cuts, 1000]):
        counters.feed(*tags(*(event for event in events if begin <= event[0] < end)), end)
    counters.feed(*tags(), 1001)
    values, updates = counters.latest()
    patterns = counted_one_by_one(events, window)
    assert (len(values), updates) == (COUNTERS, 1)
    assert values[:5] == [sum(channel == own for _, channel in events) for own in range(5)]
    for name, index in {"1/2": 5, "3/4": 10, "1/5": 11, "2/3/4": 18, "1/2/3/4": 25, "1/2/3/4/5": 30}.items():
        mask = sum(1 << int(number) % 5 for number in name.split("/"))
        assert values[index] == sum(n for pattern, n in patterns.items() if pattern & mask == mask)


def test_only_the_last_exposure_is_shown():
    counters = CoincidenceCounters(window_ps=10, exposure_ps=100, since_ps=1000)
    counters.feed(*tags((1000, 1), (1005, 2), (1150, 1), (1199, 3), (1310, 4)), 1320)
    assert counters.latest() == ([0] * COUNTERS, 3)  # nothing between 1200 and 1300
    counters.feed(*tags((1380, 4), (1385, 1)), 1400)
    values, updates = counters.latest()
    assert (values[:5], updates) == ([0, 1, 0, 0, 2], 1)
    assert values[5:].count(1) == 1
    assert counters.latest()[1] == 0


# One device of the library


@pytest.fixture
def device():
    device = TdcDevice(0)
    device.set_buffer_size(10)
    return device


def test_buffer_of_the_last_events(device):
    device.arrive(*tags(*((time, 1) for time in range(8))), 100)
    assert not device.data_lost()
    device.arrive(*tags(*((time, 2) for time in range(100, 105))), 200)
    assert kept(device, reset=1) == [
        *((time, 1) for time in range(3, 8)),
        *((time, 2) for time in range(100, 105)),
    ]
    assert kept(device) == []
    assert device.data_lost()
    assert not device.data_lost()


def test_events_that_were_read_are_not_lost(device):
    for start in range(0, 50, 5):
        device.arrive(*tags(*((time, 1) for time in range(start, start + 5))), start + 5)
        assert kept(device)[-1] == (start + 4, 1)
    assert not device.data_lost()


def test_a_frozen_buffer_takes_nothing_but_the_counters_go_on(device):
    device.set_exposure_time(1)
    device.freeze_buffers(1)
    device.arrive(*tags((5, 1), (6, 3)), MS + 1)
    assert kept(device) == []
    assert device.coincidence_counters()[0][:5] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("setter", "wrong"),
    [
        (
            "configure_signal_conditioning",
            [(-1, 3, 1, 0.0), (5, 3, 1, 0.0), (1, 0, 1, 0.0), (1, 4, 1, 0.0), (1, 3, 1, 3.1)],
        ),
        ("configure_signal_conditioning", [(1, 3, 1, -2.1), (1, 3, 1, float("nan"))]),
        ("configure_sync_divider", [(3, 0), (0, 0), (16, 1)]),
        ("set_coincidence_window", [(-1,), (2_000_000_001,)]),
        ("set_exposure_time", [(-1,), (65_536,)]),
        ("set_channel_delays", [([0, 0, 100_001, 0, 0],), ([-100_001, 0, 0, 0, 0],)]),
        ("set_dead_time", [(5, 0), (-1, 0), (0, -1)]),
        ("set_buffer_size", [(0,), (1_000_001,), (-5,)]),
        ("write_timestamps", [(b"x", 7)]),
        ("read_timestamps", [(b"x", 0), (b"x", 4)]),
        (
            "generate_timestamps",
            [(2, 1.0, 1.0, 1), (0, 1.0, 1.0, -1), (0, float("inf"), 1.0, 1), (1, 1.0, -1.0, 1)],
        ),
    ],
)
def test_ranges(device, setter, wrong):
    for arguments in wrong:
        assert refused(getattr(device, setter), *arguments) is ReturnCode.OUT_OF_RANGE


def test_settings_as_in_effect(device):
    device.configure_signal_conditioning(1, 3, 0, 0.1)
    rising, threshold_v = device.signal_conditioning(1)
    assert (rising, threshold_v) == (False, pytest.approx(0.1, abs=1.47e-3 / 2))
    device.configure_signal_conditioning(2, 2, 1, 17.0)
    assert device.signal_conditioning(2) == (False, -0.6)
    device.configure_signal_conditioning(2, 1, 0, 17.0)
    assert device.signal_conditioning(2) == (True, 2.0)
    device.enable_channels(0xFF)
    assert device.channels_enabled() == 0x1F
    device.set_channel_delays([1, -2, 3, -4, 100_000])
    assert device.channel_delays() == [1, -2, 3, -4, 100_000, 0, 0, 0]


# Files


@pytest.mark.parametrize("file_format", [FileFormat.BINARY, FileFormat.RAW])
def test_binary_files_and_back(device, tmp_path, file_format):
    path = tmp_path / "tags.bin"
    events = [(10**15, 1), (10**15 + 7, 4), (10**15 + 7, 5)]
    device.set_five_channel_mode(1)
    device.write_timestamps(str(path).encode(), file_format)
    device.arrive(*tags(*events[:1]), 10**15 + 1)
    device.arrive(*tags(events[1], (10**15 + 7, 0)), 10**15 + 10)
    device.write_timestamps(None, 0)
    device.arrive(*tags((10**15 + 20, 1)), 10**15 + 30)
    content = path.read_bytes()
    records = content[-30:]
    assert [struct.unpack_from("<qH", records, 10 * i) for i in range(3)] == events
    if file_format is FileFormat.BINARY:
        assert struct.unpack_from("<III", content) == (0xFA91B387, len(content), 0x800)
        assert len(content) == 70
    assert listed(*read_tags(path)) == events
    other = TdcDevice(0)
    other.set_buffer_size(10)
    other.set_channel_delays([500] * 5)
    other.read_timestamps(str(path).encode(), FileFormat.BINARY)
    assert kept(other) == events


def test_text_files(device, tmp_path):
    path = tmp_path / "tags.txt"
    device.write_timestamps(str(path).encode(), FileFormat.ASCII)
    device.arrive(*tags((5, 1), (1234567890123456, 4)), 10**16)
    device.write_timestamps(b"", FileFormat.ASCII)
    assert path.read_text() == "5,1\n1234567890123456,4\n"


def test_files_that_cannot_be_opened(device, tmp_path):
    nowhere = str(tmp_path / "none" / "tags.bin").encode()
    assert refused(device.write_timestamps, nowhere, FileFormat.BINARY) is ReturnCode.CANT_OPEN
    assert refused(device.read_timestamps, nowhere, FileFormat.BINARY) is ReturnCode.CANT_OPEN


# Demo events


def test_synthetic_events_pass_mask_and_delays(device):
    device.enable_channels(0b00110)
    device.set_channel_delays([0, 0, -50, 0, 0])
    device.input_timestamps(*tags((100, 1), (120, 2), (130, 3)))
    assert kept(device) == [(70, 2), (100, 1)]
    assert refused(device.input_timestamps, *tags((1, 5))) is ReturnCode.OUT_OF_RANGE


def test_generated_events(device):
    device.set_buffer_size(10_000)
    device.enable_channels(0b01010)
    device.generate_timestamps(0, 1000.0, 200.0, 5000)
    events = kept(device)
    steps = np.diff([time for time, _ in events])
    assert len(events) == 5000
    assert {channel for _, channel in events} == {1, 3}
    assert (steps.min(), steps.max()) == (pytest.approx(900, abs=2), pytest.approx(1100, abs=2))
    device.enable_channels(0)
    assert refused(device.generate_timestamps, 1, 1.0, 1.0, 1) is ReturnCode.NOT_ENABLED


# The device on the bench


def test_nothing_is_let_in_before_the_input_is_on():
    parameters = {
        "efficiency": 0.1,
        "dark_rate_hz": 10_000.0,
        "dead_time_ns": 100.0,
        "afterpulse_probability": 0.0,
    }
    components = {
        "detectors": ComponentSpec(
            "single_photon_detectors",
            {**parameters, "number": 1, "afterpulse_time_us": 1.0, "jitter_ps": 0.0},
        ),
        "tagger": ComponentSpec("time_tagger", {"channel_delays_ps": (1000.0,)}),
    }
    link = Link(PortAddress("detectors", "1"), PortAddress("tagger", "1"))
    twin = Twin(Layout(1, components, (link,)))
    qutag = Qutag({"inputs": twin.handle("tagger")}, serial_number="1", tags=twin.tagger("tagger"))
    assert qutag.read(twin.lab_time.advance_by(10**12))[0].size == 0
    qutag.switch_input(on=True)
    times, channels = qutag.read(twin.lab_time.advance_by(10**12))
    assert abs(times.size - 10_000) < 600  # six standard deviations, seed fixed
    assert (times.min() >= 10**12, set(channels.tolist())) == (True, {1})
    qutag.switch_input(on=False)
    assert qutag.read(twin.lab_time.advance_by(10**12))[0].size == 0


def test_a_device_without_inputs_sees_nothing():
    qutag = Qutag({}, serial_number="1")
    qutag.switch_input(on=True)
    assert qutag.read(10**12)[0].size == 0
