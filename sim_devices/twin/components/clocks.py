"""Clocks on cables: a reference oscillator, a frequency divider, a coaxial cable, and the oscilloscope's input.

Reference for the arrangement: Ji et al., "Quantum-secured optical interconnects", sections 2.2 and 2.4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S, db_to_ratio
from sim_devices.twin.baseband import Baseband
from sim_devices.twin.clock_signal import (
    FLICKER_LONGEST_S,
    FLICKER_SHORTEST_S,
    ClockSignal,
    TimeBase,
    place_in_period,
)
from sim_devices.twin.component import BASEBAND, CLOCK, Component, Signal, clock
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from sim_devices.twin.wander import Wander

SHARE_OF_PERIOD = 0.5
"""Width of an oscillator's own pulses: half a period, as of a sine."""


@dataclass(frozen=True)
class ReferenceOscillatorParameters:
    """An oscillator that others take their time from."""

    frequency_hz: Annotated[float, Interval(ge=1e5, le=1e11)]
    offset_ppm: Annotated[float, Interval(ge=-1000, le=1000)] = 0.0
    """By how much it runs faster than lab time at the origin of lab time."""
    drift_ppb_per_s: Annotated[float, Interval(ge=-1000, le=1000)] = 0.0
    """Change of that, linear in time."""
    jitter_ps: Annotated[float, Interval(ge=0, le=1000)] = 0.0
    """White phase noise: standard deviation of each edge by itself."""
    flicker_ps: Annotated[float, Interval(ge=0, le=1e6)] = 0.0
    """Phase noise like 1/f with periods of 0.1 to 100 s, standard deviation."""
    amplitude_v: Annotated[float, Gt(0)] = 0.5


class ReferenceOscillator(Component[ReferenceOscillatorParameters]):
    """One clock, on as many outputs as are linked to: `1` to `4`."""

    Parameters = ReferenceOscillatorParameters
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = dict.fromkeys(("1", "2", "3", "4"), CLOCK)

    def __init__(self, parameters: ReferenceOscillatorParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        flicker = None
        if parameters.flicker_ps > 0.0:
            flicker = Wander(
                stream.child("flicker"), parameters.flicker_ps, FLICKER_SHORTEST_S, FLICKER_LONGEST_S
            )
        self._signal = ClockSignal(
            time_base=TimeBase(parameters.offset_ppm, parameters.drift_ppb_per_s, flicker),
            frequency_hz=parameters.frequency_hz,
            amplitude_v=parameters.amplitude_v,
            pulse_fwhm_ps=SHARE_OF_PERIOD * PS_PER_S / parameters.frequency_hz,
            jitter_ps=parameters.jitter_ps,
        )

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The clock."""
        del inputs, settings
        return dict.fromkeys(wanted, self._signal)


@dataclass(frozen=True)
class FrequencyDividerParameters:
    """A divider with a pulse former: one output pulse in so many input periods."""

    divisor: Annotated[int, Interval(ge=1, le=100_000)]
    pulse_fwhm_ps: Annotated[float, Gt(0)]
    output_v: Annotated[float, Gt(0)] = 0.5
    jitter_ps: Annotated[float, Interval(ge=0, le=1000)] = 0.0
    """That it adds."""
    output_noise_v: Annotated[float, Ge(0)] = 0.0


class FrequencyDivider(Component[FrequencyDividerParameters]):
    """Counts input periods; the same pulses leave at the outputs `1` to `4`, none without a clock."""

    Parameters = FrequencyDividerParameters
    inputs: Mapping[str, str] = {"in": CLOCK}
    outputs: Mapping[str, str] = dict.fromkeys(("1", "2", "3", "4"), CLOCK)

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The divided clock."""
        del settings
        own, entering = self.parameters, clock(inputs, "in")
        if entering is None:
            return {}
        divided = replace(
            entering,
            frequency_hz=entering.frequency_hz / own.divisor,
            amplitude_v=own.output_v,
            pulse_fwhm_ps=own.pulse_fwhm_ps,
            jitter_ps=float(np.hypot(entering.jitter_ps, own.jitter_ps)),
            noise_v=own.output_noise_v,
        )
        return dict.fromkeys(wanted, divided)


@dataclass(frozen=True)
class CoaxialCableParameters:
    """A cable, its connectors and matching pads as one Gaussian low pass."""

    bandwidth_hz: Annotated[float, Gt(0)]
    """3 dB, electrical."""
    delay_ps: Annotated[float, Ge(0)] = 0.0
    loss_db: Annotated[float, Interval(ge=0, le=100)] = 0.0
    """Of the voltage's power at low frequencies."""


class CoaxialCable(Component[CoaxialCableParameters]):
    """Delays, weakens and widens the pulses of a clock."""

    Parameters = CoaxialCableParameters
    inputs: Mapping[str, str] = {"in": CLOCK}
    outputs: Mapping[str, str] = {"out": CLOCK}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The clock at the far end."""
        del settings, wanted
        own, entering = self.parameters, clock(inputs, "in")
        if entering is None:
            return {}
        gain = sqrt(db_to_ratio(-own.loss_db))
        return {"out": entering.after(bandwidth_hz=own.bandwidth_hz, delay_ps=own.delay_ps, gain=gain)}


@dataclass(frozen=True)
class OscilloscopeInputParameters:
    """How the voltage at an oscilloscope's socket is worked out before the oscilloscope samples it."""

    pulses: Annotated[int, Interval(ge=1, le=4096)] = 256
    """After so many pulses the noise repeats, within one look at the socket."""
    samples_per_pulse: Annotated[int, Interval(ge=16, le=65_536)] = 800
    """In one period of the clock: 80 GSa/s at 100 MHz."""
    baseband_points: Annotated[int, Interval(ge=1024, le=2**25)] = 2**17
    """After so many samples, or a little later, the noise of a coherent receiver's voltage repeats."""


class OscilloscopeInput(Component[OscilloscopeInputParameters]):
    """Shows a clock, or an output of a coherent receiver, to an oscilloscope, as what its socket reads: `waveform_v`.

    0 V if nothing arrives. One cable fits: either `in` or `baseband` is linked.
    """

    Parameters = OscilloscopeInputParameters
    READINGS: ClassVar[frozenset[str]] = frozenset({"waveform_v"})
    inputs: Mapping[str, str] = {"in": CLOCK, "baseband": BASEBAND}
    outputs: Mapping[str, str] = {}

    def reading(self, name: str, inputs: Mapping[str, Signal], time_ps: int) -> object:
        """One period of the voltage in V and its sample rate in Hz; its first sample was at the origin of lab time.

        What is right at `time_ps` is right, to the drift's second order, as long as an oscilloscope's record takes.
        """
        if name not in self.READINGS:
            return super().reading(name, inputs, time_ps)
        signal, received = clock(inputs, "in"), inputs.get("baseband")
        if isinstance(received, Baseband):
            if signal is not None:
                raise ValueError("an oscilloscope's socket takes one cable: unlink `in` or `baseband`")
            return received.trace(time_ps, self.parameters.baseband_points)
        if signal is None:
            return np.zeros(1), 1e9
        own = self.parameters
        rate = signal.time_base.rate(time_ps)
        sample_hz = own.samples_per_pulse * signal.frequency_hz * (1.0 + rate)
        length = own.pulses * own.samples_per_pulse
        place = place_in_period(time_ps, sample_hz, length)
        first = place - signal.periods_since_pulse(time_ps) * own.samples_per_pulse
        generator = self.stream.child("trace", str(time_ps)).generator()
        return self._trace(signal, first, generator), sample_hz

    def _trace(
        self, signal: ClockSignal, first: float, generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """Voltage over the pulses, the first of which has its centre at `first` (in samples)."""
        own = self.parameters
        sample_ps = PS_PER_S / signal.frequency_hz / own.samples_per_pulse
        length = own.pulses * own.samples_per_pulse
        late = generator.standard_normal(own.pulses) * signal.jitter_ps / sample_ps
        centres = first + own.samples_per_pulse * np.arange(own.pulses) + late
        rms = signal.pulse_fwhm_ps / sample_ps / sqrt(8.0 * log(2.0))
        around = np.arange(-own.samples_per_pulse // 2, own.samples_per_pulse - own.samples_per_pulse // 2)
        places = np.floor(centres)[:, None] + around
        volts = signal.amplitude_v * np.exp(-0.5 * ((places - centres[:, None]) / rms) ** 2)
        trace = np.zeros(length)
        np.add.at(trace, places.astype(np.int64) % length, volts)
        if signal.noise_v > 0.0:
            trace += signal.noise_v * _coloured(generator, length, sample_ps, signal.noise_bandwidth_hz)
        return trace


def _coloured(
    generator: np.random.Generator, length: int, sample_ps: float, bandwidth_hz: float
) -> NDArray[np.float64]:
    """Noise of unit variance behind a Gaussian low pass of this 3 dB bandwidth."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    share = np.fft.rfftfreq(length, sample_ps / PS_PER_S) / bandwidth_hz
    noise = np.fft.irfft(spectrum * np.exp(-0.5 * log(2.0) * share**2), length)
    return noise / noise.std()
