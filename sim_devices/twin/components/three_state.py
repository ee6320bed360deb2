"""The receiver of three-state BB84: a passive choice of basis, and two analysers that err each in its own way.

The transmitter needs nothing new: intensity and polarization modulators send what their voltages say, and a code
without the fourth state is a code of three states.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from sim_devices.twin.component import OPTICAL, Component, Signal
from sim_devices.twin.components.polarization_optics import (
    PolarizationDecoder,
    PolarizationDecoderParameters,
)
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

ErrorShare = Annotated[float, Interval(ge=0, le=0.5)]


@dataclass(frozen=True)
class ThreeStateDecoderParameters:
    """A coupler and two polarizing beam splitters."""

    receiver_loss_db: Annotated[float, Interval(ge=0, le=60)]
    z_error: ErrorShare
    """Share of the Z analyser's light that leaves by the wrong output: the states sent and the splitter together."""
    x_error: ErrorShare
    z_share: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    """Share of the light that goes to the Z analyser."""


class ThreeStateDecoder(Component[ThreeStateDecoderParameters]):
    """Z is 45 against 135 degrees, X is R (|+>) against L (|->)."""

    Parameters = ThreeStateDecoderParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"receiver_loss_db", "z_error", "x_error", "z_share"})
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = dict.fromkeys(("z0", "z1", "x0", "x1"), OPTICAL)

    def __init__(self, parameters: ThreeStateDecoderParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        loss_db, share = parameters.receiver_loss_db, parameters.z_share
        self._analysers = {
            basis: PolarizationDecoder(PolarizationDecoderParameters(loss_db, error, share), stream)
            for basis, error in (("z", parameters.z_error), ("x", parameters.x_error))
        }

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The light at the four outputs, each basis by its own analyser."""
        found: dict[str, Signal] = {}
        for basis, analyser in self._analysers.items():
            own = tuple(output for output in wanted if output[0] == basis)
            found.update(analyser.propagate(inputs, settings, own))
        return found
