"""What a clock is on its way: how its time deviates from lab time, and the pulses by which it travels on a cable."""

from dataclasses import dataclass, replace
from math import hypot, inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.units import PS_PER_S
from sim_devices.twin.wander import Wander

FLICKER_SHORTEST_S, FLICKER_LONGEST_S = 0.1, 100.0
"""Periods between which the slow phase noise lies (assumed)."""
GRID_PS = 1_000_000_000
"""Slow phase noise is computed at whole milliseconds of lab time and taken to be linear in between."""
GAUSSIAN_TIME_BANDWIDTH = 0.31202
"""FWHM of a Gaussian low pass's response to an impulse, times its 3 dB bandwidth: 2 ln2 / (pi sqrt2)."""


@dataclass(frozen=True, eq=False)
class TimeBase:
    """A clock's reading as a function of lab time: frequency offset, linear drift, slow phase noise, and a delay.

    Everything is counted from the origin of lab time, where the reading is 0 (but for the delay and the phase noise).
    """

    offset_ppm: float = 0.0
    drift_ppb_per_s: float = 0.0
    flicker: Wander | None = None
    """Phase in ps by time in s."""
    delay_ps: float = 0.0
    """How late the clock is read: what it shows is what its oscillator showed this long ago."""

    def deviation_ps(self, times_ps: ArrayLike) -> NDArray[np.float64]:
        """Reading of the oscillator less lab time, as it was a delay before lab times in ps; shape (n,)."""
        times = np.asarray(times_ps, np.float64) - self.delay_ps
        seconds = times / PS_PER_S
        deviation = seconds * (1e6 * self.offset_ppm + 0.5e3 * self.drift_ppb_per_s * seconds)
        return deviation if self.flicker is None else deviation + self._flicker_ps(times, self.flicker)

    def rate(self, time_ps: float) -> float:
        """Relative frequency deviation at a lab time, slow phase noise left out."""
        seconds = (time_ps - self.delay_ps) / PS_PER_S
        return 1e-6 * self.offset_ppm + 1e-9 * self.drift_ppb_per_s * seconds

    def delayed(self, delay_ps: float) -> "TimeBase":
        """The same clock, read at the end of a path."""
        return replace(self, delay_ps=self.delay_ps + delay_ps)

    @staticmethod
    def _flicker_ps(times_ps: NDArray[np.float64], flicker: Wander) -> NDArray[np.float64]:
        place = times_ps / GRID_PS
        nodes, index = np.unique(np.floor(place), return_inverse=True)
        ends_ps = [flicker.over((nodes + side) * (GRID_PS / PS_PER_S)) for side in (0.0, 1.0)]
        return ends_ps[0][index] + (place - nodes[index]) * (ends_ps[1] - ends_ps[0])[index]


LAB_TIME = TimeBase()
"""The clock of somebody who knows lab time."""


@dataclass(frozen=True, eq=False)
class ClockSignal:
    """A clock on a coaxial cable: Gaussian pulses, one a period."""

    time_base: TimeBase
    frequency_hz: float
    """Nominal."""
    amplitude_v: float
    pulse_fwhm_ps: float
    jitter_ps: float = 0.0
    """Standard deviation of each pulse by itself, against the time base."""
    noise_v: float = 0.0
    """Standard deviation of the voltage, within `noise_bandwidth_hz`."""
    noise_bandwidth_hz: float = inf
    """Of a Gaussian low pass; infinite for white noise."""

    def periods_since_pulse(self, time_ps: int) -> float:
        """Share of a period that has passed at a lab time since the centre of the last pulse."""
        base = self.time_base
        late_ps = base.delay_ps - float(base.deviation_ps([time_ps])[0])
        passed = place_in_period(time_ps, self.frequency_hz, 1)
        return (passed - late_ps * self.frequency_hz / PS_PER_S) % 1.0

    def after(self, *, bandwidth_hz: float, delay_ps: float = 0.0, gain: float = 1.0) -> "ClockSignal":
        """Behind a Gaussian low pass: FWHM^2 grows by (0.312 / B)^2, and the height falls as the area stays.

        White noise is reckoned within the first low pass that it meets.
        """
        response_ps = GAUSSIAN_TIME_BANDWIDTH / bandwidth_hz * PS_PER_S
        width_ps = hypot(self.pulse_fwhm_ps, response_ps)
        band_hz = 1.0 / hypot(1.0 / bandwidth_hz, 1.0 / self.noise_bandwidth_hz)
        kept = sqrt(band_hz / self.noise_bandwidth_hz) if self.noise_bandwidth_hz < inf else 1.0
        return replace(
            self,
            time_base=self.time_base.delayed(delay_ps),
            amplitude_v=self.amplitude_v * gain * self.pulse_fwhm_ps / width_ps,
            pulse_fwhm_ps=width_ps,
            noise_v=self.noise_v * gain * kept,
            noise_bandwidth_hz=band_hz,
        )


def place_in_period(time_ps: int, sample_hz: float, length: int) -> float:
    """Samples at `sample_hz` since the beginning of the period of `length` that `time_ps` is in, however late it is."""
    numerator, denominator = float(sample_hz).as_integer_ratio()
    return (time_ps * numerator % (length * PS_PER_S * denominator)) / (PS_PER_S * denominator)
