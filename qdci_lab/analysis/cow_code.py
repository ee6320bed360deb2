"""The periodic pattern of a coherent-one-way transmitter: sequences of two slots, each a bit, a decoy or vacuum.

D. Stucki et al., Appl. Phys. Lett. 87, 194108 (2005); the vacuum sequence is what COW-4 adds (R.-Q. Gao et al.,
Opt. Express 30, 23783 (2022)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ZERO, ONE, DECOY, VACUUM = 0, 1, 2, 3
SEQUENCES = ("zero", "one", "decoy", "vacuum")
PULSES = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=np.uint8)
"""Pulse (1) or none (0) in both slots of each sequence; shape [sequence, slot]."""

_CANDIDATE_SHUFFLES = 64


@dataclass(frozen=True, eq=False)
class CowCode:
    """One period of what Alice sends, sequence by sequence: uint8, read-only, `ZERO`, `ONE`, `DECOY` or `VACUUM`.

    The shares that the analysis takes are those really in the code.
    """

    sequences: NDArray[np.uint8]

    def __post_init__(self) -> None:
        given = np.asarray(self.sequences)
        if given.ndim != 1 or given.size == 0 or not np.isin(given, (ZERO, ONE, DECOY, VACUUM)).all():
            raise ValueError("a coherent-one-way code is one number from 0 to 3 for each sequence")
        frozen = given.astype(np.uint8)
        frozen.flags.writeable = False
        object.__setattr__(self, "sequences", frozen)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CowCode) and self.digits == other.digits

    def __hash__(self) -> int:
        return hash(self.digits)

    @staticmethod
    def from_digits(digits: str) -> "CowCode":
        """The code written as one digit, 0 to 3, for each sequence; inverse of `digits`."""
        if not digits or set(digits) - set("0123"):
            raise ValueError("a coherent-one-way code is written in the digits 0 to 3")
        return CowCode(np.frombuffer(digits.encode("ascii"), dtype=np.uint8) - ord("0"))

    @property
    def digits(self) -> str:
        """The code as text, for files."""
        return (self.sequences + ord("0")).astype(np.uint8).tobytes().decode("ascii")

    @property
    def length(self) -> int:
        """Sequences in a period."""
        return int(self.sequences.size)

    @property
    def pulses(self) -> NDArray[np.uint8]:
        """Pulse (1) or none (0) in each slot of a period, shape [2 x length]."""
        return PULSES[self.sequences].ravel()

    def counts(self) -> NDArray[np.int64]:
        """How often each sequence is sent in a period, shape [4]."""
        return np.bincount(self.sequences, minlength=4).astype(np.int64)

    @property
    def key_share(self) -> float:
        """Share of the sequences that carry a bit."""
        counts = self.counts()
        return float(counts[ZERO] + counts[ONE]) / self.length


def make_cow_code(length: int, p_decoy: float, p_vacuum: float, seed: int) -> CowCode:
    """A code with whole quotas and balanced bits, whose pulses are least like themselves when shifted.

    Of 64 seeded shuffles it is the one with the lowest off-peak autocorrelation of the pulses, which makes it the
    easiest to find again in a stream of tags. At least one sequence of each kind is sent.
    """
    decoys, vacua = round(length * p_decoy), round(length * p_vacuum)
    bits = length - decoys - vacua
    if min(decoys, vacua) < 1 or bits < 2:
        raise ValueError(
            f"{length} sequences with {p_decoy:g} decoys and {p_vacuum:g} vacua: none of the kinds may be missing"
        )
    quotas = [bits - bits // 2, bits // 2, decoys, vacua]
    sequences = np.repeat(np.arange(4, dtype=np.uint8), quotas)
    generator = np.random.Generator(np.random.PCG64(seed))
    candidates = [CowCode(generator.permutation(sequences)) for _ in range(_CANDIDATE_SHUFFLES)]
    return min(candidates, key=_highest_sidelobe)


def _highest_sidelobe(code: CowCode) -> float:
    pulses = code.pulses - code.pulses.mean()
    autocorrelation = np.fft.irfft(np.abs(np.fft.rfft(pulses)) ** 2, n=pulses.size)
    return float(np.max(np.abs(autocorrelation[1:]), initial=0.0))
