"""Tags: reproducible, independent of how they are read, and following every setting."""

import threading
from typing import Any

import numpy as np
import pytest

from sim_devices.twin import sampling
from sim_devices.twin.handle import ComponentHandle
from tests.physics.ji_bench import JiBench

MS = 10**9


def disturbed(bench: JiBench) -> list[tuple[int, ComponentHandle, dict[str, Any]]]:
    """What happens on the bench, and when."""
    voa, detectors = bench.twin.handle("alice_voa"), bench.twin.handle("detectors")
    return [
        (7 * MS + 123, voa, {"attenuation_db": 17.0, "over_s": 0.003}),
        (15 * MS + 4567, voa, {"shutter_open": False}),
        (19 * MS + 1, voa, {"shutter_open": True, "attenuation_db": 20.0}),
        (24 * MS, detectors, {"enabled": False}),
        (27 * MS, detectors, {"enabled": True}),
        (31 * MS + 77, bench.twin.handle("tagger"), {"input_on": False}),
        (33 * MS + 77, bench.twin.handle("tagger"), {"input_on": True}),
    ]


def read_in_steps(
    step_ps: int, seed: int = 1, afterpulse: float = 0.2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """40 ms of a bench that drifts fast and is disturbed, read whenever `step_ps` have passed."""
    bench = JiBench(
        seed=seed,
        fibre={"drift_step_s": 0.002, "drift_rad_per_sqrt_s": 0.5},
        detectors={"afterpulse_probability": afterpulse},
    )
    events, reader, time = disturbed(bench), bench.twin.tagger("tagger"), bench.twin.lab_time
    stops = sorted({*range(step_ps, 40 * MS, step_ps), 40 * MS, *(at_ps for at_ps, _, _ in events)})
    parts = []
    for stop_ps in stops:
        time.advance_to(stop_ps)
        if stop_ps % step_ps == 0 or stop_ps == 40 * MS:
            parts.append(reader.read_with_origin(stop_ps))
        for at_ps, handle, settings in events:
            if at_ps == stop_ps:
                handle.apply(**settings)
    times_ps, channels, origins = (np.concatenate(column) for column in zip(*parts, strict=True))
    return times_ps, channels, origins


@pytest.fixture(scope="module")
def whole() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return read_in_steps(40 * MS)


@pytest.mark.parametrize("step_ps", [13 * MS, 1_234_567_891, 100_000_000])
def test_tags_do_not_depend_on_how_they_are_read(whole: tuple[np.ndarray, ...], step_ps: int):
    parts = read_in_steps(step_ps)
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one, other)


def test_tags_follow_the_settings_in_mid_reading(whole: tuple[np.ndarray, ...]):
    times_ps, _, origins = whole
    assert np.all(np.diff(times_ps) >= 0)
    counts = np.histogram(times_ps, bins=np.arange(41) * MS)[0]
    assert counts[:7] == pytest.approx(np.full(7, counts[0]), rel=0.2)
    assert counts[11:15].mean() == pytest.approx(2.0 * counts[:7].mean(), rel=0.12)
    assert counts[16:19].max() < 30
    assert counts[24:27].max() <= 4
    assert counts[32] == 0
    assert counts[35:].mean() == pytest.approx(counts[:7].mean(), rel=0.12)
    signal = origins[(times_ps > 15 * MS + 1_000_000) & (times_ps < 19 * MS)] == sampling.SIGNAL
    assert not signal.any()


def test_equal_seeds_give_equal_tags_and_others_do_not(whole: tuple[np.ndarray, ...]):
    again, other = read_in_steps(40 * MS), read_in_steps(40 * MS, seed=2)
    assert np.array_equal(whole[0], again[0])
    assert not np.array_equal(whole[0][:100], other[0][:100])


def test_a_start_gives_the_same_tags_whatever_was_read_before():
    one, other = JiBench(), JiBench()
    for bench in (one, other):
        bench.twin.lab_time.advance_to(50 * MS)
    one.twin.tagger("tagger").read(17 * MS)
    one.twin.tagger("tagger").start(40 * MS)
    other.twin.tagger("tagger").start(40 * MS)
    first, second = (bench.twin.tagger("tagger").read(50 * MS)[0] for bench in (one, other))
    assert np.array_equal(first, second)
    assert first.min() >= 40 * MS
    assert len(first) > 10_000


def test_reading_the_future_or_starting_in_the_past_is_refused():
    bench = JiBench()
    reader = bench.twin.tagger("tagger")
    with pytest.raises(ValueError, match="tags until"):
        reader.read(1)
    bench.twin.lab_time.advance_to(MS)
    reader.read(MS)
    with pytest.raises(ValueError, match="cannot start"):
        reader.start(0)
    times_ps, channels = reader.read(MS)
    assert (times_ps.dtype, channels.dtype, len(times_ps)) == (np.int64, np.uint8, 0)


def test_origins_are_told_without_changing_the_tags():
    plain, labelled = JiBench(), JiBench()
    for bench in (plain, labelled):
        bench.twin.lab_time.advance_to(20 * MS)
    times_ps, channels = plain.twin.tagger("tagger").read(20 * MS)
    same_ps, same_channels, origins = labelled.twin.tagger("tagger").read_with_origin(20 * MS)
    assert np.array_equal(times_ps, same_ps)
    assert np.array_equal(channels, same_channels)
    counts = np.bincount(origins, minlength=6)
    assert counts[sampling.SIGNAL] > 0.98 * len(times_ps)
    assert counts[list(sampling.CONTINUOUS)].sum() == 0
    assert counts[sampling.DARK_COUNT] > 0
    assert counts[sampling.AFTERPULSE] > 0


def test_with_the_shutter_closed_only_dark_counts_and_afterpulses_are_left():
    bench = JiBench()
    bench.twin.handle("alice_voa").apply(shutter_open=False)
    bench.twin.lab_time.advance_to(2000 * MS)
    times_ps, channels, origins = bench.twin.tagger("tagger").read_with_origin(2000 * MS)
    assert set(np.unique(origins)) <= {sampling.DARK_COUNT, sampling.AFTERPULSE}
    # 600 Hz each, half a per cent of afterpulses; five standard deviations, false alarm below 1e-6
    expected = 2.0 * 4 * 600 * 1.005
    assert abs(len(times_ps) - expected) < 5 * expected**0.5
    assert set(channels) == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"bias_v": 60.0}, 0.0),
        ({"bias_v": 55.0}, 0.0),
        ({"bias_v": 62.0}, 0.5),
        ({"threshold_v": 0.3}, 0.0),
        ({"enabled": False}, 0.0),
    ],
)
def test_detector_settings_act(settings: dict[str, Any], share: float):
    bench = JiBench()
    nominal = bench.process("1")
    bench.twin.handle("detectors").apply(**settings)
    process = bench.twin.leaving("detectors.1")
    rate_hz = getattr(process, "photoelectron_hz", 0.0)
    assert rate_hz == pytest.approx(share * nominal.photoelectron_hz)


def test_a_warm_detector_is_noisier():
    bench = JiBench()
    bench.twin.handle("detectors").apply(temperature_c=-24.0)
    assert bench.process("1").dark_hz == pytest.approx(4 * 600.0)


def test_the_controller_turns_the_error():
    bench = JiBench()
    assert bench.align() == pytest.approx(0.0096, abs=3e-4)
    controller = bench.twin.handle("polarization_controller")
    voltages_v = controller.setting("voltages_v")
    assert isinstance(voltages_v, tuple)
    errors = [bench.error()]
    for shift_v in (0.1, 0.2, 0.4):
        controller.apply(voltages_v=(*voltages_v[:2], voltages_v[2] + shift_v, voltages_v[3]))
        errors.append(bench.error())
    assert errors == sorted(errors)
    assert errors[-1] > 0.05


def test_classical_light_brings_noise_clicks():
    bench = JiBench()
    bench.launch(12.0)
    bench.twin.lab_time.advance_to(200 * MS)
    origins = bench.twin.tagger("tagger").read_with_origin(200 * MS)[2]
    noise_hz = sum(bench.process(channel).noise_hz for channel in "1234")
    live = 1.0 / (1.0 + 0.37e6 * 105e-9)
    expected = 0.2 * noise_hz * live
    # five standard deviations, false alarm below 1e-6
    assert abs(np.isin(origins, sampling.CONTINUOUS).sum() - expected) < 5.0 * expected**0.5


def test_pulses_arrive_in_the_middle_of_their_slots_on_every_channel():
    bench = JiBench()
    times_ps, channels = bench.read(0.05)
    delays_ps = np.array([0, 21250, 21430, 20980, 21120])[channels]
    process = bench.process("1")
    assert process.train is not None
    beyond_ps = (times_ps - delays_ps - process.latency_ps - process.train.delay_ps) % 10_000
    for channel in (1, 2, 3, 4):
        centred = (beyond_ps[channels == channel] + 5000) % 10_000 - 5000
        centred = centred[np.abs(centred) < 1000]
        # 150 ps of detector, 21 ps of pulse, 10 ps of tagger
        assert centred.std() == pytest.approx(152.0, rel=0.03)
        assert abs(centred.mean()) < 5.0 * 152.0 / len(centred) ** 0.5


def test_a_dazzled_detector_clicks_once_per_dead_time():
    bench = JiBench(detectors={"efficiency": 1.0})
    bench.twin.handle("alice_voa").apply(attenuation_db=0.0)
    bench.twin.handle("switch").apply(connections={(1, 40)})
    times_ps, channels = bench.read(0.001)
    for channel in (1, 2, 3, 4):
        gaps_ps = np.diff(times_ps[channels == channel])
        assert gaps_ps.min() > 105_000 - 2_000
        assert 105_000 < gaps_ps.mean() < 125_000


def test_instruments_may_speak_while_tags_are_read():
    bench = JiBench()
    time, reader, voa = bench.twin.lab_time, bench.twin.tagger("tagger"), bench.twin.handle("alice_voa")
    failures: list[Exception] = []

    def speak() -> None:
        try:
            for number in range(20):
                voa.apply(attenuation_db=20.0 + number % 2, over_s=0.0001)
                voa.sense("output_power_w", 0.001)
                time.advance_by(MS // 2)
        except ValueError as failure:
            failures.append(failure)

    threads = [threading.Thread(target=speak) for _ in range(2)]
    for thread in threads:
        thread.start()
    parts = []
    while any(thread.is_alive() for thread in threads):
        parts.append(reader.read(time.now_ps())[0])
    parts.append(reader.read(time.now_ps())[0])
    times_ps = np.concatenate(parts)
    assert failures == []
    assert time.now_ps() == 20 * MS
    assert np.all(np.diff(times_ps) >= 0)
    assert len(times_ps) == pytest.approx(0.02 * 1.35e6, rel=0.15)


def test_classical_power_on_the_detectors_ends_in_saturation_not_in_a_hang():
    bench = JiBench(filter={"isolation_db": 0.0})
    bench.launch(15.0)
    bench.twin.handle("switch").apply(connections={(1, 33), (3, 40)})
    assert bench.process("1").noise_hz > 1e9
    _, channels = bench.read(0.002)
    for channel in (1, 2, 3, 4):
        assert np.sum(channels == channel) == pytest.approx(0.002 / 105e-9, rel=0.02)


def test_the_tagger_has_a_dead_time_of_its_own():
    bench = JiBench(detectors={"dead_time_ns": 32.0}, tagger={"dead_time_ns": 300.0})
    times_ps, channels = bench.read(0.01)
    for channel in (1, 2, 3, 4):
        assert 300_000 <= np.diff(times_ps[channels == channel]).min() < 350_000
