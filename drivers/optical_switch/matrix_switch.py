"""An optical matrix switch of any protocol: its connections, and how they are changed (Polatis 6000 user manual)."""

from abc import abstractmethod
from collections.abc import Sequence

from drivers.optical_switch.matrix_connections import Route, Size, connections_of, routes, with_route
from qdci_lab.device import Instrument
from qdci_lab.errors import LabError
from qdci_lab.signals import TaskStatus, controlled


class MatrixSwitch(Instrument):
    """A matrix of N ingress ports, 1 to N, and M egress ports, N+1 to N+M.

    `connections` has shape (N,): for each ingress port the egress port that its light goes to, or 0. Setting it changes
    the connections that differ and leaves the others undisturbed. There is no safe state to enter: dark fibres are not
    safer than lit ones, and cutting paths would take down links that do not belong to the run; the light is switched
    off where it is made.

    Subclasses say how routes are asked for, taken away and made, and set `size` when they are reached.
    """

    connections = controlled(
        lambda device: device.ask_connections(),
        lambda device, value: device.connect_ports(value),
        "1",
        precision=0,
        element="ingress port",
        check=lambda device, value: device.check_connections(value),
    )

    size: Size | None = None

    @abstractmethod
    def ask_routes(self) -> Sequence[Route]:
        """The pairs of ingress and egress port that are connected; only the worker calls this."""

    @abstractmethod
    def take_away(self, pairs: Sequence[Route]) -> None:
        """Disconnect these pairs; only the worker calls this."""

    @abstractmethod
    def make(self, pairs: Sequence[Route]) -> None:
        """Connect these pairs, whose ports are free; only the worker calls this."""

    def await_light(self) -> None:
        """Wait until the light takes its new paths; nothing to do by default."""

    def recall(self) -> None:
        """As many egress ports as there are ingress ports: assumed, a recording does not hold their number."""
        ports = len(self.connections.last)
        self.size = Size(ports, ports)

    def with_route(
        self, ingress: int, egress: int, *, connections: Sequence[int] | None = None
    ) -> tuple[int, ...]:
        """The last known connections, or those given, with one more; for `bps.mv(switch.connections, ...)`.

        Connections that had either port are dropped, the others kept; egress 0 takes the ingress port's away.
        """
        self._known_size().check_route(ingress, egress)
        return with_route(self.connections.last if connections is None else connections, ingress, egress)

    def route(self, ingress: int, egress: int) -> TaskStatus:
        """Connect two ports, as the instrument is now: connections that had either port go, the others stay."""
        self._known_size().check_route(ingress, egress)
        return self.submit(lambda status: self._route(ingress, egress, status))

    def check_connections(self, connections: Sequence[int]) -> None:
        """LocalProtocolError, naming the port, unless the matrix can make these connections."""
        self._known_size().check(connections)

    def ask_connections(self) -> tuple[int, ...]:
        """The egress port of each ingress port, 0 for none; only the worker calls this."""
        return connections_of(self.ask_routes(), self._known_size().ingress)

    def connect_ports(self, connections: Sequence[int]) -> None:
        """Make the connections that are wanted and are not there, wait for them; only the worker calls this."""
        present = set(self.ask_routes())
        wanted = set(routes(connections))
        if gone := sorted(present - wanted):
            self.take_away(gone)
        if new := sorted(wanted - present):
            self.make(new)
        self.await_light()

    def _route(self, ingress: int, egress: int, status: TaskStatus) -> None:
        self.connections.move(with_route(self.ask_connections(), ingress, egress), status)

    def _known_size(self) -> Size:
        if self.size is None:
            raise LabError(f"{self.label}: the number of ports is not known before it is connected")
        return self.size
