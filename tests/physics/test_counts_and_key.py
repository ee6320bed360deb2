"""The twin's counts against closed forms of another hand, and the published key rates it was calibrated to."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sim_devices.twin.sampling import DARK_COUNT, SIGNAL
from tests.physics import closed_form
from tests.physics.ji_bench import TESTBED, JiBench, random_pattern

BENCH = closed_form.read_bench(TESTBED / "twin.toml")
PROTOCOL = closed_form.Protocol()


def test_the_closed_form_reproduces_a_known_point():
    """673 692 sifted bits a second and 229.2 kb/s at 1.90 dB without dead time and afterpulses, QBER 1.27 %."""
    bare = replace(BENCH, transmission=10**-0.19, dead_s=0.0, afterpulse=0.0, error=0.011922)
    prediction = closed_form.predict(bare, PROTOCOL, discard_cross=False)
    assert closed_form.sifted_hz(prediction, PROTOCOL) == pytest.approx(673_692, abs=1)
    assert prediction.qber("Z") == pytest.approx(0.0127, abs=2e-6)
    assert closed_form.key_rate_hz(prediction, PROTOCOL) == pytest.approx(229_200, abs=300)


def test_the_testbed_is_calibrated_to_the_published_rates():
    dark = closed_form.predict(BENCH, PROTOCOL)
    assert dark.qber("Z") == pytest.approx(0.0127, abs=1e-6)
    assert closed_form.key_rate_hz(dark, PROTOCOL) == pytest.approx(229_200, abs=50)
    lit = [closed_form.predict(BENCH, PROTOCOL, launch_dbm=power) for power in (11.0, 12.0, 13.0, 14.0)]
    rates = [closed_form.key_rate_hz(prediction, PROTOCOL) for prediction in lit]
    assert sum(rates) / len(rates) == pytest.approx(167_900, abs=50)


@pytest.mark.parametrize("launch_dbm", [None, 5.0, 9.0, 12.0, 14.0])
def test_counts_and_errors_are_those_of_the_closed_form(launch_dbm: float | None):
    """Each class within four standard deviations and 0.1 % (counts) or 1 % (errors, whose afterpulse share is
    reckoned to first order); forty comparisons at five operating points, false alarm below 3e-3.
    """
    bench = JiBench(random_pattern(10_240, seed=5))
    bench.align()
    if launch_dbm is not None:
        bench.launch(launch_dbm)
    span_s = 6.0
    times_ps, channels = bench.read(span_s)
    slots = bench.slots_of(times_ps, channels)
    pattern, right = bench.pattern, bench.pattern.right_channel[slots]
    same_basis = (channels - 1) // 2 == (right - 1) // 2
    prediction = closed_form.predict(BENCH, PROTOCOL, launch_dbm, discard_cross=False)
    for (basis, intensity), count in prediction.counts.items():
        member = (pattern.is_z == (basis == "Z")) & (pattern.is_mu == (intensity == "mu"))
        share = (PROTOCOL.share_z if basis == "Z" else 1 - PROTOCOL.share_z) * (
            PROTOCOL.share_mu if intensity == "mu" else 1 - PROTOCOL.share_mu
        )
        periods = span_s / PROTOCOL.period_s * member.mean() / share
        sifted = member[slots] & same_basis
        expected = count * periods
        assert abs(sifted.sum() - expected) < 4.0 * expected**0.5 + 1e-3 * expected
        expected = prediction.errors[basis, intensity] * periods
        assert abs(np.sum(sifted & (channels != right)) - expected) < 4.0 * expected**0.5 + 1e-2 * expected


@pytest.mark.parametrize("jitter_ps", [50.0, 150.0, 400.0])
def test_clicks_arrive_as_the_jitter_scatters_them_over_an_even_floor(jitter_ps: float):
    """Distance of a click from its pulse: normal for photons of pulses, even for dark counts. False alarm 1e-3."""
    bench = JiBench(detectors={"jitter_ps": jitter_ps, "dark_rate_hz": 3000.0, "afterpulse_probability": 0.0})
    bench.align()
    until_ps = bench.twin.lab_time.advance_by(10**11)
    times_ps, channels, origins = bench.twin.tagger("tagger").read_with_origin(until_ps)
    since_ps = bench.since_pulse_ps(times_ps, channels)
    own = channels == 1
    train = bench.process("1").train
    assert train is not None
    sigma_ps = np.hypot(jitter_ps, train.duration_ps)
    assert stats.kstest(since_ps[own & (origins == SIGNAL)], "norm", args=(0.0, sigma_ps)).pvalue > 1e-3 / 6
    even = stats.kstest(since_ps[origins == DARK_COUNT], "uniform", args=(-5000.0, 10_000.0))
    assert even.pvalue > 1e-3 / 6


def test_slots_with_clicks_in_both_bases_are_the_difference_between_the_conventions():
    """The chance that the other basis stays dark, about 1 % for signal pulses, is what discarding costs."""
    kept, discarded = (closed_form.predict(BENCH, PROTOCOL, discard_cross=way) for way in (False, True))
    loss = 1.0 - closed_form.sifted_hz(discarded, PROTOCOL) / closed_form.sifted_hz(kept, PROTOCOL)
    assert loss == pytest.approx(0.009, abs=0.001)


def test_count_rate_falls_by_3_db_from_the_instant_on():
    bench = JiBench(detectors={"dark_rate_hz": 0.0, "afterpulse_probability": 0.0})
    voa, time = bench.twin.handle("alice_voa"), bench.twin.lab_time
    voa.apply(attenuation_db=30.0)
    instant_ps = 300_000_123_456
    time.advance_to(instant_ps)
    voa.apply(attenuation_db=33.0103)
    time.advance_to(900 * 10**9)
    times_ps, _ = bench.twin.tagger("tagger").read(900 * 10**9)
    arrivals_ps = times_ps - 20_000 - 21_200
    before, after = np.sum(arrivals_ps < instant_ps), np.sum(arrivals_ps >= instant_ps)
    # twice the time at half the rate: equal counts, five standard deviations (false alarm below 1e-6)
    assert abs(before - after * (instant_ps / (900 * 10**9 - instant_ps)) * 2.0) < 5.0 * (3.0 * before) ** 0.5
    hazard_before = -10.0 * np.log10(np.mean(np.diff(arrivals_ps[arrivals_ps < instant_ps])))
    hazard_after = -10.0 * np.log10(np.mean(np.diff(arrivals_ps[arrivals_ps >= instant_ps])))
    assert hazard_before - hazard_after == pytest.approx(3.01, abs=0.1)
    # the light falls at the instant, not with the next reading
    edge = [
        np.sum((arrivals_ps >= instant_ps + k * 10**9) & (arrivals_ps < instant_ps + (k + 100) * 10**9))
        for k in (-100, 0)
    ]
    assert edge[0] / edge[1] == pytest.approx(2.0, rel=0.1)
