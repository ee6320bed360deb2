"""The wiring of a bench: computes the signal at a port at an instant, asking upstream for no more than it needs.

Evaluation is lazy and goes port by port, so that a switch may be passed several times without making a ring.
Settings act where the light is at that instant; the time it takes to travel on (17 us in 3.5 km) is ignored for them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim_devices.twin.calibration import DriftingCalibration
from sim_devices.twin.component import NOTHING, Component, Needs, Ports, Signal
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.layout import Link, PortAddress
from sim_devices.twin.timeline import Settings, Timeline

PIECE_PS = 10_000_000_000_000
"""Spans are cut at least this often, so that times within a piece keep their precision as float64."""


@dataclass
class _Snapshot:
    """Settings of one component, and the span in which they are known to hold."""

    settings: Settings
    from_ps: int
    until_ps: int | None


@dataclass(frozen=True)
class _Result:
    settings: Settings
    inputs: Mapping[str, Signal]
    outputs: Mapping[str, Signal]


class Node:
    """One component with the history of its settings."""

    def __init__(
        self, name: str, component: Component[Any], calibration: DriftingCalibration | None = None
    ) -> None:
        self.name = name
        self.component = component
        self.calibration = calibration
        self.timelines = {key: Timeline(value) for key, value in component.defaults.items()}
        self._snapshot: _Snapshot | None = None
        self._stale = False

    def settings(self, time_ps: int) -> Settings:
        """The settings at an instant: the same object as long as nothing has changed."""
        held = self._snapshot
        if (
            held is None
            or self._stale
            or time_ps < held.from_ps
            or (held.until_ps is not None and time_ps >= held.until_ps)
        ):
            self._snapshot = held = self._taken(time_ps, held)
            self._stale = False
        return held.settings

    def component_under(self, settings: Settings) -> Component[Any]:
        """The component with its calibration as it is under these settings."""
        if self.calibration is None:
            return self.component
        return self.calibration.at(settings.calibration_step)

    def changed(self) -> None:
        """A timeline was written to."""
        self._stale = True

    def span(self, time_ps: int) -> tuple[int, int | None]:
        """Since when, and until when, the settings at `time_ps` hold (drift steps included)."""
        found = [timeline.at(time_ps) for timeline in self.timelines.values()]
        starts = [start for _, start, _ in found]
        ends = [end for _, _, end in found if end is not None]
        for step_ps in (self.component.drift_step_ps, self.calibration and self.calibration.step_ps):
            if step_ps is not None:
                start = time_ps // step_ps * step_ps
                starts.append(start)
                ends.append(start + step_ps)
        return max(starts, default=0), min(ends, default=None)

    def _taken(self, time_ps: int, before: _Snapshot | None) -> _Snapshot:
        found = {key: timeline.at(time_ps) for key, timeline in self.timelines.items()}
        from_ps, until_ps = self.span(time_ps)
        step = time_ps // self.component.drift_step_ps if self.component.drift_step_ps else 0
        values = {key: value for key, (value, _, _) in found.items()}
        since = {key: start for key, (_, start, _) in found.items()}
        calibration_step = time_ps // self.calibration.step_ps if self.calibration else 0
        settings = Settings(values, since, step, calibration_step)
        if before is not None and before.settings.same_as(settings):
            settings = before.settings
        return _Snapshot(settings, from_ps, until_ps)


@dataclass
class Graph:
    """All components and links of a bench."""

    nodes: Mapping[str, Node]
    links: tuple[Link, ...]
    _sources: dict[PortAddress, PortAddress] = field(init=False)
    _upstream: dict[str, frozenset[str]] = field(init=False, default_factory=dict)
    _results: dict[tuple[str, bool, Needs], _Result] = field(init=False, default_factory=dict)
    _open: set[tuple[PortAddress, bool]] = field(init=False, default_factory=set)
    changes: int = field(init=False, default=0)
    """How often settings have been written: what was found for a span holds until this has another value."""
    _instant_ps: int = field(init=False, default=-1)
    _known: dict[tuple[PortAddress, bool], Signal] = field(init=False, default_factory=dict)
    """Signals at that instant."""

    def __post_init__(self) -> None:
        self._sources = {link.target: link.source for link in self.links}

    def arriving(self, at: PortAddress, time_ps: int, *, undisturbed: bool = False) -> Signal:
        """The signal at an input; what an unconnected port gets if nothing is linked to it."""
        source = self._sources.get(at)
        if source is None:
            return NOTHING[self.nodes[at.component].component.inputs[at.port]]
        return self.leaving(source, time_ps, undisturbed=undisturbed)

    def leaving(self, at: PortAddress, time_ps: int, *, undisturbed: bool = False) -> Signal:
        """The signal at an output. `undisturbed` leaves out what bystanders add; a ring of links carries no light."""
        if time_ps != self._instant_ps:
            self._known.clear()
            self._instant_ps = time_ps
        key = (at, undisturbed)
        if key not in self._known:
            if key in self._open:
                return NOTHING[self.nodes[at.component].component.outputs[at.port]]
            self._open.add(key)
            try:
                self._known[key] = self._computed(at, time_ps, undisturbed)
            finally:
                self._open.discard(key)
        return self._known[key]

    def changed(self, node: Node) -> None:
        """Settings of `node` were written to."""
        node.changed()
        self.changes += 1
        self._known.clear()

    def _computed(self, at: PortAddress, time_ps: int, undisturbed: bool) -> Signal:
        """The signal at an output, from those at the inputs that it depends on."""
        node = self.nodes[at.component]
        settings = node.settings(time_ps)
        needs = node.component.needs(at.port, settings)
        inputs = {
            port: self.arriving(PortAddress(at.component, port), time_ps, undisturbed=undisturbed)
            for port in needs.inputs
        }
        if not undisturbed:
            for port in needs.bystanders:
                inputs[port] = self.arriving(PortAddress(at.component, port), time_ps, undisturbed=True)
        outputs = self._outputs(node, settings, needs, inputs, undisturbed)
        return outputs.get(at.port, NOTHING[node.component.outputs[at.port]])

    def _outputs(
        self, node: Node, settings: Settings, needs: Needs, inputs: Mapping[str, Signal], undisturbed: bool
    ) -> Mapping[str, Signal]:
        """The component's outputs, taken from the last evaluation if nothing upstream has changed since."""
        key = (node.name, undisturbed, needs)
        last = self._results.get(key)
        if last is not None and last.settings is settings and _same(last.inputs, inputs):
            return last.outputs
        outputs = node.component_under(settings).propagate(inputs, settings, needs.outputs)
        self._results[key] = _Result(settings, inputs, outputs)
        return outputs

    def sense(self, component: str, quantity: str, time_ps: int) -> float:
        """The momentary value of an observable."""
        node = self.nodes[component]
        settings = node.settings(time_ps)
        return node.component_under(settings).sense(quantity, _PortsAt(self, component, time_ps), settings)

    def counted(self, component: str, quantity: str, time_ps: int) -> Mapping[str, ClickProcess]:
        """The laws, by output, of the clicks that an observable of random events counts."""
        node = self.nodes[component]
        ports = _PortsAt(self, component, time_ps)
        leaving = {port: ports.output(port) for port in node.component.counted_outputs(quantity)}
        return {port: process for port, process in leaving.items() if isinstance(process, ClickProcess)}

    def span(self, component: str, time_ps: int) -> tuple[int, int]:
        """The longest span round `time_ps` in which nothing changes at `component` or upstream of it."""
        start = time_ps // PIECE_PS * PIECE_PS
        end = start + PIECE_PS
        for name in self.upstream(component):
            since, until = self.nodes[name].span(time_ps)
            start = max(start, since)
            end = end if until is None else min(end, until)
        return start, end

    def pieces(self, component: str, from_ps: int, until_ps: int) -> Iterator[tuple[int, int]]:
        """Cut [from_ps, until_ps) where something changes at `component` or upstream of it."""
        while from_ps < until_ps:
            end = min(until_ps, self.span(component, from_ps)[1])
            yield from_ps, end
            from_ps = end

    def upstream(self, component: str) -> frozenset[str]:
        """`component` and all that can have an influence on it, by the links there are."""
        if component not in self._upstream:
            found = {component}
            waiting = [component]
            while waiting:
                at = waiting.pop()
                sources = {link.source.component for link in self.links if link.target.component == at}
                waiting.extend(sources - found)
                found |= sources
            self._upstream[component] = frozenset(found)
        return self._upstream[component]


@dataclass(frozen=True)
class _PortsAt(Ports):
    graph: Graph
    component: str
    time_ps: int

    def input(self, port: str) -> Signal:
        """What arrives at the instant."""
        return self.graph.arriving(PortAddress(self.component, port), self.time_ps)

    def output(self, port: str) -> Signal:
        """What leaves at the instant."""
        return self.graph.leaving(PortAddress(self.component, port), self.time_ps)


def _same(one: Mapping[str, Signal], other: Mapping[str, Signal]) -> bool:
    return len(one) == len(other) and all(one.get(port) is signal for port, signal in other.items())
