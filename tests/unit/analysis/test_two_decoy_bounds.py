"""Two-decoy bounds: published statements, true photon statistics, limits, monotonicity; and the optimiser."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis import OneDecoyProtocol
from qdci_lab.analysis.link_model import DetectionLink, TwoBasisLink
from qdci_lab.analysis.optimise import (
    Block,
    evaluate_one_decoy,
    evaluate_two_decoy,
    optimise_one_decoy,
    optimise_two_decoy,
)
from qdci_lab.analysis.two_decoy import TwoDecoyCounts, TwoDecoyProtocol, two_decoy_bounds

PROTOCOL = TwoDecoyProtocol((0.5, 0.1, 2e-4), p_signal=0.7, p_decoy=0.2, p_z=0.9)


def twice(transmission, dark=0.0, misalignment=0.0, afterpulses=0.0, active=False):
    link = DetectionLink(transmission, dark, misalignment, afterpulses)
    return TwoBasisLink(link, link, active)


def key(link, pulses, protocol=PROTOCOL):
    return two_decoy_bounds(TwoDecoyCounts.expected(protocol, link, pulses), protocol)


@settings(max_examples=100, deadline=None)
@given(
    eta=st.floats(1e-4, 0.5),
    dark=st.floats(0.0, 1e-5),
    misalignment=st.floats(0.0, 0.08),
    mu=st.floats(0.3, 0.9),
    share=st.floats(0.1, 0.7),
    weakest=st.floats(0.0, 0.02),
)
def test_an_endless_block_gives_true_bounds(eta, dark, misalignment, mu, share, weakest):
    """Yields of this link: Y_0 of the dark counts and Y_1 = Y_0 + eta (1 - Y_0)."""
    protocol = replace(PROTOCOL, intensities=(mu, mu * share, weakest))
    link, pulses = DetectionLink(eta, dark, misalignment), 1e30
    bounds = key(TwoBasisLink(link, link), pulses, protocol)
    tau_0, tau_1 = (protocol.photon_number_probability(photons) for photons in (0, 1))
    y_0 = float(link.background)
    singles = pulses * tau_1 * (y_0 + eta * (1 - y_0))
    wrong = pulses * tau_1 * (misalignment * eta + 0.5 * y_0 * (1 - eta))
    slack, rounding = 1 + 1e-9, 1e-9 * pulses
    assert bounds.s_z0 <= pulses * 0.9 * tau_0 * y_0 * slack + rounding
    assert bounds.s_z1 <= singles * 0.9 * slack + rounding
    assert bounds.s_x1 <= singles * 0.1 * slack + rounding
    assert bounds.v_x1 * slack + rounding >= wrong * 0.1


def test_a_vanishing_decoy_makes_the_endless_bound_tight():
    protocol = replace(PROTOCOL, intensities=(0.5, 0.001, 0.0))
    bounds = key(twice(0.01), 1e30, protocol)
    assert bounds.s_z1 == pytest.approx(1e30 * 0.9 * protocol.photon_number_probability(1) * 0.01, rel=2e-3)
    assert bounds.phi_z == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    eta=st.floats(1e-4, 0.05),
    loss=st.floats(0.1, 0.99),
    dark=st.floats(0.0, 1e-6),
    more_dark=st.floats(1e-8, 1e-5),
    misalignment=st.floats(0.0, 0.04),
    pulses=st.floats(1e8, 1e13),
    longer=st.floats(1.1, 100.0),
)
def test_loss_and_noise_never_help_and_longer_blocks_do(
    eta, loss, dark, more_dark, misalignment, pulses, longer
):
    best = key(twice(eta, dark, misalignment), pulses).key_length
    assert key(twice(eta * loss, dark, misalignment), pulses).key_length <= best
    assert key(twice(eta, dark + more_dark, misalignment), pulses).key_length <= best * (1 + 1e-9)
    assert key(twice(eta, dark, misalignment + 0.01), pulses).key_length <= best
    assert key(twice(eta, dark, misalignment), pulses * longer).key_length / longer >= best * (1 - 1e-12)


def test_no_light_gives_no_key_and_the_fixed_cost_is_the_printed_one():
    bounds = key(twice(0.0), 1e10)
    assert bounds.key_length == 0.0
    assert bounds.phi_z == 0.5
    assert bounds.finite_cost == pytest.approx(6 * math.log2(21e9) + math.log2(2e15))
    assert bounds.key_length_unclipped == -bounds.finite_cost


def test_counted_leakage_replaces_the_model():
    counts = TwoDecoyCounts.expected(PROTOCOL, twice(0.01, 1e-6, 0.01), 1e11)
    model = two_decoy_bounds(counts, PROTOCOL)
    counted = two_decoy_bounds(counts, PROTOCOL, leak_ec_bits=0.0)
    assert counted.key_length == pytest.approx(float(model.key_length + model.leak_ec))


def test_a_hundred_thousand_measurements_at_once():
    eta = np.geomspace(1e-5, 0.1, 100_000)
    together = key(twice(eta, 1e-6, 0.01), 1e11)
    assert together.key_length.shape == (100_000,)
    for i in (0, 50_000, 99_999):
        alone = key(twice(eta[i], 1e-6, 0.01), 1e11)
        assert together.key_length[i] == pytest.approx(float(alone.key_length), rel=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"intensities": (0.5, 0.4, 0.2)},
        {"intensities": (0.5, 0.1, 0.1)},
        {"p_signal": 0.8},
        {"p_z": 1.0},
        {"f_ec": 0.9},
        {"eps_sec": 0.0},
    ],
)
def test_protocols_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        replace(PROTOCOL, **wrong)


def test_counts_must_be_possible():
    with pytest.raises(ValueError, match="errors <= detections"):
        TwoDecoyCounts(n=np.ones((2, 3)), m=2 * np.ones((2, 3)))
    with pytest.raises(ValueError, match="shape"):
        TwoDecoyCounts(n=np.ones((2, 2)), m=np.zeros((2, 2)))


def test_published_gain_of_a_longer_block():
    """Lim et al., section IV: at 100 km a block of 1e9 yields about 1.75 times what one of 1e7 does.

    eps_sec is 1e-15 of the key's length there; the lengths enter with their order of magnitude.
    """
    link = twice(0.1 * 10**-2.0, 6e-7, 5e-3, 0.04, active=True)
    rates = [
        optimise_two_decoy(link, Block(n_z, eps_sec=1e-15 * 0.25 * n_z, clip=False)).key_per_pulse
        for n_z in (1e7, 1e9)
    ]
    assert rates[1] / rates[0] == pytest.approx(1.75, abs=0.05)


def ji(loss_db):
    """Passive choice, two detectors of 600 Hz in 10 ns each at 5.25 %."""
    return twice(0.5 * 0.0525 * 10 ** (-loss_db / 10), 6e-6, 0.0119)


def test_published_rate_of_a_multicore_link_within_its_error():
    """229.2 +- 8.2 kb/s at 100 MHz (Ji et al.), for the 1.9 dB of fibre and receiver that fit it."""
    protocol = OneDecoyProtocol(mu=0.523, nu=0.131, p_signal=0.798, p_z=0.898)
    optimum = evaluate_one_decoy(ji(1.9), Block(1e8), protocol)
    assert optimum.key_per_pulse * 1e8 == pytest.approx(229.2e3, abs=1e3)
    assert float(optimum.bounds.qber_z) == pytest.approx(0.0127, abs=1e-4)


@pytest.mark.parametrize("proof", ["rusca-2018", "wiesemann-2024"])
def test_the_optimum_is_at_the_top(proof):
    block = Block(1e7)
    best = optimise_one_decoy(ji(5.0), block, proof)
    assert float(best.bounds.key_length) == pytest.approx(best.key_per_pulse * best.pulses)
    for name, factor in [(n, f) for n in ("mu", "nu", "p_signal", "p_z") for f in (0.97, 1.03)]:
        moved = replace(best.protocol, **{name: min(getattr(best.protocol, name) * factor, 0.9999)})
        assert evaluate_one_decoy(ji(5.0), block, moved, proof).key_per_pulse <= best.key_per_pulse * (
            1 + 1e-6
        )


def test_the_two_decoy_optimum_is_at_the_top():
    block = Block(1e8)
    best = optimise_two_decoy(ji(5.0), block)
    for factor in (0.95, 1.05):
        signal, decoy, weakest = best.protocol.intensities
        for moved in ((signal * factor, decoy, weakest), (signal, decoy * factor, weakest)):
            other = evaluate_two_decoy(ji(5.0), block, replace(best.protocol, intensities=moved))
            assert other.key_per_pulse <= best.key_per_pulse * (1 + 1e-6)


def test_one_decoy_wins_for_small_blocks_as_published():
    """Rusca et al. 2018: one decoy beats two for blocks up to 1e8 at almost all settings."""
    small = Block(1e6)
    assert optimise_one_decoy(ji(5.0), small).key_per_pulse > optimise_two_decoy(ji(5.0), small).key_per_pulse


def test_a_hopeless_link_says_how_much_is_missing():
    assert optimise_one_decoy(twice(1e-6, 1e-4, 0.1), Block(1e5)).key_per_pulse < 0.0


def test_the_sampling_term_is_the_printed_one():
    bounds = key(twice(0.01, 1e-6, 0.01), 1e11)
    b, c, d = (float(v) for v in (bounds.x_error, bounds.s_x1, bounds.s_z1))
    spread = (c + d) / (c * d) * (1 - b) * b / math.log(2)
    gamma = math.sqrt(spread * math.log2((c + d) / (c * d * (1 - b) * b) * 21**2 / 1e-9**2))
    assert float(bounds.phi_z) - b == pytest.approx(gamma, rel=1e-9)
