"""A trusted node that relays key: what two links make, what both ends get of it, and what stays in a buffer.

The node sends the exclusive or of one key of each link, so that every bit from end to end costs a bit of both. What
the richer link has made beyond that waits in its buffer. With buffers that hold everything, and a relay that never
waits, the end-to-end key is at every moment the lesser of the two sums (Clason et al., Fig. 3(e)), in whole relayed
keys.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Bits = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class KeyDeposits:
    """When a link handed over how many bits of key, in order of time; ValueError for anything else."""

    times_s: Array
    bits: Bits

    def __post_init__(self) -> None:
        times, given = np.asarray(self.times_s, np.float64), np.asarray(self.bits, np.float64)
        if times.ndim != 1 or times.shape != given.shape:
            raise ValueError(
                f"deposits: one time for each number of bits, got {times.shape} and {given.shape}"
            )
        if not np.isfinite(times).all() or np.any(np.diff(times) < 0.0):
            raise ValueError("deposits: times must be finite and in order")
        if not np.isfinite(given).all() or np.any(given < 0.0) or np.any(given != np.floor(given)):
            raise ValueError("deposits: bits are whole numbers, none below zero")
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "bits", given.astype(np.int64))

    def until(self, time_s: float) -> "KeyDeposits":
        """Those up to a time, that time included."""
        kept = self.times_s <= time_s
        return KeyDeposits(self.times_s[kept], self.bits[kept])

    @property
    def total(self) -> int:
        """All bits together."""
        return int(self.bits.sum())

    def longest_gap(self) -> tuple[float, float]:
        """Longest time between two deposits, empty ones too, and when it ended, in s; zeros if there are not two."""
        if self.times_s.size < 2:
            return 0.0, 0.0
        gaps = np.diff(self.times_s)
        widest = int(np.argmax(gaps))
        return float(gaps[widest]), float(self.times_s[widest + 1])


@dataclass(frozen=True, eq=False)
class RelayHistory:
    """State of a trusted node after each deposit; all shape (deposits of both links,), bits summed from the start.

    `left_bits`, `right_bits`: made by the links. `end_to_end_bits`: relayed. `left_surplus`, `right_surplus`: unused in
    the links' buffers.
    """

    times_s: Array
    left_bits: Bits
    right_bits: Bits
    end_to_end_bits: Bits

    @property
    def left_surplus(self) -> Bits:
        """Of the left link, after each deposit."""
        return self.left_bits - self.end_to_end_bits

    @property
    def right_surplus(self) -> Bits:
        """Of the right link, after each deposit."""
        return self.right_bits - self.end_to_end_bits


def relay(left: KeyDeposits, right: KeyDeposits, *, key_bits: int = 1) -> RelayHistory:
    """Relay as soon as both links have a key of `key_bits`, in order of time; what comes at one time counts together.

    ValueError unless `key_bits` is at least 1. Each link's clock must show the same time.
    """
    if key_bits < 1:
        raise ValueError(f"key_bits {key_bits}: a relayed key has at least one bit")
    times = np.unique(np.concatenate([left.times_s, right.times_s]))
    made, made_too = _sum_until(left, times), _sum_until(right, times)
    relayed = np.minimum(made, made_too) // key_bits * key_bits
    return RelayHistory(times, made, made_too, relayed)


def _sum_until(link: KeyDeposits, times_s: ArrayLike) -> Bits:
    sums = np.concatenate([[0], np.cumsum(link.bits)])
    return sums[np.searchsorted(link.times_s, times_s, side="right")]
