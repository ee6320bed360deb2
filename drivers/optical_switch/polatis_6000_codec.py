"""Messages of the Polatis 6000 (Huber+Suhner) optical matrix switch, SCPI over TCP port 5025 or a serial line.

Reference: the SCPI commands of the maker's user manual, as public drivers have them: `:OXC:SWITch:SIZE?`,
`:OXC:SWITch:CONNect:ADD`, `:SUB`, `:STATe?`. Ingress ports are 1 to N, egress ports N+1 to N+M. Assumed: `*OPC?` is
answered with 1 when the light takes its new paths.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import numbers

CLEAR_STATUS = Command.text("*CLS")
NO_PORT = 0

_PORT_LISTS = re.compile(rb"\s*\(@([\d,\s]*)\)\s*,\s*\(@([\d,\s]*)\)\s*$")

Route = tuple[int, int]


@dataclass(frozen=True)
class Size:
    """How many ports the matrix has on either side."""

    ingress: int
    egress: int

    def check(self, connections: Sequence[int]) -> None:
        """LocalProtocolError, naming the port, unless these are connections that the matrix can make."""
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


def port_lists(reply: bytes) -> tuple[Route, ...]:
    """The pairs in two lists of ports, `(@1,2),(@19,18)`; `(@),(@)` has none."""
    match = _PORT_LISTS.match(reply)
    if match is None:
        raise RemoteProtocolError(f"not two lists of ports: {reply!r}")
    left, right = (
        tuple(int(port) for port in part.split(b",")) if part.strip() else () for part in match.groups()
    )
    if len(left) != len(right):
        raise RemoteProtocolError(f"lists of ports that do not pair: {reply!r}")
    return tuple(zip(left, right, strict=True))


def matrix_size(reply: bytes) -> Size:
    """The two numbers of ports."""
    sizes = numbers(reply)
    if len(sizes) != 2 or any(size < 1 or not size.is_integer() for size in sizes):
        raise RemoteProtocolError(f"not a matrix size: {reply!r}")
    return Size(int(sizes[0]), int(sizes[1]))


class SwitchSize:
    """:OXC:SWITch:SIZE?: ingress and egress ports."""

    @staticmethod
    def get() -> Query[Size]:
        return Query.text(":OXC:SWIT:SIZE?", matrix_size)


class Connections:
    """:OXC:SWITch:CONNect:STATe?, :ADD, :SUB: connections that are not named stay as they are."""

    @staticmethod
    def get() -> Query[tuple[Route, ...]]:
        return Query.text(":OXC:SWIT:CONN:STAT?", port_lists)

    @staticmethod
    def add(pairs: Sequence[Route]) -> Command:
        return Command.text(f":OXC:SWIT:CONN:ADD {_lists(pairs)}")

    @staticmethod
    def subtract(pairs: Sequence[Route]) -> Command:
        return Command.text(f":OXC:SWIT:CONN:SUB {_lists(pairs)}")


def _lists(pairs: Sequence[Route]) -> str:
    left = ",".join(str(ingress) for ingress, _ in pairs)
    right = ",".join(str(egress) for _, egress in pairs)
    return f"(@{left}),(@{right})"
