"""Calibrations that drift: parameters of a component that wander slowly about the values that its file gives.

One mechanism for all components. A component says which of its parameters are calibrations (`CALIBRATIONS`); for each
step of a drift the component is made anew with the values of that step, so that it knows nothing of time itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qdci_lab.units import PS_PER_S
from sim_devices.twin.component import Component
from sim_devices.twin.layout import DriftSpec
from sim_devices.twin.wander import Wander


class DriftingCalibration:
    """One component with its drifts; all of them go in the shortest of their steps."""

    def __init__(self, component: Component[Any], drifts: Sequence[DriftSpec]) -> None:
        self._component = component
        self._wanders = {drift.parameter: _wanders(component, drift) for drift in drifts}
        self.step_s = min(drift.step_s for drift in drifts)
        self.step_ps = round(self.step_s * PS_PER_S)
        self._last = (-1, component)

    def at(self, step: int) -> Component[Any]:
        """The component as it is in a step."""
        if self._last[0] != step:
            self._last = (step, self._made(step * self.step_s))
        return self._last[1]

    def _made(self, time_s: float) -> Component[Any]:
        nominal, values = self._component.parameters, {}
        for name, wanders in self._wanders.items():
            value = getattr(nominal, name)
            off = tuple(wander.at(time_s) for wander in wanders)
            values[name] = (
                tuple(map(sum, zip(value, off, strict=True))) if isinstance(value, tuple) else value + off[0]
            )
        return type(self._component)(replace(nominal, **values), self._component.stream)


def _wanders(component: Component[Any], drift: DriftSpec) -> tuple[Wander, ...]:
    """One for a number, one for each number of several."""
    value = getattr(component.parameters, drift.parameter)
    count = len(value) if isinstance(value, tuple) else 1
    stream = component.stream.child("drift of", drift.parameter)
    return tuple(
        Wander(stream.child(str(number)), drift.rms, drift.shortest_s, drift.longest_s)
        for number in range(count)
    )
