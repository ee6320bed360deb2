"""Noise that grows with classical power, from sifted counts, and how much power leaves a key.

Noise of other cores clicks in any slot and any detector alike: of N clicks a second, p_B p_k / 2 fall on pulses of
basis B and intensity k in a passive receiver's detectors of the same basis, and half of those err. Counts are therefore
linear in the launch power, and one slope, common to all of them, says how much noise a watt makes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import OneDecoyProtocol, one_decoy_bounds

Array = NDArray[np.float64]
PASSIVE_SHARE = 0.5
DECADES_BELOW, DECADES_ABOVE, STEPS_PER_DECADE = 1.0, 4.0, 100


@dataclass(frozen=True, eq=False)
class NoiseSlope:
    """`noise_hz_per_w`: clicks of all detectors per watt launched, with its standard error.

    `n_hz`, `m_hz`: sifted detections and errors a second without classical light, shape [..., basis, intensity].
    """

    noise_hz_per_w: Array
    noise_error_hz_per_w: float
    n_hz: Array
    m_hz: Array

    def rates(self, power_w: ArrayLike, protocol: OneDecoyProtocol) -> SiftedCounts:
        """Sifted rates at launch powers, shape [..., power, basis, intensity]; a slope below zero is taken for none."""
        power = np.asarray(power_w, np.float64)[:, np.newaxis, np.newaxis]
        noise = np.maximum(self.noise_hz_per_w, 0.0)[..., np.newaxis, np.newaxis, np.newaxis] * power
        sifted = noise * sifted_share(protocol)
        n = np.maximum(self.n_hz[..., np.newaxis, :, :], 0.0) + sifted
        m = np.clip(self.m_hz[..., np.newaxis, :, :] + 0.5 * sifted, 0.0, n)
        return SiftedCounts(n, m)


def sifted_share(protocol: OneDecoyProtocol) -> Array:
    """Part of all noise clicks that is sifted into each basis and intensity behind a passive choice, shape (2, 2)."""
    bases = np.array([protocol.p_z, 1.0 - protocol.p_z])
    intensities = np.array([protocol.p_signal, 1.0 - protocol.p_signal])
    return PASSIVE_SHARE * np.outer(bases, intensities)


def fit_noise(
    n: ArrayLike,
    m: ArrayLike,
    duration_s: ArrayLike,
    power_w: ArrayLike,
    protocol: OneDecoyProtocol,
    *,
    wander: float = 0.0,
) -> NoiseSlope:
    """Weighted straight lines through the errors of both bases against power, with one noise for both.

    `n`, `m`: counts, shape [..., point, basis, intensity]; `duration_s`, `power_w`: shape [point]. `wander` is the
    standard deviation of the error rate from point to point that is no noise (alignment that drifts). ValueError unless
    the points have two different powers. Dead time is left out: 1 % of it would be 1 % of the slope.
    """
    counts_n, counts_m = np.asarray(n, np.float64), np.asarray(m, np.float64)
    seconds, power = np.asarray(duration_s, np.float64), np.asarray(power_w, np.float64)
    if np.unique(power).size < 2:
        raise ValueError("a slope against launch power needs two different powers")
    share = sifted_share(protocol)
    errors_hz = counts_m.sum(axis=-1) / seconds[:, np.newaxis]
    # The variance of a count is its expectation; one more keeps an empty bin from having no error.
    counted = counts_m.sum(axis=-1) + 1.0 + (wander * counts_n.sum(axis=-1)) ** 2
    variance = counted / seconds[:, np.newaxis] ** 2
    weight = 1.0 / variance
    power_b = power[:, np.newaxis]
    per_noise = 0.5 * share.sum(axis=-1)
    total = weight.sum(axis=-2, keepdims=True)
    mean_power = (weight * power_b).sum(axis=-2, keepdims=True) / total
    mean_errors = (weight * errors_hz).sum(axis=-2, keepdims=True) / total
    offset = power_b - mean_power
    information = (weight * offset**2 * per_noise**2).sum(axis=(-2, -1))
    noise = (weight * offset * per_noise * (errors_hz - mean_errors)).sum(axis=(-2, -1)) / information
    added = noise[..., np.newaxis, np.newaxis] * share * _mean(power, seconds)
    total_s = seconds.sum()
    n_hz = counts_n.sum(axis=-3) / total_s - added
    m_hz = counts_m.sum(axis=-3) / total_s - 0.5 * added
    return NoiseSlope(noise, float(np.mean(information**-0.5)), n_hz, m_hz)


def _mean(power: Array, seconds: Array) -> float:
    return float((power * seconds).sum() / seconds.sum())


def key_rate_bps(slope: NoiseSlope, power_w: ArrayLike, block: float, protocol: OneDecoyProtocol) -> Array:
    """Key rate at launch powers, shape [..., power], from blocks of `block` key-basis detections; 0 if no key."""
    rates = slope.rates(power_w, protocol)
    seconds = block / rates.n_z
    bounds = one_decoy_bounds(rates.scaled(seconds), protocol)
    return np.maximum(bounds.key_length_unclipped, 0.0) / seconds


def greatest_power_w(slope: NoiseSlope, block: float, protocol: OneDecoyProtocol, about_w: float) -> Array:
    """The launch power at which the key ends, shape [...]: NaN where there is none, infinite where it does not end.

    Sought from a tenth of `about_w` to ten thousand times it.
    """
    decades = np.linspace(
        -DECADES_BELOW, DECADES_ABOVE, round((DECADES_BELOW + DECADES_ABOVE) * STEPS_PER_DECADE)
    )
    powers = np.concatenate([[0.0], about_w * 10.0**decades])
    keyed = key_rate_bps(slope, powers, block, protocol) > 0.0
    first_without = np.argmin(keyed, axis=-1)
    ends = np.where(keyed.all(axis=-1), np.inf, powers[first_without])
    return np.where(keyed[..., 0], ends, np.nan)


def resampled(
    n: ArrayLike, m: ArrayLike, times: int, seed: int = 0, *, wander: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts as they might have come instead, shape [times, ..., basis, intensity]: right and wrong ones are Poisson
    variables, and the error rate of each basis wanders besides.
    """
    chance = np.random.Generator(np.random.PCG64(seed))
    wrong = np.asarray(m, np.float64)
    right = np.asarray(n, np.float64) - wrong
    wandered = wander * chance.standard_normal((times, *wrong.shape[:-1], 1)) * (right + wrong)
    drawn_m = chance.poisson(np.maximum(wrong + wandered, 0.0)).astype(np.float64)
    return chance.poisson(right, (times, *right.shape)) + drawn_m, drawn_m
