"""The multicore fibre: loss, delay, birefringence and its drift, crosstalk, and Raman noise from core to core.

Light may enter at either end of every core. Ports a1, a2, ... are one end (Alice's), b1, b2, ... the other.
Left out: dispersion, crosstalk of quantum pulses into other cores, Raman noise of quantum pulses, reflections.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Interval, Len
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S, SPEED_OF_LIGHT_M_PER_S, db_to_ratio
from sim_devices.twin.component import OPTICAL, Component, Needs, Signal, optical
from sim_devices.twin.coupled_power import ScatteringMatrices, hexagonal_coupling, integrate, ring_coupling
from sim_devices.twin.light import (
    CROSSTALK_LIGHT,
    DARK,
    RAMAN_LIGHT,
    Light,
    Line,
    NoiseShares,
    gathered_lines,
    mixed_shares,
)
from sim_devices.twin.polarization import PolarizationDrift, jones_of, random_rotation
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

NEPER_DB = 10.0 / np.log(10.0)
"""Attenuation in dB that makes a power 1/e."""

PerKm = Annotated[float, Interval(ge=0, le=10)]


@dataclass(frozen=True)
class MulticoreFibreParameters:
    """One fibre with its fan-in and fan-out.

    In a hexagon core 1 is the centre and the others a ring about it; on a ring there is no centre.
    """

    length_km: Annotated[float, Gt(0)]
    quantum_attenuation_per_km: Annotated[float, Interval(gt=0, le=10)]
    classical_attenuation_per_km: Annotated[float, Interval(gt=0, le=10)]
    fan_loss_db: Annotated[tuple[float, ...], Len(1, 37)]
    """Per core, at each end; also says how many cores there are (one: a single-mode fibre with its Raman noise)."""
    group_index: Annotated[float, Interval(ge=1, le=2)]
    crosstalk_per_km: PerKm
    """Coupled-power coefficient h between neighbours."""
    raman_efficiency_per_nm_km: PerKm
    in_band_noise_factor: Annotated[float, Ge(0)] = 1.0
    """Multiplies all Raman noise."""
    raman_band_nm: Annotated[float, Gt(0)] = 35.0
    rayleigh_backscatter_per_km: PerKm = 0.0
    drift_rad_per_sqrt_s: Annotated[float, Ge(0)] = 0.0
    """Standard deviation of each component of the rotation on the Poincare sphere after one second."""
    drift_step_s: Annotated[float, Ge(1e-3)] = 0.1
    arrangement: Literal["hexagon", "ring"] = "hexagon"
    core_excess_db_per_km: tuple[Annotated[float, Interval(ge=-1, le=10)], ...] = ()
    """Attenuation of each core beyond the two above; none where not given."""
    core_coupling: tuple[Annotated[float, Interval(ge=0, le=1e3)], ...] = ()
    """Factor for each core: neighbours i and j couple with h times the product of theirs; 1 where not given."""


class _Path(NamedTuple):
    """From where to where light goes in one core."""

    core: int
    output_end: str

    @property
    def input_end(self) -> str:
        """The far end."""
        return "b" if self.output_end == "a" else "a"


class MulticoreFibre(Component[MulticoreFibreParameters]):
    """Linear in its inputs, by matrices that the coupled-power equations give once for all."""

    Parameters = MulticoreFibreParameters

    def __init__(self, parameters: MulticoreFibreParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        self.cores = len(parameters.fan_loss_db)
        ports = [f"{end}{core + 1}" for end in "ab" for core in range(self.cores)]
        self.inputs = self.outputs = dict.fromkeys(ports, OPTICAL)
        names = [f"core {core + 1}" for core in range(self.cores)]
        self._births = [
            jones_of(random_rotation(stream.child(name, "birefringence").generator())) for name in names
        ]
        step_rad = parameters.drift_rad_per_sqrt_s * sqrt(parameters.drift_step_s)
        self._drifts = [PolarizationDrift(stream.child(name, "drift"), step_rad) for name in names]
        self.drift_step_ps = round(parameters.drift_step_s * PS_PER_S) if step_rad > 0.0 else None
        for name in ("core_excess_db_per_km", "core_coupling"):
            if len(getattr(parameters, name)) not in (0, self.cores):
                raise ValueError(f"{name}: one number for each of {self.cores} cores is expected")
        self._excess_per_km = np.array(parameters.core_excess_db_per_km or (0.0,) * self.cores) / NEPER_DB
        self._fans = np.array([db_to_ratio(-loss_db) for loss_db in parameters.fan_loss_db])
        quantum, classical = parameters.quantum_attenuation_per_km, parameters.classical_attenuation_per_km
        rayleigh = parameters.rayleigh_backscatter_per_km
        self._raman = self._scattering(parameters.raman_efficiency_per_nm_km, classical, quantum)
        self._rayleigh = self._scattering(rayleigh, classical, classical)
        self._floor = self._scattering(rayleigh, quantum, quantum)

    def _scattering(
        self, efficiency_per_km: float, pump_per_km: float, scattered_per_km: float
    ) -> ScatteringMatrices:
        return integrate(
            self._coupling(),
            self.parameters.length_km,
            pump_per_km=pump_per_km + self._excess_per_km,
            scattered_per_km=scattered_per_km + self._excess_per_km,
            efficiency_per_km=efficiency_per_km,
        )

    def _coupling(self) -> NDArray[np.float64]:
        """The coupling matrix with each core's factor; what a core gets, its neighbours lose."""
        factors = np.array(self.parameters.core_coupling or (1.0,) * self.cores)
        arranged = hexagonal_coupling if self.parameters.arrangement == "hexagon" else ring_coupling
        coupled = arranged(self.cores, self.parameters.crosstalk_per_km)
        coupled *= np.outer(factors, factors)
        np.fill_diagonal(coupled, 0.0)
        return coupled - np.diag(coupled.sum(axis=1))

    @property
    def delay_ps(self) -> float:
        """Time from end to end."""
        return (
            self.parameters.length_km * 1e3 * self.parameters.group_index / SPEED_OF_LIGHT_M_PER_S * PS_PER_S
        )

    def needs(self, output: str, settings: Settings) -> Needs:
        """The far end of the same core; all other inputs only disturb."""
        del settings
        path = _path(output)
        through = f"{path.input_end}{path.core + 1}"
        return Needs((through,), (output,), tuple(port for port in self.inputs if port != through))

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """Light out of each wanted port."""
        return {output: self._leaving(_path(output), inputs, settings.step) for output in wanted}

    def _leaving(self, path: _Path, inputs: Mapping[str, Signal], step: int) -> Light:
        entering = [
            optical(inputs, f"{path.input_end}{core + 1}").scaled(self._fans[core])
            for core in range(self.cores)
        ]
        opposing = [
            optical(inputs, f"{path.output_end}{core + 1}").scaled(self._fans[core])
            for core in range(self.cores)
        ]
        through = self._through(entering[path.core], path, step)
        lines = through.lines + self._stray_lines(path.core, entering, opposing)
        raman = self._raman_w_per_nm(path.core, entering, opposing)
        strays, stray_shares = self._stray_floor(path.core, entering, opposing)
        noise_w_per_nm = through.noise_w_per_nm + (raman + strays)
        band_nm = max(through.noise_band_nm, self.parameters.raman_band_nm) if noise_w_per_nm > 0.0 else 0.0
        shares = mixed_shares(
            (
                (through.noise_w_per_nm, through.noise_shares),
                (raman, RAMAN_LIGHT),
                (strays, stray_shares),
            )
        )
        return Light(through.train, lines, noise_w_per_nm, band_nm, shares).scaled(self._fans[path.core])

    def _through(self, light: Light, path: _Path, step: int) -> Light:
        """Light that stays in its core: turned, delayed and attenuated."""
        if light.is_dark:
            return DARK
        own = self.parameters
        matrix = jones_of(self._drifts[path.core].rotation(step)) @ self._births[path.core]
        turned = light.rotated(matrix if path.output_end == "b" else matrix.T).delayed(self.delay_ps)
        per_km = own.quantum_attenuation_per_km + self._excess_per_km[path.core]
        quantum = turned.scaled(float(np.exp(-per_km * own.length_km)))
        carriers = turned.scaled(float(self._raman.through[path.core, path.core]))
        return replace(quantum, lines=carriers.lines)

    def _stray_lines(
        self, core: int, entering: Sequence[Light], opposing: Sequence[Light]
    ) -> tuple[Line, ...]:
        """Carriers that came over from other cores, and those that Rayleigh scattering sends back."""
        strays: list[Line] = []
        for other in range(self.cores):
            if other != core:
                strays.extend(entering[other].scaled(float(self._raman.through[core, other])).lines)
            strays.extend(opposing[other].scaled(float(self._rayleigh.against[core, other])).lines)
        return gathered_lines(strays)

    def _raman_w_per_nm(self, core: int, entering: Sequence[Light], opposing: Sequence[Light]) -> float:
        """Raman noise of all carriers in all cores, of either direction."""
        along_w = np.array([light.line_power_w for light in entering])
        against_w = np.array([light.line_power_w for light in opposing])
        raman = float(self._raman.along[core] @ along_w + self._raman.against[core] @ against_w)
        return self.parameters.in_band_noise_factor * raman

    def _stray_floor(
        self, core: int, entering: Sequence[Light], opposing: Sequence[Light]
    ) -> tuple[float, NoiseShares]:
        """Noise floors of other cores by crosstalk and backscatter, and what the core's own one scatters back."""
        floors = np.array([light.noise_w_per_nm for light in entering])
        floors[core] = 0.0
        opposing_floors = np.array([light.noise_w_per_nm for light in opposing])
        total = float(self._floor.through[core] @ floors + self._floor.against[core] @ opposing_floors)
        own = float(self._floor.against[core, core] * opposing_floors[core])
        parts = ((max(0.0, total - own), CROSSTALK_LIGHT), (own, opposing[core].noise_shares))
        return total, mixed_shares(parts)


def _path(output: str) -> _Path:
    return _Path(int(output[1:]) - 1, output[0])
