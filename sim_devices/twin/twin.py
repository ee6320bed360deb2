"""The digital twin: a layout brought to life, with a clock, handles for instruments and readers of time tags."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qdci_lab.units import PS_PER_S, seconds_to_ps
from sim_devices.twin.calibration import DriftingCalibration
from sim_devices.twin.component import Signal
from sim_devices.twin.components import COMPONENTS
from sim_devices.twin.components.detection import TimeTagger
from sim_devices.twin.counting import DeadUntil, draw_count
from sim_devices.twin.graph import Graph, Node
from sim_devices.twin.handle import ComponentHandle
from sim_devices.twin.lab_time import LabTime
from sim_devices.twin.layout import ComponentSpec, DriftSpec, Layout, PortAddress
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.tagger import TagReader
from sim_devices.twin.truth import TruthLog

MEMORY_PS = 60 * PS_PER_S
"""How far back settings are remembered at least, for observables that are averaged."""


class Twin:
    """The physics of one bench. All methods may be called from any thread; crossing lab time costs nothing."""

    def __init__(self, layout: Layout, seed: int | None = None) -> None:
        self.layout = layout
        self.seed = layout.seed if seed is None else seed
        self.lab_time = LabTime()
        self._lock = threading.RLock()
        stream = KeyedStream(self.seed)
        nodes = {name: _node(name, spec, stream, layout.drifts) for name, spec in layout.components.items()}
        self._graph = Graph(nodes, layout.links)
        self._readers = {
            name: TagReader(name, node.component, self._graph, self.lab_time, self._lock)
            for name, node in nodes.items()
            if isinstance(node.component, TimeTagger)
        }

    @property
    def components(self) -> Mapping[str, str]:
        """Type of each component by its name."""
        return {name: spec.type for name, spec in self.layout.components.items()}

    def handle(self, component: str) -> ComponentHandle:
        """What an instrument's firmware may touch of a component. Raises KeyError if there is none of that name."""
        return _Handle(self, self._graph.nodes[component])

    def tagger(self, component: str) -> TagReader:
        """The reader of a time tagger's tags. Raises KeyError if there is none of that name."""
        return self._readers[component]

    def log_truth(self, folder: Path) -> Callable[[], None]:
        """Write the origin of every click that is read into `<tagger>.truth` there; returns what ends the files."""
        logs = [TruthLog(folder / f"{name}.truth") for name in self._readers]
        for reader, log in zip(self._readers.values(), logs, strict=True):
            reader.truth = log

        def close() -> None:
            for reader, log in zip(self._readers.values(), logs, strict=True):
                reader.truth = None
                log.close()

        return close

    def leaving(self, port: str) -> Signal:
        """What leaves an output, written `component.port`, now. Raises KeyError if there is none of that name."""
        with self._lock:
            return self._graph.leaving(_address(port), self.lab_time.now_ps())

    def arriving(self, port: str) -> Signal:
        """What arrives at an input, written `component.port`, now. Raises KeyError if there is none of that name."""
        with self._lock:
            return self._graph.arriving(_address(port), self.lab_time.now_ps())

    def apply(self, node: Node, over_s: float, after_s: float, settings: Mapping[str, object]) -> None:
        """Write `settings` into a component's timelines; nothing is written if one of them is refused."""
        checked = {name: node.component.checked(name, value) for name, value in settings.items()}
        with self._lock:
            now_ps = self.lab_time.now_ps()
            from_ps = now_ps + seconds_to_ps(after_s)
            for name, value in checked.items():
                if over_s > 0.0 and _is_numeric(value):
                    node.timelines[name].ramp(value, from_ps, seconds_to_ps(over_s), now_ps)
                else:
                    node.timelines[name].set(value, from_ps, now_ps)
            self._graph.changed(node)
            self._forget(now_ps)

    def sense(self, node: Node, quantity: str, average_s: float) -> float:
        """Mean of an observable over the `average_s` that end now."""
        with self._lock:
            now_ps = self.lab_time.now_ps()
            from_ps = max(0, now_ps - seconds_to_ps(average_s))
            if from_ps >= now_ps:
                return self._graph.sense(node.name, quantity, now_ps)
            pieces = list(self._graph.pieces(node.name, from_ps, now_ps))
            if quantity in node.component.COUNTED:
                return self._count(node, quantity, pieces) / (now_ps - from_ps) * PS_PER_S
            total = sum(
                self._graph.sense(node.name, quantity, start_ps) * (end_ps - start_ps)
                for start_ps, end_ps in pieces
            )
        return total / (now_ps - from_ps)

    def reading(self, node: Node, name: str) -> object:
        """What an instrument reads at a component now, from what arrives there."""
        with self._lock:
            now_ps = self.lab_time.now_ps()
            inputs = {
                port: self._graph.arriving(PortAddress(node.name, port), now_ps)
                for port in node.component.inputs
            }
            return node.component.reading(name, inputs, now_ps)

    def _count(self, node: Node, quantity: str, pieces: Sequence[tuple[int, int]]) -> int:
        """Clicks in all `pieces`; the same count for the same span, however often it is asked for."""
        stream = node.component.stream.child("sense", quantity, str(pieces[-1][1]))
        generator, count, origin_ps = stream.generator(), 0, pieces[0][0]
        dead: defaultdict[str, DeadUntil] = defaultdict(DeadUntil)
        for start_ps, end_ps in pieces:
            for port, process in self._graph.counted(node.name, quantity, start_ps).items():
                start_s, end_s = ((time_ps - origin_ps) / PS_PER_S for time_ps in (start_ps, end_ps))
                count += draw_count(process, start_s, end_s, dead[port], generator)
        return count

    def _forget(self, now_ps: int) -> None:
        """Drop settings that no reader can ask for again."""
        horizon_ps = min([now_ps, *(reader.position_ps for reader in self._readers.values())]) - MEMORY_PS
        for node in self._graph.nodes.values():
            for timeline in node.timelines.values():
                timeline.forget_before(horizon_ps)


class _Handle:
    """One component as its instrument holds it."""

    def __init__(self, twin: Twin, node: Node) -> None:
        self._twin = twin
        self._node = node

    @property
    def lab_time(self) -> LabTime:
        """The clock of the bench."""
        return self._twin.lab_time

    def apply(self, *, over_s: float = 0.0, after_s: float = 0.0, **settings: object) -> None:
        """As `ComponentHandle.apply`."""
        self._twin.apply(self._node, over_s, after_s, settings)

    def setting(self, name: str) -> object:
        """As `ComponentHandle.setting`."""
        if name in self._node.component.READINGS:
            return self._twin.reading(self._node, name)
        if name not in self._node.timelines:
            raise ValueError(f"{self._node.name} has no setting {name!r}")
        return self._node.timelines[name].at(self.lab_time.now_ps())[0]

    def sense(self, quantity: str, average_s: float = 0.0) -> float:
        """As `ComponentHandle.sense`."""
        return self._twin.sense(self._node, quantity, average_s)


def _node(name: str, spec: ComponentSpec, stream: KeyedStream, drifts: Sequence[DriftSpec]) -> Node:
    kind = COMPONENTS[spec.type]
    component = kind(kind.Parameters(**spec.parameters), stream.child(name))
    own = [drift for drift in drifts if drift.component == name]
    return Node(name, component, DriftingCalibration(component, own) if own else None)


def _address(port: str) -> PortAddress:
    component, _, name = port.partition(".")
    return PortAddress(component, name)


def _is_numeric(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_numeric, value))
    return isinstance(value, float)
