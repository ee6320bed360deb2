"""A fibre in the ground between two towns, with its patches: one fibre as a reflectometer and a receiver see it.

Loss and its slow wandering, open patches, delay, a polarization that wanders, stray light of its neighbours. Left out:
dispersion (a few ps in 20 km for pulses of 60 ps), backscatter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Annotated

from annotated_types import Ge, Gt, Interval

from qdci_lab.units import PS_PER_S, SPEED_OF_LIGHT_M_PER_S, db_to_ratio, photon_energy_j
from sim_devices.twin.component import OPTICAL, Component, Signal, optical
from sim_devices.twin.light import NOISE_WAVELENGTH_M, STRAY_LIGHT, mixed_shares
from sim_devices.twin.polarization import PolarizationDrift, jones_of, random_rotation
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from sim_devices.twin.wander import Wander


@dataclass(frozen=True)
class DeployedFibreParameters:
    """One single-mode fibre with all its splices and patch panels."""

    length_km: Annotated[float, Gt(0)]
    loss_db: Annotated[float, Interval(ge=0, le=200)]
    """From end to end, patches included."""
    group_index: Annotated[float, Interval(ge=1, le=2)] = 1.468
    drift_rad_per_sqrt_s: Annotated[float, Ge(0)] = 0.0
    """Standard deviation of each component of the rotation on the Poincare sphere after one second."""
    drift_rad_per_s: Annotated[float, Gt(0)] = 1e3
    """No step is faster than this."""
    drift_step_s: Annotated[float, Ge(1e-3)] = 0.1
    """Whatever changes here changes in steps of this length."""
    turns_polarization: bool = True
    """Whether the fibre is birefringent; no matter to a receiver that does not look at polarization."""
    loss_wander_db: Annotated[float, Interval(ge=0, le=3)] = 0.0
    """Standard deviation of the loss."""
    wander_shortest_s: Annotated[float, Gt(0)] = 600.0
    wander_longest_s: Annotated[float, Gt(0)] = 864_000.0
    outages_s: tuple[tuple[Annotated[float, Ge(0)], Annotated[float, Ge(0)]], ...] = ()
    """Spans of lab time, from and until, in which a patch is open, rounded to the steps above."""
    stray_photons_hz_per_nm: Annotated[float, Ge(0)] = 0.0
    """Mean stray light at the far end, from traffic in other fibres of the cable; unpolarised."""
    stray_spread: Annotated[float, Interval(ge=0, le=2)] = 0.0
    """Standard deviation of that light over its mean."""
    stray_time_s: Annotated[float, Gt(0)] = 1800.0
    """Time over which it changes."""
    stray_band_nm: Annotated[float, Gt(0)] = 35.0


class DeployedFibre(Component[DeployedFibreParameters]):
    """Turns, delays and attenuates; a pure function of lab time, so that any instant can be asked for again.

    The rotation is a random walk whose steps are bounded. The loss wanders as `sim_devices.twin.wander` says. Stray
    light goes linearly from one random level to the next, each drawn from a gamma distribution.
    """

    Parameters = DeployedFibreParameters
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def __init__(self, parameters: DeployedFibreParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        step_s = parameters.drift_step_s
        sigma_rad = parameters.drift_rad_per_sqrt_s * sqrt(step_s)
        bound_rad = parameters.drift_rad_per_s * step_s
        self._drift = PolarizationDrift(stream.child("drift"), sigma_rad, bound_rad)
        self._levels: dict[int, float] = {}
        self._birefringence = jones_of(random_rotation(stream.child("birefringence").generator()))
        self._wander = Wander(
            stream.child("loss"), parameters.loss_wander_db,
            parameters.wander_shortest_s, parameters.wander_longest_s,
        )  # fmt: skip
        turns = parameters.turns_polarization and sigma_rad > 0.0
        fluctuates = parameters.stray_photons_hz_per_nm * parameters.stray_spread > 0.0
        fades = parameters.loss_wander_db > 0.0 or bool(parameters.outages_s)
        self.drift_step_ps = round(step_s * PS_PER_S) if turns or fluctuates or fades else None

    @property
    def delay_ps(self) -> float:
        """Time from end to end."""
        own = self.parameters
        return own.length_km * 1e3 * own.group_index / SPEED_OF_LIGHT_M_PER_S * PS_PER_S

    def stray_hz_per_nm(self, step: int) -> float:
        """Stray photons per second and nm in a drift step."""
        own = self.parameters
        if own.stray_spread == 0.0:
            return own.stray_photons_hz_per_nm
        knots, share = divmod(step * own.drift_step_s / own.stray_time_s, 1.0)
        level = (1.0 - share) * self._level(int(knots)) + share * self._level(int(knots) + 1)
        return own.stray_photons_hz_per_nm * level

    def _level(self, knot: int) -> float:
        if knot not in self._levels:
            shape = self.parameters.stray_spread**-2
            while len(self._levels) > 1:  # only the two knots round the present are asked for again
                del self._levels[next(iter(self._levels))]
            self._levels[knot] = float(self.stream.child("stray", str(knot)).generator().gamma(shape)) / shape
        return self._levels[knot]

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The light at the far end; darkness while a patch is open."""
        del wanted
        own, time_s = self.parameters, settings.step * self.parameters.drift_step_s
        if any(begin_s <= time_s < end_s for begin_s, end_s in own.outages_s):
            return {}
        light = optical(inputs, "in")
        if own.turns_polarization:
            light = light.rotated(jones_of(self._drift.rotation(settings.step)) @ self._birefringence)
        loss_db = max(0.0, own.loss_db + self._wander.at(time_s))
        light = light.delayed(self.delay_ps).scaled(db_to_ratio(-loss_db))
        stray_w = self.stray_hz_per_nm(settings.step) * photon_energy_j(NOISE_WAVELENGTH_M)
        if stray_w == 0.0:
            return {"out": light}
        band_nm = max(light.noise_band_nm, own.stray_band_nm)
        lit = replace(light, noise_w_per_nm=light.noise_w_per_nm + stray_w, noise_band_nm=band_nm)
        shares = mixed_shares(((light.noise_w_per_nm, light.noise_shares), (stray_w, STRAY_LIGHT)))
        return {"out": replace(lit, noise_shares=shares)}
