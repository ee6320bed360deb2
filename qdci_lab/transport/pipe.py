"""What every transport can do, and which transport an address means."""

from collections.abc import Callable
from typing import Protocol

from qdci_lab.addresses import address_kind
from qdci_lab.errors import LocalProtocolError
from qdci_lab.transport.replay import ReplayTransport
from qdci_lab.transport.serial import SerialTransport
from qdci_lab.transport.visa import VisaTransport


class Transport(Protocol):
    """A byte pipe. Every failure is a TransportError; a silent peer is a TransportTimeout."""

    address: str

    @property
    def is_open(self) -> bool:
        """Whether bytes can pass, as far as is known."""
        ...

    @property
    def left_over(self) -> bytes | None:
        """What was still on its way from before the last opening, and was dropped then.

        None where an opening makes a new link, to which nothing old can come.
        """
        ...

    def open(self) -> None:
        """Reach the instrument."""
        ...

    def close(self) -> None:
        """Leave it; closing twice does no harm."""
        ...

    def write(self, data: bytes) -> None:
        """Send all the bytes."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """At least one byte, and whatever else has arrived."""
        ...

    def read_into(self, buffer: memoryview, timeout_s: float) -> int:
        """At least one byte, and no more than fit into the buffer, which is not empty; how many came."""
        ...


def open_pipe(
    address: str,
    *,
    baud_rate: int = 9600,
    rts_cts: bool = False,
    timeout_s: float = 2.0,
    conceal: Callable[[bytes], bytes] | None = None,
) -> Transport:
    """The transport for an address, not yet open: a VISA resource name, a pyserial port or URL, or a recording.

    `conceal` gives what a recording has of a message of which it may not have all.
    """
    kind = address_kind(address)
    if kind == "visa":
        return VisaTransport(address, timeout_s=timeout_s)
    if kind == "serial":
        return SerialTransport(address, baud_rate=baud_rate, rts_cts=rts_cts)
    if kind == "replay":
        return ReplayTransport(address, conceal=conceal)
    raise LocalProtocolError(
        f"no byte pipe has the address {address!r}: give a VISA resource, a serial port or replay:FILE"
    )
