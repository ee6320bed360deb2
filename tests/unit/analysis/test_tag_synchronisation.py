"""Locking on synthetic tags: any polarization, clock offset and drift, few counts, and no lock in noise."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qdci_lab.analysis import ClockSearch, Receiver, SymbolCode, Synchronisation, make_code, synchronise
from qdci_lab.analysis.clock_recovery import recover_clock
from qdci_lab.errors import SynchronisationError

CODE = make_code(1024, 0.798, 0.898, seed=1)


def lock(recording, intensities, *, code=CODE, receiver=None, search=None) -> Synchronisation:
    return synchronise(
        recording.times, recording.channels, code, intensities, receiver or Receiver(), 1e4, search
    )


def assert_right(found: Synchronisation, recording, jitter_ps=150.0):
    """Every click from a pulse must be put into its slot of the code (a stray one in a thousand may miss)."""
    slots, _ = found.clock.slots_of(recording.times)
    places = (slots + found.clock.frame_offset) % CODE.length
    detectors = recording.channels.astype(np.int64) - 1
    seen = np.bincount(places + CODE.length * detectors, minlength=4 * CODE.length)
    sent = np.bincount(
        recording.slots % CODE.length + CODE.length * recording.detectors, minlength=4 * CODE.length
    )
    assert np.minimum(seen, sent).sum() >= 0.999 * sent.sum()
    assert found.residual_ps == pytest.approx(jitter_ps, rel=0.1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("duration_s", [0.05, 0.1])
def test_locks_whatever_the_polarization(record, intensities, seed, duration_s):
    rotation = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    recording = record(
        CODE,
        rate_hz=1.3e6,
        duration_s=duration_s,
        rotation=rotation,
        dark_hz=600.0,
        offset_ppm=12.3,
        drift_ppb_per_s=20.0,
        seed=seed,
    )
    found = lock(recording, intensities)
    assert_right(found, recording)
    assert found.offset_ppm == pytest.approx(12.3, abs=0.003)
    assert found.figure_of_merit > 100 * found.threshold


@pytest.mark.parametrize(
    "rotation",
    [
        np.diag([1.0, 1.0, -1.0]),
        np.diag([-1.0, 1.0, 1.0]),
        np.diag([-1.0, 1.0, -1.0]),
        np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]),
        np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
        np.zeros((3, 3)),
    ],
    ids=["z inverted", "x inverted", "both inverted", "bases swapped", "z turned to circular", "depolarised"],
)
def test_locks_on_inverted_swapped_and_depolarised_light(record, intensities, rotation):
    recording = record(CODE, rate_hz=1.3e6, duration_s=0.05, rotation=rotation, dark_hz=600.0, seed=7)
    assert_right(lock(recording, intensities), recording)


@pytest.mark.parametrize("offset_ppm", [-20.0, -3.7, 0.0, 19.9])
def test_finds_any_offset_in_the_range(record, intensities, offset_ppm):
    recording = record(CODE, rate_hz=7e5, duration_s=0.05, offset_ppm=offset_ppm, seed=3)
    found = lock(recording, intensities)
    assert_right(found, recording)
    assert found.offset_ppm == pytest.approx(offset_ppm, abs=0.001)


@pytest.mark.parametrize(
    ("rate_hz", "drift_ppb_per_s", "seed"),
    [(1e5, 20.0, 1), (1.5e4, -45.0, 2), (3e3, 20.0, 3), (1.5e3, 0.0, 4)],
)
def test_locks_on_weak_light_within_a_second(record, intensities, rate_hz, drift_ppb_per_s, seed):
    recording = record(
        CODE,
        rate_hz=rate_hz,
        duration_s=1.0,
        dark_hz=300.0,
        offset_ppm=7.0,
        drift_ppb_per_s=drift_ppb_per_s,
        seed=seed,
    )
    found = lock(recording, intensities)
    slots, residuals = found.clock.slots_of(recording.times)
    places = (slots + found.clock.frame_offset) % CODE.length
    sent = np.bincount(recording.slots % CODE.length, minlength=CODE.length)
    seen = np.bincount(places[np.abs(residuals) < 600.0], minlength=CODE.length)
    assert np.minimum(seen, sent).sum() > 0.99 * sent.sum()
    assert found.clock.drift_ppb_per_s == pytest.approx(drift_ppb_per_s, abs=1.0)


def test_detector_delays_are_applied_and_what_is_left_is_reported(record, intensities):
    recording = record(CODE, rate_hz=1.3e6, duration_s=0.05, seed=5)
    late_ps = np.array([0, 400, -300, 250])
    delayed = recording.times + late_ps[recording.channels - 1]
    plain = synchronise(delayed, recording.channels, CODE, intensities, Receiver(), 1e4)
    assert np.diff(plain.detector_residuals_ps) == pytest.approx(np.diff(late_ps), abs=15.0)
    known = Receiver(delays_ps=(0, 400, -300, 250))
    corrected = synchronise(delayed, recording.channels, CODE, intensities, known, 1e4)
    assert corrected.detector_residuals_ps == pytest.approx([0.0] * 4, abs=10.0)
    assert corrected.residual_ps == pytest.approx(150.0, rel=0.02)


def test_the_same_tags_give_the_same_lock_to_the_last_bit(record, intensities):
    recording = record(CODE, rate_hz=1.3e6, duration_s=0.05, seed=6)
    first, second = lock(recording, intensities), lock(recording, intensities)
    assert first == second
    assert Synchronisation.from_dict(first.to_dict()) == first


def test_a_late_start_of_the_light_is_searched_further_on(record, intensities):
    """Two seconds of darkness come first; the search is widened until it contains the pulses."""
    recording = record(CODE, rate_hz=2e5, duration_s=0.5, offset_ppm=4.0, seed=8)
    rng = np.random.default_rng(0)
    dark = np.sort(rng.integers(0, 25 * 10**11, 500)) + recording.times[0] - 25 * 10**11
    times = np.concatenate([dark, recording.times])
    channels = np.concatenate([rng.integers(1, 5, 500).astype(np.uint8), recording.channels])
    found = synchronise(times, channels, CODE, intensities, Receiver(), 1e4)
    slots, _ = found.clock.slots_of(recording.times)
    assert np.ptp((slots - np.sort(recording.slots)) % CODE.length) == 0


def test_noise_does_not_lock():
    """False-alarm rate: 40 tries at 1e-9 each."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        times = np.sort(rng.integers(0, 5 * 10**10, 20_000))
        with pytest.raises(SynchronisationError, match="no clock of 10000 ps within 20 ppm"):
            synchronise(times, rng.integers(1, 5, 20_000).astype(np.uint8), CODE, (0.5, 0.1), Receiver(), 1e4)


def test_false_alarms_are_not_more_frequent_than_stated():
    """At a stated rate of 0.2, 200 tries give at most 40 + 5 sigma (68); failure probability below 3e-7."""
    search, alarms = ClockSearch(false_alarm=0.2), 0
    for seed in range(200):
        times = np.sort(np.random.default_rng(seed).integers(0, 10**10, 2000))
        try:
            recover_clock(times, 1e4, search)
            alarms += 1
        except SynchronisationError:
            pass
    assert alarms <= 68


def test_pulses_without_the_code_do_not_lock(record, intensities):
    """The clock is there, the frame is not: another code was sent. False-alarm rate 20 x 1e-9."""
    for seed in range(20):
        other = make_code(1024, 0.798, 0.898, seed=100 + seed)
        recording = record(other, rate_hz=1.3e6, duration_s=0.05, seed=seed)
        with pytest.raises(SynchronisationError, match=r"code not found in .* threshold"):
            lock(recording, intensities)


def test_frame_false_alarms_are_not_more_frequent_than_stated(intensities):
    """Pulses of one strength in random slots; 0.2 stated, 200 tries, at most 40 + 5 sigma (68)."""
    search, alarms = ClockSearch(false_alarm=0.2), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        times = 10_000 * np.sort(rng.integers(0, 1_000_000, 20_000)) + rng.integers(-200, 200, 20_000)
        try:
            synchronise(
                times, rng.integers(1, 5, 20_000).astype(np.uint8), CODE, intensities, Receiver(), 1e4, search
            )
            alarms += 1
        except SynchronisationError:
            pass
    assert alarms <= 68


def test_a_code_that_repeats_itself_is_ambiguous(record, intensities):
    twice = SymbolCode.from_digits(2 * make_code(512, 0.798, 0.898, seed=1).digits)
    recording = record(twice, rate_hz=1.3e6, duration_s=0.05, seed=9)
    with pytest.raises(SynchronisationError, match="ambiguous"):
        lock(recording, intensities, code=twice)


@pytest.mark.parametrize("digits", ["0", "00000000"])
def test_a_code_without_structure_cannot_be_found(record, intensities, digits):
    code = SymbolCode.from_digits(digits)
    recording = record(code, rate_hz=1.3e6, duration_s=0.01, seed=2)
    with pytest.raises(SynchronisationError, match="too short or too uniform"):
        lock(recording, intensities, code=code)


def test_too_little_to_lock_on_is_an_error(intensities):
    none = np.empty(0, np.int64), np.empty(0, np.uint8)
    with pytest.raises(SynchronisationError, match="nothing to lock on"):
        synchronise(*none, CODE, intensities, Receiver(), 1e4)
    same = np.full(5, 7, np.int64), np.full(5, 1, np.uint8)
    with pytest.raises(SynchronisationError, match="at least two at different times"):
        synchronise(*same, CODE, intensities, Receiver(), 1e4)
    foreign = np.arange(5, dtype=np.int64), np.full(5, 9, np.uint8)
    with pytest.raises(SynchronisationError, match="nothing to lock on"):
        synchronise(*foreign, CODE, intensities, Receiver(), 1e4)
