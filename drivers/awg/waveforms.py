"""What an arbitrary waveform generator is given to play: samples, their rate, and the outputs' voltages."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Waveforms:
    """Samples that several channels play together, over and over.

    `samples` maps channels, counted from 1, to arrays of one common shape (length,) of DAC codes. `sample_rate_hz` is
    the rate at which each channel plays them. A code of 127 is half of the channel's amplitude (peak to peak) above
    its offset.
    """

    samples: Mapping[int, NDArray[np.int8]]
    sample_rate_hz: float
    amplitudes_v: Mapping[int, float]
    offsets_v: Mapping[int, float]

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of each channel's number in ASCII and its bytes, channel by channel."""
        sha = hashlib.sha256()
        for channel in sorted(self.samples):
            sha.update(str(channel).encode())
            sha.update(np.ascontiguousarray(self.samples[channel]).tobytes())
        return sha.hexdigest()

    @property
    def length(self) -> int:
        """Samples of each channel."""
        return max((len(codes) for codes in self.samples.values()), default=0)
