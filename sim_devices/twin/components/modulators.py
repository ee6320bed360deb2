"""Electro-optic modulators of the quantum transmitter: they multiply the alphabet of a pulse train.

Both take the voltage that stands at their electrode when the centre of a pulse passes (bandwidth unlimited: assumed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Interval
from numpy.typing import NDArray

from qdci_lab.units import db_to_ratio
from sim_devices.twin.component import OPTICAL, VOLTAGE, Component, Signal, optical, voltage
from sim_devices.twin.electrical import Waveform
from sim_devices.twin.light import PulseTrain
from sim_devices.twin.timeline import Settings


@dataclass(frozen=True)
class IntensityModulatorParameters:
    """A Mach-Zehnder modulator, voltages reckoned at the waveform generator's output."""

    v_pi_v: Annotated[float, Gt(0)]
    v_bias_v: float
    extinction_db: Annotated[float, Interval(ge=0, le=80)]
    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    rf_delay_ps: Annotated[float, Interval(ge=-1e6, le=1e6)] = 0.0
    """How much later than the light the voltage comes (cables)."""


class IntensityModulator(Component[IntensityModulatorParameters]):
    """Power transmission sin^2(pi/2 (V + V_bias)/V_pi), no lower than the extinction ratio."""

    Parameters = IntensityModulatorParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"v_bias_v", "v_pi_v", "insertion_loss_db"})
    inputs: Mapping[str, str] = {"in": OPTICAL, "rf": VOLTAGE}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def transmission(self, voltage_v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Power ratio at each voltage, insertion loss apart."""
        floor = db_to_ratio(-self.parameters.extinction_db)
        phase = 0.5 * pi * (voltage_v + self.parameters.v_bias_v) / self.parameters.v_pi_v
        return floor + (1.0 - floor) * np.sin(phase) ** 2

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """Pulses scaled each by its own voltage; carriers and noise by the mean transmission."""
        del settings, wanted
        light, rf = optical(inputs, "in"), voltage(inputs, "rf")
        codes, share = np.unique_counts(rf.samples)
        mean = float(self.transmission(rf.voltages_v(codes)) @ share) / len(rf.samples)
        rest = replace(light, train=None).scaled(mean)
        if light.train is not None:
            train, voltages_v = with_voltages(light.train, rf, self.parameters.rf_delay_ps)
            amplitudes = train.amplitudes * np.sqrt(self.transmission(voltages_v))[:, None]
            rest = replace(rest, train=replace(train, amplitudes=amplitudes))
        return {"out": rest.scaled(db_to_ratio(-self.parameters.insertion_loss_db))}


@dataclass(frozen=True)
class PolarizationModulatorParameters:
    """A phase modulator between the axes H and V, voltages reckoned at the waveform generator's output."""

    v_pi_v: Annotated[float, Gt(0)]
    v_at_zero_v: float
    """Voltage at which light at 45 degrees leaves at 45 degrees."""
    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    rf_delay_ps: Annotated[float, Interval(ge=-1e6, le=1e6)] = 0.0
    """How much later than the light the voltage comes (cables)."""


class PolarizationModulator(Component[PolarizationModulatorParameters]):
    """Phase pi (V - V_at_zero)/V_pi of V against H: 45 deg, R, 135 deg, L at 0, pi/2, pi, 3 pi/2."""

    Parameters = PolarizationModulatorParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"v_at_zero_v", "v_pi_v", "insertion_loss_db"})
    inputs: Mapping[str, str] = {"in": OPTICAL, "rf": VOLTAGE}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """Pulses turned each by its own voltage; carriers come out depolarised."""
        del settings, wanted
        light, rf = optical(inputs, "in"), voltage(inputs, "rf")
        train = light.train
        if train is not None:
            train, voltages_v = with_voltages(train, rf, self.parameters.rf_delay_ps)
            phases = np.exp(1j * pi * (voltages_v - self.parameters.v_at_zero_v) / self.parameters.v_pi_v)
            turned = np.stack((train.amplitudes[:, 0], train.amplitudes[:, 1] * phases), axis=1)
            train = replace(train, amplitudes=turned)
        lines = tuple(replace(line, jones=None) for line in light.lines)
        out = replace(light, train=train, lines=lines)
        return {"out": out.scaled(db_to_ratio(-self.parameters.insertion_loss_db))}


def with_voltages(
    train: PulseTrain, rf: Waveform, rf_delay_ps: float
) -> tuple[PulseTrain, NDArray[np.float64]]:
    """The train with an alphabet in which each state has one voltage, and these voltages, shape (alphabet,).

    Raises ValueError if the waveform does not repeat with the train.
    """
    if len(rf.samples) > 1 and train.frame_ps % rf.duration_ps != 0:
        raise ValueError(
            f"a waveform of {float(rf.duration_ps)} ps does not fit a train of {float(train.frame_ps)} ps"
        )
    start_ps = float((train.origin_ps - rf.origin_ps) % rf.duration_ps) + train.delay_ps - rf_delay_ps
    times_ps = start_ps + float(train.slot_ps) * np.arange(len(train.slots))
    codes = rf.samples[np.floor(times_ps / float(rf.sample_ps)).astype(np.int64) % len(rf.samples)]
    combined = train.slots.astype(np.int64) * 256 + (codes.astype(np.int64) + 128)
    alphabet, slots = np.unique(combined, return_inverse=True)
    wider = replace(train, slots=slots.astype(np.uint16), amplitudes=train.amplitudes[alphabet // 256])
    return wider, rf.voltages_v(alphabet % 256 - 128)
