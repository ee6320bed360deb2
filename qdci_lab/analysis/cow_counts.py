"""Clicks of a coherent-one-way receiver sorted by what was sent: all that error rate, visibility and key depend on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.cow_code import ONE, ZERO, CowCode


@dataclass(frozen=True, eq=False)
class CowCounts:
    """Clicks sorted by what was sent.

    `data`[sequence, slot] are the gated clicks of the data line by what was sent and in which of its two slots.
    `meeting`[sequence, detector] are those of the monitor where both pulses of a sequence meet. `pairs` and
    `empties`[detector] are the monitor's clicks where this slot and the one before were both sent with a pulse, and
    both without; `pair_slots` and `empty_slots` say how many of a period's slots these are. `singles` are all clicks
    of the three detectors.
    """

    data: NDArray[np.int64]
    meeting: NDArray[np.int64]
    pairs: NDArray[np.int64]
    empties: NDArray[np.int64]
    pair_slots: int
    empty_slots: int
    singles: NDArray[np.int64]
    foreign: int

    @property
    def n_key(self) -> int:
        """Sifted bits."""
        return int(self.data[[ZERO, ONE]].sum())

    @property
    def m_key(self) -> int:
        """Errors among them: clicks in the slot without a pulse."""
        return int(self.data[ZERO, 1] + self.data[ONE, 0])

    @staticmethod
    def of_folded(
        folded: NDArray[np.int64], singles: NDArray[np.int64], code: CowCode, foreign: int
    ) -> "CowCounts":
        """From gated clicks by detector and slot of a period, shape [3, 2 x length]."""
        sent = np.repeat(code.sequences.astype(np.int64), 2)
        second = np.tile([0, 1], code.length)
        data = np.bincount(2 * sent + second, folded[0], minlength=8).reshape(4, 2)
        meeting = [np.bincount(code.sequences, line[1::2], minlength=4) for line in folded[1:]]
        pulses = code.pulses
        before = np.roll(pulses, 1)
        pair, empty = (pulses & before) == 1, (pulses | before) == 0
        return CowCounts(
            data=data.astype(np.int64),
            meeting=np.stack(meeting, axis=1).astype(np.int64),
            pairs=folded[1:, pair].sum(axis=1),
            empties=folded[1:, empty].sum(axis=1),
            pair_slots=int(pair.sum()),
            empty_slots=int(empty.sum()),
            singles=singles.copy(),
            foreign=foreign,
        )

    @staticmethod
    def unlocked(singles: NDArray[np.int64], foreign: int) -> "CowCounts":
        """Clicks of which nothing but the detector is known."""
        none = np.zeros(2, dtype=np.int64)
        return CowCounts(
            data=np.zeros((4, 2), np.int64), meeting=np.zeros((4, 2), np.int64), pairs=none, empties=none,
            pair_slots=1, empty_slots=1, singles=singles.copy(), foreign=foreign,
        )  # fmt: skip
