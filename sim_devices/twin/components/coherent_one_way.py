"""What a coherent-one-way link has that others have not: pulses carved out of a continuous beam, and its receiver.

D. Stucki et al., Appl. Phys. Lett. 87, 194108 (2005); Qiu et al., section 2.1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S, db_to_ratio, photon_energy_j
from sim_devices.twin.component import OPTICAL, Component, Signal, optical, voltage
from sim_devices.twin.components.modulators import IntensityModulator
from sim_devices.twin.electrical import Waveform
from sim_devices.twin.light import Light, Line, PulseTrain
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from sim_devices.twin.wander import Wander

RECTANGLE_RMS = 1.0 / math.sqrt(12.0)
"""Standard deviation of a time spread evenly over an interval, by its length."""
H_POLARISED = np.array([1.0, 0.0], np.complex128)


class PulseCarver(IntensityModulator):
    """An intensity modulator in a continuous beam: what the generator plays decides where there are pulses.

    Each sample of the waveform is a slot of the train, with the light of that sample in its middle (bandwidth
    unlimited: assumed). The beam stays coherent from slot to slot.
    """

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The beam as a train of samples; a continuous beam, attenuated, while the voltage stands still."""
        light, rf = optical(inputs, "in"), voltage(inputs, "rf")
        if not light.lines or len(np.unique(rf.samples)) == 1:
            return super().propagate(inputs, settings, wanted)
        carved = replace(light, lines=(), train=self._carved(light.lines[0], rf))
        return {"out": carved.scaled(db_to_ratio(-self.parameters.insertion_loss_db))}

    def _carved(self, beam: Line, rf: Waveform) -> PulseTrain:
        codes, slots = np.unique(rf.samples, return_inverse=True)
        photons = beam.power_w * float(rf.sample_ps) / PS_PER_S / photon_energy_j(beam.wavelength_m)
        jones = H_POLARISED if beam.jones is None else beam.jones
        strengths = np.sqrt(photons * self.transmission(rf.voltages_v(codes)))
        sample_ps = float(rf.sample_ps)
        return PulseTrain(
            origin_ps=rf.origin_ps,
            slot_ps=rf.sample_ps,
            slots=slots.astype(np.uint16),
            amplitudes=strengths[:, None] * jones,
            delay_ps=0.5 * sample_ps + self.parameters.rf_delay_ps,
            wavelength_m=beam.wavelength_m,
            duration_ps=sample_ps * RECTANGLE_RMS,
        )


@dataclass(frozen=True)
class CowDecoderParameters:
    """A splitter to the data line, and an unbalanced interferometer that compares each slot with the one before."""

    receiver_loss_db: Annotated[float, Interval(ge=0, le=60)]
    data_share: Annotated[float, Interval(gt=0, lt=1)]
    """Share of the light that goes to the data line."""
    interferometer_delay_ps: Annotated[float, Gt(0)]
    """By how much the long arm is longer than the short one."""
    visibility: Annotated[float, Interval(ge=0, le=1)]
    """Of the interference when the phase is right."""
    phase_error_rad: Annotated[float, Interval(ge=-math.pi, le=math.pi)] = 0.0
    """By how much the phase is off."""
    phase_wander_rad: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Standard deviation of what a stabilisation leaves."""
    wander_shortest_s: Annotated[float, Gt(0)] = 600.0
    wander_longest_s: Annotated[float, Gt(0)] = 864_000.0
    wander_step_s: Annotated[float, Ge(1e-3)] = 10.0


class CowDecoder(Component[CowDecoderParameters]):
    """Outputs: `data`, and the interferometer's `bright` and `dark`; polarization is not kept."""

    Parameters = CowDecoderParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset(
        {"receiver_loss_db", "data_share", "visibility", "phase_error_rad"}
    )
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = dict.fromkeys(("data", "bright", "dark"), OPTICAL)

    def __init__(self, parameters: CowDecoderParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        self._wander = Wander(
            stream.child("phase"), parameters.phase_wander_rad,
            parameters.wander_shortest_s, parameters.wander_longest_s,
        )  # fmt: skip
        moves = parameters.phase_wander_rad > 0.0
        self.drift_step_ps = round(parameters.wander_step_s * PS_PER_S) if moves else None

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The light at each wanted output. Raises ValueError if the delay is no whole number of the train's slots."""
        own = self.parameters
        light = optical(inputs, "in").scaled(db_to_ratio(-own.receiver_loss_db))
        contrast = own.visibility * math.cos(self._phase_rad(settings.step))
        monitored = light.scaled(1.0 - own.data_share)
        found: dict[str, Signal] = {}
        for output in wanted:
            if output == "data":
                found[output] = light.scaled(own.data_share)
            else:
                found[output] = self._interfering(monitored, contrast if output == "bright" else -contrast)
        return found

    def _phase_rad(self, step: int) -> float:
        return self.parameters.phase_error_rad + self._wander.at(step * self.parameters.wander_step_s)

    def _interfering(self, light: Light, contrast: float) -> Light:
        """One output: |a|^2/4 + |b|^2/4 + contrast Re(a b*)/2 for amplitudes a now and b one delay before."""
        halved = light.scaled(0.5)
        if light.train is None:
            return halved
        return replace(halved, train=self._met(light.train, contrast))

    def _met(self, train: PulseTrain, contrast: float) -> PulseTrain:
        shift = self.parameters.interferometer_delay_ps / float(train.slot_ps)
        if abs(shift - round(shift)) > 1e-6 * shift:
            raise ValueError(
                f"an interferometer of {self.parameters.interferometer_delay_ps:g} ps does not fit a train of slots of "
                f"{float(train.slot_ps):g} ps"
            )
        size = len(train.amplitudes)
        pairs = train.slots.astype(np.int64) * size + np.roll(train.slots, round(shift))
        alphabet, slots = np.unique(pairs, return_inverse=True)
        now, before = train.amplitudes[alphabet // size], train.amplitudes[alphabet % size]
        photons = _met_photons(now, before, contrast)
        amplitudes = np.stack((np.sqrt(photons), np.zeros_like(photons)), axis=1).astype(np.complex128)
        return replace(train, slots=slots.astype(np.uint16), amplitudes=amplitudes)


def _met_photons(
    now: NDArray[np.complex128], before: NDArray[np.complex128], contrast: float
) -> NDArray[np.float64]:
    apart = np.sum(np.abs(now) ** 2 + np.abs(before) ** 2, axis=1)
    together = np.sum((now * before.conj()).real, axis=1)
    return np.maximum(0.25 * apart + 0.5 * contrast * together, 0.0)
