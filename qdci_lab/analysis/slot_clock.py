"""The transmitter's pulse clock as it is seen in the receiver's time tags."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S


@dataclass(frozen=True)
class SlotClock:
    """When the pulse of each slot arrives: slot n at epoch + phase + n period + n^2 drift / 2.

    `epoch_ps` is an integer so that tags of many hours keep their picoseconds, `phase_ps` a small remainder.
    `drift_ppb_per_s` is the relative change of the period per second. `frame_offset` is the place in the
    symbol code of slot 0.
    """

    epoch_ps: int
    period_ps: float
    phase_ps: float = 0.0
    frame_offset: int = 0
    drift_ppb_per_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.period_ps > 0.0:
            raise ValueError(f"slot period of {self.period_ps} ps must be positive")

    @property
    def drift_ps_per_slot2(self) -> float:
        """Growth of the period from one slot to the next in ps."""
        return self.drift_ppb_per_s * 1e-9 * self.period_ps**2 / PS_PER_S

    def arrival_ps(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        """Arrival of the pulses of `slots` in ps after the epoch."""
        n = slots.astype(np.float64)
        return self.phase_ps + n * self.period_ps + 0.5 * self.drift_ps_per_slot2 * n * n

    def slots_of(self, times_ps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Nearest slot of each time and the distance from its pulse in ps, within half a period either way."""
        after_epoch = (times_ps - self.epoch_ps).astype(np.float64) - self.phase_ps
        linear = after_epoch / self.period_ps
        position = linear - 0.5 * self.drift_ps_per_slot2 / self.period_ps * linear * linear
        slots = np.floor(position + 0.5)
        return slots.astype(np.int64), (position - slots) * self.period_ps
