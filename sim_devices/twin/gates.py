"""Gates of a detector that is biased above breakdown for a moment only, again and again.

After a click the gates that would begin within the dead time are held off, so that what is lost are whole gates.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from qdci_lab.units import PS_PER_S
from sim_devices.twin.light import PulseTrain

POSITIONS = (np.arange(64) + 0.5) / 64
"""Where in a gate a click may have been, for mean values."""


@dataclass(frozen=True)
class Gates:
    """A regular train of gates, for ever."""

    origin_ps: Fraction
    """Lab time at which one of them begins."""
    period_ps: Fraction
    width_ps: float
    edge_ps: float
    """Time in which the sensitivity rises from nothing at the beginning, and falls to nothing at the end."""

    @property
    def open_share(self) -> float:
        """Mean sensitivity over a period, of that in the middle of a gate."""
        return (self.width_ps - self.edge_ps) / float(self.period_ps)

    def sensitivity(self, since_ps: NDArray[np.float64], spread_ps: float) -> NDArray[np.float64]:
        """Mean over photons that come `since_ps` after the beginning of a gate, give or take a standard deviation."""
        rise, width = self.edge_ps, self.width_ps
        if rise == 0.0:
            spread_ps = max(spread_ps, 1e-3)
            return ndtr(since_ps / spread_ps) - ndtr((since_ps - width) / spread_ps)
        corners = ((0.0, 1.0), (rise, -1.0), (width - rise, -1.0), (width, 1.0))
        risen = [sign * _ramp(since_ps - at_ps, spread_ps) for at_ps, sign in corners]
        return np.sum(risen, axis=0) / rise

    def passed_shares(self, train: PulseTrain) -> NDArray[np.float64]:
        """Sensitivity that the pulse of each slot of the train meets, shape (slots,)."""
        period_ps = float(self.period_ps)
        first_ps = float((train.origin_ps + Fraction(train.delay_ps) - self.origin_ps) % self.period_ps)
        step_ps = float(train.slot_ps % self.period_ps)
        since_ps = np.fmod(first_ps + step_ps * np.arange(len(train.slots)), period_ps)
        neighbours = [
            self.sensitivity(since_ps + shift_ps, train.duration_ps)
            for shift_ps in (-period_ps, 0.0, period_ps)
        ]
        return np.sum(neighbours, axis=0)

    def lost_ps(self, dead_ps: int, rate_hz: float) -> float:
        """Dead time of the detector without gates that clicks as often as this one at the same mean rate.

        A gate clicks with probability P = 1 - exp(-rate x period); the mean distance of clicks is that to the first
        gate that is not held off, and 1/P - 1 gates more.
        """
        period_ps = float(self.period_ps)
        hazard = rate_hz * period_ps / PS_PER_S
        late = 1.0 / -math.expm1(-hazard) - 1.0 / hazard if hazard > 1e-9 else 0.5
        return period_ps * (float(np.mean(self._held(dead_ps))) - 1.0 + late)

    def released_share(self, dead_ps: int, decay_ps: float) -> float:
        """Share of the charges released after the dead time, exponentially in time, that meet an open gate."""
        period_ps = float(self.period_ps)
        wait_ps = self._held(dead_ps) * period_ps - dead_ps - POSITIONS * self.width_ps
        mean_wait = float(np.mean(np.exp(-wait_ps / decay_ps)))
        open_ps = self.width_ps - self.edge_ps
        return mean_wait * math.expm1(-open_ps / decay_ps) / math.expm1(-period_ps / decay_ps)

    def _held(self, dead_ps: int) -> NDArray[np.float64]:
        """From the gate of a click to the next that is not held off, in gates, for clicks at `POSITIONS`."""
        return np.ceil((POSITIONS * self.width_ps + dead_ps) / float(self.period_ps))


def _ramp(since_ps: NDArray[np.float64], spread_ps: float) -> NDArray[np.float64]:
    """The positive part of a time, averaged over a normal distribution about it."""
    if spread_ps == 0.0:
        return np.maximum(since_ps, 0.0)
    x = since_ps / spread_ps
    return since_ps * ndtr(x) + spread_ps * np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
