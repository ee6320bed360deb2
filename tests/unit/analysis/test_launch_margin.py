"""Noise per launched power from sifted counts, and the power at which a key ends, on counts drawn with known noise."""

import numpy as np
import pytest

from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import OneDecoyProtocol
from qdci_lab.analysis.key_rate import estimate_key_rate
from qdci_lab.analysis.launch_margin import (
    NoiseSlope,
    fit_noise,
    greatest_power_w,
    key_rate_bps,
    resampled,
    sifted_share,
)

PROTOCOL = OneDecoyProtocol(mu=0.523, nu=0.131, p_signal=0.798, p_z=0.898)
POWERS_W = np.array([0.004, 0.02, 0.05, 0.09])
SECONDS = np.array([12.0, 8.0, 10.0, 9.0])
NOISE_HZ_PER_W = 3.2e4
SIGNAL_HZ = 1e8 * np.outer([0.898, 0.102], [0.798 * 0.523, 0.202 * 0.131]) * 0.5 * 4.7e-3
ERRORS_HZ = 0.012 * SIGNAL_HZ + 25.0 * np.outer([0.898, 0.102], [0.798, 0.202])


def expected(noise_hz_per_w: float = NOISE_HZ_PER_W) -> tuple[np.ndarray, np.ndarray]:
    """Mean counts, summed from what happens: a noise click meets a sifted pulse of each kind, half of them err."""
    n, m = np.zeros((4, 2, 2)), np.zeros((4, 2, 2))
    for i, (power, seconds) in enumerate(zip(POWERS_W, SECONDS, strict=True)):
        for basis, p_basis in enumerate((0.898, 0.102)):
            for k, p_k in enumerate((0.798, 0.202)):
                caught = noise_hz_per_w * power * p_basis * p_k / 2.0
                n[i, basis, k] = (SIGNAL_HZ[basis, k] + caught) * seconds
                m[i, basis, k] = (ERRORS_HZ[basis, k] + caught / 2.0) * seconds
    return n, m


def test_exact_counts_give_the_noise_and_the_rates_in_the_dark():
    slope = fit_noise(*expected(), SECONDS, POWERS_W, PROTOCOL)
    assert slope.noise_hz_per_w == pytest.approx(NOISE_HZ_PER_W, rel=1e-9)
    assert np.allclose(slope.n_hz, SIGNAL_HZ, rtol=1e-9)
    assert np.allclose(slope.m_hz, ERRORS_HZ, rtol=1e-9)
    assert sifted_share(PROTOCOL).sum() == pytest.approx(0.5)


def test_the_stated_error_is_that_of_many_draws():
    """2000 draws know a standard deviation to 1.6 %; five of these are allowed (6e-7)."""
    n, m = expected()
    drawn = fit_noise(*resampled(n, m, 2000, seed=5), SECONDS, POWERS_W, PROTOCOL)
    stated = fit_noise(n, m, SECONDS, POWERS_W, PROTOCOL).noise_error_hz_per_w
    assert np.std(drawn.noise_hz_per_w) == pytest.approx(stated, rel=0.08)
    mean_error = stated / np.sqrt(2000)
    assert np.mean(drawn.noise_hz_per_w) == pytest.approx(
        NOISE_HZ_PER_W, abs=5.0 * mean_error + 0.002 * NOISE_HZ_PER_W
    )


def test_an_error_rate_that_wanders_is_in_the_stated_error_too():
    n, m = expected()
    drawn = fit_noise(*resampled(n, m, 2000, seed=6, wander=1e-3), SECONDS, POWERS_W, PROTOCOL, wander=1e-3)
    counted = fit_noise(n, m, SECONDS, POWERS_W, PROTOCOL).noise_error_hz_per_w
    stated = fit_noise(n, m, SECONDS, POWERS_W, PROTOCOL, wander=1e-3).noise_error_hz_per_w
    assert stated > 2.0 * counted
    assert np.std(drawn.noise_hz_per_w) == pytest.approx(stated, rel=0.08)


def test_the_key_rate_is_that_of_a_block_with_this_noise():
    slope = fit_noise(*expected(), SECONDS, POWERS_W, PROTOCOL)
    n, m = (counts[2] / SECONDS[2] for counts in expected())
    direct = estimate_key_rate(SiftedCounts(n, m), PROTOCOL, 1.0, projected_n_z=1e8)
    assert key_rate_bps(slope, POWERS_W, 1e8, PROTOCOL)[2] == pytest.approx(direct.skr_bps, rel=1e-9)


def test_the_key_ends_where_a_direct_search_ends_it():
    slope = fit_noise(*expected(), SECONDS, POWERS_W, PROTOCOL)
    low, high = 0.01, 100.0
    for _ in range(60):
        middle = (low * high) ** 0.5
        keyed = key_rate_bps(slope, [middle], 1e8, PROTOCOL)[0] > 0.0
        low, high = (middle, high) if keyed else (low, middle)
    step = 10.0 ** (1.0 / 100.0)
    assert 1.0 <= greatest_power_w(slope, 1e8, PROTOCOL, 0.09) / low <= step * 1.001


def test_no_key_at_all_is_not_a_power_and_no_noise_is_no_end():
    dark = NoiseSlope(np.array(NOISE_HZ_PER_W), 1.0, SIGNAL_HZ, 0.2 * SIGNAL_HZ)
    assert np.isnan(greatest_power_w(dark, 1e8, PROTOCOL, 0.09))
    quiet = NoiseSlope(np.array(0.0), 1.0, SIGNAL_HZ, ERRORS_HZ)
    assert np.isinf(greatest_power_w(quiet, 1e8, PROTOCOL, 0.09))
    falling = NoiseSlope(np.array(-NOISE_HZ_PER_W), 1.0, SIGNAL_HZ, ERRORS_HZ)
    assert np.isinf(greatest_power_w(falling, 1e8, PROTOCOL, 0.09))


def test_one_power_has_no_slope():
    n, m = expected()
    with pytest.raises(ValueError, match="two different powers"):
        fit_noise(n[:1], m[:1], SECONDS[:1], POWERS_W[:1], PROTOCOL)
