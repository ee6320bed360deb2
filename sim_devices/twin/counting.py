"""How many clicks a detector gives in a span, drawn from the distribution of that number, without making the clicks.

Gaps between the clicks of a non-paralysable detector are the dead time and an exponential wait; with probability p a
trapped charge is there as well, and the shorter of two exponential waits counts. The sum of m such gaps is drawn at
one go (a binomial, two gamma variates), with m so small that it surely ends before the span does; what remains is
stepped through gap by gap. So the number is exact however long the span, and takes as long for a second as for an
hour. Left out are the structure of a pulse pattern within a slot or a frame, which is far shorter than the wait for a
click wherever counts are asked for, and a charge that stays trapped beyond the next click (of order p R tau). Of a
gated detector the mean of the gaps is right, and they are taken as spread like those of a free-running one.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S
from sim_devices.twin.electrical import ClickProcess

FEWEST_AT_ONE_GO = 32
SURE_SIGMAS = 9.0
"""A leap of gaps is to end this many standard deviations before the span; chance 1e-19, and it is redrawn shorter."""


@dataclass
class DeadUntil:
    """When the detector is ready again after its last counted click, in s from the beginning of the count."""

    time_s: float = 0.0


@dataclass(frozen=True)
class _Gaps:
    """The law of the gaps: dead time, rate of photoelectrons, and of the releases of a trapped charge."""

    dead_s: float
    rate_hz: float
    afterpulse_probability: float
    release_hz: float

    @property
    def mean_s(self) -> float:
        fast_hz = self.rate_hz + self.release_hz
        return (
            self.dead_s
            + (1.0 - self.afterpulse_probability) / self.rate_hz
            + self.afterpulse_probability / fast_hz
        )

    @property
    def deviation_s(self) -> float:
        """An upper bound that holds for either kind of gap."""
        return 1.5 / self.rate_hz

    def sum_s(self, number: int, generator: np.random.Generator) -> float:
        fast = int(generator.binomial(number, self.afterpulse_probability))
        slow_s = generator.standard_gamma(number - fast) / self.rate_hz
        return (
            number * self.dead_s + slow_s + generator.standard_gamma(fast) / (self.rate_hz + self.release_hz)
        )

    def one_by_one_s(self, number: int, generator: np.random.Generator) -> NDArray[np.float64]:
        fast = generator.random(number) < self.afterpulse_probability
        rates_hz = np.where(fast, self.rate_hz + self.release_hz, self.rate_hz)
        return self.dead_s + generator.standard_exponential(number) / rates_hz


def draw_count(
    process: ClickProcess, start_s: float, end_s: float, dead: DeadUntil, generator: np.random.Generator
) -> int:
    """Clicks of one detector between two times, both in s from the beginning of the count.

    `dead` carries the dead time of the last click from one span to the next, between which the law may change.
    """
    rate_hz = process.photoelectron_hz
    if rate_hz <= 0.0:
        return 0
    gaps = _Gaps(
        process.lost_ps / PS_PER_S,
        rate_hz,
        process.seen_afterpulse_probability,
        PS_PER_S / max(process.afterpulse_ps, 1.0),
    )
    click_s = max(start_s, dead.time_s) + generator.standard_exponential() / gaps.rate_hz
    if click_s >= end_s:
        return 0
    count, last_s = _leap(gaps, click_s, end_s, generator)
    more, last_s = _step(gaps, last_s, end_s, generator)
    dead.time_s = last_s + gaps.dead_s
    return 1 + count + more


def _leap(gaps: _Gaps, click_s: float, end_s: float, generator: np.random.Generator) -> tuple[int, float]:
    """Gaps at one go while many are left for sure: their number, and the time of the last click."""
    count = 0
    while (number := _sure(gaps, end_s - click_s)) >= FEWEST_AT_ONE_GO:
        reached_s = click_s + gaps.sum_s(number, generator)
        if reached_s < end_s:
            count, click_s = count + number, reached_s
    return count, click_s


def _sure(gaps: _Gaps, left_s: float) -> int:
    """A number of gaps that ends within `left_s` for sure."""
    most = left_s / gaps.mean_s
    return int(most - SURE_SIGMAS * sqrt(most) * gaps.deviation_s / gaps.mean_s)


def _step(gaps: _Gaps, click_s: float, end_s: float, generator: np.random.Generator) -> tuple[int, float]:
    """The clicks from `click_s` to the end one after the other: their number, and the time of the last one."""
    count = 0
    while True:
        clicks_s = click_s + np.cumsum(gaps.one_by_one_s(2 * FEWEST_AT_ONE_GO, generator))
        within = int(np.searchsorted(clicks_s, end_s))
        count += within
        if within:
            click_s = float(clicks_s[within - 1])
        if within < len(clicks_s):
            return count, click_s
