"""Intensities and probabilities that give the most key on a given link, for a given block.

Nelder-Mead simplex (J. A. Nelder, R. Mead, Comput. J. 7, 308 (1965)) on logits of the parameters, from several
fixed starts: repeatable, no derivatives, and the key length that is optimised may be negative on the way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import OneDecoyBounds, OneDecoyProtocol, Proof, one_decoy_bounds
from qdci_lab.analysis.link_model import TwoBasisLink
from qdci_lab.analysis.twin_field import TwinFieldLink, TwinFieldRate, aopp_rate, sns_rate
from qdci_lab.analysis.two_decoy import TwoDecoyBounds, TwoDecoyCounts, TwoDecoyProtocol, two_decoy_bounds

Array = NDArray[np.float64]

_HIGHEST_INTENSITY = 1.5


@dataclass(frozen=True)
class Block:
    """Detections in the key basis that one key is made of, and what its security is worth."""

    n_z: float
    f_ec: float = 1.16
    eps_sec: float = 1e-9
    eps_cor: float = 1e-15
    clip: bool = True


@dataclass(frozen=True, eq=False)
class OneDecoyOptimum:
    """Best one-decoy protocol; `pulses` fill the block, `key_per_pulse` goes below zero where there is no key."""

    protocol: OneDecoyProtocol
    bounds: OneDecoyBounds
    pulses: float
    key_per_pulse: float


@dataclass(frozen=True, eq=False)
class TwoDecoyOptimum:
    """Best two-decoy protocol; `pulses` fill the block, `key_per_pulse` goes below zero where there is no key."""

    protocol: TwoDecoyProtocol
    bounds: TwoDecoyBounds
    pulses: float
    key_per_pulse: float


@dataclass(frozen=True, eq=False)
class TwinFieldOptimum:
    """Best intensity and probability of sending."""

    mu: float
    sending: float
    result: TwinFieldRate


def evaluate_one_decoy(
    link: TwoBasisLink, block: Block, protocol: OneDecoyProtocol, proof: Proof = "rusca-2018"
) -> OneDecoyOptimum:
    """What `protocol` is expected to give on the link when the block is full."""
    probabilities = (protocol.p_signal, 1.0 - protocol.p_signal)
    n, m = link.expected(1.0, protocol.p_z, probabilities, protocol.intensities)
    per_pulse = SiftedCounts(n=n, m=m)
    pulses = block.n_z / float(per_pulse.n_z)
    bounds = one_decoy_bounds(per_pulse.scaled(pulses), protocol, proof)
    return OneDecoyOptimum(protocol, bounds, pulses, float(bounds.key_length_unclipped) / pulses)


def optimise_one_decoy(link: TwoBasisLink, block: Block, proof: Proof = "rusca-2018") -> OneDecoyOptimum:
    """Best mu, nu, p_signal and p_z (Rusca 2018 or Wiesemann 2024)."""

    def candidate(x: Array) -> OneDecoyOptimum:
        mu = _HIGHEST_INTENSITY * float(x[0])
        protocol = OneDecoyProtocol(
            mu,
            mu * float(x[1]),
            float(x[2]),
            float(x[3]),
            block.f_ec,
            block.eps_sec,
            block.eps_cor,
            block.clip,
        )
        return evaluate_one_decoy(link, block, protocol, proof)

    starts = [(0.35, 0.25, 0.8, 0.9), (0.35, 0.35, 0.5, 0.7), (0.2, 0.3, 0.3, 0.5)]
    return candidate(_best(lambda x: _merit(candidate(x), link, block), starts))


def evaluate_two_decoy(link: TwoBasisLink, block: Block, protocol: TwoDecoyProtocol) -> TwoDecoyOptimum:
    """What `protocol` is expected to give on the link when the block is full."""
    per_pulse = float(TwoDecoyCounts.expected(protocol, link, 1.0).n[0].sum())
    pulses = block.n_z / per_pulse
    bounds = two_decoy_bounds(TwoDecoyCounts.expected(protocol, link, pulses), protocol)
    return TwoDecoyOptimum(protocol, bounds, pulses, float(bounds.key_length_unclipped) / pulses)


def optimise_two_decoy(link: TwoBasisLink, block: Block, *, weakest: float = 2e-4) -> TwoDecoyOptimum:
    """Best two upper intensities, their probabilities and p_z (Lim 2014); the weakest intensity is given."""

    def candidate(x: Array) -> TwoDecoyOptimum:
        decoy = weakest * 1.01 + (0.6 - weakest) * float(x[1])
        signal = decoy + weakest + _HIGHEST_INTENSITY * float(x[0])
        p_signal = float(x[2])
        protocol = TwoDecoyProtocol(
            (signal, decoy, weakest),
            p_signal,
            (1.0 - p_signal) * float(x[3]),
            float(x[4]),
            block.f_ec,
            block.eps_sec,
            block.eps_cor,
            block.clip,
        )
        return evaluate_two_decoy(link, block, protocol)

    starts = [
        (0.25, 0.25, 0.7, 0.6, 0.85),
        (0.2, 0.3, 0.3, 0.6, 0.6),
        (0.3, 0.1, 0.9, 0.7, 0.95),
        (0.3, 0.2, 0.05, 0.5, 0.5),
    ]
    return candidate(_best(lambda x: _merit(candidate(x), link, block), starts))


def optimise_twin_field(link: TwinFieldLink, *, paired: bool = True, f_ec: float = 1.1) -> TwinFieldOptimum:
    """Best intensity and probability of sending with ideal decoys, with (`paired`) or without AOPP."""
    rate = aopp_rate if paired else sns_rate

    def candidate(x: Array) -> TwinFieldOptimum:
        mu, sending = float(x[0]), float(x[1])
        return TwinFieldOptimum(mu, sending, rate(link, mu, sending, f_ec=f_ec))

    starts = [(0.4, 0.3), (0.4, 0.03), (0.1, 0.1)]
    scale = 1.0 / max(float(np.max(link.arm_transmission)), 1e-12)
    return candidate(_best(lambda x: scale * float(candidate(x).result.rate_unclipped), starts))


def _merit(candidate: OneDecoyOptimum | TwoDecoyOptimum, link: TwoBasisLink, block: Block) -> float:
    """Key per pulse; where there is none, what is missing per detection, lest endless pulses look best."""
    if candidate.key_per_pulse > 0.0:
        return candidate.key_per_pulse
    missing = float(candidate.bounds.key_length_unclipped) / block.n_z
    return missing * float(link.z.gain(0.5))


def _best(gain: Callable[[Array], float], starts: list[tuple[float, ...]]) -> Array:
    """The point of the open unit cube where `gain` is highest, refined from each of `starts`."""
    from scipy.optimize import minimize
    from scipy.special import expit, logit

    def cost(y: Array) -> float:
        return -gain(np.clip(expit(y), 1e-7, 1.0 - 1e-7))

    normalised = max(abs(gain(np.array(start))) for start in starts) or 1.0
    options = {"maxiter": 1500, "maxfev": 1500, "xatol": 1e-4, "fatol": 1e-8, "adaptive": True}
    results = [
        minimize(
            lambda y: cost(y) / normalised, logit(np.array(start)), method="Nelder-Mead", options=options
        )
        for start in starts
    ]
    best = min(results, key=lambda result: float(result.fun))
    return np.clip(expit(best.x), 1e-7, 1.0 - 1e-7)
