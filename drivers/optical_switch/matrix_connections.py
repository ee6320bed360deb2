"""The connections of an optical matrix switch, as arrays and as pairs (Polatis 6000 user manual: the ports' numbers).

Ingress ports are 1 to N, egress ports N+1 to N+M. The connections are an array of N egress ports, 0 for none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError

NO_PORT = 0

Route = tuple[int, int]


@dataclass(frozen=True)
class Size:
    """How many ports the matrix has on either side."""

    ingress: int
    egress: int

    def check(self, connections: Sequence[int]) -> None:
        """LocalProtocolError, naming the port, unless these are connections that the matrix can make."""
        if isinstance(connections, str) or not isinstance(connections, Sequence | np.ndarray):
            raise LocalProtocolError(f"{connections!r}: must be an egress port, or 0, for each ingress port")
        if len(connections) != self.ingress:
            raise LocalProtocolError(
                f"{len(connections)} connections: must be {self.ingress}, one for each ingress port"
            )
        if any(int(port) != port for port in connections):
            raise LocalProtocolError(f"{connections}: ports must be whole numbers")
        seen: dict[int, int] = {}
        for ingress, egress in routes(connections):
            self.check_route(ingress, egress)
            if egress in seen:
                raise LocalProtocolError(
                    f"egress port {egress} is given to ingress ports {seen[egress]} and {ingress}"
                )
            seen[egress] = ingress

    def check_route(self, ingress: int, egress: int) -> None:
        """LocalProtocolError unless the matrix has these ports; egress 0 is no port."""
        if not 1 <= ingress <= self.ingress:
            raise LocalProtocolError(f"ingress port {ingress}: must be 1 to {self.ingress}")
        low, high = self.ingress + 1, self.ingress + self.egress
        if egress != NO_PORT and not low <= egress <= high:
            raise LocalProtocolError(
                f"egress port {egress} of ingress port {ingress}: must be {low} to {high}, or 0"
            )


def routes(connections: Sequence[int]) -> tuple[Route, ...]:
    """The pairs of ingress and egress port in an array of egress ports, one for each ingress port, 0 for none."""
    return tuple((index + 1, int(egress)) for index, egress in enumerate(connections) if egress != NO_PORT)


def connections_of(pairs: Sequence[Route], ingress_ports: int) -> tuple[int, ...]:
    """The array of egress ports, one for each ingress port, 0 for none; RemoteProtocolError for other ports."""
    egress_of = dict(pairs)
    if any(not 1 <= ingress <= ingress_ports for ingress in egress_of):
        raise RemoteProtocolError(f"connections of ports that are no ingress ports: {pairs}")
    return tuple(egress_of.get(ingress, NO_PORT) for ingress in range(1, ingress_ports + 1))


def with_route(connections: Sequence[int], ingress: int, egress: int) -> tuple[int, ...]:
    """The connections with one more; those that had either port are taken away, the others stay."""
    kept = [NO_PORT if port == egress else int(port) for port in connections]
    kept[ingress - 1] = egress
    return tuple(kept)
