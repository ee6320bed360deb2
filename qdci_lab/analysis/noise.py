"""Noise that classical channels of a multicore fibre put into the quantum core: closed forms.

Ji et al. (quantum-secured self-homodyne links over multicore fibre), eq. (1) and eqs. (4) to (8), in the form
that contains the receiver's bandwidth and the number of lit neighbours, which eqs. (6) and (7) leave out.
Inter-core crosstalk and Raman scattering: Cai et al. (2020). Four-wave mixing: K. Inoue, J. Lightwave
Technol. 10, 1553 (1992), with phase mismatch in the denominator, alpha^2 + (delta beta)^2.

Attenuations and couplings are per kilometre of power (1 dB/km is 0.2303 /km), powers in W; all arguments may
be arrays.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.units import SPEED_OF_LIGHT_M_PER_S

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MulticoreFibre:
    """A homogeneous multicore fibre as the noise formulas see it."""

    quantum_attenuation_per_km: float
    classical_attenuation_per_km: float
    raman_per_nm_km: float
    coupling_per_km: float


def icsrs_forward_w(
    power_w: ArrayLike,
    length_km: ArrayLike,
    fibre: MulticoreFibre,
    *,
    bandwidth_nm: float = 1.0,
    neighbours: int = 1,
) -> Array:
    """Co-propagating Raman noise that crossed cores, eq. (6), leaving the quantum core at the far end.

    F = N P0 beta dlam e^{-aq L} { [e^{(aq-ac)L}-1]/(aq-ac) - [e^{(aq-ac-2h)L}-1]/(aq-ac-2h) }; for small h this
    tends to N P0 beta dlam h L^2 e^{-aL}. The difference loses about eps / (h L) of relative precision.
    """
    length = np.asarray(length_km, dtype=np.float64)
    quantum, h = fibre.quantum_attenuation_per_km, fibre.coupling_per_km
    imbalance = quantum - fibre.classical_attenuation_per_km
    path = _path_integral(imbalance, length) - _path_integral(imbalance - 2.0 * h, length)
    scattered = _scattered_per_km(power_w, fibre, bandwidth_nm)
    return neighbours * scattered * np.exp(-quantum * length) * path


def icsrs_backward_w(
    power_w: ArrayLike,
    length_km: ArrayLike,
    fibre: MulticoreFibre,
    *,
    bandwidth_nm: float = 1.0,
    neighbours: int = 1,
) -> Array:
    """Counter-propagating Raman noise that crossed cores, eq. (7), at the end where the pump enters.

    B = N P0 beta dlam { [1-e^{-(aq+ac)L}]/(aq+ac) - [1-e^{-(aq+ac+2h)L}]/(aq+ac+2h) }.
    """
    length = np.asarray(length_km, dtype=np.float64)
    total = fibre.quantum_attenuation_per_km + fibre.classical_attenuation_per_km
    path = _path_integral(-total, length) - _path_integral(-total - 2.0 * fibre.coupling_per_km, length)
    return neighbours * _scattered_per_km(power_w, fibre, bandwidth_nm) * path


def srs_forward_w(
    power_w: ArrayLike, length_km: ArrayLike, fibre: MulticoreFibre, *, bandwidth_nm: float = 1.0
) -> Array:
    """Co-propagating Raman noise of a channel in the same core."""
    length = np.asarray(length_km, dtype=np.float64)
    quantum = fibre.quantum_attenuation_per_km
    path = _path_integral(quantum - fibre.classical_attenuation_per_km, length)
    return _scattered_per_km(power_w, fibre, bandwidth_nm) * np.exp(-quantum * length) * path


def srs_backward_w(
    power_w: ArrayLike, length_km: ArrayLike, fibre: MulticoreFibre, *, bandwidth_nm: float = 1.0
) -> Array:
    """Counter-propagating Raman noise of a channel in the same core, at the end where the pump enters."""
    total = fibre.quantum_attenuation_per_km + fibre.classical_attenuation_per_km
    path = _path_integral(-total, np.asarray(length_km, dtype=np.float64))
    return _scattered_per_km(power_w, fibre, bandwidth_nm) * path


def crosstalk_ratio(coupling_per_km: ArrayLike, length_km: ArrayLike) -> Array:
    """Power in a neighbouring core over the power left in the lit one, tanh(h L); eq. (8) is its limit h L."""
    return np.tanh(np.asarray(coupling_per_km, np.float64) * np.asarray(length_km, np.float64))


def click_probability(
    noise_power_w: ArrayLike,
    *,
    window_s: float,
    photon_energy_j: float,
    transmission: float,
    dark_probability: float,
    share: float = 0.5,
) -> Array:
    """Probability of a noise click per accepted window and detector, eq. (1): share P T eta / (h nu) + p_dc.

    `share` is the part of the light a detector gets: 1/2 in a basis of two detectors that has all the light,
    1/4 behind a passive choice of basis. `dark_probability` is per accepted window, not per second.
    """
    photons = share * np.asarray(noise_power_w, np.float64) * window_s / photon_energy_j
    return transmission * photons + dark_probability


@dataclass(frozen=True)
class FourWaveMixing:
    """A fibre as four-wave mixing sees it; `dispersion_slope_ps_nm2_km` is dD/dlambda."""

    attenuation_per_km: float
    gamma_per_w_km: float
    dispersion_ps_nm_km: float
    wavelength_nm: float
    dispersion_slope_ps_nm2_km: float = 0.0

    def phase_mismatch_per_km(self, spacing_ik_hz: ArrayLike, spacing_jk_hz: ArrayLike) -> Array:
        """(2 pi lam^2/c) df_ik df_jk [D + lam^2/(2c) (df_ik + df_jk) dD/dlam]."""
        ik, jk = np.asarray(spacing_ik_hz, np.float64), np.asarray(spacing_jk_hz, np.float64)
        wavelength_m = self.wavelength_nm * 1e-9
        dispersion_s_m2 = self.dispersion_ps_nm_km * 1e-6
        slope_s_m3 = self.dispersion_slope_ps_nm2_km * 1e3
        per_hz = wavelength_m**2 / SPEED_OF_LIGHT_M_PER_S
        mismatch_per_m = (
            2.0 * math.pi * per_hz * ik * jk * (dispersion_s_m2 + 0.5 * per_hz * (ik + jk) * slope_s_m3)
        )
        return 1e3 * mismatch_per_m

    def power_w(
        self,
        powers_w: tuple[float, float, float],
        length_km: ArrayLike,
        *,
        spacing_ik_hz: ArrayLike,
        spacing_jk_hz: ArrayLike,
        degenerate: bool,
    ) -> Array:
        """Power of the mixing product at f_i + f_j - f_k, eqs. (3) and (4); degenerate means f_i = f_j."""
        a, length = self.attenuation_per_km, np.asarray(length_km, np.float64)
        mismatch = self.phase_mismatch_per_km(spacing_ik_hz, spacing_jk_hz)
        effective_km = _path_integral(-a, length)
        ripple = 4.0 * np.exp(-a * length) * np.sin(0.5 * mismatch * length) ** 2 / (a * effective_km) ** 2
        efficiency = a**2 / (a**2 + mismatch**2) * (1.0 + ripple)
        degeneracy = 3.0 if degenerate else 6.0
        drive = (degeneracy * self.gamma_per_w_km * effective_km) ** 2 * math.prod(powers_w) / 9.0
        return efficiency * drive * np.exp(-a * length)


def _scattered_per_km(power_w: ArrayLike, fibre: MulticoreFibre, bandwidth_nm: float) -> Array:
    return np.asarray(power_w, np.float64) * fibre.raman_per_nm_km * bandwidth_nm


def _path_integral(rate_per_km: ArrayLike, length_km: Array) -> Array:
    """Integral of e^{rate z} over the fibre in km; its length for rate 0."""
    exponent = np.asarray(rate_per_km, np.float64) * length_km
    unlimited = np.where(exponent == 0.0, 1.0, exponent)
    return length_km * np.where(exponent == 0.0, 1.0, np.expm1(unlimited) / unlimited)
