"""Closed forms of Raman noise and four-wave mixing against integration, limits and computed tables."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from qdci_lab.analysis.noise import (
    FourWaveMixing,
    MulticoreFibre,
    click_probability,
    crosstalk_ratio,
    icsrs_backward_w,
    icsrs_forward_w,
    srs_backward_w,
    srs_forward_w,
)
from qdci_lab.units import dbm_to_watt, photon_energy_j, watt_to_dbm

FIBRE = MulticoreFibre(
    quantum_attenuation_per_km=0.046,
    classical_attenuation_per_km=0.0471,
    raman_per_nm_km=6.9e-8,
    coupling_per_km=7e-7,
)
MILLIWATT = 1e-3
THREE_MILLIWATTS = (1e-3, 1e-3, 1e-3)

fibres = st.builds(
    MulticoreFibre,
    quantum_attenuation_per_km=st.floats(0.03, 0.1),
    classical_attenuation_per_km=st.floats(0.03, 0.1),
    raman_per_nm_km=st.floats(1e-9, 1e-7),
    coupling_per_km=st.floats(1e-4, 1e-2),
)


@settings(deadline=None)
@given(fibre=fibres, length_km=st.floats(0.5, 80.0))
def test_raman_noise_across_cores_is_the_integral_along_the_fibre(fibre, length_km):
    """Sum of crosstalk then scattering and scattering then crosstalk; the pump's own loss to others included."""
    aq, ac, h = fibre.quantum_attenuation_per_km, fibre.classical_attenuation_per_km, fibre.coupling_per_km
    scattered = MILLIWATT * fibre.raman_per_nm_km

    def forward(z):
        return math.exp(-ac * z) * math.exp(-aq * (length_km - z)) * -math.expm1(-2 * h * z)

    def backward(z):
        return math.exp(-(ac + aq) * z) * -math.expm1(-2 * h * z)

    assert icsrs_forward_w(MILLIWATT, length_km, fibre) == pytest.approx(
        scattered * quad(forward, 0, length_km)[0], rel=1e-6
    )
    assert icsrs_backward_w(MILLIWATT, length_km, fibre) == pytest.approx(
        scattered * quad(backward, 0, length_km)[0], rel=1e-6
    )


@pytest.mark.parametrize(
    ("length_km", "forward_dbm", "backward_dbm"),
    [(3.5, -123.0, -123.2), (20.0, -111.2, -112.1), (50.0, -109.3, -109.8), (100.0, -113.5, -109.5)],
)
def test_noise_per_nanometre_at_0_dbm(length_km, forward_dbm, backward_dbm):
    assert watt_to_dbm(float(icsrs_forward_w(MILLIWATT, length_km, FIBRE))) == pytest.approx(
        forward_dbm, abs=0.06
    )
    assert watt_to_dbm(float(icsrs_backward_w(MILLIWATT, length_km, FIBRE))) == pytest.approx(
        backward_dbm, abs=0.06
    )


def test_six_lit_neighbours_and_the_bandwidth_multiply():
    one = icsrs_backward_w(MILLIWATT, 300.0, FIBRE)
    assert watt_to_dbm(float(icsrs_backward_w(MILLIWATT, 300.0, FIBRE, neighbours=6))) == pytest.approx(
        -101.7, abs=0.06
    )
    assert icsrs_backward_w(MILLIWATT, 300.0, FIBRE, bandwidth_nm=0.4) == pytest.approx(0.4 * one)
    forward = icsrs_forward_w(MILLIWATT, 20.0, FIBRE)
    assert icsrs_forward_w(MILLIWATT, 20.0, FIBRE, neighbours=2, bandwidth_nm=3.0) == pytest.approx(
        6 * forward
    )


def test_launch_at_2_dbm_over_the_link():
    power_w = dbm_to_watt(2.04)
    forward, backward = (float(f(power_w, 3.5, FIBRE)) for f in (icsrs_forward_w, icsrs_backward_w))
    assert watt_to_dbm(forward) == pytest.approx(-120.95, abs=0.01)
    assert watt_to_dbm(backward) == pytest.approx(-121.17, abs=0.01)
    assert watt_to_dbm(forward + backward) == pytest.approx(-118.05, abs=0.01)


def test_equal_attenuations_are_a_limit_not_a_pole():
    a, length = 0.046, 12.0
    equal = MulticoreFibre(a, a, 6.9e-8, 7e-7)
    near = MulticoreFibre(a, a * (1 + 1e-9), 6.9e-8, 7e-7)
    weak_coupling = MILLIWATT * 6.9e-8 * 7e-7 * length**2 * math.exp(-a * length)
    assert icsrs_forward_w(MILLIWATT, length, equal) == pytest.approx(weak_coupling, rel=1e-4)
    assert icsrs_forward_w(MILLIWATT, length, near) == pytest.approx(weak_coupling, rel=1e-4)
    assert srs_forward_w(MILLIWATT, length, equal) == pytest.approx(
        MILLIWATT * 6.9e-8 * length * math.exp(-a * length)
    )


def test_noise_within_a_core():
    """Pump and noise both ways in 0.1 km: -78.6 dBm/nm; the maximum of the forward noise is at 1/a."""
    both = float(srs_forward_w(MILLIWATT, 0.1, FIBRE) + srs_backward_w(MILLIWATT, 0.1, FIBRE))
    assert watt_to_dbm(both) == pytest.approx(-78.6, abs=0.05)
    lengths = np.linspace(5.0, 50.0, 4501)
    assert lengths[np.argmax(srs_forward_w(MILLIWATT, lengths, FIBRE))] == pytest.approx(
        1 / 0.04655, rel=0.005
    )


def test_crosstalk_of_the_link_and_its_saturation():
    assert 10 * math.log10(crosstalk_ratio(7e-7, 3.5)) == pytest.approx(-56.1, abs=0.05)
    assert crosstalk_ratio(1.0, 100.0) == pytest.approx(1.0)
    assert crosstalk_ratio(0.0, 10.0) == 0.0


def test_click_probability_counts_photons():
    """10 fW of 1550.12 nm in 1 ns are 7.8e-5 photons; half of them go to each detector of a basis."""
    energy_j = photon_energy_j(1550.12e-9)
    p = click_probability(
        1e-14, window_s=1e-9, photon_energy_j=energy_j, transmission=0.0525, dark_probability=6e-7
    )
    assert p == pytest.approx(0.5 * 1e-14 * 1e-9 / 1.28148e-19 * 0.0525 + 6e-7, rel=1e-4)
    passive = click_probability(
        1e-14, window_s=1e-9, photon_energy_j=energy_j, transmission=0.0525, dark_probability=0.0, share=0.25
    )
    assert passive == pytest.approx(0.5 * (p - 6e-7))


@pytest.mark.parametrize(("spacing_hz", "envelope_dbm"), [(100e9, -71.7), (400e9, -95.9), (1e12, -111.9)])
def test_four_wave_mixing_reaches_its_envelope(spacing_hz, envelope_dbm):
    """Maximum over the phase ripple, three waves of 0 dBm, degenerate, 3.5 km at 17 ps/nm/km; to 0.4 dB."""
    fibre = FourWaveMixing(0.046, 1.3, 17.0, 1550.0)
    spacings = np.linspace(0.97, 1.03, 2001) * spacing_hz
    power = fibre.power_w(
        THREE_MILLIWATTS, 3.5, spacing_ik_hz=spacings, spacing_jk_hz=spacings, degenerate=True
    )
    at_centre = power * (spacings / spacing_hz) ** 4
    assert watt_to_dbm(float(at_centre.max())) == pytest.approx(envelope_dbm, abs=0.4)


def test_phase_matched_mixing_and_degeneracy():
    """Without dispersion the efficiency is 1: P = (D gamma L_eff P)^2 P e^{-aL} / 9."""
    fibre = FourWaveMixing(0.046, 1.3, 0.0, 1550.0)
    args = {"spacing_ik_hz": 1e11, "spacing_jk_hz": 1e11}
    three = fibre.power_w(THREE_MILLIWATTS, 10.0, degenerate=True, **args)
    effective = (1 - math.exp(-0.46)) / 0.046
    assert three == pytest.approx((1.3 * effective * 1e-3) ** 2 * 1e-3 * math.exp(-0.46))
    assert fibre.power_w(THREE_MILLIWATTS, 10.0, degenerate=False, **args) == pytest.approx(4 * three)


def test_dispersion_slope_shifts_the_mismatch():
    """At the zero-dispersion wavelength only the slope is left: cubic in the spacing."""
    fibre = FourWaveMixing(0.046, 1.3, 0.0, 1550.0, dispersion_slope_ps_nm2_km=0.06)
    single = fibre.phase_mismatch_per_km(1e11, 1e11)
    assert fibre.phase_mismatch_per_km(2e11, 2e11) == pytest.approx(8 * single)
    # 2 pi lam^2/c df^2 lam^2/(2c) 2 df S = 2 pi (8.0138e-21)^2 1e33 60 /m
    assert single == pytest.approx(2 * math.pi * 8.0138e-21**2 * 1e33 * 60 * 1e3, rel=1e-3)
