"""Three states: both readings of the phase error, their order, limits and monotonicity."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis import OneDecoyProtocol, one_decoy_bounds
from qdci_lab.analysis.link_model import DetectionLink
from qdci_lab.analysis.three_state import READINGS, ThreeStateCounts, three_state_bounds, virtual_phase_error

PROTOCOL = OneDecoyProtocol(mu=0.5, nu=0.05, p_signal=0.8, p_z=0.9)


def expected(eta, dark=0.0, misalignment=0.0, pulses=1e11, protocol=PROTOCOL, tilt=0.0):
    """Symmetric channel; with `tilt` that share of Z preparations moves from X- to X+ (|-> attacked)."""
    link = DetectionLink(np.asarray(eta)[..., np.newaxis], dark, misalignment)
    k = np.array(protocol.intensities)
    sent = pulses * np.array([protocol.p_signal, 1 - protocol.p_signal])
    gain, wrong = link.gain(k), link.error_gain(k)
    in_z, in_x = sent * protocol.p_z, sent * (1 - protocol.p_z)
    return ThreeStateCounts(
        n_z=in_z * gain,
        m_z=in_z * wrong,
        plus_as_plus=in_x * (gain - wrong),
        plus_as_minus=in_x * wrong,
        z_as_plus=in_z * gain * (0.5 + tilt),
        z_as_minus=in_z * gain * (0.5 - tilt),
    )


def test_virtual_phase_error_by_hand():
    """Yields of a channel with error e: |+> gives 1-e and e, |-> e and 1-e, both Z together 1 and 1."""
    assert virtual_phase_error(0.03, 1.0, 0.97, 2.0) == pytest.approx(0.03)
    assert virtual_phase_error(0.0, 1.2, 1.0, 2.0) == pytest.approx(0.1)
    assert virtual_phase_error(0.0, 0.9, 1.0, 2.0) == 0.0
    assert virtual_phase_error(0.0, 0.0, 0.0, 0.0) == 0.5


def test_the_direct_reading_is_one_decoy_bb84():
    counts = expected(0.01, 1e-7, 0.01)
    bounds = three_state_bounds(counts, PROTOCOL, "direct")
    assert bounds.key_length == one_decoy_bounds(counts.sifted(), PROTOCOL).key_length
    assert bounds.key_length > 0.0


@settings(max_examples=60, deadline=None)
@given(eta=st.floats(1e-3, 0.1), misalignment=st.floats(0.0, 0.03), dark=st.floats(0.0, 1e-7))
def test_an_endless_block_bounds_the_true_phase_error_in_both_readings(eta, misalignment, dark):
    link = DetectionLink(eta, dark, misalignment)
    y_0 = float(link.background)
    true = (misalignment * eta + 0.5 * y_0 * (1 - eta)) / (y_0 + eta * (1 - y_0))
    counts = expected(eta, dark, misalignment, pulses=1e30)
    direct, virtual = (three_state_bounds(counts, PROTOCOL, reading) for reading in READINGS)
    assert direct.phi_z >= true * (1 - 1e-6)
    assert virtual.phi_z >= direct.phi_z
    assert virtual.key_length <= direct.key_length


def test_a_vanishing_decoy_brings_the_readings_together():
    protocol = replace(PROTOCOL, nu=1e-3)
    counts = expected(0.01, 0.0, 0.02, pulses=1e30, protocol=protocol)
    assert three_state_bounds(counts, protocol, "virtual").phase_error == pytest.approx(0.02, abs=0.015)


def test_only_the_virtual_reading_sees_what_happens_to_the_missing_state():
    honest, attacked = expected(0.01, 0.0, 0.01), expected(0.01, 0.0, 0.01, tilt=0.1)
    for reading, notices in zip(READINGS, (False, True), strict=True):
        before, after = (three_state_bounds(c, PROTOCOL, reading).key_length for c in (honest, attacked))
        assert (after < before) is np.bool_(notices)


@settings(max_examples=60, deadline=None)
@given(eta=st.floats(1e-3, 0.05), loss=st.floats(0.1, 0.99), longer=st.floats(1.1, 100.0))
@pytest.mark.parametrize("reading", READINGS)
def test_loss_and_noise_never_help_and_longer_blocks_do(reading, eta, loss, longer):
    best = three_state_bounds(expected(eta, 1e-7, 0.01), PROTOCOL, reading).key_length
    for worse in (expected(eta * loss, 1e-7, 0.01), expected(eta, 1e-6, 0.01), expected(eta, 1e-7, 0.02)):
        assert three_state_bounds(worse, PROTOCOL, reading).key_length <= best
    block = expected(eta, 1e-7, 0.01, pulses=1e11 * longer)
    assert three_state_bounds(block, PROTOCOL, reading).key_length / longer >= best


@pytest.mark.parametrize("reading", READINGS)
def test_no_light_and_counted_leakage(reading):
    assert three_state_bounds(expected(0.0), PROTOCOL, reading).key_length == 0.0
    counts = expected(0.01, 1e-7, 0.01)
    model = three_state_bounds(counts, PROTOCOL, reading)
    counted = three_state_bounds(counts, PROTOCOL, reading, leak_ec_bits=1000.0)
    gained = float(counted.key_length_unclipped - model.key_length_unclipped)
    assert gained == pytest.approx(float(model.key.leak_ec) - 1000.0)


@pytest.mark.parametrize("reading", READINGS)
def test_a_hundred_thousand_measurements_at_once(reading):
    eta = np.geomspace(1e-4, 0.1, 100_000)
    together = three_state_bounds(expected(eta, 1e-7, 0.01), PROTOCOL, reading).key_length
    assert together.shape == (100_000,)
    for i in (0, 60_000, 99_999):
        alone = three_state_bounds(expected(eta[i], 1e-7, 0.01), PROTOCOL, reading).key_length
        assert together[i] == pytest.approx(float(alone), rel=1e-9)


def test_the_virtual_bound_of_an_endless_block_by_hand():
    """Every yield per weighted pulse, vacuum bounded by |+> found as |->: once for |+>, twice for both of Z."""
    eta, dark, e, mu, nu = 0.02, 1e-5, 0.01, 0.5, 0.05
    link = DetectionLink(eta, dark, e)
    gain = [np.exp(k) * float(link.gain(k)) for k in (mu, nu)]
    wrong = [np.exp(k) * float(link.error_gain(k)) for k in (mu, nu)]
    right = [g - w for g, w in zip(gain, wrong, strict=True)]
    vacuum = min(wrong)

    def lower(weighted, background):
        excess = weighted[1] - (nu / mu) ** 2 * weighted[0] - (1 - (nu / mu) ** 2) * background
        return mu / (nu * (mu - nu)) * excess

    def upper(weighted):
        return min((weighted[0] - weighted[1]) / (mu - nu), weighted[1] / nu)

    expected_error = (upper(wrong) + upper(gain) - lower(right, vacuum)) / (2 * lower(gain, 2 * vacuum))
    bounds = three_state_bounds(expected(eta, dark, e, pulses=1e30), PROTOCOL, "virtual")
    assert 0.0 < expected_error < 0.5
    assert bounds.phase_error == pytest.approx(expected_error, rel=1e-6)
