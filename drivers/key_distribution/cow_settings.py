"""What the lab knows of its coherent-one-way link and writes into the configuration, beside addresses and devices."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.awg.waveforms import Waveforms
from qdci_lab.analysis.clock_recovery import ClockSearch
from qdci_lab.analysis.cow_code import CowCode, make_cow_code
from qdci_lab.analysis.cow_result import CowProtocol, CowReceiver
from qdci_lab.analysis.cow_tags import CowSettings
from qdci_lab.errors import LocalProtocolError
from qdci_lab.units import PS_PER_S

FULL_SCALE = 127
INTENSITY_OUTPUT = 1


@dataclass(frozen=True)
class CowTransmitter:
    """How the lab has calibrated its transmitter: a continuous laser, an intensity modulator, an attenuator.

    `pulse_v` and `empty_v` are the modulator's levels. A pulse fills `samples_per_pulse` samples at the beginning of
    its slot. `mean_photon_number_unattenuated` is that of a pulse at the fibre's input with the attenuator at 0 dB.
    """

    slot_rate_hz: float
    sample_rate_hz: float
    samples_per_pulse: int
    pulse_v: float
    empty_v: float
    laser_power_dbm: float
    laser_wavelength_nm: float
    mean_photon_number_unattenuated: float

    @property
    def samples_per_slot(self) -> int:
        """Samples in a slot; LocalProtocolError unless it is a whole number that leaves room beside the pulse."""
        samples = self.sample_rate_hz / self.slot_rate_hz
        if samples != int(samples) or not 0 < self.samples_per_pulse < samples:
            raise LocalProtocolError(
                f"{samples:g} samples a slot with pulses of {self.samples_per_pulse}: must be a whole number, and more"
            )
        return int(samples)

    def waveforms(self, code: CowCode) -> Waveforms:
        """What the generator must play to send the code: one output, full scale between the two levels."""
        slot = np.full((2, self.samples_per_slot), -FULL_SCALE, dtype=np.int8)
        slot[1, : self.samples_per_pulse] = FULL_SCALE
        samples: NDArray[np.int8] = slot[code.pulses].ravel()
        amplitude_v = self.pulse_v - self.empty_v
        return Waveforms(
            samples={INTENSITY_OUTPUT: samples},
            sample_rate_hz=self.sample_rate_hz,
            amplitudes_v={INTENSITY_OUTPUT: amplitude_v},
            offsets_v={INTENSITY_OUTPUT: 0.5 * (self.pulse_v + self.empty_v)},
        )


@dataclass(frozen=True)
class CowAgreement:
    """The protocol: intensity, shares of decoy and vacuum sequences, error correction, and what the system makes of it.

    The shares are wished for; a code of `code_length` sequences comes as close as whole sequences can. For
    `distilled_share` and `cutoff_loss_db` see `qdci_lab.analysis.cow_result.CowProtocol`.
    """

    mu: float
    p_decoy: float
    p_vacuum: float
    code_length: int = 1024
    code_seed: int = 1
    f_ec: float = 1.16
    distilled_share: float = 1.0
    cutoff_loss_db: float = math.inf

    def code(self) -> CowCode:
        """The periodic code; the same for the same settings."""
        return make_cow_code(self.code_length, self.p_decoy, self.p_vacuum, self.code_seed)

    def protocol(self) -> CowProtocol:
        """As the analysis wants it."""
        return CowProtocol(self.mu, self.f_ec, self.distilled_share, self.cutoff_loss_db)


@dataclass(frozen=True)
class CowChannel:
    """What is known of the channel: the fibre's loss, and how far the parties' clocks may be off each other."""

    fibre_loss_db: float
    max_offset_ppm: float = 20.0
    max_drift_ppb_per_s: float = 10.0
    sync_tags: int = 20_000


def cow_analysis_settings(
    code: CowCode,
    agreement: CowAgreement,
    receiver: CowReceiver,
    channel: CowChannel,
    slot_rate_hz: float,
) -> CowSettings:
    """All that the analysis of an acquisition depends on."""
    return CowSettings(
        code=code,
        protocol=agreement.protocol(),
        receiver=receiver,
        period_ps=PS_PER_S / slot_rate_hz,
        search=ClockSearch(
            max_offset_ppm=channel.max_offset_ppm, max_drift_ppb_per_s=channel.max_drift_ppb_per_s
        ),
        sync_tags=channel.sync_tags,
    )
