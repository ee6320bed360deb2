"""Slow wandering of something in the field (a loss, a phase): a pure function of lab time.

A sum of sinusoids whose periods are spread evenly on a logarithmic scale, with random phases and equal strengths:
noise with a spectrum like 1/f between the shortest and the longest period. Assumed: what is published is a spread.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sim_devices.twin.streams import KeyedStream

OSCILLATIONS = 48


class Wander:
    """Mean zero and standard deviation `rms` over times much longer than `longest_s`."""

    def __init__(self, stream: KeyedStream, rms: float, shortest_s: float, longest_s: float) -> None:
        generator = stream.generator()
        share = (np.arange(OSCILLATIONS) + generator.random(OSCILLATIONS)) / OSCILLATIONS
        self._rates = 2.0 * math.pi / (shortest_s * (longest_s / shortest_s) ** share)
        self._phases = 2.0 * math.pi * generator.random(OSCILLATIONS)
        self._amplitude = rms * math.sqrt(2.0 / OSCILLATIONS)

    @staticmethod
    def farthest(rms: float) -> float:
        """How far from zero it can come at all: where all oscillations meet."""
        return rms * math.sqrt(2.0 * OSCILLATIONS)

    def at(self, time_s: float) -> float:
        """The value at a time."""
        if self._amplitude == 0.0:
            return 0.0
        return self._amplitude * float(np.sum(np.cos(self._rates * time_s + self._phases)))

    def over(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values at many times, shape (n,)."""
        values = np.zeros(times_s.shape)
        if self._amplitude > 0.0:
            for rate, phase in zip(self._rates, self._phases, strict=True):
                values += np.cos(rate * times_s + phase)
        return self._amplitude * values
