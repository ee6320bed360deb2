"""Gated avalanche detectors: biased above breakdown for about a nanosecond at each edge of a trigger.

What the gates keep out is not seen: dark counts and continuous light come within gates alone, a charge released between
gates is lost, and after a click the gates that would begin within the dead time are held off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval

from sim_devices.twin.component import VOLTAGE, Needs, Signal, voltage
from sim_devices.twin.components.detection import (
    SinglePhotonDetectors,
    SinglePhotonDetectorsParameters,
)
from sim_devices.twin.components.sources import rising_edges, slots_of_edges
from sim_devices.twin.electrical import ClickProcess, Waveform
from sim_devices.twin.gates import Gates
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings


@dataclass(frozen=True, kw_only=True)
class GatedDetectorsParameters(SinglePhotonDetectorsParameters):
    """As for free-running ones, with efficiency and dark rate in the middle of a gate; all have the same gates.

    A gate of width w whose sensitivity rises and falls over e has dark counts with probability 1 - exp(-rate (w - e)).
    """

    gate_width_ps: Annotated[float, Interval(gt=0, le=1e6)]
    gate_edge_ps: Annotated[float, Interval(ge=0, le=1e5)] = 0.0
    """Time in which the sensitivity rises linearly at the beginning, and falls at the end; 0 for a flat gate."""
    gate_delay_ps: Annotated[float, Ge(0)] = 0.0
    """From the trigger's edge to the beginning of the gate."""
    minimum_trigger_swing_v: Annotated[float, Gt(0)] = 0.1


class GatedDetectors(SinglePhotonDetectors):
    """A gate begins at each rising edge through half of the trigger's swing; without a trigger there are no clicks."""

    Parameters = GatedDetectorsParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = SinglePhotonDetectors.CALIBRATIONS | {"gate_delay_ps"}

    def __init__(self, parameters: GatedDetectorsParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        if 2.0 * parameters.gate_edge_ps > parameters.gate_width_ps:
            raise ValueError(
                f"gate_edge_ps: two edges of {parameters.gate_edge_ps:g} ps do not fit a gate of "
                f"{parameters.gate_width_ps:g} ps"
            )
        self._gating = parameters
        self.inputs = {**self.inputs, "trigger": VOLTAGE}

    def needs(self, output: str, settings: Settings) -> Needs:
        """Each detector has its own fibre, and all have one trigger."""
        del settings
        return Needs((output, "trigger"), (output,))

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The law of each detector's clicks within the gates that the trigger asks for."""
        gates = self._gates(voltage(inputs, "trigger"))
        if gates is None:
            return {}
        found = super().propagate(inputs, settings, wanted)
        # the spread of a pulse decides what falls into a gate, so it is no part of the output's jitter
        own = {"gates": gates, "jitter_ps": self.parameters.jitter_ps}
        return {port: replace(law, **own) for port, law in found.items() if isinstance(law, ClickProcess)}

    def _gates(self, trigger: Waveform) -> Gates | None:
        """Raises ValueError for a trigger whose edges are not regular, or come faster than gates can follow."""
        own = self._gating
        swing_v = float(np.ptp(trigger.samples.astype(np.int16))) * trigger.volts_per_code
        edges = rising_edges(trigger.samples)
        if swing_v < own.minimum_trigger_swing_v or len(edges) == 0:
            return None
        samples, slots, first = slots_of_edges(edges, len(trigger.samples))
        period_ps = samples * trigger.sample_ps
        if not slots.all():
            raise ValueError("the trigger of gated detectors has edges at irregular distances")
        if own.gate_width_ps > period_ps:
            raise ValueError(
                f"gates of {own.gate_width_ps:g} ps do not fit a trigger of {float(period_ps):g} ps"
            )
        origin_ps = trigger.origin_ps + first * trigger.sample_ps + Fraction(own.gate_delay_ps)
        return Gates(origin_ps, period_ps, own.gate_width_ps, own.gate_edge_ps)
