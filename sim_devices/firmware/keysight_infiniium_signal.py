"""Sampling in an Infiniium: periodic input signals, the moment of the trigger, noise and the 8-bit converter.

A converter level is 256 word codes, 240 levels fill the screen, and the codes saturate there, so that neither the hole
value (word 31232) nor a wrapped sample can appear; with averaging or high resolution all codes occur. Where the levels
lie is assumed, as is the front end's noise: 0.4 % of the range at full bandwidth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S
from sim_devices.firmware.keysight_infiniium_setup import BANDWIDTH_HZ

WORDS_PER_LEVEL = 256
LEVELS = 240
FULL_SCALE_WORDS = WORDS_PER_LEVEL * LEVELS
NOISE_OF_RANGE = 0.004
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Signal:
    """A voltage that repeats: one period, sampled at `rate_hz`, that began at the origin of lab time."""

    samples_v: NDArray[np.floating]
    rate_hz: float

    def position(self, at_ps: int) -> float:
        """Where in the period the signal is at a lab time, in samples."""
        length = len(self.samples_v)
        numerator, denominator = float(self.rate_hz).as_integer_ratio()
        cycle = length * PS_PER_S * denominator
        return (at_ps * numerator % cycle) / (PS_PER_S * denominator)

    def limited_to(self, bandwidth_hz: float) -> "Signal":
        """The signal after a Gaussian low pass with 3 dB loss at the bandwidth."""
        frequency_hz = np.fft.rfftfreq(len(self.samples_v), 1.0 / self.rate_hz)
        response = np.exp(-0.5 * np.log(2.0) * (frequency_hz / bandwidth_hz) ** 2)
        filtered = np.fft.irfft(np.fft.rfft(self.samples_v) * response, len(self.samples_v))
        return Signal(filtered, self.rate_hz)

    def sampled(self, start: float, rate_hz: float, count: int) -> NDArray[np.float32]:
        """`count` samples at another rate from a position on, linear between the signal's own samples."""
        step = self.rate_hz / rate_hz
        length = len(self.samples_v)
        if abs(step - 1.0) < 1e-12:
            return _repeated(self._shifted(start), count)
        samples = np.empty(count, np.float32)
        closed = np.append(self.samples_v, self.samples_v[0]).astype(np.float32)
        for first in range(0, count, _BLOCK):
            last = min(first + _BLOCK, count)
            at = np.mod(start + step * np.arange(first, last), length)
            whole = np.minimum(at.astype(np.int64), length - 1)
            part = (at - whole).astype(np.float32)
            samples[first:last] = closed[whole] * (1 - part) + closed[whole + 1] * part
        return samples

    def crossing(self, start: float, level_v: float, slope: str) -> float | None:
        """Samples from `start` to the next crossing of a level ("POS", "NEG" or either), None if there is none."""
        here, after = self.samples_v, np.roll(self.samples_v, -1)
        rising = (here < level_v) & (after >= level_v)
        falling = (here > level_v) & (after <= level_v)
        crossed = {"POS": rising, "NEG": falling}.get(slope, rising | falling)
        indices = np.flatnonzero(crossed)
        if not len(indices):
            return None
        fractions = (level_v - here[indices]) / (after[indices] - here[indices])
        return float(np.min(np.mod(indices + fractions - start, len(here))))

    def _shifted(self, start: float) -> NDArray[np.float32]:
        whole, part = divmod(start, 1.0)
        here = np.roll(self.samples_v, -int(whole))
        return (here * (1.0 - part) + np.roll(here, -1) * part).astype(np.float32)


@dataclass(frozen=True)
class Converter:
    """The vertical path of a channel: from volts to word codes."""

    range_v: float
    offset_v: float
    fine: bool
    noise_v: float

    @property
    def increment_v(self) -> float:
        """Volts a word code."""
        return self.range_v / FULL_SCALE_WORDS

    def words(self, volts: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.int16]:
        """The codes of noisy samples; `volts` is used up."""
        step_v = self.increment_v * (1 if self.fine else WORDS_PER_LEVEL)
        highest = FULL_SCALE_WORDS // 2 if self.fine else LEVELS // 2
        codes = np.empty(len(volts), np.int16)
        for first in range(0, len(volts), _BLOCK):
            block = volts[first : first + _BLOCK]
            noise = generator.standard_normal(len(block), np.float32)
            block -= np.float32(self.offset_v)
            noise *= np.float32(self.noise_v)
            block += noise
            block *= np.float32(1.0 / step_v)
            np.rint(block, out=block)
            np.clip(block, -highest, highest, out=block)
            codes[first : first + _BLOCK] = block
        if not self.fine:
            codes *= WORDS_PER_LEVEL
        return codes


def front_end_noise_v(range_v: float, bandwidth_hz: float, averages: int) -> float:
    """Standard deviation of the noise in a record."""
    return NOISE_OF_RANGE * range_v * (bandwidth_hz / BANDWIDTH_HZ.maximum / averages) ** 0.5


def calibration_sine(amplitude_v: float, frequency_hz: float, rate_hz: float) -> Signal:
    """The sine that an input without a component sees; its period is a whole number of samples."""
    length = max(4, round(rate_hz / frequency_hz))
    phase = 2.0 * np.pi * np.arange(length) / length
    return Signal(amplitude_v * np.sin(phase), frequency_hz * length)


def _repeated(period: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    if len(period) >= count:
        return period[:count].copy()
    if len(period) < _BLOCK:
        period = np.tile(period, -(-min(_BLOCK, count) // len(period)))
    return np.tile(period, -(-count // len(period)))[:count]
