"""The drifts that a twin.toml may give its components: which calibration, how far, how fast."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qdci_lab.errors import Mistake
from sim_devices.twin.component import Component
from sim_devices.twin.layout import DriftSpec
from sim_devices.twin.wander import Wander
from sim_devices.validation import dataclass_model, nearest, validation_mistakes


class DriftModel(BaseModel):
    """One calibration of one component that wanders about its value, in that value's unit."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    component: str
    parameter: str
    rms: float = Field(gt=0)
    shortest_s: float = Field(default=600.0, gt=0)
    longest_s: float = Field(default=864_000.0, gt=0)
    step_s: float = Field(default=10.0, ge=1e-3)

    def spec(self) -> DriftSpec:
        """As the layout has it."""
        return DriftSpec(**self.model_dump())


def drift_mistakes(
    file: str, drifts: Sequence[DriftModel], components: Mapping[str, Component[Any] | None]
) -> Iterator[Mistake]:
    """What is wrong with the drifts; components that are wrong themselves (None) are passed over."""
    taken: dict[tuple[str, str], int] = {}
    for number, drift in enumerate(drifts):
        key = f"drifts[{number}]"
        earlier = taken.setdefault((drift.component, drift.parameter), number)
        if earlier != number:
            reason = f"{drift.component}.{drift.parameter} drifts already, by drifts[{earlier}]"
            yield Mistake(file, f"{key}.parameter", reason)
        if drift.shortest_s >= drift.longest_s:
            reason = f"{drift.shortest_s:g} s is not shorter than longest_s = {drift.longest_s:g} s"
            yield Mistake(file, f"{key}.shortest_s", reason)
        if drift.component not in components:
            reason = f"there is no component {drift.component!r}"
            yield Mistake(file, f"{key}.component", reason, nearest(drift.component, components))
            continue
        component = components[drift.component]
        if component is not None:
            yield from _parameter_mistakes(file, key, drift, component)


def _parameter_mistakes(
    file: str, key: str, drift: DriftModel, component: Component[Any]
) -> Iterator[Mistake]:
    """A parameter that is no calibration, or that could wander beyond its bounds."""
    if drift.parameter not in component.CALIBRATIONS:
        known = ", ".join(sorted(component.CALIBRATIONS)) or "none"
        reason = f"{drift.component} has no calibration {drift.parameter!r} (calibrations: {known})"
        yield Mistake(file, f"{key}.parameter", reason, nearest(drift.parameter, component.CALIBRATIONS))
        return
    model, value = dataclass_model(type(component.parameters)), getattr(component.parameters, drift.parameter)
    for way in (-1.0, 1.0):
        off = way * Wander.farthest(drift.rms)
        beyond = tuple(item + off for item in value) if isinstance(value, tuple) else value + off
        try:
            model.model_validate({**vars(component.parameters), drift.parameter: beyond})
        except ValidationError as error:
            for mistake in validation_mistakes(file, (drift.component,), error, ()):
                reason = f"{drift.rms:g} may take {mistake.key} out of its bounds: {mistake.reason}"
                yield Mistake(file, f"{key}.rms", reason)
