"""Asymptotic decoy-state BB84 with vacuum and one weak decoy, and with infinitely many decoys.

X. Ma, B. Qi, Y. Zhao, H.-K. Lo, "Practical decoy state for quantum key distribution", Phys. Rev. A 72, 012326
(2005), arXiv:quant-ph/0503005: rate of eq. (1), channel of section II, bounds of its "Vacuum + Weak" case.
The block is infinite: nothing here pays for statistics. All arguments may be arrays.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.decoy import binary_entropy
from qdci_lab.analysis.link_model import DetectionLink

Array = NDArray[np.float64]

_VACUUM_ERROR = 0.5


@dataclass(frozen=True, eq=False)
class AsymptoticRate:
    """Secret bits per pulse and what they come from, per pulse of the signal.

    `yield_1` bounds the yield of single photons from below, `error_1` their error from above; `single_gain`
    is yield_1 mu e^{-mu}. `rate_unclipped` tells by how much the key was missed where `rate` is zero.
    """

    yield_1: Array
    error_1: Array
    single_gain: Array
    leak_ec: Array
    rate_unclipped: Array
    rate: Array


def vacuum_weak_rate(
    gains: tuple[ArrayLike, ArrayLike],
    error_gains: tuple[ArrayLike, ArrayLike],
    background: ArrayLike,
    intensities: tuple[ArrayLike, ArrayLike],
    *,
    f_ec: float = 1.16,
    sifting: float = 0.5,
    leak_ec_bits: ArrayLike | None = None,
) -> AsymptoticRate:
    """Rate from measured gains Q, error gains E Q of (signal mu, decoy nu) and the vacuum's gain Y_0.

    Y_1 >= mu / (mu nu - nu^2) [Q_nu e^nu - Q_mu e^mu nu^2/mu^2 - (mu^2 - nu^2) Y_0/mu^2] and
    e_1 <= (E_nu Q_nu e^nu - Y_0/2) / (Y_1 nu). `leak_ec_bits` is what error correction disclosed per sifted
    signal pulse; without it the model f_EC Q_mu h(E_mu) is taken. `sifting` is 1/2 for balanced bases.
    """
    mu, nu = (np.asarray(k, np.float64) for k in intensities)
    if not np.all((mu > nu) & (nu > 0.0)):
        raise ValueError("vacuum and weak decoy: mu > nu > 0 must hold")
    q_mu, q_nu = (np.asarray(q, np.float64) for q in gains)
    wrong_mu, wrong_nu = (np.asarray(e, np.float64) for e in error_gains)
    y_0 = np.asarray(background, np.float64)
    ratio = (nu / mu) ** 2
    excess = q_nu * np.exp(nu) - ratio * q_mu * np.exp(mu) - (1.0 - ratio) * y_0
    yield_1 = np.clip(excess * mu / (nu * (mu - nu)), 0.0, 1.0)
    error_1 = _quotient(wrong_nu * np.exp(nu) - _VACUUM_ERROR * y_0, yield_1 * nu, otherwise=0.5)
    return _rate(yield_1, error_1, (q_mu, wrong_mu), mu, f_ec, sifting, leak_ec_bits)


def infinite_decoy_rate(
    link: DetectionLink,
    mu: ArrayLike,
    *,
    f_ec: float = 1.16,
    sifting: float = 0.5,
    leak_ec_bits: ArrayLike | None = None,
) -> AsymptoticRate:
    """Rate with the true yield and error of single photons, what infinitely many decoys would find.

    Y_1 = Y_0 + eta (1 - Y_0) and e_1 Y_1 = e_mis eta + Y_0 (1 - eta)/2. Afterpulses have no photon number and
    are refused here.
    """
    if np.any(np.asarray(link.afterpulse_probability) > 0.0):
        raise ValueError("the single-photon yield of a link with afterpulses must come from decoys")
    eta, y_0 = np.asarray(link.transmission, np.float64), link.background
    signal = np.asarray(mu, np.float64)
    yield_1 = y_0 + eta * (1.0 - y_0)
    wrong_1 = np.asarray(link.misalignment) * eta + _VACUUM_ERROR * y_0 * (1.0 - eta)
    error_1 = _quotient(wrong_1, yield_1, otherwise=0.5)
    measured = link.gain(signal), link.error_gain(signal)
    return _rate(yield_1, error_1, measured, signal, f_ec, sifting, leak_ec_bits)


def link_vacuum_weak_rate(
    link: DetectionLink, mu: ArrayLike, nu: ArrayLike, *, f_ec: float = 1.16, sifting: float = 0.5
) -> AsymptoticRate:
    """`vacuum_weak_rate` of what the link is expected to give."""
    return vacuum_weak_rate(
        (link.gain(mu), link.gain(nu)),
        (link.error_gain(mu), link.error_gain(nu)),
        link.gain(0.0),
        (mu, nu),
        f_ec=f_ec,
        sifting=sifting,
    )


def _rate(
    yield_1: Array,
    error_1: Array,
    measured: tuple[Array, Array],
    mu: Array,
    f_ec: float,
    sifting: float,
    leak_ec_bits: ArrayLike | None,
) -> AsymptoticRate:
    """R >= q {Q_1 [1 - h(e_1)] - leak}, eq. (1)."""
    gain, wrong = measured
    error_1 = np.clip(error_1, 0.0, 0.5)
    single_gain = yield_1 * mu * np.exp(-mu)
    modelled = f_ec * gain * binary_entropy(_quotient(wrong, gain, otherwise=0.0))
    leak = modelled if leak_ec_bits is None else np.asarray(leak_ec_bits, np.float64)
    rate = sifting * (single_gain * (1.0 - binary_entropy(error_1)) - leak)
    return AsymptoticRate(
        yield_1=yield_1,
        error_1=error_1,
        single_gain=single_gain,
        leak_ec=leak,
        rate_unclipped=rate,
        rate=np.maximum(rate, 0.0),
    )


def _quotient(numerator: ArrayLike, denominator: ArrayLike, *, otherwise: float) -> Array:
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, otherwise), where=bottom > 0.0)


def asymptotic_optimal_intensity(misalignment: float, f_ec: float = 1.16) -> float:
    """The mu that solves (1 - mu) e^{-mu} = f_EC h(e_mis) / [1 - h(e_mis)]: best far from noise and saturation.

    The closed condition of section II for infinitely many decoys, with Y_0 << eta << 1, solved with Lambert's W;
    ValueError where the misalignment leaves no key at all.
    """
    from scipy.special import lambertw

    entropy = float(binary_entropy(misalignment))
    target = math.inf if entropy >= 1.0 else f_ec * entropy / (1.0 - entropy)
    if target >= 1.0:
        raise ValueError(f"a misalignment of {misalignment} leaves no key at any intensity")
    return 1.0 - float(np.real(lambertw(math.e * target)))
