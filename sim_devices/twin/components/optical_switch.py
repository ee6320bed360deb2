"""The optical matrix switch: any ingress to any egress, one to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from qdci_lab.units import db_to_ratio
from sim_devices.twin.component import OPTICAL, Component, Needs, Ports, Signal, optical, power_at
from sim_devices.twin.light import Light
from sim_devices.twin.polarization import jones_of, random_rotation
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

Ports1To = Annotated[int, Interval(ge=1, le=384)]


@dataclass(frozen=True)
class OpticalSwitchParameters:
    """Number of ports, and the loss of one pass."""

    ingress: Ports1To
    egress: Ports1To
    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)]
    turns_polarization: bool = False
    """Whether every change of the connections turns the polarization of each path anew, at random."""


class OpticalSwitch(Component[OpticalSwitchParameters]):
    """Ports 1 to n take light in, n + 1 to n + m give it out; light against that direction is left out."""

    Parameters = OpticalSwitchParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"insertion_loss_db"})
    DEFAULTS: ClassVar[Mapping[str, object]] = {"connections": frozenset()}

    def __init__(self, parameters: OpticalSwitchParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        ports = [str(port) for port in range(1, parameters.ingress + parameters.egress + 1)]
        self.inputs = dict.fromkeys(ports[: parameters.ingress], OPTICAL)
        self.outputs = dict.fromkeys(ports[parameters.ingress :], OPTICAL)
        self._routes: tuple[frozenset[tuple[int, int]], dict[str, str]] = frozenset(), {}
        self._turns: dict[str, tuple[int, NDArray[np.complex128]]] = {}

    def needs(self, output: str, settings: Settings) -> Needs:
        """The one ingress that `output` is connected to, if any."""
        connections = settings.of("connections", frozenset)
        if connections is not self._routes[0]:
            self._routes = connections, {str(egress): str(ingress) for ingress, egress in connections}
        ingress = self._routes[1].get(output)
        return Needs(() if ingress is None else (ingress,), (output,))

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The light of the connected ingress at each wanted egress."""
        transmission = db_to_ratio(-self.parameters.insertion_loss_db)
        passed: dict[str, Light] = {}
        for output in wanted:
            for ingress in self.needs(output, settings).inputs:
                light = optical(inputs, ingress).scaled(transmission)
                passed[output] = self._turned(light, f"{ingress}-{output}", settings)
        return passed

    def _turned(self, light: Light, path: str, settings: Settings) -> Light:
        """Assumed: a change moves the fibres of all paths a little, those that stay connected too."""
        if not self.parameters.turns_polarization or light.is_dark:
            return light
        since_ps = settings.since_ps("connections")
        if path not in self._turns or self._turns[path][0] != since_ps:
            stream = self.stream.child("polarization", path, str(since_ps))
            self._turns[path] = since_ps, jones_of(random_rotation(stream.generator()))
        return light.rotated(self._turns[path][1])

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`port_power_w:<port>`: power that enters an ingress or leaves an egress."""
        kind, _, port = quantity.partition(":")
        if kind == "port_power_w" and port in self.inputs:
            return power_at(ports.input(port))
        if kind == "port_power_w" and port in self.outputs:
            return power_at(ports.output(port))
        return super().sense(quantity, ports, settings)

    def checked(self, name: str, value: object) -> object:
        """Connections: pairs (ingress, egress) of ports that exist, each port once."""
        if name != "connections":
            return super().checked(name, value)
        if not isinstance(value, frozenset | set | tuple | list):
            raise ValueError(f"connections: a set of (ingress, egress) is expected, not {value!r}")
        connections = frozenset((int(ingress), int(egress)) for ingress, egress in value)
        for pair in connections:
            if str(pair[0]) not in self.inputs or str(pair[1]) not in self.outputs:
                raise ValueError(f"connections: {pair} is not (ingress, egress) of this switch")
        ports = [port for pair in connections for port in pair]
        if len(ports) != len(set(ports)):
            raise ValueError(f"connections: a port is used twice in {sorted(connections)}")
        return connections
