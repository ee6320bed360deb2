"""Whole acquisitions: from synthetic tags of which every slot is known to counts, error and key rates."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from qdci_lab.analysis import (
    PROOFS,
    UNITS,
    Bb84Analysis,
    Bb84Settings,
    ClockSearch,
    OneDecoyProtocol,
    Receiver,
    analyse,
    make_code,
)
from qdci_lab.errors import SynchronisationError

CODE = make_code(1024, 0.798, 0.898, seed=1)
SETTINGS = Bb84Settings(
    code=CODE,
    protocol=OneDecoyProtocol.for_code(CODE, 0.523, 0.131),
    period_ps=1e4,
    receiver=Receiver(gate_width_ps=2000.0, double_click="discard"),
    sync_tags=60_000,
    projected_n_z=1e8,
)
DURATION_S = 0.3
DURATION_PS = 3 * 10**11
THETA = 2 * np.arcsin(np.sqrt(0.0127))


@pytest.fixture
def recording(record, turn):
    return record(
        CODE,
        rate_hz=1.3e6,
        duration_s=DURATION_S,
        rotation=turn(THETA),
        offset_ppm=-8.0,
        drift_ppb_per_s=20.0,
        seed=31,
    )


def known_counts(recording):
    """Sifted counts from the slots the tags were made from: slots with exactly one click."""
    order = np.argsort(recording.slots, kind="stable")
    slots, detectors = recording.slots[order], recording.detectors[order]
    _, first, clicks = np.unique(slots, return_index=True, return_counts=True)
    single = first[clicks == 1]
    places, detector = slots[single] % CODE.length, detectors[single]
    matched = CODE.basis[places] == detector // 2
    where = (CODE.basis[places][matched], CODE.intensity[places][matched])
    n, m = np.zeros((2, 2)), np.zeros((2, 2))
    np.add.at(n, where, 1)
    np.add.at(m, where, CODE.bit[places][matched] != detector[matched] % 2)
    return n, m


def test_every_click_is_sifted_as_it_was_sent(recording):
    result = analyse(recording.blocks([100_000]), SETTINGS, DURATION_PS)
    n, m = known_counts(recording)
    assert result.counts.n.tolist() == n.tolist()
    assert result.counts.m.tolist() == m.tolist()
    assert result.tags.late == 0
    assert result.tags.gated_fraction > 0.99999


def test_error_and_key_rates_of_an_acquisition(recording):
    """QBER is 1.27 % in both bases by construction; 5 sigma of its counts, false-alarm rate 6e-7 each."""
    result = analyse(recording.blocks([]), SETTINGS, DURATION_PS)
    for qber, clicks in ((result.qber_z, result.counts.n_z), (result.qber_x, result.counts.n_x)):
        assert abs(qber.value - 0.0127) < 5 * np.sqrt(0.0127 / clicks)
        assert qber.low < qber.value < qber.high
    # A code of 1024 is sent at 1.3 MHz of clicks, half of them in Z: about the middle of the tabulated range.
    rates = [result.key_rates[proof].skr_bps for proof in PROOFS]
    assert 190e3 < rates[1] < rates[0] < 240e3
    assert all(0.0 < result.key_rates[proof].skr_error_bps < 0.2 * rates[0] for proof in PROOFS)


def test_replay_is_equal_to_the_last_bit_however_the_stream_is_cut(recording):
    stored = json.loads(json.dumps(SETTINGS.to_dict()))
    live = Bb84Analysis(SETTINGS)
    for times, channels in recording.blocks([10, 59_999, 60_000, 60_001, 61_024, 200_000]):
        live.add(times, channels)
    replayed = analyse(recording.blocks([1, 333_333]), Bb84Settings.from_dict(stored), DURATION_PS)
    assert live.result(DURATION_PS).to_dict() == replayed.to_dict()


def test_asking_for_results_meanwhile_changes_nothing(recording):
    watched = Bb84Analysis(SETTINGS)
    seen = []
    for times, channels in recording.blocks([30_000, 120_000, 250_000]):
        watched.add(times, channels)
        watched.result(DURATION_PS)
        seen.append(watched.n_z)
    assert seen[0] == 0  # not locked yet
    assert 0 < seen[1] < seen[2] < seen[3] == int(watched.result(DURATION_PS).counts.n_z)
    assert (
        watched.result(DURATION_PS).to_dict()
        == analyse(recording.blocks([]), SETTINGS, DURATION_PS).to_dict()
    )


def test_a_short_acquisition_locks_on_what_there_is(recording):
    analysis = Bb84Analysis(replace(SETTINGS, sync_tags=10**6))
    analysis.add(recording.times, recording.channels)
    assert analysis.n_z == 0
    result = analysis.result(DURATION_PS)
    assert result.counts.n.tolist() == known_counts(recording)[0].tolist()
    assert result.synchronisation.tags == recording.times.size


def test_a_known_lock_skips_the_search(recording):
    first = Bb84Analysis(SETTINGS)
    cut = 150_000
    first.add(recording.times[:cut], recording.channels[:cut])
    lock = first.synchronisation
    assert lock is not None
    second = Bb84Analysis(SETTINGS, lock)
    second.add(recording.times[cut : cut + 500], recording.channels[cut : cut + 500])
    assert second.n_z > 0  # 500 tags are too few to search in
    second.add(recording.times[cut + 500 :], recording.channels[cut + 500 :])
    total = first.result(DURATION_PS).counts.n + second.result(DURATION_PS).counts.n
    assert np.abs(total - known_counts(recording)[0]).sum() <= 2  # a coincidence across the cut


def test_tracking_carries_a_lock_far_beyond_its_precision(record):
    """8 s with 20 ppb/s: 640 ns of drift, of which a lock on 0.4 s knows the course to some nanoseconds."""
    recording = record(CODE, rate_hz=5e4, duration_s=8.0, drift_ppb_per_s=20.0, dark_hz=300.0, seed=5)
    settings = replace(SETTINGS, sync_tags=20_000, receiver=Receiver(gate_width_ps=1000.0))
    tracked = analyse(recording.blocks([]), settings, 8 * 10**12)
    assert tracked.qber_z.value < 0.005
    assert tracked.tags.gated_fraction > 0.97
    fixed = analyse(recording.blocks([]), replace(settings, tracking=False), 8 * 10**12)
    assert fixed.tags.gated_fraction < 0.7


def test_without_light_there_is_an_error_and_no_number():
    rng = np.random.default_rng(1)
    dark = Bb84Analysis(SETTINGS)
    times = np.sort(rng.integers(0, 10**12, 2400))
    dark.add(times, rng.integers(1, 5, 2400).astype(np.uint8))
    with pytest.raises(SynchronisationError, match="no clock"):
        dark.result(10**12)
    with pytest.raises(SynchronisationError, match="no tags"):
        Bb84Analysis(SETTINGS).result(10**12)
    eager = Bb84Analysis(replace(SETTINGS, sync_tags=2000))
    with pytest.raises(SynchronisationError, match="no clock"):
        eager.add(times, np.full(2400, 1, np.uint8))


def test_flat_result_has_a_unit_for_every_number(recording):
    flat = analyse(recording.blocks([]), SETTINGS, DURATION_PS).to_dict()
    assert set(flat) == set(UNITS)
    assert all(isinstance(value, int | float) for value in flat.values())
    assert all(type(value) in (int, float) for value in json.loads(json.dumps(flat)).values())
    assert flat["duration"] == DURATION_S
    assert flat["n_z"] == flat["n_z_signal"] + flat["n_z_decoy"]
    assert flat["count_rate"] == pytest.approx(recording.times.size / DURATION_S)
    assert flat["sync_offset"] == pytest.approx(-8.0, abs=0.01)


def test_settings_survive_being_stored():
    unusual = replace(
        SETTINGS,
        receiver=Receiver(
            inputs=(4, 3, 2, 1),
            delays_ps=(1, -2, 3, 0),
            double_click="discard",
            cross_click="random-basis",
            random_key=7,
        ),
        search=ClockSearch(max_offset_ppm=5.0, false_alarm=1e-6),
        tracking=False,
        projected_n_z=None,
        confidence=0.683,
        interval="clopper-pearson",
    )
    restored = Bb84Settings.from_dict(json.loads(json.dumps(unusual.to_dict())))
    assert restored == unusual
    assert restored != SETTINGS


def test_settings_must_fit_together():
    with pytest.raises(ValueError, match="p_z of the protocol"):
        replace(SETTINGS, protocol=replace(SETTINGS.protocol, p_z=0.9))
    with pytest.raises(ValueError, match="sync_tags"):
        replace(SETTINGS, sync_tags=1)
    with pytest.raises(ValueError, match="do not go with"):
        Bb84Analysis(SETTINGS).add(np.zeros(2, np.int64), np.zeros(3, np.uint8))


def test_importing_the_analysis_loads_neither_compiler_nor_special_functions():
    code = "import sys, qdci_lab.analysis; print([m for m in ('numba', 'scipy') if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "numba" not in loaded
    assert "scipy" not in loaded
