"""A random sequence of symbols that never repeats, of which any slot can be asked again by whoever has the key."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.code import SymbolCode


@dataclass(frozen=True)
class KeyedSequence:
    """Slot n carries the symbol at the place of `alphabet` that a keyed hash of n picks, each with equal chances.

    The hash is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of n + 1 increments after `key`; its bits from the
    32nd on are the place, so that the alphabet has a power of two of slots, at most 2^31. It gives the composition: of
    4096 slots, probabilities are good to 1/4096. ValueError for other lengths.
    """

    alphabet: SymbolCode
    key: int

    def __post_init__(self) -> None:
        length = self.alphabet.length
        if length & (length - 1) or length > 2**31:
            raise ValueError(f"the alphabet of a keyed sequence has a power of two of slots, not {length}")
        if not 0 <= self.key < 2**64:
            raise ValueError(f"a key is within 0..2^64 - 1, not {self.key}")

    def symbols(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        """What is sent in these slots: 4 basis + 2 intensity + bit, uint8 of the same shape."""
        mixed = (slots.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(self.key)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        places = (mixed >> np.uint64(32)) & np.uint64(self.alphabet.length - 1)
        return self.alphabet.symbols[places.astype(np.int64)]
