"""Sending-or-not-sending twin-field QKD, asymptotic with ideal decoys, with and without pairing of the bits.

SNS: X.-B. Wang, Z.-W. Yu, X.-L. Hu, Phys. Rev. A 98, 062323 (2018). Actively odd-parity pairing (AOPP): H. Xu,
Z.-W. Yu, C. Jiang, X.-L. Hu, X.-B. Wang, Phys. Rev. A 101, 042330 (2020); its finite key: C. Jiang, X.-L. Hu,
Z.-W. Yu, X.-B. Wang, "Zigzag approach to higher key rate of SNS TF-QKD with finite-key effects",
arXiv:1908.05670. Two equal arms meet at a station with two detectors; a window counts when exactly one clicks.
All arguments may be arrays.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.decoy import binary_entropy

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TwinFieldLink:
    """Arm transmission, detector included; dark probability per detector and window; error of the interference."""

    arm_transmission: ArrayLike
    dark_probability: ArrayLike = 0.0
    misalignment: ArrayLike = 0.0

    def __post_init__(self) -> None:
        for name in ("arm_transmission", "dark_probability", "misalignment"):
            value = np.asarray(getattr(self, name))
            if np.any((value < 0.0) | (value > 1.0)):
                raise ValueError(f"{name} of a twin-field link must lie between 0 and 1")

    def vacuum_yield(self) -> Array:
        """Nobody sends: S_v = 2 p_d (1 - p_d)."""
        dark = np.asarray(self.dark_probability, np.float64)
        return 2.0 * dark * (1.0 - dark)

    def one_sends_yield(self, mu: ArrayLike) -> Array:
        """One side sends: S_1 = 2 (1 - p_d) e^{-mu eta/2} [1 - (1 - p_d) e^{-mu eta/2}]."""
        dark, half = np.asarray(self.dark_probability, np.float64), 0.5 * self._arriving(mu)
        return 2.0 * (1.0 - dark) * np.exp(-half) * (dark - (1.0 - dark) * np.expm1(-half))

    def both_send_yield(self, mu: ArrayLike) -> Array:
        """Both send with random phases: S_2 = 2 (1 - p_d) [e^{-mu eta} I_0(mu eta) - (1 - p_d) e^{-2 mu eta}]."""
        dark, light = np.asarray(self.dark_probability, np.float64), self._arriving(mu)
        one_dark = np.exp(-light) * (_i0_minus_1(light) - np.expm1(-light) + dark * np.exp(-light))
        return 2.0 * (1.0 - dark) * one_dark

    def single_photon_yield(self) -> Array:
        """s_1 of one photon: it reaches a detector while the other stays dark, or one dark click of two."""
        dark, eta = np.asarray(self.dark_probability, np.float64), self._arriving(1.0)
        return (1.0 - dark) * (eta + 2.0 * dark * (1.0 - eta))

    def single_photon_phase_error(self) -> Array:
        """Share of s_1 that the wrong detector gave; 1/2 where nothing arrives."""
        dark, eta = np.asarray(self.dark_probability, np.float64), self._arriving(1.0)
        wrong = (1.0 - dark) * (eta * np.asarray(self.misalignment, np.float64) + dark * (1.0 - eta))
        return _quotient(wrong, self.single_photon_yield(), otherwise=0.5)

    def _arriving(self, mu: ArrayLike) -> Array:
        return np.asarray(mu, np.float64) * np.asarray(self.arm_transmission, np.float64)


@dataclass(frozen=True, eq=False)
class TwinFieldRate:
    """Secret bits per pair of pulses, and the bits, errors and untagged bits it comes from (all per window).

    With AOPP these are bits, bit error and phase error after the pairing. `rate_unclipped` tells by how much
    the key was missed where `rate` is zero.
    """

    bits: Array
    bit_error: Array
    untagged: Array
    phase_error: Array
    leak_ec: Array
    rate_unclipped: Array
    rate: Array


def sns_rate(
    link: TwinFieldLink,
    mu: ArrayLike,
    sending: ArrayLike,
    *,
    p_z: ArrayLike = 1.0,
    f_ec: float = 1.1,
    leak_ec_bits: ArrayLike | None = None,
) -> TwinFieldRate:
    """R = p_z^2 {2 eps (1 - eps) mu e^{-mu} s_1 [1 - h(e1ph)] - leak}; leak = f S_Z h(E_Z) unless it was counted.

    `sending` is the probability eps that a side sends in a Z window, `p_z` that of a Z window at either side,
    `leak_ec_bits` what error correction disclosed per Z window.
    """
    one, none, both, untagged_one = _windows(link, mu, sending)
    bits = 2.0 * one + none + both
    bit_error = _quotient(none + both, bits, otherwise=0.5)
    phase_error = link.single_photon_phase_error()
    return _result((bits, bit_error, 2.0 * untagged_one, phase_error), p_z, f_ec, leak_ec_bits)


def aopp_rate(
    link: TwinFieldLink,
    mu: ArrayLike,
    sending: ArrayLike,
    *,
    p_z: ArrayLike = 1.0,
    f_ec: float = 1.1,
    leak_ec_bits: ArrayLike | None = None,
) -> TwinFieldRate:
    """R = n_1' [1 - h(e')] - leak after every bit 0 was paired with a bit 1; leak = f n_t h(E') unless counted.

    n_g = min(n_0, n_1) pairs; n_t of them survive the comparison of parities; e' = 2 e1ph (1 - e1ph).
    """
    one, none, both, untagged_one = _windows(link, mu, sending)
    zeros, ones = one + both, one + none
    pairs = _quotient(np.minimum(zeros, ones), zeros * ones, otherwise=0.0)
    right, wrong = pairs * one**2, pairs * both * none
    bits = right + wrong
    untagged = pairs * untagged_one**2
    error = link.single_photon_phase_error()
    survivors = (bits, _quotient(wrong, bits, otherwise=0.5), untagged, 2.0 * error * (1.0 - error))
    return _result(survivors, p_z, f_ec, leak_ec_bits)


def aopp_key_length(
    untagged: ArrayLike,
    phase_error: ArrayLike,
    bits: ArrayLike,
    bit_error: ArrayLike,
    *,
    f_ec: float = 1.1,
    leak_ec_bits: ArrayLike | None = None,
    eps_cor: float = 1e-10,
    eps_pa: float = 1e-10,
    eps_hat: float = 1e-10,
) -> Array:
    """Bits of a finite block after AOPP, not below zero, from bounds that already hold for the block.

    n_1' [1 - h(e')] - leak - log2(2/eps_cor) - 2 log2(1/(sqrt2 eps_PA eps_hat)). `untagged` must be a lower and
    `phase_error` an upper bound with the statistics of the block inside; their failure probabilities add up
    outside this function.
    """
    model = f_ec * np.asarray(bits, np.float64) * binary_entropy(bit_error)
    leak = model if leak_ec_bits is None else np.asarray(leak_ec_bits, np.float64)
    fixed = math.log2(2.0 / eps_cor) + 2.0 * math.log2(1.0 / (math.sqrt(2.0) * eps_pa * eps_hat))
    secret = np.asarray(untagged, np.float64) * (1.0 - binary_entropy(np.clip(phase_error, 0.0, 0.5)))
    return np.maximum(secret - leak - fixed, 0.0)


def sns_decoy_yield(
    yields: tuple[ArrayLike, ArrayLike, ArrayLike], intensities: tuple[ArrayLike, ArrayLike]
) -> Array:
    """Lower bound on s_1 from one-side-sends yields of (vacuum, mu_1, mu_2) with mu_2 > mu_1 > 0.

    s_1 >= [mu_2^2 e^{mu_1} S_1 - mu_1^2 e^{mu_2} S_2 - (mu_2^2 - mu_1^2) S_v] / [mu_1 mu_2 (mu_2 - mu_1)]. The form
    is standard; it was not compared with the printed equation, only with the photon-number sum it bounds.
    """
    s_v, s_1, s_2 = (np.asarray(s, np.float64) for s in yields)
    mu_1, mu_2 = (np.asarray(k, np.float64) for k in intensities)
    weighted = mu_2**2 * np.exp(mu_1) * s_1 - mu_1**2 * np.exp(mu_2) * s_2 - (mu_2**2 - mu_1**2) * s_v
    return np.clip(weighted / (mu_1 * mu_2 * (mu_2 - mu_1)), 0.0, 1.0)


def sns_phase_error(
    wrong_in_x: ArrayLike, vacuum_yield: ArrayLike, mu_1: ArrayLike, single_yield: ArrayLike
) -> Array:
    """Upper bound e1ph <= [T_X e^{2 mu_1} - S_v/2] / (2 mu_1 s_1), at most 1/2.

    `wrong_in_x` is T_X, wrong counts per X window in which both sent mu_1 in the same phase slice. The form is
    standard; it was not compared with the printed equation, only with the photon-number sum it bounds.
    """
    mu = np.asarray(mu_1, np.float64)
    excess = np.asarray(wrong_in_x, np.float64) * np.exp(2.0 * mu) - 0.5 * np.asarray(
        vacuum_yield, np.float64
    )
    bound = _quotient(excess, 2.0 * mu * np.asarray(single_yield, np.float64), otherwise=0.5)
    return np.clip(bound, 0.0, 0.5)


def _windows(link: TwinFieldLink, mu: ArrayLike, sending: ArrayLike) -> tuple[Array, Array, Array, Array]:
    """Counted Z windows in which one given side, nobody, both sent; and the untagged part of the first."""
    eps, light = np.asarray(sending, np.float64), np.asarray(mu, np.float64)
    alone = eps * (1.0 - eps)
    untagged = alone * light * np.exp(-light) * link.single_photon_yield()
    nobody, both = (1.0 - eps) ** 2 * link.vacuum_yield(), eps**2 * link.both_send_yield(light)
    return alone * link.one_sends_yield(light), nobody, both, untagged


def _result(
    survivors: tuple[Array, Array, Array, Array], p_z: ArrayLike, f_ec: float, leak_ec_bits: ArrayLike | None
) -> TwinFieldRate:
    bits, bit_error, untagged, phase_error = survivors
    modelled = f_ec * bits * binary_entropy(bit_error)
    leak = modelled if leak_ec_bits is None else np.asarray(leak_ec_bits, np.float64)
    secret = untagged * (1.0 - binary_entropy(np.clip(phase_error, 0.0, 0.5)))
    rate = np.asarray(p_z, np.float64) ** 2 * (secret - leak)
    return TwinFieldRate(
        bits=bits,
        bit_error=bit_error,
        untagged=untagged,
        phase_error=phase_error,
        leak_ec=leak,
        rate_unclipped=rate,
        rate=np.maximum(rate, 0.0),
    )


def _i0_minus_1(x: Array) -> Array:
    """I_0(x) - 1, whose leading digits a weak pulse would lose in the difference; five terms leave 1e-12."""
    quarter = 0.25 * x * x
    series = quarter * (
        1.0 + quarter / 4.0 * (1.0 + quarter / 9.0 * (1.0 + quarter / 16.0 * (1.0 + quarter / 25.0)))
    )
    return np.where(x < 0.5, series, np.i0(x).reshape(x.shape) - 1.0)


def _quotient(numerator: ArrayLike, denominator: ArrayLike, *, otherwise: float) -> Array:
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, otherwise), where=bottom > 0.0)
