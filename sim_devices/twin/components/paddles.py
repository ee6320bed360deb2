"""A paddle controller: three loops of fibre, each a wave plate that a motor turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from qdci_lab.units import db_to_ratio
from sim_devices.twin.component import OPTICAL, Component, Signal, optical
from sim_devices.twin.polarization import retarder
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

PADDLES = 3
ThreeNumbers = tuple[float, float, float]


@dataclass(frozen=True)
class PaddleControllerParameters:
    """Plates in the order in which light passes them, a quarter, a half and a quarter of a wave if loops are right."""

    retardance_waves: ThreeNumbers = (0.25, 0.5, 0.25)
    """Set by bending radius and number of loops; never quite a quarter or a half at the wavelength in use."""
    axis_errors_deg: ThreeNumbers = (0.0, 0.0, 0.0)
    """Angle of a plate's slow axis to H when its paddle stands at 0."""
    play_deg: Annotated[float, Interval(ge=0, le=20)] = 0.0
    """Backlash: a paddle that rises stands this far behind its motor, and one that falls as far ahead."""
    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0


class PaddleAngles(tuple[float, ...]):
    """The angles of the motors, with those of the paddles."""

    reached: tuple[float, ...]

    def __new__(cls, angles_deg: Sequence[float], reached: Sequence[float]) -> "PaddleAngles":
        """Equal to the plain tuple of the motors' angles."""
        self = super().__new__(cls, angles_deg)
        self.reached = tuple(reached)
        return self


class PaddleController(Component[PaddleControllerParameters]):
    """A product of three linear retarders; while motors are under way, paddles are taken to stand where motors do."""

    Parameters = PaddleControllerParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset(
        {"retardance_waves", "axis_errors_deg", "insertion_loss_db"}
    )
    DEFAULTS: ClassVar[Mapping[str, object]] = {"angles_deg": (0.0,) * PADDLES}
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def __init__(self, parameters: PaddleControllerParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        self._reached = (0.0,) * PADDLES

    def checked(self, name: str, value: object) -> object:
        """As for any component; angles take with them where the paddles stand, which depends on where they were."""
        wanted = super().checked(name, value)
        if not isinstance(wanted, tuple):
            return wanted
        play_deg = self.parameters.play_deg
        self._reached = tuple(
            min(max(before_deg, motor_deg - play_deg), motor_deg + play_deg)
            for before_deg, motor_deg in zip(self._reached, wanted, strict=True)
        )
        return PaddleAngles(wanted, self._reached)

    def matrix(self, angles_deg: Sequence[float]) -> NDArray[np.complex128]:
        """Jones matrix (2, 2) with the paddles at three angles."""
        own = self.parameters
        total = np.eye(2, dtype=np.complex128)
        for angle_deg, waves, error_deg in zip(
            angles_deg, own.retardance_waves, own.axis_errors_deg, strict=True
        ):
            total = retarder(2.0 * pi * waves, angle_deg + error_deg) @ total
        return total

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The turned light."""
        del wanted
        angles_deg = settings.of("angles_deg", tuple)
        matrix = self.matrix(getattr(angles_deg, "reached", angles_deg))
        loss = db_to_ratio(-self.parameters.insertion_loss_db)
        return {"out": optical(inputs, "in").rotated(matrix).scaled(loss)}
