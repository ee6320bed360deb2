"""What travels on coaxial cable: voltages of a waveform generator, and the clicks of a photodetector."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim_devices.twin.gates import Gates
from sim_devices.twin.light import STRAY_LIGHT, NoiseShares, PulseTrain
from sim_devices.twin.streams import KeyedStream


@dataclass(frozen=True, eq=False)
class Waveform:
    """A voltage repeated for ever: DAC codes held for one sample each."""

    samples: NDArray[np.int8]
    sample_ps: Fraction
    origin_ps: Fraction
    """Lab time of the first sample of one repetition."""
    volts_per_code: float
    offset_v: float
    jitter_ps: float = 0.0
    """Standard deviation of each edge by itself, from the generator's reference."""

    @property
    def duration_ps(self) -> Fraction:
        """Time after which the voltage repeats."""
        return self.sample_ps * len(self.samples)

    def voltages_v(self, codes: NDArray[np.integer]) -> NDArray[np.float64]:
        """The output voltage of each DAC code."""
        return codes.astype(np.float64) * self.volts_per_code + self.offset_v


OFF = Waveform(np.zeros(1, np.int8), Fraction(1000), Fraction(0), 0.0, 0.0)
"""The voltage of an output that is switched off, or of a cable that is not connected: 0 V."""


@dataclass(frozen=True, eq=False)
class ClickProcess:
    """The law of a detector's clicks: a hazard over time, and what each click does to those after it.

    Random numbers are drawn where the clicks are read, from `stream`, so that the law itself stays a pure function.
    """

    stream: KeyedStream
    train: PulseTrain | None
    pulse_hazards: NDArray[np.float64]
    """Shape (alphabet of the train,): expected photoelectrons per pulse."""
    noise_hz: float
    """Photoelectrons of continuous light."""
    dark_hz: float
    dead_ps: int
    afterpulse_probability: float
    afterpulse_ps: float
    """Decay constant of the afterpulse probability, counted from the end of the dead time."""
    jitter_ps: float
    """Standard deviation of the output's delay for a photon of a pulse (detector and pulse together)."""
    latency_ps: float
    """Mean delay from avalanche to output."""
    noise_shares: NoiseShares = STRAY_LIGHT
    """Where the continuous light comes from."""
    gates: Gates | None = None
    """When it is biased for clicks; always, if there are none. All hazards and rates are those within a gate."""

    @property
    def photoelectron_hz(self) -> float:
        """Mean rate of avalanches that a detector without dead time and afterpulses would have."""
        open_share = 1.0 if self.gates is None else self.gates.open_share
        return self.pulse_hz + open_share * (self.noise_hz + self.dark_hz)

    @cached_property
    def pulse_hz(self) -> float:
        """Share of that rate that comes from pulses."""
        if self.train is None:
            return 0.0
        if self.gates is not None:
            hazards = self.pulse_hazards[self.train.slots] * self.gates.passed_shares(self.train)
            return float(hazards.sum()) * 1e12 / float(self.train.frame_ps)
        counts = np.bincount(self.train.slots, minlength=len(self.pulse_hazards))
        return float(counts @ self.pulse_hazards) * 1e12 / float(self.train.frame_ps)

    @property
    def lost_ps(self) -> float:
        """Mean time after a click for which no other can come, such that rate / (1 + rate x this) is that of clicks."""
        if self.gates is None:
            return self.dead_ps
        return self.gates.lost_ps(self.dead_ps, self.photoelectron_hz)

    @property
    def seen_afterpulse_probability(self) -> float:
        """Probability that a click is followed by an afterpulse that falls into a gate."""
        if self.gates is None:
            return self.afterpulse_probability
        return self.afterpulse_probability * self.gates.released_share(self.dead_ps, self.afterpulse_ps)

    @property
    def click_hz(self) -> float:
        """Expected rate of clicks, dead time (non-paralysable) and afterpulses included, to first order in both."""
        rate_hz = self.photoelectron_hz
        return rate_hz / (1.0 + rate_hz * self.lost_ps * 1e-12 - self.seen_afterpulse_probability)
