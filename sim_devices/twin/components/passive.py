"""Things that only divide and lose light: attenuators, couplers, splitters, filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Interval

from qdci_lab.units import db_to_ratio
from sim_devices.twin.component import OPTICAL, Component, Ports, Signal, optical, power_at
from sim_devices.twin.light import DARK
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

LossDb = Annotated[float, Interval(ge=0, le=200)]


@dataclass(frozen=True)
class AttenuatorParameters:
    """A variable attenuator and the error of its scale."""

    insertion_loss_db: LossDb = 0.0
    offset_db: Annotated[float, Interval(ge=-5, le=5)] = 0.0
    """Attenuation beyond the insertion loss when 0 dB is commanded."""
    scale: Annotated[float, Interval(ge=0.5, le=2)] = 1.0
    """dB of attenuation per commanded dB."""
    monitor_error_db: Annotated[float, Interval(ge=-3, le=3)] = 0.0
    """Powers that its monitors indicate, less the true ones."""


class Attenuator(Component[AttenuatorParameters]):
    """Loses insertion_loss + offset + scale x the commanded attenuation; a closed shutter lets nothing pass."""

    Parameters = AttenuatorParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset(
        {"insertion_loss_db", "offset_db", "scale", "monitor_error_db"}
    )
    DEFAULTS: ClassVar[Mapping[str, object]] = {"attenuation_db": 0.0, "shutter_open": False}
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The attenuated light."""
        del wanted
        if not settings.flag("shutter_open"):
            return {"out": DARK}
        own = self.parameters
        loss_db = own.insertion_loss_db + own.offset_db + own.scale * settings.number("attenuation_db")
        return {"out": optical(inputs, "in").scaled(db_to_ratio(-loss_db))}

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`input_power_w` and `output_power_w`, as indicated."""
        gain = db_to_ratio(self.parameters.monitor_error_db)
        if quantity == "input_power_w":
            return power_at(ports.input("in")) * gain
        if quantity == "output_power_w":
            return power_at(ports.output("out")) * gain
        return super().sense(quantity, ports, settings)


@dataclass(frozen=True)
class CouplerParameters:
    """A directional coupler that takes a small share out."""

    tap_share: Annotated[float, Interval(gt=0, lt=1)]
    excess_loss_db: LossDb = 0.0


class Coupler(Component[CouplerParameters]):
    """Divides light between `through` and `tap`."""

    Parameters = CouplerParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"tap_share", "excess_loss_db"})
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"through": OPTICAL, "tap": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """Both arms."""
        del settings, wanted
        light = optical(inputs, "in").scaled(db_to_ratio(-self.parameters.excess_loss_db))
        share = self.parameters.tap_share
        return {"through": light.scaled(1.0 - share), "tap": light.scaled(share)}


@dataclass(frozen=True)
class SplitterParameters:
    """A symmetric splitter into `ways` arms."""

    ways: Annotated[int, Interval(ge=1, le=64)]
    excess_loss_db: LossDb = 0.0


class Splitter(Component[SplitterParameters]):
    """Divides light equally between the outputs 1, 2, ..."""

    Parameters = SplitterParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"excess_loss_db"})
    inputs: Mapping[str, str] = {"in": OPTICAL}

    def __init__(self, parameters: SplitterParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        self.outputs = {str(way): OPTICAL for way in range(1, self.parameters.ways + 1)}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The same light in every arm."""
        del settings
        share = db_to_ratio(-self.parameters.excess_loss_db) / self.parameters.ways
        light = optical(inputs, "in").scaled(share)
        return dict.fromkeys(wanted, light)


@dataclass(frozen=True)
class OpticalFilterParameters:
    """A band-pass filter, rectangular."""

    centre_nm: Annotated[float, Gt(0)]
    bandwidth_nm: Annotated[float, Gt(0)]
    isolation_db: LossDb
    """Loss of carriers outside the band, beyond the insertion loss."""
    insertion_loss_db: LossDb = 0.0


class OpticalFilter(Component[OpticalFilterParameters]):
    """Lets the band pass, and of noise no more than the band; pulses are taken to lie within it."""

    Parameters = OpticalFilterParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"centre_nm", "insertion_loss_db"})
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The filtered light."""
        del settings, wanted
        own = self.parameters
        light = optical(inputs, "in").scaled(db_to_ratio(-own.insertion_loss_db))
        rejected = db_to_ratio(-own.isolation_db)
        lines = tuple(
            line if self._passes(line.wavelength_m) else replace(line, power_w=line.power_w * rejected)
            for line in light.lines
        )
        return {"out": replace(light, lines=lines, noise_band_nm=min(light.noise_band_nm, own.bandwidth_nm))}

    def _passes(self, wavelength_m: float) -> bool:
        return abs(wavelength_m * 1e9 - self.parameters.centre_nm) <= self.parameters.bandwidth_nm / 2.0


@dataclass(frozen=True)
class BandStopFilterParameters:
    """A gap in what a transmitter of many channels may send, rectangular; noise floors are those within the gap."""

    centre_nm: Annotated[float, Gt(0)]
    bandwidth_nm: Annotated[float, Gt(0)]
    isolation_db: LossDb
    """Loss within the gap, beyond the insertion loss."""
    insertion_loss_db: LossDb = 0.0


class BandStopFilter(Component[BandStopFilterParameters]):
    """Takes out what an amplifier emits where the quantum channel lies, and carriers in the gap; others pass."""

    Parameters = BandStopFilterParameters
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The light with its gap."""
        del settings, wanted
        own = self.parameters
        light = optical(inputs, "in").scaled(db_to_ratio(-own.insertion_loss_db))
        rejected = db_to_ratio(-own.isolation_db)
        half_m = 0.5e-9 * own.bandwidth_nm
        lines = tuple(
            replace(line, power_w=line.power_w * rejected)
            if abs(line.wavelength_m - 1e-9 * own.centre_nm) <= half_m
            else line
            for line in light.lines
        )
        return {"out": replace(light, lines=lines, noise_w_per_nm=light.noise_w_per_nm * rejected)}


@dataclass(frozen=True)
class PowerSensorParameters:
    """A photodiode head and the error of its calibration."""

    calibration_error_db: Annotated[float, Interval(ge=-3, le=3)] = 0.0
    dark_power_w: Annotated[float, Ge(0)] = 0.0
    """What it shows in the dark."""


class PowerSensor(Component[PowerSensorParameters]):
    """Shows all the light that reaches it, whatever its wavelength."""

    Parameters = PowerSensorParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"calibration_error_db", "dark_power_w"})
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {}

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`power_w`: indicated power."""
        if quantity == "power_w":
            gain = db_to_ratio(self.parameters.calibration_error_db)
            return power_at(ports.input("in")) * gain + self.parameters.dark_power_w
        return super().sense(quantity, ports, settings)
