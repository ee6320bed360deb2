"""A variable delay line: a gap in air whose length a motor sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from qdci_lab.units import db_to_ratio
from sim_devices.twin.component import OPTICAL, Component, Signal, optical
from sim_devices.twin.timeline import Settings


@dataclass(frozen=True)
class DelayLineParameters:
    """Its loss, and the error of its scale."""

    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    offset_ps: Annotated[float, Interval(ge=-1e4, le=1e4)] = 0.0
    """Delay when none is commanded."""
    scale: Annotated[float, Interval(ge=0.5, le=2)] = 1.0
    """Delay per commanded delay."""


class DelayLine(Component[DelayLineParameters]):
    """Delays by offset + scale x the commanded delay; polarization is kept."""

    Parameters = DelayLineParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"insertion_loss_db", "offset_ps", "scale"})
    DEFAULTS: ClassVar[Mapping[str, object]] = {"delay_ps": 0.0}
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The light, later."""
        del wanted
        own = self.parameters
        light = optical(inputs, "in").scaled(db_to_ratio(-own.insertion_loss_db))
        return {"out": light.delayed(own.offset_ps + own.scale * settings.number("delay_ps"))}
