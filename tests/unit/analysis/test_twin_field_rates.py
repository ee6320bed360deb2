"""Sending-or-not-sending twin-field QKD: computed table, photon-number sums, pairing by hand, limits."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.optimise import optimise_twin_field
from qdci_lab.analysis.repeaterless import plob_bound
from qdci_lab.analysis.twin_field import (
    TwinFieldLink,
    aopp_key_length,
    aopp_rate,
    sns_decoy_yield,
    sns_phase_error,
    sns_rate,
)


def fibre(length_km, db_per_km):
    """Detectors of 60 %, 1e-9 dark clicks per window, 3 % error of the interference."""
    return TwinFieldLink(0.6 * 10 ** (-db_per_km * length_km / 20), 1e-9, 0.03)


@pytest.mark.parametrize(
    ("db_per_km", "sns_370", "aopp_204", "aopp_370"),
    [
        (0.165, "4.33e-06", "1.78e-04", "7.53e-06"),
        (0.19, "1.49e-06", "9.84e-05", "2.59e-06"),
        (0.2, "9.67e-07", "7.78e-05", "1.69e-06"),
    ],
)
def test_table_of_optimised_rates(db_per_km, sns_370, aopp_204, aopp_370):
    near, far = fibre(204.0, db_per_km), fibre(370.0, db_per_km)
    rates = [optimise_twin_field(far, paired=False), optimise_twin_field(near), optimise_twin_field(far)]
    assert [f"{float(o.result.rate):.2e}" for o in rates] == [sns_370, aopp_204, aopp_370]
    absolute = plob_bound(10 ** (-db_per_km * np.array([204.0, 370.0]) / 10))
    assert rates[1].result.rate < absolute[0]
    assert rates[0].result.rate > absolute[1]


links = st.builds(
    TwinFieldLink,
    arm_transmission=st.floats(1e-5, 0.5),
    dark_probability=st.floats(0.0, 1e-6),
    misalignment=st.floats(0.0, 0.1),
)


@settings(max_examples=50, deadline=None)
@given(link=links, mu=st.floats(0.01, 1.0))
def test_yields_are_averages_over_photons_and_phases(link, mu):
    eta, dark = float(link.arm_transmission), float(link.dark_probability)
    photons = np.arange(60)
    numbers = np.exp(-mu) * mu**photons / np.array([math.factorial(n) for n in photons], float)
    stay_dark = (1 - eta / 2) ** photons
    one_click = 2 * (1 - dark) * (stay_dark - (1 - dark) * (1 - eta) ** photons)
    assert link.one_sends_yield(mu) == pytest.approx((numbers * one_click).sum(), rel=1e-9, abs=1e-15)
    assert link.single_photon_yield() == pytest.approx(one_click[1], rel=1e-9, abs=1e-15)
    phase = 2 * np.pi * np.arange(400) / 400
    left = np.expm1(-mu * eta * (1 + np.cos(phase)))
    average = np.mean(2 * (1 - dark) * (left - np.expm1(-2 * mu * eta) + dark * np.exp(-2 * mu * eta)))
    assert link.both_send_yield(mu) == pytest.approx(average, rel=1e-9, abs=1e-15)


@settings(max_examples=100, deadline=None)
@given(link=links, mu_1=st.floats(0.02, 0.2), factor=st.floats(1.5, 5.0))
def test_decoys_bound_the_true_yield_and_the_true_error(link, mu_1, factor):
    mu_2 = mu_1 * factor
    yields = (link.vacuum_yield(), link.one_sends_yield(mu_1), link.one_sends_yield(mu_2))
    bound = sns_decoy_yield(yields, (mu_1, mu_2))
    assert bound <= link.single_photon_yield() * (1 + 1e-6) + 1e-12
    eta, dark, e = (float(v) for v in (link.arm_transmission, link.dark_probability, link.misalignment))
    total = 2 * mu_1 * eta
    quiet_right = (1 - dark) * np.exp(-total * (1 - e))
    quiet_wrong = (1 - dark) * np.exp(-total * e)
    wrong_clicks = quiet_right * (1 - quiet_wrong)
    error = sns_phase_error(wrong_clicks, link.vacuum_yield(), mu_1, link.single_photon_yield())
    assert error >= min(float(link.single_photon_phase_error()), 0.5) * (1 - 1e-6) - 1e-9


def test_weak_decoys_are_tight():
    link = TwinFieldLink(0.01, 1e-8, 0.03)
    yields = (link.vacuum_yield(), link.one_sends_yield(1e-3), link.one_sends_yield(0.1))
    assert sns_decoy_yield(yields, (1e-3, 0.1)) == pytest.approx(float(link.single_photon_yield()), rel=1e-3)


def test_pairing_of_drawn_bits():
    """Pairs drawn at random against the formula; seed fixed, five standard deviations (6e-7 false alarms)."""
    link, mu, sending = TwinFieldLink(0.3, 1e-3, 0.03), 0.5, 0.3
    alone = sending * (1 - sending) * link.one_sends_yield(mu)
    none, both = (1 - sending) ** 2 * link.vacuum_yield(), sending**2 * link.both_send_yield(mu)
    rng = np.random.default_rng(7)
    windows = 4_000_000
    # Alice's bit is 1 if she sends, Bob's 1 if he does not.
    alice_only, bob_only, neither, two = (rng.binomial(windows, p) for p in (alone, alone, none, both))
    ones = rng.permutation(np.repeat([True, False], [alice_only, two]))
    zeros = rng.permutation(np.repeat([True, False], [bob_only, neither]))
    pairs = min(ones.size, zeros.size)
    same = ones[:pairs] == zeros[:pairs]
    survivors, wrong = same.sum(), (same & ~ones[:pairs]).sum()
    rate = aopp_rate(link, mu, sending)
    assert survivors / windows == pytest.approx(
        float(rate.bits), abs=5 * math.sqrt(survivors) / windows * 1.5
    )
    assert wrong / survivors == pytest.approx(
        float(rate.bit_error), abs=5 * math.sqrt(wrong) / survivors * 1.5
    )


@settings(max_examples=100, deadline=None)
@given(link=links, mu=st.floats(0.05, 0.8), sending=st.floats(0.01, 0.5), loss=st.floats(0.1, 0.99))
@pytest.mark.parametrize("rate", [sns_rate, aopp_rate])
def test_loss_and_noise_never_help(rate, link, mu, sending, loss):
    eta, dark, e = link.arm_transmission, link.dark_probability, link.misalignment
    best = rate(link, mu, sending).rate
    for worse in (
        TwinFieldLink(eta * loss, dark, e),
        TwinFieldLink(eta, dark + 1e-6, e),
        TwinFieldLink(eta, dark, e + 0.02),
    ):
        assert rate(worse, mu, sending).rate <= best * (1 + 1e-9)


@pytest.mark.parametrize("rate", [sns_rate, aopp_rate])
def test_limits(rate):
    assert rate(TwinFieldLink(0.0, 1e-9), 0.5, 0.1).rate == 0.0
    assert rate(TwinFieldLink(0.0, 0.0), 0.5, 0.1).rate == 0.0
    assert rate(TwinFieldLink(0.1), 0.0, 0.1).rate == 0.0
    assert rate(TwinFieldLink(0.1), 0.4, 0.0).rate == 0.0
    link = TwinFieldLink(1e-3, 0.0, 0.0)
    quiet = rate(link, 0.4, 0.05, leak_ec_bits=0.0)
    assert quiet.phase_error == 0.0
    assert quiet.rate == quiet.untagged
    assert rate(link, 0.4, 0.05, p_z=0.5, leak_ec_bits=0.0).rate == pytest.approx(0.25 * float(quiet.rate))


def test_rates_fall_with_the_root_of_the_transmission():
    rates = [
        float(optimise_twin_field(TwinFieldLink(eta, 0.0, 0.03)).result.rate) for eta in (1e-2, 1e-3, 1e-4)
    ]
    assert all(a / b == pytest.approx(10.0, rel=0.02) for a, b in pairwise(rates))


def test_an_endless_block_pays_nothing_for_its_size():
    rate = aopp_rate(fibre(300.0, 0.165), 0.45, 0.25)
    parts = [np.asarray(v, float) for v in (rate.untagged, rate.phase_error, rate.bits, rate.bit_error)]
    per_pulse = []
    for pulses in (1e8, 1e10, 1e18):
        length = aopp_key_length(pulses * parts[0], parts[1], pulses * parts[2], parts[3])
        per_pulse.append(float(length) / pulses)
    assert per_pulse[0] < per_pulse[1] < per_pulse[2]
    assert per_pulse[2] == pytest.approx(float(rate.rate), rel=1e-6)
    counted = aopp_key_length(1e6, 0.1, 1e6, 0.02, leak_ec_bits=1e5)
    entropy = -0.1 * math.log2(0.1) - 0.9 * math.log2(0.9)
    fixed = math.log2(2e10) + 2 * math.log2(1e20 / math.sqrt(2))
    assert counted == pytest.approx(1e6 * (1 - entropy) - 1e5 - fixed)


@pytest.mark.parametrize("rate", [sns_rate, aopp_rate])
def test_a_hundred_thousand_links_at_once(rate):
    link = TwinFieldLink(np.geomspace(1e-6, 0.5, 100_000), 1e-9, 0.03)
    together = rate(link, 0.4, 0.2).rate
    assert together.shape == (100_000,)
    for i in (0, 40_000, 99_999):
        alone = TwinFieldLink(np.asarray(link.arm_transmission)[i], 1e-9, 0.03)
        assert together[i] == pytest.approx(float(rate(alone, 0.4, 0.2).rate), rel=1e-9)


def test_links_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="arm_transmission"):
        TwinFieldLink(1.2)
