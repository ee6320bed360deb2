"""Coherent one-way: both key rates with their labels, the bound against exact states, shape of a measured curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.cow import (
    ASSUMPTIONS,
    Cow4Monitor,
    cow4_rate,
    cow_bit_rate_hz,
    cow_restricted_rate,
    dead_time_rate_hz,
    expected_cow4_monitor,
    interference_visibility,
)


def cow4(mu, transmission, visibility=1.0, dark=0.0, misalignment=0.0):
    """Half of the light on the data line, half on the monitor; a data error is light in the wrong slot."""
    monitor = expected_cow4_monitor(mu, 0.5 * transmission, visibility, dark)
    seen = -np.expm1(-0.5 * np.multiply(mu, transmission))
    gain = seen + 2 * dark * (1 - seen)
    wrong = misalignment * seen + dark * (1 - seen)
    return cow4_rate(monitor, mu, gain, wrong / np.maximum(gain, 1e-300))


def test_every_rate_says_what_it_assumes():
    restricted, general = cow_restricted_rate(0.01, 0.99, 0.1), cow4(0.01, 0.5)
    assert (restricted.security, general.security) == ("restricted-collective", "collective-asymptotic")
    assert restricted.assumes == ASSUMPTIONS["restricted-collective"]
    assert "zero-error" in restricted.assumes
    assert "any collective" in general.assumes


def test_dead_time_shapes_the_attenuation_curve_of_a_field_link():
    """Qiu et al., table 3 (0 to 10 dB of added loss): within -10 to +16 % for 43.1 us and 2522 b/s fitted.

    2392, 2303, 1730, 1473, 1016, 746 b/s were measured; the fit predicts the second row.
    """
    dead_time_s, busy = 43.1e-6, 0.784
    arriving = busy / (1 - busy) / dead_time_s * 10 ** (-np.array([0, 3, 5, 7, 8, 10]) / 10)
    clicks = dead_time_rate_hz(arriving, dead_time_s)
    predicted = 2522 * clicks / clicks[0]
    assert predicted == pytest.approx([2522, 2076, 1719, 1351, 1174, 856], abs=1.0)
    ratio = predicted / np.array([2392, 2303, 1730, 1473, 1016, 746])
    assert ratio.min() > 0.89
    assert ratio.max() < 1.17
    assert clicks[0] == pytest.approx(18199, rel=1e-3)


def test_the_field_link_has_a_key_only_under_the_restricted_attack():
    assert cow_restricted_rate(0.019, 0.9912, 0.3).rate > 0.05
    assert cow4(0.3, 0.02 * 10**-1.247, 0.9912, 1e-6, 0.0115).rate == 0.0


def test_limits_of_the_restricted_attack():
    faint = cow_restricted_rate(0.0, 1.0, 1e-9)
    assert faint.rate == pytest.approx(1.0, abs=1e-6)
    assert cow_restricted_rate(0.0, 0.5, 0.1).rate == 0.0
    assert cow_restricted_rate(0.5, 1.0, 0.1).rate == 0.0
    # V = 1: xi = e^{-mu}
    half = 0.5 * (1 + np.exp(-0.5))
    eve = -half * np.log2(half) - (1 - half) * np.log2(1 - half)
    assert cow_restricted_rate(0.0, 1.0, 0.5).rate == pytest.approx(1 - eve)


@settings(max_examples=100, deadline=None)
@given(q=st.floats(0.0, 0.1), v=st.floats(0.9, 1.0), mu=st.floats(0.01, 1.0), less=st.floats(0.001, 0.05))
def test_errors_and_lost_visibility_never_help(q, v, mu, less):
    best = cow_restricted_rate(q, v, mu).rate
    assert cow_restricted_rate(q + less, v, mu).rate <= best
    assert cow_restricted_rate(q, v - less, mu).rate <= best + 1e-12


@settings(max_examples=100, deadline=None)
@given(
    eta=st.floats(0.01, 1.0),
    loss=st.floats(0.1, 0.99),
    mu=st.floats(1e-4, 0.05),
    v=st.floats(0.95, 1.0),
    less=st.floats(0.001, 0.05),
)
def test_loss_noise_and_lost_visibility_never_help_the_secure_bound(eta, loss, mu, v, less):
    best = cow4(mu, eta, v, 1e-8).rate
    assert cow4(mu, eta * loss, v, 1e-8).rate <= best
    assert cow4(mu, eta, v, 1e-7).rate <= best
    assert cow4(mu, eta, v - less, 1e-8).rate <= best


def test_the_secure_bound_scales_with_the_square_of_transmission():
    mu = np.geomspace(1e-7, 0.1, 2000)
    best = [cow4(mu, eta).rate.max() for eta in (1e-2, 1e-3)]
    assert best[0] / best[1] == pytest.approx(100.0, rel=0.1)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.5))
def test_the_phase_error_bound_holds_for_any_measurement(seed, mu):
    """Random effects M0 + M1 <= 1 on the two qubits spanned by vacuum and pulse in two slots."""
    rng = np.random.default_rng(seed)
    a, b = np.exp(-0.5 * mu), np.sqrt(-np.expm1(-mu))
    empty, pulse = np.array([1.0, 0.0]), np.array([a, b])
    basis, _ = np.linalg.qr(rng.normal(size=(12, 4)) + 1j * rng.normal(size=(12, 4)))
    effects = [basis[rows].conj().T @ basis[rows] for rows in (slice(0, 4), slice(4, 8))]

    def clicks(state):
        return np.array([(state.conj() @ effect @ state).real for effect in effects])

    first, second = np.kron(empty, pulse), np.kron(pulse, empty)
    monitor = Cow4Monitor(
        clicks(np.kron(empty, empty)), clicks(first), clicks(second), clicks(np.kron(pulse, pulse))
    )
    wrong = clicks(first + second)[1] + clicks(first - second)[0]
    true = wrong / (2 * (clicks(first) + clicks(second)).sum())
    assert monitor.phase_error(mu) >= min(true, 0.5) - 1e-9


def test_bit_rate_and_visibility():
    assert cow_bit_rate_hz(1e9, 0.2, 0.0) == 0.0
    assert cow_bit_rate_hz(1e9, 1e-3, 1e-3) == pytest.approx(500.0, rel=1e-3)
    assert cow_bit_rate_hz(1e9, 0.2, 0.1, dead_time_s=1e-5) < 1e5
    assert interference_visibility(1010.0, 20.0, 10.0) == pytest.approx(990 / 1010)
    assert interference_visibility(0.0, 0.0) == 0.0


def test_counted_leakage_replaces_the_model():
    model = cow_restricted_rate(0.02, 0.99, 0.1)
    counted = cow_restricted_rate(0.02, 0.99, 0.1, leak_ec_bits=0.3)
    assert counted.rate_unclipped == pytest.approx(float(model.rate_unclipped + model.leak_ec - 0.3))
    monitor = expected_cow4_monitor(0.01, 0.3, 1.0)
    free, paid = (cow4_rate(monitor, 0.01, 0.003, 0.01, leak_ec_bits=leak) for leak in (0.0, 1e-4))
    assert free.rate_unclipped - paid.rate_unclipped == pytest.approx(1e-4)


def test_a_hundred_thousand_links_at_once():
    eta = np.geomspace(1e-3, 1.0, 100_000)
    together = cow4(0.005, eta, 0.99, 1e-8).rate
    assert together.shape == (100_000,)
    for i in (0, 70_000, 99_999):
        assert together[i] == pytest.approx(float(cow4(0.005, eta[i], 0.99, 1e-8).rate), rel=1e-9)
    qber = np.linspace(0.0, 0.5, 100_000)
    assert cow_restricted_rate(qber, 0.99, 0.1).rate[2] == cow_restricted_rate(qber[2], 0.99, 0.1).rate


def test_the_phase_error_bound_by_hand():
    monitor = Cow4Monitor([4e-6, 1e-6], [0.011, 0.010], [0.012, 0.009], [0.04, 1e-4])
    a_squared, b_squared = np.exp(-0.01), 1 - np.exp(-0.01)
    dark = (0.01 + a_squared * 0.001 + b_squared) ** 2
    bright = (0.2 - a_squared * 0.002 - b_squared) ** 2
    expected = ((dark - bright) / a_squared + 2 * 0.023) / (2 * 0.042)
    assert 0.0 < expected < 0.5
    assert monitor.phase_error(0.01) == pytest.approx(expected)
