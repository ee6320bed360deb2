"""One-decoy BB84: bounds on vacuum and single-photon detections, phase error and length of the secret key.

`rusca-2018`: D. Rusca, A. Boaron, F. Gruenenfelder, A. Martin, H. Zbinden, "Finite-key analysis for the
1-decoy state QKD protocol", Appl. Phys. Lett. 112, 171104 (2018), arXiv:1801.03443. Equation numbers below
are those of that paper.
`wiesemann-2024`: J. Wiesemann, J. Krause, D. Tupkary, N. Luetkenhaus, D. Rusca, N. Walenta, "A consolidated
and accessible security proof for finite-size decoy-state quantum key distribution", arXiv:2405.16578, sections 4
(bounds on counts) and 6.2 (length of the key).

Z is the key basis, X the test basis; signal and decoy intensities are mu > nu > 0.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.code import DECOY, SIGNAL, SymbolCode, X, Z
from qdci_lab.analysis.counts import SiftedCounts

Proof = Literal["rusca-2018", "wiesemann-2024"]
PROOFS: tuple[Proof, ...] = get_args(Proof)

Array = NDArray[np.float64]

_FAILURE_TERMS: dict[Proof, float] = {"rusca-2018": 19.0, "wiesemann-2024": 15.0}


@dataclass(frozen=True)
class OneDecoyProtocol:
    """What both parties agreed on: mean photon numbers, probabilities and security parameters.

    `p_signal` and `p_z` are the fractions in Alice's code, `f_ec` the inefficiency of error correction.
    `clip` keeps every count plus or minus its deviation within 0 and the counts of the basis, where the true
    value is anyway, before it is weighted; published codes differ in this.
    """

    mu: float
    nu: float
    p_signal: float
    p_z: float
    f_ec: float = 1.16
    eps_sec: float = 1e-9
    eps_cor: float = 1e-15
    clip: bool = True

    def __post_init__(self) -> None:
        if not self.mu > self.nu > 0.0:
            raise ValueError(f"one decoy state: mu > nu > 0 must hold, got mu {self.mu} and nu {self.nu}")
        if not (0.0 < self.p_signal < 1.0 and 0.0 < self.p_z < 1.0):
            raise ValueError(f"p_signal {self.p_signal} and p_z {self.p_z} must lie between 0 and 1")
        if not (0.0 < self.eps_sec < 1.0 and 0.0 < self.eps_cor < 1.0 and self.f_ec >= 1.0):
            raise ValueError(
                f"eps_sec {self.eps_sec} and eps_cor {self.eps_cor} must lie between 0 and 1, "
                f"f_ec {self.f_ec} must not be below 1"
            )

    @classmethod
    def for_code(cls, code: SymbolCode, mu: float, nu: float, **security: float) -> "OneDecoyProtocol":
        """The protocol with the probabilities that are really present in `code`."""
        clip = bool(security.pop("clip", True))
        return cls(mu=mu, nu=nu, p_signal=code.p_signal, p_z=code.p_z, clip=clip, **security)

    @property
    def intensities(self) -> tuple[float, float]:
        """Mean photon numbers (signal, decoy)."""
        return (self.mu, self.nu)

    def photon_number_probability(self, photons: int) -> float:
        """tau_n: probability that a pulse carries `photons` photons, whatever its intensity."""
        return sum(
            p * math.exp(-k) * k**photons / math.factorial(photons)
            for p, k in ((self.p_signal, self.mu), (1.0 - self.p_signal, self.nu))
        )


@dataclass(frozen=True, eq=False)
class OneDecoyBounds:
    """Every quantity on the way to the key length, in counts or bits; each has the shape of the measurement.

    `x_error` is v_x1 / s_x1 and `phi_z` the upper bound on the phase error; both stop at 1/2. `s_z0` is
    reported under both proofs but counts for the key only in `rusca-2018`. `key_length` stops at zero,
    `key_length_unclipped` tells by how much the key was missed.
    """

    proof: Proof
    s_z0: Array
    s_z0_upper: Array
    s_z1: Array
    s_x0_upper: Array
    s_x1: Array
    v_x1: Array
    x_error: Array
    phi_z: Array
    qber_z: Array
    leak_ec: Array
    finite_cost: float
    key_length_unclipped: Array
    key_length: Array


def binary_entropy(probability: ArrayLike) -> Array:
    """h(x) = -x log2 x - (1-x) log2(1-x) in bits, 0 at both ends."""
    x = np.asarray(probability, dtype=np.float64)
    inside = np.clip(x, np.finfo(np.float64).tiny, 1.0 - np.finfo(np.float64).epsneg)
    entropy = -(inside * np.log2(inside) + (1.0 - inside) * np.log1p(-inside) / math.log(2.0))
    return np.where((x <= 0.0) | (x >= 1.0), 0.0, entropy)


def hoeffding_deviation(counts: ArrayLike, failure_probability: float) -> Array:
    """delta(n) = sqrt(n/2 ln(1/eps)), eq. (3)."""
    return np.sqrt(0.5 * np.asarray(counts, dtype=np.float64) * math.log(1.0 / failure_probability))


def one_decoy_bounds(
    counts: SiftedCounts,
    protocol: OneDecoyProtocol,
    proof: Proof = "rusca-2018",
    *,
    leak_ec_bits: ArrayLike | None = None,
) -> OneDecoyBounds:
    """Key length, eq. (1), or its counterpart under the other proof, with all it is made of.

    l <= s_Z0 [rusca-2018 only] + s_Z1 (1 - h(phi_Z)) - leak_EC - finite_cost. `leak_ec_bits` is what error
    correction really disclosed; without it the model f_EC n_Z h(QBER_Z) is taken.
    """
    eps = protocol.eps_sec / _FAILURE_TERMS[proof]
    z, x = (_BasisEstimate(counts, basis, protocol, eps) for basis in (Z, X))
    s_z1, s_x1, v_x1 = z.single_photons(), x.single_photons(), x.single_photon_errors()
    x_error = np.clip(_ratio(v_x1, s_x1, otherwise=0.5), 0.0, 0.5)
    phi_z = _phase_error(x_error, s_z1, s_x1, protocol.eps_sec, proof)
    qber_z = _ratio(counts.m_z, counts.n_z, otherwise=0.0)
    modelled = protocol.f_ec * counts.n_z * binary_entropy(qber_z)
    leak_ec = (
        modelled if leak_ec_bits is None else np.broadcast_to(np.asarray(leak_ec_bits, float), qber_z.shape)
    )
    finite_cost = _finite_cost(protocol, proof)
    s_z0 = z.vacuum()
    vacuum_bits = s_z0 if proof == "rusca-2018" else 0.0
    length = vacuum_bits + s_z1 * (1.0 - binary_entropy(phi_z)) - leak_ec - finite_cost
    return OneDecoyBounds(
        proof=proof,
        s_z0=s_z0,
        s_z0_upper=z.vacuum_upper(),
        s_z1=s_z1,
        s_x0_upper=x.vacuum_upper(),
        s_x1=s_x1,
        v_x1=v_x1,
        x_error=x_error,
        phi_z=phi_z,
        qber_z=qber_z,
        leak_ec=leak_ec,
        finite_cost=finite_cost,
        key_length_unclipped=length,
        key_length=np.maximum(length, 0.0),
    )


class _BasisEstimate:
    """Bounds on what zero- and one-photon pulses contributed to the counts of one basis."""

    def __init__(self, counts: SiftedCounts, basis: int, protocol: OneDecoyProtocol, eps: float) -> None:
        self._protocol = protocol
        self._n = counts.n[..., basis, :]
        self._m = counts.m[..., basis, :]
        self._total = self._n.sum(axis=-1)
        self._deviation = hoeffding_deviation(self._total, eps)
        self._error_deviation = hoeffding_deviation(self._m.sum(axis=-1), eps)
        self._tau = [protocol.photon_number_probability(photons) for photons in (0, 1)]

    def _weighted(self, intensity: int, counts: Array, deviation: Array) -> Array:
        """(e^k / p_k) (counts + deviation): n^+-_{B,k} and m^+-_{B,k} with the deviation of eq. (3)."""
        shifted = counts[..., intensity] + deviation
        if self._protocol.clip:
            shifted = np.clip(shifted, 0.0, counts.sum(axis=-1))
        k = self._protocol.intensities[intensity]
        p = self._protocol.p_signal if intensity == SIGNAL else 1.0 - self._protocol.p_signal
        return math.exp(k) / p * shifted

    def vacuum(self) -> Array:
        """s^-_{B,0}, eq. (A19)."""
        mu, nu = self._protocol.intensities
        decoy = self._weighted(DECOY, self._n, -self._deviation)
        signal = self._weighted(SIGNAL, self._n, self._deviation)
        return np.clip(self._tau[0] / (mu - nu) * (mu * decoy - nu * signal), 0.0, self._total)

    def vacuum_upper(self) -> Array:
        """s^+_{B,0}, eqs. (A14) and (A16): vacuum detections are wrong half of the time; better intensity."""
        errors = [self._weighted(k, self._m, self._error_deviation) for k in (SIGNAL, DECOY)]
        return 2.0 * (self._tau[0] * np.minimum(*errors) + self._deviation)

    def single_photons(self) -> Array:
        """s^-_{B,1}, eq. (A17)."""
        mu, nu = self._protocol.intensities
        decoy = self._weighted(DECOY, self._n, -self._deviation)
        signal = self._weighted(SIGNAL, self._n, self._deviation)
        ratio = (nu / mu) ** 2
        excess = decoy - ratio * signal - (1.0 - ratio) * self.vacuum_upper() / self._tau[0]
        return np.clip(self._tau[1] * mu / (nu * (mu - nu)) * excess, 0.0, self._total)

    def single_photon_errors(self) -> Array:
        """v^+_{B,1}, eq. (A22)."""
        mu, nu = self._protocol.intensities
        signal = self._weighted(SIGNAL, self._m, self._error_deviation)
        decoy = self._weighted(DECOY, self._m, -self._error_deviation)
        return np.maximum(self._tau[1] / (mu - nu) * (signal - decoy), 0.0)


def _phase_error(x_error: Array, s_z1: Array, s_x1: Array, eps_sec: float, proof: Proof) -> Array:
    if proof == "rusca-2018":
        deviation = sampling_deviation(eps_sec, x_error, s_z1, s_x1)
    else:
        deviation = serfling_deviation(s_z1, s_x1, eps_sec / _FAILURE_TERMS[proof])
    known = (s_z1 > 0.0) & (s_x1 > 0.0)
    return np.where(known, np.minimum(x_error + deviation, 0.5), 0.5)


def sampling_deviation(eps_sec: float, error: Array, key: Array, test: Array) -> Array:
    """gamma(a, b, c, d) with a = eps_sec, b = error, c = key and d = test; 0 for b = 0, 1/2 without a sample.

    sqrt{(c+d)(1-b)b / (c d ln 2) log2[(c+d) / (c d (1-b) b) 19^2/a^2]}; Lim et al., Phys. Rev. A 89, 022307
    (2014) have 21 in the place of 19.
    """
    harmonic = _ratio(key + test, key * test, otherwise=0.0)
    variance = (1.0 - error) * error
    tiny = np.finfo(np.float64).tiny
    bits = (
        np.log2(np.maximum(harmonic, tiny))
        + 2.0 * math.log2(19.0 / eps_sec)
        - np.log2(np.maximum(variance, tiny))
    )
    squared = harmonic * variance / math.log(2.0) * np.maximum(bits, 0.0)
    return np.where((key > 0.0) & (test > 0.0), np.sqrt(squared), 0.5)


def serfling_deviation(key: Array, test: Array, failure_probability: float) -> Array:
    """sqrt{(n_key + n_test)/(n_key n_test) (n_test + 1)/n_test ln(1/eps)}; 1/2 without a sample."""
    harmonic = _ratio(key + test, key * test, otherwise=0.0)
    correction = _ratio(test + 1.0, test, otherwise=0.0)
    deviation = np.sqrt(harmonic * correction * math.log(1.0 / failure_probability))
    return np.where((key > 0.0) & (test > 0.0), deviation, 0.5)


def _finite_cost(protocol: OneDecoyProtocol, proof: Proof) -> float:
    """Bits paid for privacy amplification and verification whatever the counts; 19 is eq. (A24)."""
    verification = math.log2(2.0 / protocol.eps_cor)
    if proof == "rusca-2018":
        return 6.0 * math.log2(19.0 / protocol.eps_sec) + verification
    return 4.0 * math.log2(15.0 / (protocol.eps_sec * 2.0**0.25)) + verification


def _ratio(numerator: ArrayLike, denominator: ArrayLike, *, otherwise: float) -> Array:
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(top, bottom, out=np.full(top.shape, otherwise), where=bottom > 0.0)
