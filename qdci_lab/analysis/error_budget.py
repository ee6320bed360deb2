"""Where the errors of a link come from: its QBER split into contributions that were measured one by one.

What can be switched off is measured by difference: the receiver in the dark, the classical channels on and off with
the quantum transmitter closed, one core lit at a time. Background clicks fall on either detector of a basis alike, so
each carries half an error (e_0 = 1/2). Afterpulses follow clicks of earlier slots and do the same. What is left is
called misalignment: the error of the states themselves.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from qdci_lab.analysis.detector_corrections import Estimate

BACKGROUND_ERROR = 0.5


@dataclass(frozen=True)
class Background:
    """Clicks counted without the quantum signal, in the same gate and basis as the detections, and for how long."""

    clicks: float
    duration_s: float

    def __post_init__(self) -> None:
        if self.clicks < 0.0 or not self.duration_s > 0.0:
            raise ValueError(
                f"{self.clicks:g} background clicks in {self.duration_s:g} s cannot have been counted"
            )

    @property
    def rate_hz(self) -> Estimate:
        """Clicks a second with the Poisson error; one click's worth where none was seen."""
        return Estimate(self.clicks / self.duration_s, math.sqrt(max(self.clicks, 1.0)) / self.duration_s)


@dataclass(frozen=True)
class Detections:
    """Sifted detections of one basis, errors among them, and the time in which the background went on."""

    sifted: float
    errors: float
    duration_s: float
    sent_share: float = 1.0
    """Share of the slots in which Alice sent this basis: of the background only this part is sifted."""
    live_share: float = 1.0
    """Share of the time in which a detector is not silent after a click: only then does it see background."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.errors <= self.sifted or self.sifted == 0.0:
            raise ValueError(
                f"{self.errors:g} errors in {self.sifted:g} sifted detections: an error budget needs some"
            )
        if not self.duration_s > 0.0 or not (0.0 < self.sent_share <= 1.0 and 0.0 < self.live_share <= 1.0):
            raise ValueError("the duration is positive, and the shares of the basis and of live time up to 1")


@dataclass(frozen=True)
class ErrorBudget:
    """Parts of the QBER, by cause, that add up to `qber`; each with its standard error.

    `misalignment` is the remainder: below zero by more than its error it says that some contribution was
    measured too high.
    """

    qber: Estimate
    parts: Mapping[str, Estimate]

    @property
    def misalignment(self) -> Estimate:
        """What no measured cause explains."""
        return self.parts["misalignment"]


def estimate_error_budget(
    detections: Detections,
    *,
    dark: Background,
    lit: Mapping[str, Background] | None = None,
    afterpulse_probability: Estimate | None = None,
) -> ErrorBudget:
    """Split the QBER of one basis into dark counts, light of other channels, afterpulses and misalignment.

    `dark` has no light at all; each of `lit` has one source of background on (say "raman", "crosstalk of core 2") and
    is counted without the dark clicks. `afterpulse_probability` is that of one click: a receiver that chooses the basis
    passively has that share of afterpulses among the sifted clicks too, whatever Alice sent. Both were measured with
    the detectors alive nearly all the time, and count here for the live share; of the background, the afterpulses that
    it had itself are taken away. Contributions are taken as small: other products of two are left out.
    """
    trials = detections.sifted
    qber = Estimate(detections.errors / trials, _binomial_error(detections.errors, trials))
    error_when_live = BACKGROUND_ERROR * detections.live_share
    first_share = 1.0 if afterpulse_probability is None else 1.0 - afterpulse_probability.value
    per_rate = error_when_live * first_share * detections.duration_s * detections.sent_share / trials
    parts = {"dark counts": _scaled(dark.rate_hz, per_rate)}
    for cause, background in (lit or {}).items():
        parts[cause] = _scaled(_difference(background.rate_hz, dark.rate_hz), per_rate)
    if afterpulse_probability is not None:
        parts["afterpulses"] = _scaled(afterpulse_probability, error_when_live)
    explained = math.fsum(part.value for part in parts.values())
    error = math.hypot(qber.standard_error, *(part.standard_error for part in parts.values()))
    parts["misalignment"] = Estimate(qber.value - explained, error)
    return ErrorBudget(qber, MappingProxyType(parts))


def _binomial_error(events: float, trials: float) -> float:
    share = max(events, 1.0) / trials
    return math.sqrt(share * max(1.0 - share, 0.0) / trials)


def _difference(of: Estimate, minus: Estimate) -> Estimate:
    return Estimate(of.value - minus.value, math.hypot(of.standard_error, minus.standard_error))


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(estimate.value * factor, estimate.standard_error * factor)
