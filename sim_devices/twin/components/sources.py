"""Where voltages and light come from: the waveform generator's outputs, the pulsed laser, a continuous laser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import hypot, sqrt
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval, Len
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S, db_to_ratio, dbm_to_watt
from sim_devices.twin.component import (
    CLOCK,
    OPTICAL,
    VOLTAGE,
    Component,
    Ports,
    Signal,
    clock,
    power_at,
    voltage,
)
from sim_devices.twin.electrical import OFF, Waveform
from sim_devices.twin.light import DARK, Light, Line, PulseTrain
from sim_devices.twin.polarization import DIAGONAL
from sim_devices.twin.timeline import Settings, same_value

CODE_FULL_SCALE = 127
CHANNELS = ("1", "2", "3", "4")


@dataclass(frozen=True)
class WaveformSourceParameters:
    """Analogue outputs of an arbitrary waveform generator."""

    clock_error_ppm: Annotated[float, Interval(ge=-1000, le=1000)] = 0.0
    """By how much its reference runs faster than lab time."""
    amplitude_scale: Annotated[tuple[Annotated[float, Interval(ge=0.5, le=2)], ...], Len(4, 4)] = (1.0,) * 4
    """Volt at each output per commanded volt."""
    offset_error_v: Annotated[tuple[Annotated[float, Interval(ge=-1, le=1)], ...], Len(4, 4)] = (0.0,) * 4
    """Offset at each output less the commanded one."""


class WaveformSource(Component[WaveformSourceParameters]):
    """Four outputs that repeat what was loaded: DAC code +-127 is +-amplitude/2 about the offset.

    With a clock at the input `reference`, time taggers see its waveforms as if they were played by that clock.
    """

    Parameters = WaveformSourceParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"amplitude_scale", "offset_error_v"})
    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "waveforms": (None,) * 4,
        "sample_rate_hz": 16e9,
        "amplitude_v": (0.5,) * 4,
        "offset_v": (0.0,) * 4,
        "output_on": (False,) * 4,
        "running": False,
    }
    inputs: Mapping[str, str] = {"reference": CLOCK}
    outputs: Mapping[str, str] = dict.fromkeys(CHANNELS, VOLTAGE)

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """Every channel's voltage; a repetition began when the generator was started or its data changed."""
        reference = clock(inputs, "reference")
        ticks = Fraction(str(settings.number("sample_rate_hz"))) * (
            1 + Fraction(str(self.parameters.clock_error_ppm)) / 10**6
        )
        origin_ps = Fraction(max(map(settings.since_ps, ("waveforms", "sample_rate_hz", "running"))))
        voltages = {
            port: self._channel(int(port) - 1, settings, PS_PER_S / ticks, origin_ps) for port in wanted
        }
        if reference is None:
            return voltages
        return {port: replace(wave, jitter_ps=reference.jitter_ps) for port, wave in voltages.items()}

    def _channel(self, index: int, settings: Settings, sample_ps: Fraction, origin_ps: Fraction) -> Waveform:
        samples = settings.of("waveforms", tuple)[index]
        if samples is None or not settings.flag("running") or not settings.of("output_on", tuple)[index]:
            return OFF
        own = self.parameters
        amplitude_v = settings.of("amplitude_v", tuple)[index] * own.amplitude_scale[index]
        offset_v = settings.of("offset_v", tuple)[index] + own.offset_error_v[index]
        return Waveform(samples, sample_ps, origin_ps, amplitude_v / 2.0 / CODE_FULL_SCALE, offset_v)

    def checked(self, name: str, value: object) -> object:
        """As for any component; waveforms must be int8 and equally long, and are copied."""
        if name != "waveforms":
            return super().checked(name, value)
        if not isinstance(value, Sequence) or len(value) != len(CHANNELS):
            raise ValueError(f"waveforms: {len(CHANNELS)} arrays or None are expected")
        copies = tuple(None if item is None else np.array(item, dtype=np.int8, ndmin=1) for item in value)
        if any(
            copy is not None and not same_value(copy, np.asarray(item))
            for copy, item in zip(copies, value, strict=True)
        ):
            raise ValueError("waveforms: arrays of int8 are expected")
        lengths = {len(copy) for copy in copies if copy is not None}
        if len(lengths) > 1 or 0 in lengths:
            raise ValueError(f"waveforms: the channels must be equally long, not {sorted(lengths)} samples")
        return copies


@dataclass(frozen=True)
class PulsedLaserParameters:
    """A gain-switched laser that fires at each rising edge of its trigger, at 45 degrees to H and V."""

    wavelength_nm: Annotated[float, Gt(0)]
    mean_photons: Annotated[float, Ge(0)]
    """Per pulse, at the laser's output."""
    trigger_delay_ps: Annotated[float, Ge(0)] = 0.0
    """From the trigger's edge to the centre of the pulse."""
    pulse_fwhm_ps: Annotated[float, Interval(ge=0, le=500)] = 50.0
    minimum_trigger_swing_v: Annotated[float, Gt(0)] = 0.1


class PulsedLaser(Component[PulsedLaserParameters]):
    """One coherent pulse of random phase per rising edge through half of the trigger's swing."""

    Parameters = PulsedLaserParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"mean_photons", "wavelength_nm", "trigger_delay_ps"})
    inputs: Mapping[str, str] = {"trigger": VOLTAGE}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The train that the trigger asks for; dark if the trigger does not move."""
        del settings, wanted
        trigger = voltage(inputs, "trigger")
        swing_v = float(np.ptp(trigger.samples.astype(np.int16))) * trigger.volts_per_code
        edges = rising_edges(trigger.samples)
        if swing_v < self.parameters.minimum_trigger_swing_v or len(edges) == 0:
            return {"out": DARK}
        samples_per_slot, slots, phase = slots_of_edges(edges, len(trigger.samples))
        pulse = sqrt(self.parameters.mean_photons) * DIAGONAL
        train = PulseTrain(
            origin_ps=trigger.origin_ps + phase * trigger.sample_ps,
            slot_ps=samples_per_slot * trigger.sample_ps,
            slots=slots,
            amplitudes=np.stack((np.zeros(2, np.complex128), pulse)),
            delay_ps=self.parameters.trigger_delay_ps,
            wavelength_m=self.parameters.wavelength_nm * 1e-9,
            duration_ps=hypot(self.parameters.pulse_fwhm_ps / 2.3548, trigger.jitter_ps),
        )
        return {"out": Light(train=train)}


def rising_edges(samples: NDArray[np.int8]) -> NDArray[np.int64]:
    """Indices of samples that are the first above the middle of the swing, the repetition's wrap included."""
    above = 2 * samples.astype(np.int16) > int(samples.min()) + int(samples.max())
    return np.flatnonzero(above & ~np.roll(above, 1))


def slots_of_edges(edges: NDArray[np.int64], length: int) -> tuple[int, NDArray[np.uint16], int]:
    """The coarsest regular grid that holds all edges: samples per slot, pulse (1) or none (0) per slot, first edge."""
    phase = int(edges[0])
    samples_per_slot = int(np.gcd.reduce(np.append(edges - phase, length)))
    slots = np.zeros(length // samples_per_slot, np.uint16)
    slots[(edges - phase) // samples_per_slot] = 1
    return samples_per_slot, slots, phase


@dataclass(frozen=True)
class CwLaserParameters:
    """A continuous laser as a classical carrier or as a pilot tone."""

    maximum_power_dbm: float = 20.0
    calibration_error_db: Annotated[float, Interval(ge=-3, le=3)] = 0.0
    """Emitted less commanded power."""
    wavelength_error_nm: Annotated[float, Interval(ge=-1, le=1)] = 0.0
    """Emitted less commanded wavelength."""


class CwLaser(Component[CwLaserParameters]):
    """One carrier, linearly polarised along H."""

    Parameters = CwLaserParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"calibration_error_db", "wavelength_error_nm"})
    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "emission_on": False,
        "power_dbm": 0.0,
        "wavelength_nm": 1550.0,
    }
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The carrier, as strong as commanded within what the laser can do."""
        del inputs, wanted
        if not settings.flag("emission_on"):
            return {"out": DARK}
        commanded_dbm = min(settings.number("power_dbm"), self.parameters.maximum_power_dbm)
        power_w = dbm_to_watt(commanded_dbm) * db_to_ratio(self.parameters.calibration_error_db)
        wavelength_m = (settings.number("wavelength_nm") + self.parameters.wavelength_error_nm) * 1e-9
        return {"out": Light(lines=(Line(wavelength_m, power_w, np.array([1.0, 0.0], np.complex128)),))}

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`power_w`: emitted power."""
        if quantity == "power_w":
            return power_at(ports.output("out"))
        return super().sense(quantity, ports, settings)
