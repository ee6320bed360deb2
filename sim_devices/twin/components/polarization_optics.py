"""The receiver's polarization optics: the squeezer controller and the passive BB84 decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Interval
from numpy.typing import NDArray

from qdci_lab.units import db_to_ratio
from sim_devices.twin.component import OPTICAL, Component, Signal, optical
from sim_devices.twin.light import Light, Line
from sim_devices.twin.polarization import phase_state, retarder
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

SQUEEZERS = 4
FourAngles = tuple[float, float, float, float]


@dataclass(frozen=True)
class PolarizationControllerParameters:
    """Four fibre squeezers in a row."""

    v_pi_v: Annotated[float, Gt(0)]
    """Voltage for half a wave of retardance; proportional, of either sign."""
    axes_deg: FourAngles = (0.0, 45.0, 0.0, 45.0)
    axis_errors_deg: FourAngles = (0.0, 0.0, 0.0, 0.0)
    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    hysteresis_v: Annotated[float, Interval(ge=0, le=5)] = 0.0
    """Play of each squeezer: it follows a voltage that rises this far behind, and one that falls as far ahead."""


class SqueezerVoltages(tuple[float, ...]):
    """The voltages set, with those that the squeezers follow."""

    followed: tuple[float, ...]

    def __new__(cls, voltages_v: Sequence[float], followed: Sequence[float]) -> "SqueezerVoltages":
        """Equal to the plain tuple of the voltages set."""
        self = super().__new__(cls, voltages_v)
        self.followed = tuple(followed)
        return self


class PolarizationController(Component[PolarizationControllerParameters]):
    """A product of four linear retarders whose retardance follows the voltage, with play if there is hysteresis."""

    Parameters = PolarizationControllerParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"v_pi_v", "axis_errors_deg", "insertion_loss_db"})
    DEFAULTS: ClassVar[Mapping[str, object]] = {"voltages_v": (0.0,) * SQUEEZERS}
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def __init__(self, parameters: PolarizationControllerParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        self._followed = (0.0,) * SQUEEZERS

    def checked(self, name: str, value: object) -> object:
        """As for any component; voltages take with them where the squeezers are, which depends on where they were."""
        wanted = super().checked(name, value)
        if name != "voltages_v" or not isinstance(wanted, tuple):
            return wanted
        play_v = self.parameters.hysteresis_v
        self._followed = tuple(
            min(max(before_v, volt - play_v), volt + play_v)
            for before_v, volt in zip(self._followed, wanted, strict=True)
        )
        return SqueezerVoltages(wanted, self._followed)

    def matrix(self, voltages_v: Sequence[float]) -> NDArray[np.complex128]:
        """Jones matrix (2, 2) at four voltages."""
        own = self.parameters
        total = np.eye(2, dtype=np.complex128)
        for voltage_v, axis_deg, error_deg in zip(voltages_v, own.axes_deg, own.axis_errors_deg, strict=True):
            total = retarder(pi * voltage_v / own.v_pi_v, axis_deg + error_deg) @ total
        return total

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The turned light."""
        del wanted
        voltages_v = settings.of("voltages_v", tuple)
        matrix = self.matrix(getattr(voltages_v, "followed", voltages_v))
        loss = db_to_ratio(-self.parameters.insertion_loss_db)
        return {"out": optical(inputs, "in").rotated(matrix).scaled(loss)}


@dataclass(frozen=True)
class PolarizationDecoderParameters:
    """A 50:50 splitter and two polarization analysers."""

    receiver_loss_db: Annotated[float, Interval(ge=0, le=60)]
    intrinsic_error: Annotated[float, Interval(ge=0, le=0.5)]
    """Share of an analyser's light that leaves by the wrong output."""
    z_share: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    """Share of the light that goes to the Z analyser."""


class PolarizationDecoder(Component[PolarizationDecoderParameters]):
    """Chooses the basis passively: Z is 45 against 135 degrees, X is R against L."""

    Parameters = PolarizationDecoderParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"receiver_loss_db", "intrinsic_error", "z_share"})
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = dict.fromkeys(("z0", "z1", "x0", "x1"), OPTICAL)
    PHASES_RAD: ClassVar[Mapping[str, float]] = {"z0": 0.0, "x0": pi / 2.0, "z1": pi, "x1": 3.0 * pi / 2.0}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The light at the four outputs, polarization no longer kept."""
        del settings
        light = optical(inputs, "in").scaled(db_to_ratio(-self.parameters.receiver_loss_db))
        return {output: self._analysed(light, output) for output in wanted}

    def _analysed(self, light: Light, output: str) -> Light:
        share = self.parameters.z_share if output[0] == "z" else 1.0 - self.parameters.z_share
        right = phase_state(self.PHASES_RAD[output])
        train = light.train
        if train is not None:
            passed = np.square(np.abs(train.amplitudes @ right.conj()))
            photons = share * self._selected(passed, train.mean_photons)
            amplitudes = np.stack((np.sqrt(photons), np.zeros_like(photons)), axis=1).astype(np.complex128)
            train = replace(train, amplitudes=amplitudes)
        lines = tuple(self._analysed_line(line, right, share) for line in light.lines)
        noise_w_per_nm = light.noise_w_per_nm * share / 2.0
        return replace(light, train=train, lines=lines, noise_w_per_nm=noise_w_per_nm)

    def _analysed_line(self, line: Line, right: NDArray[np.complex128], share: float) -> Line:
        if line.jones is None:
            return replace(line, power_w=line.power_w * share / 2.0)
        passed = abs(np.vdot(right, line.jones)) ** 2
        power_w = line.power_w * share * float(self._selected(np.array(passed), np.array(1.0)))
        return Line(line.wavelength_m, power_w)

    def _selected(self, passed: NDArray[np.floating], total: NDArray[np.floating]) -> NDArray[np.floating]:
        """Photons at an output: those of its state, and the intrinsic error's share of the orthogonal ones."""
        error = self.parameters.intrinsic_error
        return (1.0 - error) * passed + error * np.maximum(total - passed, 0.0)
