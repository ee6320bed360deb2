"""Sources that nobody modulates: a light-emitting diode with its drive current, and a plugged-in transceiver."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Interval

from qdci_lab.units import db_to_ratio, dbm_to_watt
from sim_devices.twin.component import OPTICAL, Component, Ports, Signal, power_at
from sim_devices.twin.light import DARK, Light, Line
from sim_devices.twin.timeline import Settings


@dataclass(frozen=True)
class LedParameters:
    """A fibre-coupled diode: its brightest allowed point, its width, and how far its emission is off."""

    maximum_power_dbm: float
    """Into the fibre, at the maximum current."""
    maximum_current_ma: Annotated[float, Gt(0)]
    bandwidth_nm: Annotated[float, Gt(0)]
    """Width of a flat spectrum of the same power (assumed flat; only the density at the quantum channel counts)."""
    exponent: Annotated[float, Interval(ge=0.5, le=3)] = 1.0
    """Power grows as this power of the current; 1 for an ideal diode, less where it heats up."""
    power_error_db: Annotated[float, Interval(ge=-3, le=3)] = 0.0
    """Emitted power less that of the parameters above."""


class Led(Component[LedParameters]):
    """Unpolarised light of a flat spectrum round the quantum channel, its power set by the drive current."""

    Parameters = LedParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"power_error_db"})
    DEFAULTS: ClassVar[Mapping[str, object]] = {"emission_on": False, "current_a": 0.0}
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def power_w(self, current_a: float) -> float:
        """Emitted power; a current beyond the maximum brings no more light."""
        own = self.parameters
        share = min(max(current_a * 1e3 / own.maximum_current_ma, 0.0), 1.0)
        return dbm_to_watt(own.maximum_power_dbm + own.power_error_db) * share**own.exponent

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The diode's light."""
        del inputs, wanted
        power_w = self.power_w(settings.number("current_a")) if settings.flag("emission_on") else 0.0
        if power_w == 0.0:
            return {"out": DARK}
        band_nm = self.parameters.bandwidth_nm
        return {"out": Light(noise_w_per_nm=power_w / band_nm, noise_band_nm=band_nm)}

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`power_w`: emitted power."""
        if quantity == "power_w":
            return power_at(ports.output("out"))
        return super().sense(quantity, ports, settings)


@dataclass(frozen=True)
class TransceiverParameters:
    """A pluggable module that emits from the moment it is plugged in, behind its multiplexer's band-pass filter."""

    wavelength_nm: Annotated[float, Gt(0)]
    power_dbm: float
    emission_w_per_nm: Annotated[float, Ge(0)] = 0.0
    """Spontaneous emission round the quantum channel, before the filter."""
    filter_isolation_db: Annotated[float, Interval(ge=0, le=120)] = 0.0
    """What the filter takes from light away from its own channel."""
    emission_band_nm: Annotated[float, Gt(0)] = 35.0


class Transceiver(Component[TransceiverParameters]):
    """A depolarised carrier (its modulation and the network's clients scramble it) that no instrument switches off."""

    Parameters = TransceiverParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"power_dbm", "wavelength_nm"})
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The carrier, with what the filter leaves of the spontaneous emission."""
        del inputs, settings, wanted
        own = self.parameters
        line = Line(own.wavelength_nm * 1e-9, dbm_to_watt(own.power_dbm))
        floor_w_per_nm = own.emission_w_per_nm * db_to_ratio(-own.filter_isolation_db)
        band_nm = own.emission_band_nm if floor_w_per_nm > 0.0 else 0.0
        return {"out": Light(lines=(line,), noise_w_per_nm=floor_w_per_nm, noise_band_nm=band_nm)}
