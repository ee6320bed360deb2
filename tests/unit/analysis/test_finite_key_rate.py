"""Key rates of a 100 MHz link with a passive receiver, checked against independently computed tables."""

import numpy as np
import pytest
from scipy.optimize import brentq

from qdci_lab.analysis import PROOFS, OneDecoyProtocol, SiftedCounts, estimate_key_rate

REPETITION_HZ = 100e6
EFFICIENCY = 0.0525
DARK = 600.0 / REPETITION_HZ
PROTOCOL = OneDecoyProtocol(mu=0.523, nu=0.131, p_signal=0.798, p_z=0.898)


def link(loss_db, n_z=1e8, qber_z=0.0127):
    """Counts of a passive 50:50 receiver with two detectors per basis, and the time they take."""
    k = np.array([PROTOCOL.mu, PROTOCOL.nu])
    p = np.array([PROTOCOL.p_signal, 1 - PROTOCOL.p_signal])
    prepared = np.array([PROTOCOL.p_z, 1 - PROTOCOL.p_z])
    missed = np.exp(-EFFICIENCY * 10 ** (-loss_db / 10) * 0.5 * k)
    detected = 1 - (1 - DARK) ** 2 * missed
    accidental = 0.5 * (1 - (1 - DARK) ** 2) * missed

    def z_error(misalignment):
        return p @ (misalignment * (1 - missed) + accidental) / (p @ detected)

    misalignment = brentq(lambda e: z_error(e) - qber_z, 0.0, 0.1)
    pulses = n_z / (prepared[0] * (p @ detected))
    n = pulses * np.outer(prepared, p * detected)
    m = pulses * np.outer(prepared, p * (misalignment * (1 - missed) + accidental))
    return SiftedCounts(n=n, m=m), pulses / REPETITION_HZ


@pytest.mark.parametrize(
    ("loss_db", "n_z", "proof", "kilobits"),
    [
        (0.0, 1e8, "rusca-2018", 354.5),
        (0.7, 1e8, "rusca-2018", 301.8),
        (1.1, 1e8, "rusca-2018", 275.4),
        (1.9, 1e8, "rusca-2018", 229.2),
        (2.55, 1e8, "rusca-2018", 197.5),
        (3.27, 1e8, "rusca-2018", 167.9),
        (1.9, 1e7, "rusca-2018", 204.1),
        (1.9, 1e9, "rusca-2018", 236.8),
        (1.9, 1e20, "rusca-2018", 240.3),
        (0.0, 1e8, "wiesemann-2024", 350.2),
        (1.9, 1e8, "wiesemann-2024", 226.4),
    ],
)
def test_rates_of_the_link(loss_db, n_z, proof, kilobits):
    counts, duration_s = link(loss_db, n_z)
    rate = estimate_key_rate(counts, PROTOCOL, duration_s, proof)
    assert rate.skr_bps / 1e3 == pytest.approx(kilobits, rel=1.5e-3)


def test_what_the_rate_is_made_of():
    counts, duration_s = link(1.9)
    rate = estimate_key_rate(counts, PROTOCOL, duration_s)
    assert duration_s == pytest.approx(149.0, rel=0.01)
    assert rate.bounds.phi_z == pytest.approx(0.0275, abs=1e-4)
    assert rate.bounds.s_z1 / counts.n_z == pytest.approx(0.555, abs=1e-3)
    assert rate.bounds.s_z0 == 0.0
    assert rate.bounds.qber_z == pytest.approx(0.0127)
    assert rate.block_scale == 1.0


@pytest.mark.parametrize(("f_ec", "kilobits"), [(1.10, 233.2), (1.20, 226.6), (1.40, 213.3)])
def test_inefficient_error_correction_costs(f_ec, kilobits):
    counts, duration_s = link(1.9)
    protocol = OneDecoyProtocol(mu=0.523, nu=0.131, p_signal=0.798, p_z=0.898, f_ec=f_ec)
    assert estimate_key_rate(counts, protocol, duration_s).skr_bps / 1e3 == pytest.approx(
        kilobits, rel=1.5e-3
    )


def test_counted_leakage_replaces_the_model():
    counts, duration_s = link(1.9)
    modelled = estimate_key_rate(counts, PROTOCOL, duration_s)
    leak = float(modelled.bounds.leak_ec)
    counted = estimate_key_rate(counts, PROTOCOL, duration_s, leak_ec_bits=leak + 1e6)
    assert counted.skr_bps == pytest.approx(modelled.skr_bps - 1e6 / duration_s)


@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("projected_n_z", [None, 1e8])
def test_the_stated_error_is_the_scatter_of_repeated_measurements(proof, projected_n_z):
    """600 Poisson repetitions: their standard deviation is known to 2.9 %, 15 % is five sigma."""
    counts, duration_s = link(1.9, n_z=1e7)
    rng = np.random.default_rng(21)
    rates = []
    for _ in range(600):
        right, wrong = rng.poisson(counts.n - counts.m), rng.poisson(counts.m)
        repeated = SiftedCounts(n=np.asarray(right + wrong, float), m=np.asarray(wrong, float))
        rates.append(
            estimate_key_rate(repeated, PROTOCOL, duration_s, proof, projected_n_z=projected_n_z).skr_bps
        )
    stated = estimate_key_rate(counts, PROTOCOL, duration_s, proof, projected_n_z=projected_n_z).skr_error_bps
    assert stated == pytest.approx(np.std(rates), rel=0.15)


def test_a_projection_is_what_a_longer_block_would_give():
    short, short_s = link(1.9, n_z=1e6)
    long, long_s = link(1.9, n_z=1e8)
    projected = estimate_key_rate(short, PROTOCOL, short_s, projected_n_z=1e8)
    measured = estimate_key_rate(long, PROTOCOL, long_s)
    assert projected.skr_bps == pytest.approx(measured.skr_bps)
    assert projected.block_scale == pytest.approx(100.0)
    assert estimate_key_rate(short, PROTOCOL, short_s).skr_bps < 0.75 * measured.skr_bps


def test_no_key_is_zero_and_tells_by_how_much():
    counts, duration_s = link(1.9, qber_z=0.09)
    rate = estimate_key_rate(counts, PROTOCOL, duration_s)
    assert rate.skr_bps == 0.0
    assert rate.skr_unclipped_bps < 0.0
    assert rate.skr_error_bps > 0.0


def test_no_light_gives_no_key():
    dark = SiftedCounts(n=np.zeros((2, 2)), m=np.zeros((2, 2)))
    for proof in PROOFS:
        rate = estimate_key_rate(dark, PROTOCOL, 1.0, proof, projected_n_z=1e8)
        assert (rate.skr_bps, rate.block_scale) == (0.0, 1.0)


def test_a_rate_needs_a_duration_and_one_block():
    counts, _ = link(1.9)
    with pytest.raises(ValueError, match="positive duration"):
        estimate_key_rate(counts, PROTOCOL, 0.0)
    with pytest.raises(ValueError, match="one block"):
        estimate_key_rate(SiftedCounts(n=counts.n[None], m=counts.m[None]), PROTOCOL, 1.0)
