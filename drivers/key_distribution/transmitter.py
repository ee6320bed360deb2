"""What the transmitter's modulators must be told: a symbol code as sample codes for an arbitrary waveform generator.

Three outputs: 1 drives the intensity modulator, 2 the polarization modulator, 3 triggers the pulsed laser. Each symbol
is one period of the pulse clock; levels are held for the whole period, the laser fires in its middle.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.code import SymbolCode
from qdci_lab.errors import LocalProtocolError

FULL_SCALE = 127
INTENSITY_OUTPUT, POLARIZATION_OUTPUT, TRIGGER_OUTPUT = 1, 2, 3


@dataclass(frozen=True)
class Drive:
    """The voltages of one output that play the lowest and the highest level."""

    low_v: float
    high_v: float

    @property
    def amplitude_v(self) -> float:
        """Peak-to-peak voltage at full scale."""
        return self.high_v - self.low_v

    @property
    def offset_v(self) -> float:
        """The voltage of sample code zero."""
        return 0.5 * (self.high_v + self.low_v)


@dataclass(frozen=True)
class Transmitter:
    """How the lab has calibrated its transmitter.

    `decoy_v` and `signal_v` are the intensity modulator's levels, `polarization_v` those of the states Z0, X0, Z1, X1,
    evenly spaced. `mean_photon_number_unattenuated` is that of a signal pulse at the fibre's input with the
    transmitter's attenuator at 0 dB; `wavelength_nm` turns powers into photons.
    """

    repetition_rate_hz: float
    sample_rate_hz: float
    signal_v: float
    decoy_v: float
    polarization_v: tuple[float, float, float, float]
    trigger_low_v: float
    trigger_high_v: float
    mean_photon_number_unattenuated: float
    wavelength_nm: float = 1550.0

    @property
    def samples_per_symbol(self) -> int:
        """Samples in one period of the pulse clock; LocalProtocolError unless it is a whole even number."""
        samples = self.sample_rate_hz / self.repetition_rate_hz
        if samples != int(samples) or samples < 4 or samples % 2:
            raise LocalProtocolError(f"{samples:g} samples a symbol: must be an even number of at least 4")
        return int(samples)

    @property
    def drives(self) -> Mapping[int, Drive]:
        """The voltage range of each output."""
        return {
            INTENSITY_OUTPUT: Drive(min(self.decoy_v, self.signal_v), max(self.decoy_v, self.signal_v)),
            POLARIZATION_OUTPUT: Drive(min(self.polarization_v), max(self.polarization_v)),
            TRIGGER_OUTPUT: Drive(self.trigger_low_v, self.trigger_high_v),
        }

    def sample_codes(self, code: SymbolCode) -> dict[int, NDArray[np.int8]]:
        """The waveforms of the outputs, each of shape (length of the code times samples per symbol,)."""
        drives = self.drives
        intensity_v = np.where(code.intensity == 0, self.signal_v, self.decoy_v)
        state = 2 * code.bit.astype(np.intp) + code.basis
        polarization_v = np.asarray(self.polarization_v)[state]
        pulse = np.full(self.samples_per_symbol, self.trigger_low_v)
        pulse[self.samples_per_symbol // 2 :] = self.trigger_high_v
        return {
            INTENSITY_OUTPUT: self._held(intensity_v, drives[INTENSITY_OUTPUT]),
            POLARIZATION_OUTPUT: self._held(polarization_v, drives[POLARIZATION_OUTPUT]),
            TRIGGER_OUTPUT: np.tile(_quantised(pulse, drives[TRIGGER_OUTPUT]), code.length),
        }

    def _held(self, levels_v: NDArray[np.float64], drive: Drive) -> NDArray[np.int8]:
        return np.repeat(_quantised(levels_v, drive), self.samples_per_symbol)


def _quantised(voltage_v: NDArray[np.float64], drive: Drive) -> NDArray[np.int8]:
    """Sample codes -127..127 for voltages within the drive's range."""
    return np.rint((voltage_v - drive.offset_v) / (0.5 * drive.amplitude_v) * FULL_SCALE).astype(np.int8)
