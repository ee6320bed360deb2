"""Clicks against the laws they should follow, origin by origin; false-alarm rates are stated."""

import numpy as np
import pytest
from scipy import stats

from sim_devices.twin import sampling
from tests.physics.ji_bench import JiBench, random_pattern

FALSE_ALARM = 1e-4
"""Per test; seeds are fixed, so an alarm is a defect."""


def test_click_patterns_of_four_detectors_follow_the_exact_joint_distribution():
    """Each slot that all four meet alive is independent: J(state, clicks) = product of q or 1 - q (chi-squared)."""
    bench = JiBench(
        random_pattern(1024),
        detectors={"dark_rate_hz": 0.0, "afterpulse_probability": 0.0, "dead_time_ns": 32.0},
        tagger={"channel_delays_ps": (21250.0, 21430.0, 20980.0, 21120.0), "dead_time_ns": 0.0},
    )
    bench.twin.handle("alice_voa").apply(attenuation_db=8.0)
    slots = 3_000_000
    times_ps, channels = bench.read(slots * 1e-8)
    for channel in (1, 2, 3, 4):  # pulses alone: after 32 ns of dead time the next can come after 40 ns
        assert np.diff(times_ps[channels == channel]).min() > 40_000 - 2_000
    process = bench.process("1")
    assert process.train is not None
    delays_ps = np.array([21250.0, 21430.0, 20980.0, 21120.0]) + process.latency_ps + process.train.delay_ps
    slot = np.floor((times_ps - delays_ps[channels - 1]) / 10_000 + 0.5).astype(np.int64)
    clicked = np.zeros((4, slots), bool)
    inside = (slot >= 0) & (slot < slots)
    clicked[channels[inside] - 1, slot[inside]] = True
    any_click = np.logical_or.reduce(clicked, axis=0)
    alive = np.full(slots, True)
    for lag in (1, 2, 3):
        alive[lag:] &= ~any_click[:-lag]
    alive[:10] = alive[-5000:] = False
    state = process.train.slots[np.arange(slots) % 1024]
    vector = clicked.T @ np.array([1, 2, 4, 8])
    q = np.stack([-np.expm1(-bench.process(channel).pulse_hazards) for channel in "1234"])
    statistic, freedom = 0.0, 0
    for k in range(len(process.pulse_hazards)):
        chosen = alive & (state == k)
        joint = [np.prod([q[d, k] if x >> d & 1 else 1 - q[d, k] for d in range(4)]) for x in range(16)]
        expected = chosen.sum() * np.array(joint)
        observed = np.bincount(vector[chosen], minlength=16).astype(float)
        rare = expected < 5.0
        if rare.any():
            expected = np.append(expected[~rare], expected[rare].sum())
            observed = np.append(observed[~rare], observed[rare].sum())
        kept = expected > 1.0
        statistic += float(np.sum((observed[kept] - expected[kept]) ** 2 / expected[kept]))
        freedom += int(kept.sum()) - 1
    assert freedom > 50
    assert FALSE_ALARM / 2 < stats.chi2.sf(statistic, freedom) < 1 - FALSE_ALARM / 2


def dark_bench(**detectors: object) -> JiBench:
    bench = JiBench(detectors=detectors)
    bench.twin.handle("alice_voa").apply(shutter_open=False)
    return bench


def test_dead_time_is_not_extended_and_makes_counts_sub_poissonian():
    """R_out = R / (1 + R tau), variance R_out T (1 - R_out tau)^2; gaps beyond the dead time are exponential."""
    bench = dark_bench(dark_rate_hz=1e6, dead_time_ns=1000.0, afterpulse_probability=0.0)
    times_ps, channels = bench.read(0.2)
    rate_hz = 1e6 / (1.0 + 1e6 * 1e-6)
    for channel in (1, 2, 3, 4):
        own_ps = times_ps[channels == channel]
        counted = np.histogram(own_ps, bins=np.arange(1001) * 200_000_000)[0]
        spread = (rate_hz * 2e-4) ** 0.5 * (1.0 - rate_hz * 1e-6)
        mean_error = (counted[1:].mean() - rate_hz * 2e-4) / (spread / 999**0.5)
        assert abs(mean_error) < stats.norm.isf(FALSE_ALARM / 16)
        variance_ratio = counted[1:].var(ddof=1) / spread**2
        assert abs(variance_ratio - 1.0) < stats.norm.isf(FALSE_ALARM / 16) * (2.0 / 998) ** 0.5 + 0.01
        gaps_ps = np.diff(own_ps).astype(float)
        assert gaps_ps.min() >= 1_000_000 - 200
        beyond = gaps_ps[:20_000] - 1_000_000
        assert stats.kstest(beyond, "expon", args=(0, 1e6)).pvalue > FALSE_ALARM / 16


def test_afterpulses_follow_their_click_with_the_given_probability_and_delay():
    bench = dark_bench(
        dark_rate_hz=2e4, dead_time_ns=100.0, afterpulse_probability=0.1, afterpulse_time_us=1.0
    )
    bench.twin.lab_time.advance_to(10**12)
    times_ps, channels, origins = bench.twin.tagger("tagger").read_with_origin(10**12)
    # every click, afterpulses included, has an afterpulse with p; few are lost in another click's dead time
    share = np.mean(origins == sampling.AFTERPULSE)
    lost = 2e4 * 100e-9
    sigma = (0.1 * 0.9 / len(origins)) ** 0.5
    assert abs(share - 0.1 * (1 - lost)) < stats.norm.isf(FALSE_ALARM / 2) * sigma
    delays_ps = []
    for channel in (1, 2, 3, 4):
        own_ps, own = times_ps[channels == channel], origins[channels == channel]
        gaps_ps = np.diff(own_ps)
        after = gaps_ps[own[1:] == sampling.AFTERPULSE]
        delays_ps.append(after[after < 8_000_000] - 100_000)
    delays_ps = np.concatenate(delays_ps).astype(float)
    # another click in between hides the mother of 2 % of the afterpulses, and those of 8 decay constants are cut
    assert delays_ps.mean() == pytest.approx(1e6, rel=0.03)
    assert delays_ps.min() > -200


def test_rates_do_not_depend_on_how_often_something_changes():
    """A drift step a millisecond, two clicks between steps: the way to the next click is carried over each of them."""
    bench = JiBench(
        fibre={"drift_step_s": 0.001, "drift_rad_per_sqrt_s": 0.001},
        detectors={"dark_rate_hz": 2000.0, "afterpulse_probability": 0.0},
    )
    bench.twin.handle("alice_voa").apply(shutter_open=False)
    times_ps, _ = bench.read(1.0)
    assert abs(len(times_ps) - 8000) < stats.norm.isf(FALSE_ALARM / 2) * 8000**0.5


def test_dark_counts_are_spread_evenly_over_the_slot():
    bench = JiBench(detectors={"dark_rate_hz": 1e5, "afterpulse_probability": 0.0})
    bench.twin.lab_time.advance_to(10**11)
    times_ps, _, origins = bench.twin.tagger("tagger").read_with_origin(10**11)
    phases_ps = (times_ps[origins == sampling.DARK_COUNT] % 10_000).astype(float)
    assert len(phases_ps) > 30_000
    assert stats.kstest(phases_ps, "uniform", args=(0, 10_000)).pvalue > FALSE_ALARM


def test_every_frame_of_the_pattern_is_alike():
    """Clicks per slot of a short pattern, folded over 10^6 frames: no slot is favoured by the look-up (chi-squared)."""
    bench = JiBench(random_pattern(64), detectors={"afterpulse_probability": 0.0, "dead_time_ns": 25.0})
    times_ps, channels = bench.read(0.5)
    slots = bench.slots_of(times_ps, channels)
    for channel in (1, 2, 3, 4):
        process = bench.process(str(channel))
        q = -np.expm1(-bench.slot_hazards(str(channel)) - process.dark_hz * 1e-8)
        alive = 1.0 - np.roll(q, 1) - np.roll(q, 2)
        expected = 0.5e8 / 64 * q * alive
        observed = np.bincount(slots[channels == channel], minlength=64)
        statistic = np.sum((observed - expected) ** 2 / expected)
        assert FALSE_ALARM / 8 < stats.chi2.sf(statistic, 64) < 1 - FALSE_ALARM / 8
