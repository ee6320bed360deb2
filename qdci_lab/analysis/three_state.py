"""Three-state BB84 (Z0, Z1 and |+> only) with one decoy, in two readings of the phase error.

`direct`: the error of |+> in the test basis stands for the phase error, as for four states; what systems in the
field mostly report. It assumes that the missing |-> would have erred as often.
`virtual`: the missing |-> is inferred from Z preparations that were measured in X, because Z0 and Z1 in equal
parts are |+> and |-> in equal parts; K. Tamaki, M. Curty, G. Kato, H.-K. Lo, K. Azuma, Phys. Rev. A 90, 052314
(2014), and D. Rusca, A. Boaron, M. Curty, A. Martin, H. Zbinden, Phys. Rev. A 98, 052336 (2018).

Decoy bounds are those of `qdci_lab.analysis.decoy`. How the statistics of the virtual reading are joined (27
failure terms in equal shares, counted generously; random sampling between test and key) is assumed here and was
not compared with a published finite-key proof.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import (
    OneDecoyBounds,
    OneDecoyProtocol,
    binary_entropy,
    hoeffding_deviation,
    one_decoy_bounds,
    sampling_deviation,
)

Array = NDArray[np.float64]

PhaseErrorReading = Literal["direct", "virtual"]
READINGS: tuple[PhaseErrorReading, ...] = get_args(PhaseErrorReading)

_DIRECT_TERMS = 19.0
_VIRTUAL_TERMS = 27.0


@dataclass(frozen=True, eq=False)
class ThreeStateCounts:
    """Counts by what was sent and what Bob found; each has shape [..., intensity (signal, decoy)].

    `n_z` and `m_z`: Z sent and measured, detections and errors. `plus_as_plus`, `plus_as_minus`: |+> measured in
    X. `z_as_plus`, `z_as_minus`: Z preparations measured in X, Z0 and Z1 equally often.
    """

    n_z: NDArray[np.float64]
    m_z: NDArray[np.float64]
    plus_as_plus: NDArray[np.float64]
    plus_as_minus: NDArray[np.float64]
    z_as_plus: NDArray[np.float64]
    z_as_minus: NDArray[np.float64]

    def sifted(self) -> SiftedCounts:
        """The counts of equal bases, as four-state BB84 would have them."""
        return SiftedCounts(
            n=np.stack([self.n_z, np.add(self.plus_as_plus, self.plus_as_minus)], axis=-2),
            m=np.stack([self.m_z, self.plus_as_minus], axis=-2),
        )


@dataclass(frozen=True, eq=False)
class ThreeStateBounds:
    """Key length under one reading; `key` holds the counts of the key basis, whose own `phi_z` is the direct one."""

    reading: PhaseErrorReading
    key: OneDecoyBounds
    phase_error: Array
    phi_z: Array
    key_length_unclipped: Array
    key_length: Array


def virtual_phase_error(
    plus_as_minus: ArrayLike, z_as_plus: ArrayLike, plus_as_plus: ArrayLike, z_in_x: ArrayLike
) -> Array:
    """e_ph = [Y^{X-}_+ + Y^{X+}_0 + Y^{X+}_1 - Y^{X+}_+] / [Y^X_0 + Y^X_1] from single-photon yields, 0 to 1/2.

    `z_as_plus` and `z_in_x` are sums over Z0 and Z1. For a bound give the first two from above and the last
    two from below.
    """
    minus_as_plus = np.maximum(np.asarray(z_as_plus, np.float64) - np.asarray(plus_as_plus, np.float64), 0.0)
    wrong = np.asarray(plus_as_minus, np.float64) + minus_as_plus
    total = np.broadcast_to(np.asarray(z_in_x, np.float64), wrong.shape)
    error = np.divide(wrong, total, out=np.full(wrong.shape, 0.5), where=total > 0.0)
    return np.clip(error, 0.0, 0.5)


def three_state_bounds(
    counts: ThreeStateCounts,
    protocol: OneDecoyProtocol,
    reading: PhaseErrorReading = "direct",
    *,
    leak_ec_bits: ArrayLike | None = None,
) -> ThreeStateBounds:
    """Key length l = s_Z0 + s_Z1 (1 - h(phi_Z)) - leak_EC - fixed costs (rusca-2018) with either phase error.

    `leak_ec_bits` is what error correction really disclosed; without it the model f_EC n_Z h(QBER_Z) is taken.
    The vacuum part of the test counts is bounded by |+> found as |->, with equal dark counts assumed at the
    two test detectors.
    """
    if reading == "direct":
        key = one_decoy_bounds(counts.sifted(), protocol, leak_ec_bits=leak_ec_bits)
        error, phi_z = key.x_error, key.phi_z
    else:
        shared = replace(protocol, eps_sec=protocol.eps_sec * _DIRECT_TERMS / _VIRTUAL_TERMS)
        key = one_decoy_bounds(counts.sifted(), shared, leak_ec_bits=leak_ec_bits)
        error, phi_z = _virtual_bound(counts, shared, key)
    length = key.s_z0 + key.s_z1 * (1.0 - binary_entropy(phi_z)) - key.leak_ec - key.finite_cost
    return ThreeStateBounds(
        reading=reading,
        key=key,
        phase_error=error,
        phi_z=phi_z,
        key_length_unclipped=length,
        key_length=np.maximum(length, 0.0),
    )


def _virtual_bound(
    counts: ThreeStateCounts, protocol: OneDecoyProtocol, key: OneDecoyBounds
) -> tuple[Array, Array]:
    eps = protocol.eps_sec / _DIRECT_TERMS
    plus, minus, z_plus = (
        _Outcome(np.asarray(n, np.float64), protocol, eps)
        for n in (counts.plus_as_plus, counts.plus_as_minus, counts.z_as_plus)
    )
    z_in_x = _Outcome(np.add(counts.z_as_plus, counts.z_as_minus), protocol, eps)
    per_plus, per_z = 1.0 / (1.0 - protocol.p_z), 2.0 / protocol.p_z
    vacuum = minus.vacuum_upper()
    vacuum_of_z = 2.0 * vacuum * protocol.p_z / (1.0 - protocol.p_z)
    s_plus, s_z_in_x = plus.single_lower(vacuum), z_in_x.single_lower(vacuum_of_z)
    error = virtual_phase_error(
        per_plus * minus.single_upper(),
        per_z * z_plus.single_upper(),
        per_plus * s_plus,
        per_z * s_z_in_x,
    )
    test = np.minimum(s_plus, s_z_in_x)
    deviation = sampling_deviation(protocol.eps_sec, error, key.s_z1, test)
    known = (key.s_z1 > 0.0) & (test > 0.0)
    return error, np.where(known, np.minimum(error + deviation, 0.5), 0.5)


class _Outcome:
    """Decoy bounds on the single photons behind one kind of result, shape [..., intensity]."""

    def __init__(self, counts: Array, protocol: OneDecoyProtocol, eps: float) -> None:
        self._protocol = protocol
        self._counts = counts
        self._total = counts.sum(axis=-1)
        self._deviation = hoeffding_deviation(self._total, eps)
        self._tau = [protocol.photon_number_probability(photons) for photons in (0, 1)]

    def _weighted(self, intensity: int, sign: float) -> Array:
        shifted = self._counts[..., intensity] + sign * self._deviation
        if self._protocol.clip:
            shifted = np.clip(shifted, 0.0, self._total)
        p = (self._protocol.p_signal, 1.0 - self._protocol.p_signal)[intensity]
        return math.exp(self._protocol.intensities[intensity]) / p * shifted

    def vacuum_upper(self) -> Array:
        """tau_0 times the smaller weighted count: all of it may be vacuum."""
        weighted = np.minimum(self._weighted(0, 1.0), self._weighted(1, 1.0))
        return self._tau[0] * weighted + self._deviation

    def single_lower(self, vacuum_upper: Array) -> Array:
        """s_1 from below, in the form of eq. (A17) of the one-decoy paper, for a given bound on the vacuum."""
        mu, nu = self._protocol.intensities
        ratio = (nu / mu) ** 2
        vacuum = (1.0 - ratio) * vacuum_upper / self._tau[0]
        excess = self._weighted(1, -1.0) - ratio * self._weighted(0, 1.0) - vacuum
        return np.clip(self._tau[1] * mu / (nu * (mu - nu)) * excess, 0.0, self._total)

    def single_upper(self) -> Array:
        """s_1 from above: eq. (A22), or all of the decoy's counts from single photons, whichever is less."""
        mu, nu = self._protocol.intensities
        between = (self._weighted(0, 1.0) - self._weighted(1, -1.0)) / (mu - nu)
        return self._tau[1] * np.maximum(np.minimum(between, self._weighted(1, 1.0) / nu), 0.0)
