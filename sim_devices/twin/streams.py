"""One random stream per component, keyed by the seed and a name, so that every part of the bench is re-creatable."""

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class KeyedStream:
    """A place in the tree of random streams; equal paths under equal seeds give equal numbers."""

    seed: int
    path: tuple[str, ...] = ()

    def child(self, *names: str) -> "KeyedStream":
        """The stream of something that belongs to this one."""
        return KeyedStream(self.seed, self.path + names)

    def key(self) -> int:
        """128 bits that no other path shares."""
        text = "\x1f".join((str(self.seed), *self.path))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")

    def generator(self) -> np.random.Generator:
        """A fresh counter-based generator (Philox) at the beginning of this stream."""
        return np.random.Generator(np.random.Philox(key=self.key()))
