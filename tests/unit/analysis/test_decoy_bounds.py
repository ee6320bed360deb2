"""One-decoy bounds: against exact photon statistics, a formally verified example, limits and monotonicity."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qdci_lab.analysis import (
    PROOFS,
    OneDecoyProtocol,
    SiftedCounts,
    binary_entropy,
    make_code,
    one_decoy_bounds,
)
from qdci_lab.analysis.decoy import hoeffding_deviation, sampling_deviation, serfling_deviation

PROTOCOL = OneDecoyProtocol(mu=0.523, nu=0.131, p_signal=0.798, p_z=0.898)


def expected_counts(protocol, pulses, transmission, dark=0.0, misalignment=0.0, shares=(1.0, 1.0)):
    """Mean counts of a link: each pulse is detected with 1 - (1 - dark) e^{-eta k}, dark clicks err half the time."""
    k = np.array(protocol.intensities)
    p = np.array([protocol.p_signal, 1 - protocol.p_signal])
    missed = np.exp(-transmission * k)
    detected = 1 - (1 - dark) * missed
    wrong = misalignment * (1 - missed) + 0.5 * dark * missed
    basis = np.array([protocol.p_z * shares[0], (1 - protocol.p_z) * shares[1]])
    return SiftedCounts(n=pulses * np.outer(basis, p * detected), m=pulses * np.outer(basis, p * wrong))


def test_entropy():
    assert binary_entropy(0.5) == 1.0
    assert binary_entropy([0.0, 1.0]).tolist() == [0.0, 0.0]
    assert binary_entropy(0.11) == pytest.approx(0.499916, abs=1e-6)
    assert binary_entropy(1e-300) == pytest.approx(1e-300 * (300 * math.log2(10) + 1 / math.log(2)))


@settings(deadline=None)
@given(st.floats(0.0, 1.0))
def test_entropy_is_symmetric_and_below_its_parabola(x):
    assert binary_entropy(x) == pytest.approx(binary_entropy(1.0 - x), abs=1e-12)
    assert binary_entropy(x) >= 4 * x * (1 - x) - 1e-12


def test_a_formally_verified_example():
    """FormalQKD (A. Baliuka, github) proves in Lean that its interval arithmetic gives 1464719 bits here."""
    counts = SiftedCounts(
        n=np.array([[8875913, 1124087], [165048, 20902]]), m=np.array([[185856, 26055], [3456, 484]])
    )
    protocol = OneDecoyProtocol(
        mu=0.51, nu=0.15, p_signal=0.7, p_z=0.9, eps_sec=1e-9, eps_cor=1e-15, clip=False
    )
    bounds = one_decoy_bounds(counts, protocol, "rusca-2018", leak_ec_bits=1776924)
    assert math.floor(bounds.key_length) == 1464719


links = {
    "transmission": st.floats(1e-4, 0.5),
    "dark": st.floats(0.0, 1e-5),
    "misalignment": st.floats(0.0, 0.1),
    "mu": st.floats(0.2, 0.9),
    "nu_share": st.floats(0.1, 0.7),
    "p_signal": st.floats(0.2, 0.95),
}


@settings(max_examples=100, deadline=None)
@given(**links)
@pytest.mark.parametrize("proof", PROOFS)
def test_an_endless_block_gives_true_bounds_on_single_photons(
    proof, transmission, dark, misalignment, mu, nu_share, p_signal
):
    """The single-photon yield of this link is 1 - (1 - dark)(1 - eta), whatever the other photon numbers do."""
    protocol = OneDecoyProtocol(mu=mu, nu=mu * nu_share, p_signal=p_signal, p_z=0.9)
    pulses = 1e30
    bounds = one_decoy_bounds(
        expected_counts(protocol, pulses, transmission, dark, misalignment), protocol, proof
    )
    tau_0, tau_1 = (protocol.photon_number_probability(photons) for photons in (0, 1))
    singles = pulses * tau_1 * (1 - (1 - dark) * (1 - transmission))
    single_errors = pulses * tau_1 * (misalignment * transmission + 0.5 * dark * (1 - transmission))
    slack = 1 + 1e-9
    assert bounds.s_z0 <= pulses * 0.9 * tau_0 * dark * slack + 1e-9 * pulses
    assert bounds.s_z0_upper * slack >= pulses * 0.9 * tau_0 * dark
    assert bounds.s_z1 <= singles * 0.9 * slack
    assert bounds.s_x1 <= singles * 0.1 * slack
    assert bounds.v_x1 * slack >= single_errors * 0.1
    assert bounds.phi_z * slack >= min(0.5, single_errors / singles)


def test_few_errors_make_the_endless_bound_tight():
    protocol = replace(PROTOCOL, nu=0.01)
    bounds = one_decoy_bounds(expected_counts(protocol, 1e30, 0.01), protocol)
    true_singles = 1e30 * protocol.p_z * protocol.photon_number_probability(1) * 0.01
    assert bounds.s_z1 == pytest.approx(true_singles, rel=0.01)
    assert bounds.phi_z == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("proof", PROOFS)
def test_the_finite_block_pays_for_its_size(proof):
    lengths = []
    for pulses in (1e9, 1e10, 1e12, 1e16, 1e24):
        bounds = one_decoy_bounds(expected_counts(PROTOCOL, pulses, 0.01, 1e-6, 0.01), PROTOCOL, proof)
        lengths.append(float(bounds.key_length) / pulses)
    assert lengths[0] < lengths[1] < lengths[2] < lengths[3]
    assert lengths[4] == pytest.approx(lengths[3], rel=1e-3)


@pytest.mark.parametrize("proof", PROOFS)
def test_nothing_counted_gives_no_key(proof):
    bounds = one_decoy_bounds(SiftedCounts(n=np.zeros((2, 2)), m=np.zeros((2, 2))), PROTOCOL, proof)
    assert bounds.key_length == 0.0
    assert bounds.key_length_unclipped == -bounds.finite_cost
    assert bounds.phi_z == 0.5
    assert bounds.qber_z == 0.0


def test_fixed_costs():
    nothing = SiftedCounts(n=np.zeros((2, 2)), m=np.zeros((2, 2)))
    costs = {proof: one_decoy_bounds(nothing, PROTOCOL, proof).finite_cost for proof in PROOFS}
    assert costs["rusca-2018"] == pytest.approx(6 * math.log2(19e9) + math.log2(2e15))
    assert costs["wiesemann-2024"] == pytest.approx(4 * math.log2(15e9) - 1 + math.log2(2e15))


def test_the_vacuum_counts_for_the_key_in_one_proof_only():
    """With many dark clicks and an endless block there is a positive bound on vacuum detections."""
    counts = expected_counts(PROTOCOL, 1e30, 1e-3, dark=1e-4)
    for proof, vacuum_counts in zip(PROOFS, (1.0, 0.0), strict=True):
        bounds = one_decoy_bounds(counts, PROTOCOL, proof)
        assert bounds.s_z0 > 0.0
        rest = bounds.s_z1 * (1 - binary_entropy(bounds.phi_z)) - bounds.leak_ec - bounds.finite_cost
        assert bounds.key_length_unclipped == pytest.approx(float(rest + vacuum_counts * bounds.s_z0))


counted = st.tuples(*[st.integers(0, 10**7)] * 4)


@settings(max_examples=100, deadline=None)
@given(n=counted, shares=st.tuples(*[st.floats(0.0, 0.2)] * 4), more=st.integers(1, 10**5))
@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("clip", [True, False])
def test_more_errors_at_the_signal_intensity_never_give_more_key(proof, clip, n, shares, more):
    """Errors of the decoy are left alone: by themselves they may lower the bound v_x1."""
    protocol = replace(PROTOCOL, clip=clip)
    n_array = np.array(n, dtype=float).reshape(2, 2)
    m_array = np.floor(n_array * np.array(shares).reshape(2, 2))
    worse = m_array.copy()
    worse[:, 0] = np.minimum(m_array[:, 0] + more, 0.5 * n_array[:, 0])
    assume(np.all(worse >= m_array))
    before = one_decoy_bounds(SiftedCounts(n=n_array, m=m_array), protocol, proof)
    after = one_decoy_bounds(SiftedCounts(n=n_array, m=worse), protocol, proof)
    tolerance = 1e-9 * (1.0 + float(n_array.sum()))
    assert after.key_length_unclipped <= before.key_length_unclipped + tolerance
    assert after.phi_z >= before.phi_z - 1e-12


@settings(max_examples=100, deadline=None)
@given(transmission=st.floats(1e-4, 0.1), loss=st.floats(0.1, 0.99), misalignment=st.floats(0.0, 0.05))
@pytest.mark.parametrize("proof", PROOFS)
def test_more_loss_never_gives_more_key(proof, transmission, loss, misalignment):
    lengths = [
        one_decoy_bounds(expected_counts(PROTOCOL, 1e10, eta, 1e-7, misalignment), PROTOCOL, proof).key_length
        for eta in (transmission, transmission * loss)
    ]
    assert lengths[1] <= lengths[0]


@settings(max_examples=100, deadline=None)
@given(n=counted, shares=st.tuples(*[st.floats(0.0, 1.0)] * 4), clip=st.booleans())
@pytest.mark.parametrize("proof", PROOFS)
def test_any_counts_give_finite_bounds_in_range(proof, n, shares, clip):
    n_array = np.array(n, dtype=float).reshape(2, 2)
    counts = SiftedCounts(n=n_array, m=np.floor(n_array * np.array(shares).reshape(2, 2)))
    bounds = one_decoy_bounds(counts, replace(PROTOCOL, clip=clip), proof)
    assert np.isfinite([getattr(bounds, name) for name in vars(bounds) if name != "proof"]).all()
    assert 0.0 <= bounds.s_z1 <= counts.n_z
    assert 0.0 <= bounds.s_z0 <= counts.n_z
    assert 0.0 <= bounds.phi_z <= 0.5
    assert 0.0 <= bounds.x_error <= 0.5
    assert bounds.key_length >= 0.0


def test_clipping_matters_where_few_errors_were_counted_and_is_never_worse():
    counts = SiftedCounts(n=np.array([[5e5, 3e4], [6e4, 4e3]]), m=np.array([[6e3, 4e2], [30.0, 2.0]]))
    for proof in PROOFS:
        kept, free = (one_decoy_bounds(counts, replace(PROTOCOL, clip=c), proof) for c in (True, False))
        assert kept.v_x1 < free.v_x1
        assert kept.key_length_unclipped > free.key_length_unclipped


def test_measurements_are_evaluated_side_by_side():
    series = [expected_counts(PROTOCOL, 1e10, eta, 1e-6, 0.01) for eta in (0.02, 0.01, 0.0)]
    stacked = SiftedCounts(n=np.stack([c.n for c in series]), m=np.stack([c.m for c in series]))
    for proof in PROOFS:
        together = one_decoy_bounds(stacked, PROTOCOL, proof)
        apart = [one_decoy_bounds(counts, PROTOCOL, proof) for counts in series]
        assert together.key_length.tolist() == [float(bounds.key_length) for bounds in apart]
        assert together.phi_z.tolist() == [float(bounds.phi_z) for bounds in apart]


def test_deviations_by_hand():
    assert hoeffding_deviation(200.0, math.exp(-1)) == pytest.approx(10.0)
    key, test = np.array(3.0e6), np.array(1.0e6)
    assert serfling_deviation(key, test, math.exp(-3.0)) == pytest.approx(2e-3, rel=1e-5)
    # (c+d)/(cd) = 4/3e6; b(1-b) = 0.09
    inner = math.log2(4 / 3e6 / 0.09 * 19**2 / 1e-18)
    assert sampling_deviation(1e-9, np.array(0.1), key, test) == pytest.approx(
        math.sqrt(4 / 3e6 * 0.09 / math.log(2) * inner)
    )
    assert sampling_deviation(1e-9, np.array(0.0), key, test) == 0.0
    assert sampling_deviation(1e-9, np.array(1e-310), key, test) == pytest.approx(0.0, abs=1e-100)


def test_protocol_takes_its_probabilities_from_the_code():
    code = make_code(1024, 0.798, 0.898, seed=0)
    protocol = OneDecoyProtocol.for_code(code, 0.523, 0.131, f_ec=1.2, clip=False)
    assert (protocol.p_signal, protocol.p_z) == (817 / 1024, 920 / 1024)
    assert (protocol.f_ec, protocol.clip) == (1.2, False)


@pytest.mark.parametrize(
    "wrong", [{"nu": 0.6}, {"nu": 0.0}, {"p_signal": 1.0}, {"eps_sec": 0.0}, {"f_ec": 0.9}, {"p_z": 0.0}]
)
def test_protocols_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        replace(PROTOCOL, **wrong)


def test_counts_must_be_possible():
    with pytest.raises(ValueError, match="errors <= detections"):
        SiftedCounts(n=np.ones((2, 2)), m=2 * np.ones((2, 2)))
    with pytest.raises(ValueError, match="shape"):
        SiftedCounts(n=np.ones((2, 3)), m=np.zeros((2, 3)))
