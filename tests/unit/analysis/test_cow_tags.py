"""Sifting of a coherent-one-way link: tags of which every slot is known, made in a few lines of numpy."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.clock_recovery import ClockSearch
from qdci_lab.analysis.cow import cow4_rate, cow_restricted_rate, expected_cow4_monitor
from qdci_lab.analysis.cow_code import ONE, ZERO, CowCode, make_cow_code
from qdci_lab.analysis.cow_counts import CowCounts
from qdci_lab.analysis.cow_result import (
    COW_UNITS,
    CowAcquisition,
    CowProtocol,
    CowReceiver,
    evaluate_cow,
)
from qdci_lab.analysis.cow_tags import CowAnalysis, CowSettings, analyse_cow

PERIOD_PS = 800.0
CODE = make_cow_code(256, 0.1, 0.05, seed=3)
RECEIVER = CowReceiver(inputs=(1, 2, 3), dead_time_ps=2e6, data_efficiency=0.02, delays_ps=(270, 450, 0))
SETTINGS = CowSettings(
    CODE, CowProtocol(mu=0.1, distilled_share=0.5, cutoff_loss_db=24.5), RECEIVER, PERIOD_PS,
    search=ClockSearch(max_offset_ppm=1.0, max_drift_ppb_per_s=1.0), sync_tags=4000,
)  # fmt: skip


def record(rates, *, duration_s=1.0, seed=1, offset_ppm=0.0, jitter_ps=60.0):
    """Clicks of three detectors at a rate for each slot of a period, shape [3, slots]; no dead time."""
    rng = np.random.default_rng(seed)
    period_ps = PERIOD_PS * (1.0 + offset_ppm * 1e-6)
    frame = CODE.pulses.size
    frames = int(duration_s * 1e12 / (frame * period_ps))
    times, channels = [], []
    for detector in range(3):
        places = np.repeat(np.arange(frame), rng.poisson(rates[detector] * duration_s))
        slots = rng.integers(0, frames, places.size) * frame + places
        arrivals = slots * period_ps + rng.normal(0.0, jitter_ps, places.size)
        times.append(np.rint(arrivals).astype(np.int64) + RECEIVER.delays_ps[detector] + 10**15)
        channels.append(np.full(places.size, detector + 1, np.uint8))
    times, channels = np.concatenate(times), np.concatenate(channels)
    order = np.argsort(times, kind="stable")
    return times[order], channels[order]


def link_rates(data_hz, monitor_hz, *, error=0.0, visibility=1.0, background_hz=0.0):
    """Rates by detector and slot of a link that errs as told; `background_hz` is that of each detector in all."""
    pulses = CODE.pulses.astype(float)
    before = np.roll(pulses, 1)
    data = pulses + error / (1.0 - error) * (1.0 - pulses)
    both = pulses * before
    bright, dark = (0.25 * (pulses + before) + sign * 0.5 * visibility * both for sign in (1.0, -1.0))
    lines = [data * data_hz, bright * monitor_hz, dark * monitor_hz]
    return np.stack([line / pulses.sum() + background_hz / pulses.size for line in lines])


def test_a_code_has_whole_quotas_and_says_what_is_pulsed():
    assert CODE.counts().tolist() == [109, 108, 26, 13]
    assert CODE.key_share == 217 / 256
    assert CowCode.from_digits("0123").pulses.tolist() == [1, 0, 0, 1, 1, 1, 0, 0]
    assert CowCode.from_digits(CODE.digits) == CODE
    with pytest.raises(ValueError, match="none of the kinds"):
        make_cow_code(16, 0.01, 0.2, seed=1)


def test_a_receiver_that_could_click_twice_in_a_bit_is_refused():
    with pytest.raises(ValueError, match="blind for longer than a bit of 1600 ps"):
        replace(SETTINGS, receiver=replace(RECEIVER, dead_time_ps=1500.0))


def test_settings_survive_the_file():
    assert CowSettings.from_dict(SETTINGS.to_dict()) == SETTINGS


def test_counts_are_those_of_the_slots_they_were_made_in():
    """Every click is at a pulse of its own slot: no errors, full visibility; each number is counted by hand."""
    folded = np.zeros((3, 8), dtype=np.int64)
    code = CowCode.from_digits("0123")  # pulses 1 0 | 0 1 | 1 1 | 0 0
    folded[0] = [10, 1, 2, 20, 30, 31, 3, 4]
    folded[1] = [5, 6, 7, 8, 50, 60, 9, 70]
    folded[2] = [1, 1, 1, 1, 2, 3, 1, 4]
    counts = CowCounts.of_folded(folded, np.array([101, 215, 14]), code, foreign=2)
    assert counts.data.tolist() == [[10, 1], [2, 20], [30, 31], [3, 4]]
    assert (counts.n_key, counts.m_key) == (33, 3)
    assert counts.meeting.tolist() == [[6, 1], [8, 1], [60, 3], [70, 4]]
    # slots 4 and 5 are pulses after pulses (the ONE before the decoy ends in one); 2 and 7 are empty after empty
    assert (counts.pairs.tolist(), counts.pair_slots) == ([110, 5], 2)
    assert (counts.empties.tolist(), counts.empty_slots) == ([77, 5], 2)


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=6))
def test_the_result_does_not_depend_on_how_the_stream_was_cut(cuts):
    times, channels = record(link_rates(9e3, 3e3, error=0.02, visibility=0.99, background_hz=50.0))
    edges = [0, *sorted(min(cut, times.size) for cut in cuts), times.size]
    blocks = [(times[a:b], channels[a:b]) for a, b in itertools.pairwise(edges)]
    whole = analyse_cow([(times, channels)], SETTINGS, 10**12, 12.47).to_dict()
    assert analyse_cow(blocks, SETTINGS, 10**12, 12.47).to_dict() == whole


@pytest.mark.parametrize("offset_ppm", [0.0, 0.4])
def test_error_rate_and_visibility_are_found_with_their_errors(offset_ppm):
    """Pulls of 4 sigma have a false-alarm rate of 6e-5; the seed is fixed."""
    rates = link_rates(4e4, 4e4, error=0.02, visibility=0.98, background_hz=400.0)
    result = analyse_cow([record(rates, duration_s=4.0, offset_ppm=offset_ppm)], SETTINGS, 4 * 10**12, 12.47)
    key = np.repeat(np.isin(CODE.sequences, (ZERO, ONE)), 2)
    expected = rates[0][key & (CODE.pulses == 0)].sum() / rates[0][key].sum()
    assert abs(result.qber.value - expected) < 4.0 * math.sqrt(expected / result.acquired.counts.n_key)
    assert result.qber.low < result.qber.value < result.qber.high
    # The rates were made without a dead time: undo the correction for it.
    live = 1.0 - result.acquired.counts.singles[1:] / 4.0 * 2e-6
    ratio = (1.0 - result.visibility.value) / (1.0 + result.visibility.value) * live[1] / live[0]
    assert abs((1.0 - ratio) / (1.0 + ratio) - 0.98) < 4.0 * result.visibility.error
    assert 0.0005 < result.visibility.error < 0.003
    assert result.acquired.lock is not None
    assert result.acquired.lock.offset_ppm == pytest.approx(offset_ppm, abs=0.01)
    assert result.acquired.lock.residual_ps == pytest.approx(60.0, rel=0.1)


def test_the_stated_errors_are_the_spread_of_many_acquisitions():
    """Standard deviation over 40 seeds against the stated errors: within 40 %, 3.6 of its own standard errors."""
    rates = link_rates(6e3, 9e3, error=0.015, visibility=0.97, background_hz=300.0)
    results = [analyse_cow([record(rates, seed=seed)], SETTINGS, 10**12, 12.47) for seed in range(40)]
    for value, error in (
        ([r.visibility.value for r in results], [r.visibility.error for r in results]),
        (
            [r.restricted_unclipped_bps.value for r in results],
            [r.restricted_unclipped_bps.error for r in results],
        ),
        ([r.channel_loss_db.value for r in results], [r.channel_loss_db.error for r in results]),
    ):
        assert np.std(value, ddof=1) == pytest.approx(np.mean(error), rel=0.4)


def test_the_key_rate_is_the_formula_s_for_what_was_counted():
    result = analyse_cow([record(link_rates(1e4, 2e4, visibility=0.995))], SETTINGS, 10**12, 12.47)
    share = cow_restricted_rate(result.qber.value, result.visibility.value, 0.1).rate
    assert result.restricted_bps == pytest.approx(0.5 * result.acquired.counts.n_key * float(share), rel=1e-9)


def test_cow4_from_counts_is_the_formula_at_the_gains_that_made_them():
    """Expected counts of a link so good that it has a key against any collective attack; 1e12 sequences."""
    mu, eta, qber = 0.002, 0.4, 0.002
    monitor = expected_cow4_monitor(mu, 0.5 * eta, 0.9999)
    sent = CODE.counts() / CODE.length * 1e12
    gains = [monitor.pulse_vacuum, monitor.vacuum_pulse, monitor.pulse_pulse, monitor.vacuum_vacuum]
    bits = -math.expm1(-0.5 * mu * eta) * sent[[ZERO, ONE]].sum()
    right, wrong = 0.5 * bits * (1.0 - qber), 0.5 * bits * qber
    data = np.array([[right, wrong], [wrong, right], [0, 0], [0, 0]])
    pair = np.array([1e9, 1e5])
    counts = CowCounts(data, np.array(gains) * sent[:, None], pair, 0 * pair, 30, 60, np.zeros(3), 0)
    acquired = CowAcquisition(counts, None, int(2.0 * PERIOD_PS * 1e12), 12.47)
    result = evaluate_cow(acquired, CODE, CowProtocol(mu=mu), RECEIVER, PERIOD_PS)
    expected = cow4_rate(monitor, mu, bits / sent[[ZERO, ONE]].sum(), qber)
    key_hz = 0.5e12 / PERIOD_PS * CODE.key_share
    assert float(expected.rate) > 0.0
    assert result.collective_bps == pytest.approx(key_hz * float(expected.rate), rel=1e-6)
    assert 0.0 < result.phase_error < 0.1


@pytest.mark.parametrize(("loss_db", "cut"), [(22.47, False), (24.44, False), (24.46, True), (30.0, True)])
def test_beyond_the_cut_off_the_key_is_zero_whatever_was_measured(loss_db, cut):
    result = analyse_cow([record(link_rates(1e4, 2e4, visibility=0.999))], SETTINGS, 10**12, loss_db)
    assert result.cut_off is cut
    assert result.restricted_unclipped_bps.value > 0.0
    assert (result.restricted_bps == 0.0) is cut


def test_noise_alone_gives_no_lock_no_key_and_the_reason():
    rng = np.random.default_rng(5)
    times = np.sort(rng.integers(0, 10**12, 6000)) + 10**15
    channels = rng.integers(1, 4, 6000).astype(np.uint8)
    result = analyse_cow([(times, channels)], SETTINGS, 10**12, 12.47)
    scalars = result.to_dict()
    assert "no clock" in scalars["remark"]
    assert (scalars["locked"], scalars["skr_restricted_collective"], scalars["n_key"]) == (0, 0.0, 0)
    assert math.isnan(scalars["qber"])
    assert scalars["rate_data"] == np.sum(channels == 1)


def test_no_tags_at_all_are_told():
    result = CowAnalysis(SETTINGS).result(10**12, 12.47)
    assert result.restricted_bps == 0.0
    assert "nothing to lock on" in result.acquired.remark


def test_a_code_that_is_not_sent_is_not_found():
    """Pulses in every slot have the clock but not the code."""
    rates = np.full((3, CODE.pulses.size), 1e4 / CODE.pulses.size)
    result = analyse_cow([record(rates)], SETTINGS, 10**12, 12.47)
    assert "code not found" in result.acquired.remark


def test_the_dead_time_s_share_is_taken_from_the_visibility():
    """A bright output that misses half of its photons would show 97.0 % where 98.5 % is; the dark one misses none."""
    rates = link_rates(1e4, 4e4, visibility=0.985)
    blind = rates.copy()
    blind[1] *= 0.5
    settings = replace(SETTINGS, receiver=replace(RECEIVER, dead_time_ps=0.5e12 / blind[1].sum()))
    result = analyse_cow([record(blind, duration_s=4.0)], settings, 4 * 10**12, 12.47)
    dark_live = 1.0 - rates[2].sum() * settings.receiver.dead_time_ps * 1e-12
    ratio = (1.0 - 0.985) / (1.0 + 0.985) / dark_live
    assert abs(result.visibility.value - (1.0 - ratio) / (1.0 + ratio)) < 4.0 * result.visibility.error


def test_every_number_has_a_unit():
    scalars = analyse_cow([record(link_rates(9e3, 3e3))], SETTINGS, 10**12, 12.47).to_dict()
    assert set(scalars) - {"remark"} == set(COW_UNITS)
