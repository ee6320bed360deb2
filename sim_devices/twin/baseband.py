"""The voltage behind a coherent receiver: the beat of signal and local oscillator, and the law of its noise.

What is periodic is kept as one frame. Random numbers are drawn where the voltage is read, from the receiver's stream
and by the lab time of the look, so that all outputs of one receiver, read at one lab time, see one laser phase.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, log, pi

import numpy as np
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S
from sim_devices.twin.clock_signal import place_in_period
from sim_devices.twin.light import Tone
from sim_devices.twin.streams import KeyedStream

RATE_PER_BANDWIDTH = 6
"""Samples per second, at least, by the 3 dB bandwidth: 0.04 % of a Gaussian low pass's noise lies beyond the half."""
LONGEST = 2**25
"""Samples of a frame: what a look at a socket may take of memory (some GB)."""


@dataclass(frozen=True)
class LaserPhase:
    """The phase between signal and local oscillator: a Wiener process, or the difference of one and its own past.

    Free-running lasers: variance 2 pi linewidth t after the time t. One laser for both (self-homodyne): stationary,
    with variance 2 pi linewidth |mismatch|. The phase at the beginning of a look is anything (fibres drift: assumed).
    """

    linewidth_hz: float
    """Of both lasers together; of the one laser if it is one."""
    mismatch_ps: float | None = None
    """Of the two paths from one laser; None if there are two lasers."""

    def drawn(self, count: int, sample_hz: float, generator: np.random.Generator) -> NDArray[np.float64]:
        """Phase in rad at `count` samples."""
        start = generator.uniform(0.0, 2.0 * pi)
        if self.linewidth_hz == 0.0 or self.mismatch_ps == 0.0:
            return np.full(count, start)
        rms = (2.0 * pi * self.linewidth_hz / sample_hz) ** 0.5
        if self.mismatch_ps is None:
            return start + rms * np.cumsum(generator.standard_normal(count))
        whole, part = divmod(self.mismatch_ps * sample_hz / PS_PER_S, 1.0)
        lag = int(whole)
        steps = generator.standard_normal((count + lag + 1, 2)) * (rms * np.sqrt([1.0 - part, part]))
        walk = np.cumsum(steps.sum(axis=1))
        late = walk - steps[:, 1]  # where the walk was `part` of a sample before each sample
        return start + walk[lag + 1 :] - late[1 : count + 1]


@dataclass(frozen=True, eq=False)
class Beat:
    """E_signal x conj(E_local oscillator) in one polarization, in volts at the receiver's output."""

    slots_v: NDArray[np.complex128]
    """Shape (slots of a frame,): held for a slot each; a single 0 if no pulses arrive."""
    slot_ps: Fraction
    start_ps: Fraction
    """Lab time at which a frame began here."""
    carrier_hz: float
    """Optical frequency of the slots less that of the local oscillator."""
    lines: tuple[tuple[float, complex], ...]
    """Continuous carriers: frequency less that of the local oscillator, and volts."""
    phase: LaserPhase
    tone: Tone | None = None
    """A clock on the local oscillator's intensity."""

    def sampled(
        self, per_slot: int, frames: int, place: float, time_ps: int, stream: KeyedStream
    ) -> NDArray[np.complex128]:
        """The beat at `per_slot` samples a slot over `frames` frames; sample `place` is at the lab time `time_ps`."""
        sample_hz = per_slot * PS_PER_S / float(self.slot_ps)
        since = float((time_ps - self.start_ps) % (self.slot_ps * len(self.slots_v)) / self.slot_ps)
        held = np.tile(_held(self.slots_v, per_slot, place / per_slot - since), frames)
        seconds = np.arange(len(held)) / sample_hz
        beat = held * _turning(self.carrier_hz, seconds, sample_hz)
        for offset_hz, volts in self.lines:
            beat += volts * _turning(offset_hz, seconds, sample_hz)
        generator = stream.child("phase", str(time_ps)).generator()
        beat *= np.exp(1j * self.phase.drawn(len(beat), sample_hz, generator))
        return (
            beat if self.tone is None else beat * _envelope(self.tone, seconds - place / sample_hz, time_ps)
        )


@dataclass(frozen=True, eq=False)
class Baseband:
    """One output of a coherent receiver: a projection of the beat, low-passed, with its noise."""

    stream: KeyedStream
    """The receiver's."""
    output: str
    beat: Beat
    projection: complex
    """The voltage is the real part of this times the beat: 1 for I and -j for Q, but for errors."""
    bandwidth_hz: float
    """3 dB, of a Gaussian low pass, for signal and noise alike."""
    noise_v_per_sqrt_hz: float
    """Density of the noise before the low pass, one-sided."""
    skew_ps: float = 0.0
    """By how much this output comes late."""

    def trace(self, time_ps: int, points: int) -> tuple[NDArray[np.float64], float]:
        """Voltage over `points` samples at least, a whole number of frames, and the sample rate in Hz.

        To be repeated from the origin of lab time on; signal and noise are right at `time_ps` and after. Raises
        ValueError if a frame is longer than `LONGEST` samples.
        """
        slots, slot_ps = len(self.beat.slots_v), float(self.beat.slot_ps)
        per_slot = ceil(RATE_PER_BANDWIDTH * self.bandwidth_hz * slot_ps / PS_PER_S)
        sample_hz = per_slot * PS_PER_S / slot_ps
        if slots * per_slot > LONGEST:
            raise ValueError(
                f"a frame of {slots} slots at {per_slot} samples each is longer than the {LONGEST} samples that an "
                "oscilloscope's input works out; load a shorter waveform"
            )
        frames = ceil(points / (slots * per_slot))
        length = frames * slots * per_slot
        place = place_in_period(time_ps, sample_hz, length)
        beat = self.beat.sampled(per_slot, frames, place, time_ps, self.stream)
        generator = self.stream.child(self.output, "noise", str(time_ps)).generator()
        rms = self.noise_v_per_sqrt_hz * (0.5 * sample_hz) ** 0.5
        voltage = (self.projection * beat).real + rms * generator.standard_normal(length)
        return self._passed(voltage, sample_hz), sample_hz

    def _passed(self, voltage: NDArray[np.float64], sample_hz: float) -> NDArray[np.float64]:
        frequency_hz = np.fft.rfftfreq(len(voltage), 1.0 / sample_hz)
        response = np.exp(-0.5 * log(2.0) * (frequency_hz / self.bandwidth_hz) ** 2)
        late = np.exp(-2j * pi * frequency_hz * (self.skew_ps / PS_PER_S))
        return np.fft.irfft(np.fft.rfft(voltage) * response * late, len(voltage))


def _held(slots: NDArray[np.complex128], per_slot: int, first: float) -> NDArray[np.complex128]:
    """Slots held one slot each, the first from the time `first` (in slots) on, cut off at half the sample rate.

    By the Fourier series of the rectangles, so that nothing is aliased and `first` may lie between samples.
    """
    size = len(slots) * per_slot
    share = np.fft.fftfreq(size) * per_slot
    shape = np.sinc(share) * np.exp(-2j * pi * share * (0.5 + first))
    return np.fft.ifft(np.tile(np.fft.fft(slots), per_slot) * shape) * per_slot


def _turning(
    offset_hz: float, seconds: NDArray[np.float64], sample_hz: float
) -> NDArray[np.complex128] | float:
    """A beat note of amplitude 1; none at all beyond half the sample rate, where no receiver would follow."""
    if abs(offset_hz) >= 0.5 * sample_hz:
        return 0.0
    return 1.0 if offset_hz == 0.0 else np.exp(2j * pi * offset_hz * seconds)


def _envelope(tone: Tone, seconds: NDArray[np.float64], time_ps: int) -> NDArray[np.float64]:
    """Field of a carrier with the power 1 + m cos, at times after `time_ps`."""
    clock = tone.clock
    begun = clock.periods_since_pulse(time_ps - round(tone.delay_ps))
    frequency_hz = clock.frequency_hz * (1.0 + clock.time_base.rate(time_ps))
    cycles = begun + frequency_hz * seconds
    return np.sqrt(1.0 + tone.modulation_index * np.cos(2.0 * pi * cycles))
