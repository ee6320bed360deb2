"""One-decoy key rates against distance, with classical light in other cores (SDM) or in the same fibre (DWDM).

The detections expected are those of `qdci_lab.analysis.link_model` (Lim et al. 2014), the bounds those of Rusca et al.
2018, the noise that of Ji et al., eqs. (1), (6) and (7), or of Raman scattering in one fibre.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import OneDecoyProtocol
from qdci_lab.analysis.key_rate import estimate_key_rate
from qdci_lab.analysis.link_model import DetectionLink, TwoBasisLink
from qdci_lab.analysis.noise import MulticoreFibre, icsrs_backward_w, srs_backward_w
from qdci_lab.units import dbm_to_watt, photon_energy_j

Array = NDArray[np.float64]
Multiplexing = Literal["sdm", "dwdm"]


@dataclass(frozen=True)
class ReceiverModel:
    """What a passive four-detector receiver contributes; `loss_db` is all optical loss but the fibre's."""

    loss_db: float
    efficiency: float
    dark_rate_hz: float
    misalignment: float
    window_s: float
    afterpulse_probability: float = 0.0


@dataclass(frozen=True)
class ClassicalNoise:
    """Classical light that travels against the quantum signal, and the band of its noise that is let in."""

    launch_power_dbm: float
    fibre: MulticoreFibre
    bandwidth_nm: float
    lit_cores: int
    factor: float = 1.0
    """Multiplies the formula's noise: 1 unless calibrated."""

    def power_w(self, length_km: ArrayLike, multiplexing: Multiplexing) -> Array:
        """Noise that leaves the quantum core at the receiver."""
        launch_w = dbm_to_watt(self.launch_power_dbm)
        if multiplexing == "dwdm":
            return srs_backward_w(launch_w, length_km, self.fibre, bandwidth_nm=self.bandwidth_nm)
        noise_w = icsrs_backward_w(
            launch_w, length_km, self.fibre, bandwidth_nm=self.bandwidth_nm, neighbours=self.lit_cores
        )
        return self.factor * noise_w


def key_rate_against_distance_bps(
    lengths_km: ArrayLike,
    receiver: ReceiverModel,
    protocol: OneDecoyProtocol,
    *,
    attenuation_db_per_km: float,
    block: float,
    repetition_rate_hz: float,
    noise: ClassicalNoise | None = None,
    multiplexing: Multiplexing = "sdm",
    wavelength_nm: float = 1550.0,
) -> Array:
    """Finite key rate in b/s at each fibre length, for blocks of `block` key-basis detections."""
    lengths = np.atleast_1d(np.asarray(lengths_km, np.float64))
    optics = 10.0 ** (-0.1 * receiver.loss_db)
    noise_w = np.zeros_like(lengths) if noise is None else noise.power_w(lengths, multiplexing)
    # A passive choice of basis and two detectors in each: a quarter of unpolarized noise for each detector.
    noise_hz = 0.25 * receiver.efficiency * optics * noise_w / photon_energy_j(wavelength_nm * 1e-9)
    steady = (receiver.dark_rate_hz + noise_hz) * receiver.window_s
    channel = optics * 10.0 ** (-0.1 * attenuation_db_per_km * lengths)
    basis = DetectionLink(
        0.5 * channel * receiver.efficiency,
        np.minimum(steady, 0.5),
        receiver.misalignment,
        receiver.afterpulse_probability,
    )
    link = TwoBasisLink(basis, replace(basis))
    n, m = link.expected(
        1.0, protocol.p_z, (protocol.p_signal, 1.0 - protocol.p_signal), protocol.intensities
    )
    return np.array([_rate_bps(n[i], m[i], protocol, block, repetition_rate_hz) for i in range(lengths.size)])


def _rate_bps(
    n: Array, m: Array, protocol: OneDecoyProtocol, block: float, repetition_rate_hz: float
) -> float:
    pulses = block / float(n[0].sum())
    counts = SiftedCounts(n=n * pulses, m=m * pulses)
    return estimate_key_rate(counts, protocol, pulses / repetition_rate_hz).skr_bps
