"""Two-decoy BB84 for a finite block: bounds on vacuum and single-photon detections and length of the key.

C. C. W. Lim, M. Curty, N. Walenta, F. Xu, H. Zbinden, "Concise security bounds for practical decoy-state
quantum key distribution", Phys. Rev. A 89, 022307 (2014), arXiv:1311.7129, eqs. (1) to (5). The paper's key
basis X is Z here and its test basis Z is X, as everywhere in this package.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.code import X, Z
from qdci_lab.analysis.decoy import binary_entropy, hoeffding_deviation, sampling_deviation
from qdci_lab.analysis.link_model import TwoBasisLink

Array = NDArray[np.float64]

_FAILURE_TERMS = 21.0
_ONE_DECOY_TERMS = 19.0


@dataclass(frozen=True)
class TwoDecoyProtocol:
    """Intensities (signal, decoy, weakest decoy), their probabilities and the security parameters.

    The third intensity may be zero and has the rest of the probability. `clip` keeps every count plus or minus
    its deviation within 0 and the counts of the basis before it is weighted; the paper does not do that.
    """

    intensities: tuple[float, float, float]
    p_signal: float
    p_decoy: float
    p_z: float
    f_ec: float = 1.16
    eps_sec: float = 1e-9
    eps_cor: float = 1e-15
    clip: bool = True

    def __post_init__(self) -> None:
        mu_1, mu_2, mu_3 = self.intensities
        if not (mu_1 > mu_2 + mu_3 and mu_2 > mu_3 >= 0.0):
            raise ValueError(f"mu1 > mu2 + mu3 and mu2 > mu3 >= 0 must hold, got {self.intensities}")
        if not all(0.0 < p < 1.0 for p in (*self.probabilities, self.p_z)):
            raise ValueError(
                f"probabilities {self.probabilities} and p_z {self.p_z} must lie between 0 and 1"
            )
        if not (0.0 < self.eps_sec < 1.0 and 0.0 < self.eps_cor < 1.0 and self.f_ec >= 1.0):
            raise ValueError(
                f"eps_sec {self.eps_sec} and eps_cor {self.eps_cor} must lie between 0 and 1, "
                f"f_ec {self.f_ec} must not be below 1"
            )

    @property
    def probabilities(self) -> tuple[float, float, float]:
        """Probabilities of the three intensities."""
        return (self.p_signal, self.p_decoy, 1.0 - self.p_signal - self.p_decoy)

    def photon_number_probability(self, photons: int) -> float:
        """tau_n: probability that a pulse carries `photons` photons, whatever its intensity."""
        pairs = zip(self.probabilities, self.intensities, strict=True)
        return sum(p * math.exp(-k) * k**photons / math.factorial(photons) for p, k in pairs)


@dataclass(frozen=True, eq=False)
class TwoDecoyCounts:
    """Detections `n` and errors `m`, shape [..., basis (Z, X), intensity (three)]; leading axes are measurements.

    Counts may be expectation values, hence float64.
    """

    n: NDArray[np.float64]
    m: NDArray[np.float64]

    def __post_init__(self) -> None:
        n, m = (np.array(given, dtype=np.float64) for given in (self.n, self.m))
        if n.shape != m.shape or n.shape[-2:] != (2, 3):
            raise ValueError(f"counts have shape [..., 2 bases, 3 intensities]; got {n.shape} and {m.shape}")
        if np.any(m < 0.0) or np.any(n < m) or not np.isfinite(n).all():
            raise ValueError("counts must satisfy 0 <= errors <= detections")
        for name, values in (("n", n), ("m", m)):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @classmethod
    def expected(cls, protocol: TwoDecoyProtocol, link: TwoBasisLink, pulses: ArrayLike) -> "TwoDecoyCounts":
        """Mean counts of `pulses` through `link`."""
        return cls(*link.expected(pulses, protocol.p_z, protocol.probabilities, protocol.intensities))


@dataclass(frozen=True, eq=False)
class TwoDecoyBounds:
    """Every quantity on the way to the key length, in counts or bits; each has the shape of the measurement.

    `x_error` is v_x1 / s_x1 and `phi_z` the upper bound on the phase error; both stop at 1/2. `key_length`
    stops at zero and is not rounded down, `key_length_unclipped` tells by how much the key was missed.
    """

    s_z0: Array
    s_z1: Array
    s_x0: Array
    s_x1: Array
    v_x1: Array
    x_error: Array
    phi_z: Array
    qber_z: Array
    leak_ec: Array
    finite_cost: float
    key_length_unclipped: Array
    key_length: Array


def two_decoy_bounds(
    counts: TwoDecoyCounts, protocol: TwoDecoyProtocol, *, leak_ec_bits: ArrayLike | None = None
) -> TwoDecoyBounds:
    """Key length, eq. (1), with all it is made of.

    l = s_Z0 + s_Z1 (1 - h(phi_Z)) - leak_EC - 6 log2(21/eps_sec) - log2(2/eps_cor). `leak_ec_bits` is what
    error correction really disclosed; without it the model f_EC n_Z h(QBER_Z) is taken.
    """
    z, x = (_BasisEstimate(counts, basis, protocol) for basis in (Z, X))
    s_z0, s_x0 = z.vacuum(), x.vacuum()
    s_z1, s_x1, v_x1 = z.single_photons(s_z0), x.single_photons(s_x0), x.single_photon_errors()
    x_error = np.clip(_quotient(v_x1, s_x1, otherwise=0.5), 0.0, 0.5)
    deviation = sampling_deviation(protocol.eps_sec * _ONE_DECOY_TERMS / _FAILURE_TERMS, x_error, s_z1, s_x1)
    phi_z = np.where((s_z1 > 0.0) & (s_x1 > 0.0), np.minimum(x_error + deviation, 0.5), 0.5)
    n_z, m_z = counts.n[..., Z, :].sum(axis=-1), counts.m[..., Z, :].sum(axis=-1)
    qber_z = _quotient(m_z, n_z, otherwise=0.0)
    modelled = protocol.f_ec * n_z * binary_entropy(qber_z)
    leak = modelled if leak_ec_bits is None else np.broadcast_to(np.asarray(leak_ec_bits, float), n_z.shape)
    finite_cost = 6.0 * math.log2(_FAILURE_TERMS / protocol.eps_sec) + math.log2(2.0 / protocol.eps_cor)
    length = s_z0 + s_z1 * (1.0 - binary_entropy(phi_z)) - leak - finite_cost
    return TwoDecoyBounds(
        s_z0=s_z0,
        s_z1=s_z1,
        s_x0=s_x0,
        s_x1=s_x1,
        v_x1=v_x1,
        x_error=x_error,
        phi_z=phi_z,
        qber_z=qber_z,
        leak_ec=leak,
        finite_cost=finite_cost,
        key_length_unclipped=length,
        key_length=np.maximum(length, 0.0),
    )


class _BasisEstimate:
    """Bounds on what zero- and one-photon pulses contributed to the counts of one basis."""

    def __init__(self, counts: TwoDecoyCounts, basis: int, protocol: TwoDecoyProtocol) -> None:
        self._protocol = protocol
        self._n = counts.n[..., basis, :]
        self._m = counts.m[..., basis, :]
        self._total = self._n.sum(axis=-1)
        self._tau = [protocol.photon_number_probability(photons) for photons in (0, 1)]

    def _weighted(self, intensity: int, counts: Array, sign: float) -> Array:
        """n^+-_{B,k} or m^+-_{B,k} below eqs. (2) and (4)."""
        total = counts.sum(axis=-1)
        deviation = hoeffding_deviation(total, self._protocol.eps_sec / _FAILURE_TERMS)
        shifted = counts[..., intensity] + sign * deviation
        if self._protocol.clip:
            shifted = np.clip(shifted, 0.0, total)
        return (
            math.exp(self._protocol.intensities[intensity])
            / self._protocol.probabilities[intensity]
            * shifted
        )

    def vacuum(self) -> Array:
        """s^-_{B,0}, eq. (2)."""
        _, mu_2, mu_3 = self._protocol.intensities
        weakest, decoy = self._weighted(2, self._n, -1.0), self._weighted(1, self._n, 1.0)
        return np.clip(self._tau[0] * (mu_2 * weakest - mu_3 * decoy) / (mu_2 - mu_3), 0.0, self._total)

    def single_photons(self, vacuum: Array) -> Array:
        """s^-_{B,1}, eq. (3)."""
        mu_1, mu_2, mu_3 = self._protocol.intensities
        difference = self._weighted(1, self._n, -1.0) - self._weighted(2, self._n, 1.0)
        multiphoton = self._weighted(0, self._n, 1.0) - vacuum / self._tau[0]
        excess = difference - (mu_2**2 - mu_3**2) / mu_1**2 * multiphoton
        scale = self._tau[1] * mu_1 / (mu_1 * (mu_2 - mu_3) - mu_2**2 + mu_3**2)
        return np.clip(scale * excess, 0.0, self._total - vacuum)

    def single_photon_errors(self) -> Array:
        """v^+_{B,1}, eq. (4)."""
        _, mu_2, mu_3 = self._protocol.intensities
        difference = self._weighted(1, self._m, 1.0) - self._weighted(2, self._m, -1.0)
        return np.maximum(self._tau[1] * difference / (mu_2 - mu_3), 0.0)


def _quotient(numerator: Array, denominator: Array, *, otherwise: float) -> Array:
    return np.divide(
        numerator, denominator, out=np.full(np.shape(numerator), otherwise), where=denominator > 0.0
    )
