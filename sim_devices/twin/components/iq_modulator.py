"""The transmitter of quadrature amplitude modulation: two Mach-Zehnder modulators, a quarter wave apart.

References: M. Seimetz, High-Order Modulation for Optical Fiber Transmission (Springer, 2009), chapter 2; K. Kikuchi,
"Fundamentals of Coherent Optical Fiber Communications", J. Lightwave Technol. 34, 157 (2016). Both children are driven
in push-pull about their point of least transmission:

    E_out = E_in/2 [f(V_I) + j g exp(j eps) f(V_Q)],  f(V) = sin(x) - j d cos(x),  x = pi (V + bias error) / (2 V_pi)

where d^2 is the reciprocal of a child's extinction ratio (arms of unequal strength; its sign is assumed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Interval
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S, db_to_ratio, photon_energy_j
from sim_devices.twin.component import OPTICAL, VOLTAGE, Component, Signal, optical, voltage
from sim_devices.twin.components.coherent_one_way import H_POLARISED, RECTANGLE_RMS
from sim_devices.twin.components.modulators import with_voltages
from sim_devices.twin.electrical import Waveform
from sim_devices.twin.light import Light, Line, PulseTrain
from sim_devices.twin.timeline import Settings


@dataclass(frozen=True)
class IqModulatorParameters:
    """Voltages are reckoned at the waveform generator's outputs, differential drive and driver gain included."""

    v_pi_v: Annotated[float, Gt(0)]
    """Of each child, from least to most transmission; the field is linear in voltages well below it."""
    extinction_db: Annotated[float, Interval(ge=10, le=80)] = 30.0
    """Of each child."""
    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    """Beyond the 3 dB that the sum of both children loses when both are fully open."""
    bias_error_i_v: Annotated[float, Interval(ge=-100, le=100)] = 0.0
    """By how far the child I is biased off its point of least transmission."""
    bias_error_q_v: Annotated[float, Interval(ge=-100, le=100)] = 0.0
    quadrature_error_rad: Annotated[float, Interval(ge=-pi, le=pi)] = 0.0
    """Phase of Q against I beyond a quarter wave."""
    amplitude_imbalance_db: Annotated[float, Interval(ge=-3, le=3)] = 0.0
    """Of the child Q's field against the child I's, 20 lg g."""


class IqModulator(Component[IqModulatorParameters]):
    """Two voltages become one complex field, sample by sample (bandwidth unlimited: assumed).

    A continuous beam becomes a train whose slots are the waveforms' samples, held; its power is spread evenly over a
    sample, and the beam stays coherent from slot to slot. With several carriers the strongest is modulated so, and
    the others are dimmed by the mean transmission.
    """

    Parameters = IqModulatorParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset(
        {
            "v_pi_v",
            "insertion_loss_db",
            "bias_error_i_v",
            "bias_error_q_v",
            "quadrature_error_rad",
            "amplitude_imbalance_db",
        }
    )
    inputs: Mapping[str, str] = {"in": OPTICAL, "i": VOLTAGE, "q": VOLTAGE}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def transfer(
        self, in_phase_v: NDArray[np.float64], quadrature_v: NDArray[np.float64]
    ) -> NDArray[np.complex128]:
        """Ratio of fields at each pair of voltages, insertion loss apart; arrays of one shape."""
        own = self.parameters
        ratio = db_to_ratio(own.amplitude_imbalance_db / 2.0) * np.exp(1j * own.quadrature_error_rad)
        in_phase = self._child(in_phase_v + own.bias_error_i_v)
        quadrature = self._child(quadrature_v + own.bias_error_q_v)
        return 0.5 * (in_phase + 1j * ratio * quadrature)

    def _child(self, voltage_v: NDArray[np.float64]) -> NDArray[np.complex128]:
        phase = 0.5 * pi * voltage_v / self.parameters.v_pi_v
        leak = db_to_ratio(-self.parameters.extinction_db / 2.0)
        return np.sin(phase) - 1j * leak * np.cos(phase)

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The modulated light; noise is dimmed by the mean transmission.

        Raises ValueError if the waveforms are not played together, or do not repeat with a train that enters.
        """
        del settings, wanted
        light = optical(inputs, "in")
        pairs = _Pairs.played(voltage(inputs, "i"), voltage(inputs, "q"))
        fields = self.transfer(*pairs.voltages_v)
        mean = float(np.mean(np.abs(fields[pairs.slots]) ** 2))
        out = replace(light, train=None).scaled(mean)
        if light.train is not None:
            out = replace(out, train=self._turned(light.train, pairs))
        elif light.lines:
            strongest = max(range(len(light.lines)), key=lambda index: light.lines[index].power_w)
            out = _modulated(light.lines[strongest], strongest, out, pairs, fields)
        return {"out": out.scaled(db_to_ratio(-self.parameters.insertion_loss_db))}

    def _turned(self, train: PulseTrain, pairs: "_Pairs") -> PulseTrain:
        """Pulses multiplied each by the field ratio of the voltages at its centre."""
        with_i, in_phase_v = with_voltages(train, pairs.in_phase, 0.0)
        with_q, quadrature_v = with_voltages(train, pairs.quadrature, 0.0)
        both = with_i.slots.astype(np.int64) * len(quadrature_v) + with_q.slots
        alphabet, slots = np.unique(both, return_inverse=True)
        if len(alphabet) > 1 << 16:
            raise ValueError(f"a train of {len(alphabet)} different states; at most 65536 can be told apart")
        of_i, of_q = alphabet // len(quadrature_v), alphabet % len(quadrature_v)
        fields = self.transfer(in_phase_v[of_i], quadrature_v[of_q])
        return replace(
            train, slots=slots.astype(np.uint16), amplitudes=with_i.amplitudes[of_i] * fields[:, None]
        )


@dataclass(frozen=True)
class _Pairs:
    """Two waveforms as one: which of the pairs of voltages that occur is played in each sample."""

    in_phase: Waveform
    quadrature: Waveform
    clock: Waveform
    """The one of the two that moves; either, if both do or none."""
    voltages_v: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Each of shape (pairs,)."""
    slots: NDArray[np.uint16]
    """Shape (samples,)."""

    @classmethod
    def played(cls, in_phase: Waveform, quadrature: Waveform) -> "_Pairs":
        """Raises ValueError if both move and are not of one clock, one length and one beginning."""
        clock = in_phase if len(in_phase.samples) > 1 else quadrature
        for wave in (in_phase, quadrature):
            if len(wave.samples) > 1 and not _together(wave, clock):
                raise ValueError(
                    f"I plays {len(in_phase.samples)} samples of {float(in_phase.sample_ps):g} ps and Q "
                    f"{len(quadrature.samples)} of {float(quadrature.sample_ps):g} ps: drive both from one generator"
                )
        codes = np.broadcast_arrays(in_phase.samples.astype(np.int64), quadrature.samples.astype(np.int64))
        alphabet, slots = np.unique((codes[0] + 128) * 256 + (codes[1] + 128), return_inverse=True)
        voltages_v = (
            in_phase.voltages_v(alphabet // 256 - 128),
            quadrature.voltages_v(alphabet % 256 - 128),
        )
        return cls(in_phase, quadrature, clock, voltages_v, slots.astype(np.uint16))


def _together(one: Waveform, other: Waveform) -> bool:
    return (one.sample_ps, one.origin_ps, len(one.samples)) == (
        other.sample_ps,
        other.origin_ps,
        len(other.samples),
    )


def _modulated(beam: Line, index: int, dimmed: Light, pairs: _Pairs, fields: NDArray[np.complex128]) -> Light:
    """A continuous beam as a train, or turned and dimmed as it is while both voltages stand still."""
    jones = H_POLARISED if beam.jones is None else beam.jones
    if len(fields) == 1:
        if not dimmed.lines or beam.jones is None:
            return dimmed
        turned = replace(dimmed.lines[index], jones=jones * np.exp(1j * np.angle(fields[0])))
        return replace(dimmed, lines=(*dimmed.lines[:index], turned, *dimmed.lines[index + 1 :]))
    sample_ps = float(pairs.clock.sample_ps)
    photons = beam.power_w * sample_ps / PS_PER_S / photon_energy_j(beam.wavelength_m)
    train = PulseTrain(
        origin_ps=pairs.clock.origin_ps,
        slot_ps=pairs.clock.sample_ps,
        slots=pairs.slots,
        amplitudes=np.sqrt(photons) * fields[:, None] * jones,
        delay_ps=0.5 * sample_ps,
        wavelength_m=beam.wavelength_m,
        duration_ps=sample_ps * RECTANGLE_RMS,
    )
    return replace(dimmed, lines=(*dimmed.lines[:index], *dimmed.lines[index + 1 :]), train=train)
