"""The erbium-doped fibre amplifier: constant output or constant pump current, saturation, spontaneous emission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Interval

from qdci_lab.units import SPEED_OF_LIGHT_M_PER_S, db_to_ratio, dbm_to_watt, photon_energy_j
from sim_devices.twin.component import OPTICAL, Component, Ports, Signal, optical, power_at
from sim_devices.twin.light import DARK, NOISE_WAVELENGTH_M, STRAY_LIGHT, Light, mixed_shares
from sim_devices.twin.timeline import Settings

HERTZ_PER_NM = SPEED_OF_LIGHT_M_PER_S / NOISE_WAVELENGTH_M**2 * 1e-9


@dataclass(frozen=True)
class AmplifierParameters:
    """What the pump can give, and how noisy the gain is."""

    maximum_output_dbm: float
    maximum_gain_db: Annotated[float, Interval(ge=0, le=50)]
    noise_figure_db: Annotated[float, Interval(ge=3, le=20)]
    ase_band_nm: Annotated[float, Gt(0)] = 35.0
    threshold_ma: Annotated[float, Ge(0)] = 50.0
    slope_w_per_ma: Annotated[float, Gt(0)] = 4e-4
    """Power added per pump current above the threshold (quantum efficiency of the pump)."""
    monitor_error_db: Annotated[float, Interval(ge=-3, le=3)] = 0.0
    """Output power that its monitor indicates, less the true one; ALC holds what is indicated."""


class Amplifier(Component[AmplifierParameters]):
    """Gain limited by what the pump can add to the signal; ALC holds the total output, ACC the pump current."""

    Parameters = AmplifierParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset(
        {"monitor_error_db", "noise_figure_db", "threshold_ma", "slope_w_per_ma"}
    )
    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "emission_on": False,
        "control": "ALC",
        "output_power_dbm": 0.0,
        "pump_current_ma": 0.0,
    }
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """Amplified light with spontaneous emission; dark when the pump is off (an unpumped fibre absorbs)."""
        del wanted
        target_w = self._target_w(settings)
        if target_w <= 0.0:
            return {"out": DARK}
        return {"out": self._amplified(optical(inputs, "in"), target_w)}

    def _target_w(self, settings: Settings) -> float:
        """Total output that the control loop or the pump allows."""
        own = self.parameters
        if not settings.flag("emission_on"):
            return 0.0
        if settings["control"] == "ALC":
            held_dbm = settings.number("output_power_dbm") - own.monitor_error_db
            return dbm_to_watt(min(held_dbm, own.maximum_output_dbm))
        pumped_w = own.slope_w_per_ma * (settings.number("pump_current_ma") - own.threshold_ma)
        return min(pumped_w, dbm_to_watt(own.maximum_output_dbm))

    def _amplified(self, light: Light, target_w: float) -> Light:
        """Gain G with G P_in + (spontaneous emission of G) = target, no more than the small-signal gain."""
        emission_w = (
            db_to_ratio(self.parameters.noise_figure_db) * photon_energy_j(NOISE_WAVELENGTH_M) * HERTZ_PER_NM
        )
        band_w = emission_w * self.parameters.ase_band_nm
        gain = (target_w + band_w) / (light.power_w + band_w)
        gain = min(gain, db_to_ratio(self.parameters.maximum_gain_db))
        if gain <= 1.0:
            return light.scaled(gain)
        grown = light.scaled(gain)
        added_w = emission_w * (gain - 1.0)
        return replace(
            grown,
            noise_w_per_nm=grown.noise_w_per_nm + added_w,
            noise_band_nm=max(light.noise_band_nm, self.parameters.ase_band_nm),
            noise_shares=mixed_shares(((grown.noise_w_per_nm, grown.noise_shares), (added_w, STRAY_LIGHT))),
        )

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`input_power_w`, and `output_power_w` as indicated."""
        if quantity == "input_power_w":
            return power_at(ports.input("in"))
        if quantity == "output_power_w":
            return power_at(ports.output("out")) * db_to_ratio(self.parameters.monitor_error_db)
        return super().sense(quantity, ports, settings)

    def checked(self, name: str, value: object) -> object:
        """As for any component; `control` is ALC or ACC."""
        checked = super().checked(name, value)
        if name == "control" and checked not in ("ALC", "ACC"):
            raise ValueError(f"control: {checked!r} is neither ALC nor ACC")
        return checked
