"""Secret key rate of a measured block, with its statistical error.

R = l / t with the key length of `qdci_lab.analysis.decoy`; t contains every pause, so it is the whole span.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import OneDecoyBounds, OneDecoyProtocol, Proof, one_decoy_bounds
from qdci_lab.analysis.statistics import poisson_standard_error


@dataclass(frozen=True, eq=False)
class KeyRate:
    """Secret bits per second under one proof, with the bounds it comes from.

    `skr_error_bps` is one standard deviation of `skr_unclipped_bps`, which goes below zero where there is no
    key; `skr_bps` does not. `block_scale` is the length of the block the bounds hold for over the measured one.
    """

    proof: Proof
    skr_bps: float
    skr_error_bps: float
    skr_unclipped_bps: float
    duration_s: float
    block_scale: float
    bounds: OneDecoyBounds


def estimate_key_rate(
    counts: SiftedCounts,
    protocol: OneDecoyProtocol,
    duration_s: float,
    proof: Proof = "rusca-2018",
    *,
    projected_n_z: float | None = None,
    leak_ec_bits: float | None = None,
) -> KeyRate:
    """Key rate of one block of counts gathered in `duration_s`.

    The error follows from eight independent Poisson variables, the right and the wrong detections of each
    basis and intensity. With `projected_n_z` the measured rates are first extended to a block of that many
    key-basis detections: what the link would yield if it went on like this (a projection, not a key).
    `leak_ec_bits` is what error correction disclosed in the measured block, taken as exactly known.
    """
    if not duration_s > 0.0:
        raise ValueError(f"duration of {duration_s} s: a key rate needs a positive duration")
    if counts.n.shape != (2, 2):
        raise ValueError(f"one block of counts expected, shape [2, 2], got {counts.n.shape}")
    n_z = float(counts.n_z)
    scale = 1.0 if projected_n_z is None or n_z == 0.0 else projected_n_z / n_z
    leak = None if leak_ec_bits is None else scale * leak_ec_bits
    bounds = one_decoy_bounds(counts.scaled(scale), protocol, proof, leak_ec_bits=leak)

    def rate(split: NDArray[np.float64]) -> NDArray[np.float64]:
        displaced = _joined(split).scaled(scale)
        length = one_decoy_bounds(displaced, protocol, proof, leak_ec_bits=leak).key_length_unclipped
        return length / (scale * duration_s)

    unclipped_bps = float(bounds.key_length_unclipped) / (scale * duration_s)
    return KeyRate(
        proof=proof,
        skr_bps=max(unclipped_bps, 0.0),
        skr_error_bps=poisson_standard_error(rate, _split(counts)),
        skr_unclipped_bps=unclipped_bps,
        duration_s=duration_s,
        block_scale=scale,
        bounds=bounds,
    )


def _split(counts: SiftedCounts) -> NDArray[np.float64]:
    return np.concatenate([(counts.n - counts.m).ravel(), counts.m.ravel()])


def _joined(split: NDArray[np.float64]) -> SiftedCounts:
    right, wrong = (part.reshape(*part.shape[:-1], 2, 2) for part in np.split(split, 2, axis=-1))
    return SiftedCounts(n=right + wrong, m=wrong)
