"""A polarization synthesizer: whatever polarization comes in, the one that is asked for goes out, and is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import atan2, cos, hypot, radians, sin
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from qdci_lab.units import db_to_ratio
from sim_devices.twin.component import OPTICAL, Component, Ports, Signal, optical
from sim_devices.twin.light import Light
from sim_devices.twin.timeline import Settings


@dataclass(frozen=True)
class PolarizationSynthesizerParameters:
    """A synthesizer that follows its polarimeter."""

    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    azimuth_error_deg: Annotated[float, Interval(ge=-45, le=45)] = 0.0
    """By how much the state that leaves is turned against the one set, which its polarimeter indicates."""


class PolarizationSynthesizer(Component[PolarizationSynthesizerParameters]):
    """Carriers leave in the state `stokes` (s1, s2, s3 of length one); a pulse train, whose pulses differ, as it came.

    Observables: s1, s2, s3 (of the polarized part) and dop of what leaves; all are 0 in the dark.
    """

    Parameters = PolarizationSynthesizerParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"azimuth_error_deg", "insertion_loss_db"})
    DEFAULTS: ClassVar[Mapping[str, object]] = {"stokes": (1.0, 0.0, 0.0)}
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The light with its carriers in the state that is set."""
        del wanted
        light = optical(inputs, "in").scaled(db_to_ratio(-self.parameters.insertion_loss_db))
        angle = radians(self.parameters.azimuth_error_deg)
        turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
        jones = turn @ jones_of_stokes(settings.of("stokes", tuple))
        return {"out": replace(light, lines=tuple(replace(line, jones=jones) for line in light.lines))}

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """A Stokes parameter of the state that is set, or the share of the power that is in it."""
        names = ("s1", "s2", "s3")
        if quantity not in (*names, "dop"):
            return super().sense(quantity, ports, settings)
        signal = ports.output("out")
        light = signal if isinstance(signal, Light) else Light()
        if light.line_power_w == 0.0:
            return 0.0
        if quantity == "dop":
            return light.line_power_w / light.power_w
        return float(settings.of("stokes", tuple)[names.index(quantity)])


def jones_of_stokes(stokes: Sequence[float]) -> NDArray[np.complex128]:
    """The Jones vector (2,) of a Stokes vector of length one; H is (1, 0, 0), 45 degrees (0, 1, 0), R (0, 0, 1)."""
    s1, s2, s3 = stokes
    half_angle = atan2(hypot(s2, s3), s1) / 2.0
    return np.array([cos(half_angle), sin(half_angle) * np.exp(1j * atan2(s3, s2))], dtype=np.complex128)
