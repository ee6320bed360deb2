"""The periodic symbol code of a decoy-state BB84 transmitter, and what a perfect receiver would see of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z, X = 0, 1
SIGNAL, DECOY = 0, 1
DETECTORS = ("Z0", "Z1", "X0", "X1")

_CANDIDATE_SHUFFLES = 64
_NOMINAL_INTENSITIES = (1.0, 0.25)


@dataclass(frozen=True, eq=False)
class SymbolCode:
    """One period of what Alice sends, slot by slot; the three arrays are uint8, equally long and read-only.

    `basis` is 0 for Z and 1 for X, `intensity` 0 for the signal and 1 for the decoy. The analysis takes as
    probabilities the fractions that are really present in the code (`p_signal`, `p_z`).
    """

    basis: NDArray[np.uint8]
    bit: NDArray[np.uint8]
    intensity: NDArray[np.uint8]

    def __post_init__(self) -> None:
        for name in ("basis", "bit", "intensity"):
            given = np.asarray(getattr(self, name))
            if given.ndim != 1 or given.size == 0 or given.size != np.size(self.basis):
                raise ValueError(
                    f"{name} of a symbol code: one value per slot expected, got shape {given.shape}"
                )
            if not np.isin(given, (0, 1)).all():
                raise ValueError(f"{name} of a symbol code: only 0 and 1 are allowed")
            frozen = given.astype(np.uint8)
            frozen.flags.writeable = False
            object.__setattr__(self, name, frozen)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymbolCode) and self.digits == other.digits

    def __hash__(self) -> int:
        return hash(self.digits)

    @staticmethod
    def from_digits(digits: str) -> "SymbolCode":
        """The code whose slots are the octal digits 4 basis + 2 intensity + bit; inverse of `digits`."""
        if not digits or set(digits) - set("01234567"):
            raise ValueError("a symbol code is written in the digits 0 to 7, one per slot")
        symbols = np.frombuffer(digits.encode("ascii"), dtype=np.uint8) - ord("0")
        return _code_of(symbols)

    @property
    def symbols(self) -> NDArray[np.uint8]:
        """4 basis + 2 intensity + bit of every slot, uint8."""
        return 4 * self.basis + 2 * self.intensity + self.bit

    @property
    def digits(self) -> str:
        """The code as text, one octal digit per slot, for files."""
        return (self.symbols + ord("0")).astype(np.uint8).tobytes().decode("ascii")

    @property
    def length(self) -> int:
        """Slots in a period."""
        return int(self.basis.size)

    @property
    def p_signal(self) -> float:
        """Fraction of the slots that carry the signal intensity."""
        return float(np.mean(self.intensity == SIGNAL))

    @property
    def p_z(self) -> float:
        """Fraction of the slots that are prepared in the key basis."""
        return float(np.mean(self.basis == Z))

    def composition(self) -> NDArray[np.int64]:
        """Slots of each kind in one period, int64 of shape [basis, intensity, bit]."""
        return np.bincount(self.symbols, minlength=8).reshape(2, 2, 2).astype(np.int64)


def make_code(length: int, p_signal: float, p_z: float, seed: int) -> SymbolCode:
    """A code with exact quotas, in the order with the lowest off-peak autocorrelation of 64 seeded shuffles.

    The four basis and intensity classes get their share of `length` by largest remainder and balanced bits.
    What is compared is the largest magnitude of the circular autocorrelation, away from zero shift, of the
    pattern that four aligned detectors would count (mean taken away, decoy a quarter of the signal): the
    shuffle is then the easiest of the 64 to find again in a stream of tags.
    """
    if length < 1 or not (0.0 < p_signal < 1.0 and 0.0 < p_z < 1.0):
        raise ValueError(
            f"no code of length {length} with p_signal {p_signal} and p_z {p_z} (both within 0..1)"
        )
    symbols = np.repeat(np.arange(8, dtype=np.uint8), _quotas(length, p_signal, p_z))
    generator = np.random.Generator(np.random.PCG64(seed))
    candidates = [_code_of(generator.permutation(symbols)) for _ in range(_CANDIDATE_SHUFFLES)]
    return min(candidates, key=_highest_sidelobe)


def make_three_state_code(length: int, p_signal: float, p_z: float, seed: int) -> SymbolCode:
    """A code of Z0, Z1 and |+> alone: that of `make_code` with every X symbol's bit 0."""
    code = make_code(length, p_signal, p_z, seed)
    return SymbolCode(basis=code.basis, bit=code.bit * (code.basis == Z), intensity=code.intensity)


def expected_pattern(code: SymbolCode, intensities: tuple[float, float]) -> NDArray[np.float64]:
    """Mean photon number at each detector and slot, shape [4, length], rows in the order of `DETECTORS`.

    For a lossless aligned receiver with a passive 50:50 choice of basis; `intensities` are (mu, nu).
    """
    strength = 0.5 * np.asarray(intensities, dtype=np.float64)[code.intensity]
    share = np.empty((4, code.length))
    for detector in range(4):
        measured_basis, measured_bit = divmod(detector, 2)
        right_state = (code.bit == measured_bit).astype(np.float64)
        share[detector] = np.where(code.basis == measured_basis, right_state, 0.5)
    return strength * share


def _quotas(length: int, p_signal: float, p_z: float) -> list[int]:
    fractions = np.outer([p_z, 1.0 - p_z], [p_signal, 1.0 - p_signal]).ravel()
    whole = np.floor(length * fractions).astype(int)
    order = np.argsort(whole - length * fractions, kind="stable")
    whole[order[: length - int(whole.sum())]] += 1
    quotas: list[int] = []
    extra_bit = 0
    for slots in whole:
        pair = [int(slots) // 2, int(slots) // 2]
        if slots % 2:
            pair[extra_bit] += 1
            extra_bit = 1 - extra_bit
        quotas.extend(pair)
    return quotas


def _code_of(symbols: NDArray[np.uint8]) -> SymbolCode:
    basis, intensity, bit = (((symbols >> place) & 1).astype(np.uint8) for place in (2, 1, 0))
    return SymbolCode(basis=basis, bit=bit, intensity=intensity)


def _highest_sidelobe(code: SymbolCode) -> float:
    pattern = expected_pattern(code, _NOMINAL_INTENSITIES)
    spectrum = np.fft.rfft(pattern - pattern.mean(axis=1, keepdims=True))
    autocorrelation = np.fft.irfft(np.sum(np.abs(spectrum) ** 2, axis=0), n=code.length)
    return float(np.max(np.abs(autocorrelation[1:]), initial=0.0))
