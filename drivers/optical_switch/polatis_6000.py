"""Polatis 6000 (Huber+Suhner): optical matrix switch.

Reference: the SCPI commands of the Polatis optical switches' user manual, known from public drivers. Assumed: the
switch has settled within 5 s, which is far longer than its mirrors or collimators take.
"""

from collections.abc import Sequence

from drivers.optical_switch.polatis_6000_codec import (
    CLEAR_STATUS,
    Connections,
    Size,
    SwitchSize,
    connections_of,
    routes,
    with_route,
)
from qdci_lab.device import Instrument
from qdci_lab.errors import LabError, LocalProtocolError
from qdci_lab.signals import TaskStatus, controlled

SETTLING_S = 5.0


class Polatis6000(Instrument):
    """A matrix of N ingress ports, 1 to N, and M egress ports, N+1 to N+M.

    `connections` has shape (N,): for each ingress port the egress port that its light goes to, or 0. Setting it changes
    the connections that differ and leaves the others undisturbed. There is no safe state to enter: dark fibres are not
    safer than lit ones, and cutting paths would take down links that do not belong to the run; the light is switched
    off where it is made.
    """

    MODEL = "Polatis 6000"
    IDENTITY_CONTAINS = "Polatis"
    BAUD_RATE = 38400

    connections = controlled(
        lambda device: device.ask_connections(),
        lambda device, value: device.connect_ports(value),
        "1",
        precision=0,
        element="ingress port",
        check=lambda device, value: device.check_connections(value),
    )

    size: Size | None = None

    def prepare_instrument(self) -> None:
        """Clear errors and ask for the number of ports."""
        self.connection.command(CLEAR_STATUS)
        self.size = self.connection.checked_query(SwitchSize.get())

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
        try:
            self._known_size().check(connections)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{self.connections.name}: {error}") from error

    def ask_connections(self) -> tuple[int, ...]:
        """The egress port of each ingress port, 0 for none; only the worker calls this."""
        pairs = self.connection.checked_query(Connections.get())
        return connections_of(pairs, self._known_size().ingress)

    def connect_ports(self, connections: Sequence[int]) -> None:
        """Make the connections that are wanted and are not there, wait for them; only the worker calls this."""
        present = set(self.connection.checked_query(Connections.get()))
        wanted = set(routes(connections))
        if gone := sorted(present - wanted):
            self.connection.checked(Connections.subtract(gone))
        if new := sorted(wanted - present):
            self.connection.checked(Connections.add(new))
        self.await_completion(within_s=SETTLING_S)

    def _route(self, ingress: int, egress: int, status: TaskStatus) -> None:
        self.connections.move(with_route(self.ask_connections(), ingress, egress), status)

    def _known_size(self) -> Size:
        if self.size is None:
            raise LabError(f"{self.label}: the number of ports is not known before it is connected")
        return self.size
