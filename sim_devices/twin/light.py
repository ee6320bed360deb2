"""Light in one fibre: a pattern of pulses, classical lines and a floor of noise; all of it deterministic.

Coherent states stay coherent under linear loss, so a state is an amplitude; random numbers begin at a detector.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S, photon_energy_j
from sim_devices.twin.clock_signal import ClockSignal

NOISE_WAVELENGTH_M = 1550e-9
"""Where the noise floor is reckoned: round the quantum channel, anywhere in the C band (0.5 % of photon energy)."""


@dataclass(frozen=True, eq=False)
class PulseTrain:
    """A periodic train of coherent pulses, as a pattern: slots of one frame that point into a small alphabet."""

    origin_ps: Fraction
    """Lab time at which a frame began at the source."""
    slot_ps: Fraction
    slots: NDArray[np.uint16]
    """Shape (slots of a frame,): index into the alphabet."""
    amplitudes: NDArray[np.complex128]
    """Shape (alphabet, 2): components along H and V, in square roots of photons per pulse."""
    delay_ps: float
    """From the beginning of a slot at the source to the centre of its pulse here."""
    wavelength_m: float
    duration_ps: float
    """Standard deviation of a photon's arrival about the centre of its pulse."""

    @property
    def frame_ps(self) -> Fraction:
        """Duration of one frame."""
        return self.slot_ps * len(self.slots)

    @property
    def mean_photons(self) -> NDArray[np.float64]:
        """Shape (alphabet,): mean photon number of each state."""
        return np.sum(np.abs(self.amplitudes) ** 2, axis=1)

    def with_amplitudes(self, amplitudes: NDArray[np.complex128]) -> "PulseTrain":
        """The same pattern in other states, shape (alphabet, 2)."""
        return PulseTrain(
            self.origin_ps,
            self.slot_ps,
            self.slots,
            amplitudes,
            self.delay_ps,
            self.wavelength_m,
            self.duration_ps,
        )

    @property
    def power_w(self) -> float:
        """Mean power over a frame."""
        counts = np.bincount(self.slots, minlength=len(self.amplitudes))
        photons = float(counts @ self.mean_photons)
        return photons * photon_energy_j(self.wavelength_m) * PS_PER_S / float(self.frame_ps)


@dataclass(frozen=True, eq=False)
class Tone:
    """A clock on the intensity of a carrier: P (1 + m cos)."""

    clock: ClockSignal
    modulation_index: float
    delay_ps: float = 0.0
    """Since the modulator."""


@dataclass(frozen=True, eq=False)
class Line:
    """A continuous classical carrier; `jones` (unit vector along H and V) is None when it is depolarised."""

    wavelength_m: float
    power_w: float
    jones: NDArray[np.complex128] | None = None
    tone: Tone | None = None

    def scaled(self, transmission: float) -> "Line":
        """After a loss (or gain); `transmission` is a power ratio."""
        return Line(self.wavelength_m, self.power_w * transmission, self.jones, self.tone)


@dataclass(frozen=True)
class NoiseShares:
    """Where noise comes from, as shares of its power; what is left is stray light and spontaneous emission.

    Loss leaves shares as they are, so that only what adds noise has to know of them.
    """

    raman: float = 0.0
    """Scattered from carriers, in the same core or by way of another."""
    crosstalk: float = 0.0
    """Light of other cores in the quantum channel's band, and carriers that a filter lets through."""


STRAY_LIGHT = NoiseShares()
RAMAN_LIGHT = NoiseShares(raman=1.0)
CROSSTALK_LIGHT = NoiseShares(crosstalk=1.0)


def mixed_shares(parts: Iterable[tuple[float, NoiseShares]]) -> NoiseShares:
    """The shares of a sum of noises, each given with its power (in any unit)."""
    parts = tuple(parts)
    total = sum(power for power, _ in parts)
    if total <= 0.0:
        return STRAY_LIGHT
    return NoiseShares(
        sum(power * shares.raman for power, shares in parts) / total,
        sum(power * shares.crosstalk for power, shares in parts) / total,
    )


@dataclass(frozen=True, eq=False)
class Light:
    """Everything that travels one way in one fibre at one port."""

    train: PulseTrain | None = None
    lines: tuple[Line, ...] = ()
    noise_w_per_nm: float = 0.0
    """Unpolarised spectral density round the quantum channel."""
    noise_band_nm: float = 0.0
    """Width over which that density extends."""
    noise_shares: NoiseShares = STRAY_LIGHT
    """Where it comes from."""

    @property
    def line_power_w(self) -> float:
        """Power of all carriers together."""
        return sum(line.power_w for line in self.lines)

    @property
    def is_dark(self) -> bool:
        """Whether there is nothing at all."""
        return self.train is None and not self.lines and self.noise_w_per_nm == 0.0

    @property
    def noise_power_w(self) -> float:
        """Power of the noise floor over its band."""
        return self.noise_w_per_nm * self.noise_band_nm

    @property
    def continuous_photons_hz(self) -> float:
        """Photons per second of all that is no pulse: carriers and the noise floor."""
        return self._line_photons_hz + self._noise_photons_hz

    @property
    def continuous_shares(self) -> NoiseShares:
        """Where these come from; a carrier counts as crosstalk wherever it was launched."""
        return mixed_shares(
            ((self._line_photons_hz, CROSSTALK_LIGHT), (self._noise_photons_hz, self.noise_shares))
        )

    @property
    def _line_photons_hz(self) -> float:
        return sum(line.power_w / photon_energy_j(line.wavelength_m) for line in self.lines)

    @property
    def _noise_photons_hz(self) -> float:
        return self.noise_power_w / photon_energy_j(NOISE_WAVELENGTH_M)

    @property
    def power_w(self) -> float:
        """What a broadband power meter shows."""
        return (self.train.power_w if self.train else 0.0) + self.line_power_w + self.noise_power_w

    def scaled(self, transmission: float) -> "Light":
        """After a loss (or gain) that treats everything alike; `transmission` is a power ratio."""
        if transmission == 0.0 or self.is_dark:
            return DARK
        train = self.train
        if train is not None:
            train = train.with_amplitudes(train.amplitudes * np.sqrt(transmission))
        lines = tuple(line.scaled(transmission) for line in self.lines)
        return Light(train, lines, self.noise_w_per_nm * transmission, self.noise_band_nm, self.noise_shares)

    def rotated(self, jones_matrix: NDArray[np.complex128]) -> "Light":
        """After a polarization element; the matrix (2, 2) may attenuate as well, noise is left as it is."""
        train = self.train
        if train is not None:
            train = train.with_amplitudes(train.amplitudes @ jones_matrix.T)
        lines = tuple(_rotated_line(line, jones_matrix) for line in self.lines)
        return Light(train, lines, self.noise_w_per_nm, self.noise_band_nm, self.noise_shares)

    def delayed(self, delay_ps: float) -> "Light":
        """After a path that takes `delay_ps`."""
        train = self.train
        if train is not None:
            train = replace(train, delay_ps=train.delay_ps + delay_ps)
        elif all(line.tone is None for line in self.lines):
            return self
        return replace(self, train=train, lines=tuple(_delayed_line(line, delay_ps) for line in self.lines))


DARK = Light()
"""No light at all."""


def _delayed_line(line: Line, delay_ps: float) -> Line:
    if line.tone is None:
        return line
    return replace(line, tone=replace(line.tone, delay_ps=line.tone.delay_ps + delay_ps))


def _rotated_line(line: Line, jones_matrix: NDArray[np.complex128]) -> Line:
    if line.jones is None:
        return line
    vector = jones_matrix @ line.jones
    norm = float(np.vdot(vector, vector).real)
    if norm == 0.0:
        return replace(line, power_w=0.0)
    return replace(line, power_w=line.power_w * norm, jones=vector / np.sqrt(norm))


def gathered_lines(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Depolarised sum of carriers, one a wavelength, in order of wavelength; clocks on them are lost."""
    powers: dict[float, float] = {}
    for line in lines:
        powers[line.wavelength_m] = powers.get(line.wavelength_m, 0.0) + line.power_w
    return tuple(
        Line(wavelength_m, power_w) for wavelength_m, power_w in sorted(powers.items()) if power_w > 0.0
    )
