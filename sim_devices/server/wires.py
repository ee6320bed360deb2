"""What all wires of the bench can do, and the ones that are made of others: several ports, or a maker's library."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlencode

from sim_devices.firmware.session import ExtraPort
from sim_devices.server.control import TaggerPort
from sim_devices.server.tcp import TcpServer

_ATTEMPTS = 50


class Wire(Protocol):
    """One device's way out of the bench."""

    @property
    def address(self) -> str:
        """Where clients find it."""
        ...

    def start(self) -> None:
        """Answer from now on."""
        ...

    def stop(self) -> None:
        """Hang up; the address stays taken."""
        ...

    def close(self) -> None:
        """Stop and give the address back."""
        ...


class LibraryWire:
    """A device that is reached through its maker's library, which comes to the control server."""

    def __init__(self, port: TaggerPort, control_address: str, device: str) -> None:
        self._port = port
        names = {"control": control_address, "device": device}
        if port.tagger.generation != 1:
            names["generation"] = str(port.tagger.generation)
        query = urlencode(names, safe=":")
        self.address = f"c_api+python:sim_devices.server.c_api:function_table?{query}"

    def start(self) -> None:
        """Plug the device in."""
        self._port.switch(on=True)

    def stop(self) -> None:
        """Plug it out."""
        self._port.switch(on=False)

    def close(self) -> None:
        """Plug it out for good."""
        self._port.switch(on=False)


class PortsWire:
    """A device with several TCP ports; the first one's address is the device's."""

    def __init__(self, servers: Sequence[TcpServer]) -> None:
        self._servers = servers
        self.address = servers[0].address

    def start(self) -> None:
        """Answer on every port from now on."""
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        """Hang up on every port."""
        for server in self._servers:
            server.stop()

    def close(self) -> None:
        """Give every port back."""
        for server in self._servers:
            server.close()


def tcp_servers(places: Mapping[str, ExtraPort], port: int, name: str) -> dict[str, TcpServer]:
    """One server for each place; with `port` 0 any first port will do above which the others are free."""
    for attempt in range(_ATTEMPTS):
        servers: dict[str, TcpServer] = {}
        first = port
        try:
            for key, place in places.items():
                number = first + place.offset if first else 0
                servers[key] = TcpServer(place.session, port=number, name=f"{name}.{key}".rstrip("."))
                first = first or servers[key].port
            return servers
        except (OSError, OverflowError):
            for server in servers.values():
                server.close()
            if port or attempt == _ATTEMPTS - 1:
                raise
    return {}
