"""Messages of the Polatis 6000 (Huber+Suhner) optical matrix switch, SCPI over TCP port 5025 or a serial line.

Reference: the SCPI commands of the maker's user manual, as public drivers have them: `:OXC:SWITch:SIZE?`,
`:OXC:SWITch:CONNect:ADD`, `:SUB`, `:STATe?`. Ingress ports are 1 to N, egress ports N+1 to N+M. Assumed: `*OPC?` is
answered with 1 when the light takes its new paths.
"""

import re
from collections.abc import Sequence

from drivers.optical_switch.matrix_connections import Route, Size
from qdci_lab.errors import RemoteProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import numbers

CLEAR_STATUS = Command.text("*CLS")

_PORT_LISTS = re.compile(rb"\s*\(@([\d,\s]*)\)\s*,\s*\(@([\d,\s]*)\)\s*$")


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
