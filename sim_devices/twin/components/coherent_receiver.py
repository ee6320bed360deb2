"""The front end of a coherent receiver: polarization splitters, 90-degree hybrids and balanced photodiodes.

Reference: K. Kikuchi, "Fundamentals of Coherent Optical Fiber Communications", J. Lightwave Technol. 34, 157 (2016). A
hybrid makes (E_s + j^k E_lo)/2, k = 0..3, so that a balanced pair gives the currents

    i_I = R Re(E_s E_lo*),  i_Q = R Im(E_s E_lo*)

in each polarization, with the one-sided noise density q R (P_s + P_lo) of the light on both photodiodes, the density
R^2 (P_lo N_s + P_s N_lo) of the beat with spontaneous emission (N: one polarization's, W/Hz) and that of the amplifier.
The photodiodes of a pair are alike, and dispersion is not simulated (both assumed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import pi, sqrt
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval, Len
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S, SPEED_OF_LIGHT_M_PER_S, db_to_ratio, photon_energy_j
from sim_devices.twin.baseband import Baseband, Beat, LaserPhase
from sim_devices.twin.component import BASEBAND, OPTICAL, Component, Signal, optical
from sim_devices.twin.components.optical_clock import ELECTRON_C
from sim_devices.twin.light import NOISE_WAVELENGTH_M, Light, Line
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

OUTPUTS = ("xi", "xq", "yi", "yq")
NM_PER_HZ = NOISE_WAVELENGTH_M**2 / SPEED_OF_LIGHT_M_PER_S * 1e9


@dataclass(frozen=True)
class CoherentReceiverParameters:
    """Two hybrids with four balanced pairs and their transimpedance amplifiers."""

    bandwidth_hz: Annotated[float, Interval(ge=1e6, le=1e12)]
    """3 dB, electrical, of a Gaussian low pass."""
    linewidth_hz: Annotated[float, Interval(ge=0, le=1e9)]
    """Of signal and local oscillator together; of the one laser if it is one."""
    self_homodyne: bool = False
    """Whether signal and local oscillator come from one laser."""
    path_mismatch_ps: Annotated[float, Interval(ge=0, le=1e6)] = 0.0
    """If they do: difference of the two paths from that laser."""
    responsivity_a_per_w: Annotated[float, Interval(gt=0, le=2)] = 0.9
    transimpedance_ohm: Annotated[float, Gt(0)] = 1000.0
    thermal_noise_a_per_sqrt_hz: Annotated[float, Ge(0)] = 2e-11
    """Of each amplifier, at its input."""
    excess_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    """Of both inputs, beyond the division among the photodiodes."""
    hybrid_error_rad: Annotated[float, Interval(ge=-pi / 2, le=pi / 2)] = 0.0
    """Of both hybrids: phase of Q against I beyond a quarter wave."""
    gain_imbalance_db: Annotated[float, Interval(ge=-6, le=6)] = 0.0
    """Amplitudes of Q against I, 20 lg of the ratio."""
    skew_ps: Annotated[tuple[Annotated[float, Interval(ge=-1e4, le=1e4)], ...], Len(4, 4)] = (0.0,) * 4
    """By how much xi, xq, yi and yq come late."""


class CoherentReceiver(Component[CoherentReceiverParameters]):
    """Outputs `xi`, `xq` (light along H at the input `signal`) and `yi`, `yq` (along V).

    The strongest carrier at `lo` is the local oscillator; half of it goes to each polarization, however it is
    polarised (assumed: its fibre keeps the polarization). Depolarised light does not beat: it adds shot noise only.
    """

    Parameters = CoherentReceiverParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset(
        {
            "responsivity_a_per_w",
            "excess_loss_db",
            "hybrid_error_rad",
            "gain_imbalance_db",
            "skew_ps",
            "path_mismatch_ps",
        }
    )
    inputs: Mapping[str, str] = {"signal": OPTICAL, "lo": OPTICAL}
    outputs: Mapping[str, str] = dict.fromkeys(OUTPUTS, BASEBAND)

    def __init__(self, parameters: CoherentReceiverParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        if parameters.path_mismatch_ps > 0.0 and not parameters.self_homodyne:
            raise ValueError(
                f"path_mismatch_ps: {parameters.path_mismatch_ps:g} ps has no meaning with two lasers; "
                "set self_homodyne = true, or leave it out"
            )

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The laws of the wanted outputs' voltages."""
        del settings
        kept = db_to_ratio(-self.parameters.excess_loss_db)
        signal, local = optical(inputs, "signal").scaled(kept), optical(inputs, "lo").scaled(kept)
        return {output: self._output(output, signal, local) for output in wanted}

    def _output(self, output: str, signal: Light, local: Light) -> Baseband:
        own = self.parameters
        axis = "xy".index(output[0])
        projection = 1.0 + 0.0j
        if output[1] == "q":
            gain = db_to_ratio(own.gain_imbalance_db / 2.0)
            projection = -1j * gain * np.exp(1j * own.hybrid_error_rad)
        return Baseband(
            stream=self.stream,
            output=output,
            beat=self._beat(axis, signal, local),
            projection=complex(projection),
            bandwidth_hz=own.bandwidth_hz,
            noise_v_per_sqrt_hz=self._noise_v(axis, signal, local) * abs(projection),
            skew_ps=own.skew_ps[OUTPUTS.index(output)],
        )

    def _beat(self, axis: int, signal: Light, local: Light) -> Beat:
        own = self.parameters
        oscillator = max(local.lines, key=lambda line: line.power_w, default=Line(NOISE_WAVELENGTH_M, 0.0))
        volts = own.transimpedance_ohm * own.responsivity_a_per_w * sqrt(0.5 * oscillator.power_w)
        phase = LaserPhase(own.linewidth_hz, own.path_mismatch_ps if own.self_homodyne else None)
        lines = tuple(
            (
                _offset_hz(line.wavelength_m, oscillator),
                complex(volts * sqrt(line.power_w) * line.jones[axis]),
            )
            for line in signal.lines
            if line.jones is not None
        )
        slot_ps = Fraction(round(PS_PER_S / own.bandwidth_hz * 1000), 1000)
        beat = Beat(np.zeros(1, np.complex128), slot_ps, Fraction(0), 0.0, lines, phase, oscillator.tone)
        train = signal.train
        if train is None:
            return beat
        per_photon = volts * sqrt(photon_energy_j(train.wavelength_m) * PS_PER_S / float(train.slot_ps))
        return replace(
            beat,
            slots_v=per_photon * train.amplitudes[train.slots, axis],
            slot_ps=train.slot_ps,
            start_ps=train.origin_ps + Fraction(train.delay_ps) - train.slot_ps / 2,
            carrier_hz=_offset_hz(train.wavelength_m, oscillator),
        )

    def _noise_v(self, axis: int, signal: Light, local: Light) -> float:
        """One-sided density at the output, in V / sqrt(Hz); mean powers, as the balanced noise is white."""
        own = self.parameters
        signal_w, local_w = _power_along(axis, signal), 0.5 * local.power_w
        emission = 0.5 * NM_PER_HZ * np.array([signal.noise_w_per_nm, local.noise_w_per_nm])
        density = ELECTRON_C * own.responsivity_a_per_w * (signal_w + local_w)
        density += own.responsivity_a_per_w**2 * float(emission @ [local_w, signal_w])
        return own.transimpedance_ohm * sqrt(density + own.thermal_noise_a_per_sqrt_hz**2)


def _offset_hz(wavelength_m: float, oscillator: Line) -> float:
    if wavelength_m == oscillator.wavelength_m:
        return 0.0
    return SPEED_OF_LIGHT_M_PER_S / wavelength_m - SPEED_OF_LIGHT_M_PER_S / oscillator.wavelength_m


def _power_along(axis: int, light: Light) -> float:
    """Mean power in one polarization, the half of all that is depolarised."""
    power_w = 0.5 * light.noise_power_w
    for line in light.lines:
        power_w += line.power_w * (0.5 if line.jones is None else float(np.abs(line.jones[axis]) ** 2))
    if light.train is not None:
        power_w += light.train.power_w * _share(axis, light.train.amplitudes[light.train.slots])
    return power_w


def _share(axis: int, amplitudes: NDArray[np.complex128]) -> float:
    powers = np.sum(np.abs(amplitudes) ** 2, axis=0)
    total = float(powers.sum())
    return float(powers[axis]) / total if total > 0.0 else 0.0
