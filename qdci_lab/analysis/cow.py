"""Coherent one-way QKD: two key rates of very different worth, each with the assumption it stands on.

Restricted collective attacks: C. Branciard, N. Gisin, V. Scarani, New J. Phys. 10, 013031 (2008), in the form used
by N. Walenta et al., New J. Phys. 16, 013047 (2014) and B. Korzh et al., Nat. Photonics 9, 163 (2015). Not secure
in general: J. Gonzalez-Payo, R. Trenyi, W. Wang, M. Curty, Phys. Rev. Lett. 125, 260510 (2020).
With a vacuum decoy (COW-4): four two-slot sequences vacuum-vacuum, vacuum-pulse, pulse-vacuum, pulse-pulse; proofs
of this kind are R.-Q. Gao et al., Opt. Express 30, 23783 (2022) and M.-Y. Li et al., Phys. Rev. Research 6,
013022 (2024). The bound here follows from the triangle inequality alone and is derived in `Cow4Monitor`.

A bit is two slots. All arguments may be arrays.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.decoy import binary_entropy

Array = NDArray[np.float64]

CowSecurity = Literal["restricted-collective", "collective-asymptotic"]

ASSUMPTIONS: dict[CowSecurity, str] = {
    "restricted-collective": (
        "Eve is limited to a beam splitter and a collective attack on two neighbouring slots; zero-error attacks "
        "are excluded by assumption, so this is no proof against a general Eve"
    ),
    "collective-asymptotic": (
        "any collective attack; infinite block, equal pulse-pulse, vacuum-pulse and pulse-vacuum phases and "
        "intensities, data and monitoring chosen passively with equal detectors"
    ),
}


@dataclass(frozen=True, eq=False)
class CowRate:
    """Secret fraction or rate with the assumption that it needs; `assumes` is text for a figure's caption.

    `rate` is per sifted bit for the restricted attack and per sequence of two slots for COW-4.
    """

    security: CowSecurity
    assumes: str
    qber: Array
    eve_information: Array
    leak_ec: Array
    rate_unclipped: Array
    rate: Array


def dead_time_rate_hz(arriving_hz: ArrayLike, dead_time_s: ArrayLike) -> Array:
    """Clicks per second of a detector blind for a fixed time after each click: R / (1 + R tau)."""
    rate = np.asarray(arriving_hz, np.float64)
    return rate / (1.0 + rate * np.asarray(dead_time_s, np.float64))


def cow_bit_rate_hz(
    slot_rate_hz: float,
    mu: ArrayLike,
    transmission: ArrayLike,
    *,
    dark_probability: ArrayLike = 0.0,
    decoy_share: float = 0.0,
    dead_time_s: ArrayLike = 0.0,
) -> Array:
    """Sifted bits per second: of (f/2)(1 - f_dec) [1 - (1 - p_d) e^{-mu eta}] those that a dead time leaves.

    `transmission` includes detector and data tap; the dark probability is that of a whole bit. Clicks of decoy
    sequences use up dead time at the same mean light per sequence (an approximation: they carry two pulses).
    """
    missed = (1.0 - np.asarray(dark_probability, np.float64)) * np.exp(-np.multiply(mu, transmission))
    return (1.0 - decoy_share) * dead_time_rate_hz(0.5 * slot_rate_hz * (1.0 - missed), dead_time_s)


def interference_visibility(bright: ArrayLike, dark: ArrayLike, background: ArrayLike = 0.0) -> Array:
    """V = (D_M0 - D_M1) / (D_M0 + D_M1) after `background` was taken off both; 0 where nothing is left."""
    taken_off = np.asarray(background, np.float64)
    m_0, m_1 = (np.asarray(clicks, np.float64) - taken_off for clicks in (bright, dark))
    return _quotient(m_0 - m_1, m_0 + m_1, otherwise=0.0)


def cow_restricted_rate(
    qber: ArrayLike,
    visibility: ArrayLike,
    mu: ArrayLike,
    *,
    f_ec: float = 1.16,
    leak_ec_bits: ArrayLike | None = None,
) -> CowRate:
    """r = 1 - leak - Q - (1 - Q) h((1 + xi)/2), xi = (2V - 1) e^{-mu} - 2 sqrt{(1 - e^{-2 mu}) V (1 - V)}.

    Secret share of a sifted bit against restricted collective attacks only; xi below 0 counts as 0 (Eve knows
    everything). `leak_ec_bits` is per sifted bit, otherwise f_EC h(Q). The form is standard; it was not
    compared with the printed equation, which may have the lost light mu (1 - t) in the place of mu.
    """
    q, v = np.asarray(qber, np.float64), np.clip(np.asarray(visibility, np.float64), 0.0, 1.0)
    light = np.asarray(mu, np.float64)
    xi = (2.0 * v - 1.0) * np.exp(-light) - 2.0 * np.sqrt(-np.expm1(-2.0 * light) * v * (1.0 - v))
    eve = q + (1.0 - q) * binary_entropy(0.5 * (1.0 + np.clip(xi, 0.0, 1.0)))
    leak = f_ec * binary_entropy(q) if leak_ec_bits is None else np.asarray(leak_ec_bits, np.float64)
    return _labelled("restricted-collective", q, eve, leak, 1.0 - eve - leak)


@dataclass(frozen=True, eq=False)
class Cow4Monitor:
    """Click probabilities of the monitor, shape [..., detector (M0 bright, M1 dark)], for each sent sequence.

    Per slot <vacuum|pulse> = a with a^2 = e^{-mu}, so |pulse> = a|0> + b|v> with b^2 = 1 - a^2, and the wanted
    superposition is sqrt(N+)|0x> = |0a> + |a0> = (|aa> + a^2 |00> - b^2 |vv>) / a with N+ = 2 (1 + e^{-mu}). The
    square root of a click probability is a norm; the triangle inequality with Q_vv <= 1 gives both bounds.
    """

    vacuum_vacuum: ArrayLike
    vacuum_pulse: ArrayLike
    pulse_vacuum: ArrayLike
    pulse_pulse: ArrayLike

    def phase_error(self, mu: ArrayLike) -> Array:
        """E_p <= {N+ Q^M1_0x + 2 (Q^M0_0z + Q^M0_1z) - N+ Q^M0_0x} / {2 sum_M (Q^M_0z + Q^M_1z)}, at most 1/2."""
        light = np.asarray(mu, np.float64)
        a_squared, b_squared = np.exp(-light), -np.expm1(-light)
        both, none = (np.sqrt(np.asarray(q, np.float64)) for q in (self.pulse_pulse, self.vacuum_vacuum))
        dark = both[..., 1] + a_squared * none[..., 1] + b_squared
        bright = np.maximum(both[..., 0] - a_squared * none[..., 0] - b_squared, 0.0)
        single = np.asarray(self.vacuum_pulse, np.float64) + np.asarray(self.pulse_vacuum, np.float64)
        wrong = (dark**2 - bright**2) / a_squared + 2.0 * single[..., 0]
        return np.clip(_quotient(wrong, 2.0 * single.sum(axis=-1), otherwise=0.5), 0.0, 0.5)


def expected_cow4_monitor(
    mu: ArrayLike, transmission: ArrayLike, visibility: ArrayLike, dark_probability: ArrayLike = 0.0
) -> Cow4Monitor:
    """What a balanced interferometer shows in the slot where both pulses meet, a double click counting half to each.

    `transmission` includes the monitor's tap and detector; half of each pulse is in that slot.
    """
    light = np.multiply(mu, transmission)
    v = np.asarray(visibility, np.float64)
    dark = np.asarray(dark_probability, np.float64)
    pair = _exclusive(0.5 * light * (1.0 + v), 0.5 * light * (1.0 - v), dark)
    single = _exclusive(0.25 * light, 0.25 * light, dark)
    return Cow4Monitor(_exclusive(0.0 * light, 0.0 * light, dark), single, single, pair)


def cow4_rate(
    monitor: Cow4Monitor,
    mu: ArrayLike,
    data_gain: ArrayLike,
    qber: ArrayLike,
    *,
    f_ec: float = 1.16,
    leak_ec_bits: ArrayLike | None = None,
) -> CowRate:
    """R = Q_z [1 - h(E_p)] - leak per key sequence of two slots, against collective attacks, infinite block.

    `data_gain` is Q_z, `leak_ec_bits` what error correction disclosed per sequence, otherwise f_EC Q_z h(E_z).
    """
    gain, q = np.asarray(data_gain, np.float64), np.asarray(qber, np.float64)
    eve = gain * binary_entropy(monitor.phase_error(mu))
    leak = f_ec * gain * binary_entropy(q) if leak_ec_bits is None else np.asarray(leak_ec_bits, np.float64)
    return _labelled("collective-asymptotic", q, eve, leak, gain - eve - leak)


def _exclusive(mean_0: Array, mean_1: Array, dark: Array) -> Array:
    """Probabilities that M0 and M1 click for mean detected photon numbers; a double click is half of each."""
    clicks = [-np.expm1(-mean) + dark * np.exp(-mean) for mean in np.broadcast_arrays(mean_0, mean_1)]
    shared = 0.5 * clicks[0] * clicks[1]
    return np.stack([clicks[0] - shared, clicks[1] - shared], axis=-1)


def _labelled(security: CowSecurity, qber: Array, eve: Array, leak: Array, rate: Array) -> CowRate:
    return CowRate(
        security=security,
        assumes=ASSUMPTIONS[security],
        qber=qber,
        eve_information=eve,
        leak_ec=leak,
        rate_unclipped=rate,
        rate=np.maximum(rate, 0.0),
    )


def _quotient(numerator: ArrayLike, denominator: ArrayLike, *, otherwise: float) -> Array:
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, otherwise), where=bottom > 0.0)
