"""A simulated bench: the twin, the instruments' firmware, and the wires on which clients reach them."""

import os
import selectors
import socket
import threading
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlencode

from qdci_lab.errors import ConfigError, Mistake
from sim_devices.config import SIM_FILE, TWIN_FILE, SimModel, find_mistakes, load_twin
from sim_devices.firmware import FIRMWARES
from sim_devices.firmware.qutag import Qutag
from sim_devices.firmware.session import ExtraPort
from sim_devices.firmware.sockets import BenchSockets
from sim_devices.server.control import ControlServer, RequestRefused, TaggerPort
from sim_devices.server.pty import PtyServer
from sim_devices.server.tcp import TcpServer
from sim_devices.twin.lab_time import LabTime
from sim_devices.twin.layout import InstrumentSpec
from sim_devices.twin.twin import Twin

SOURCE = "twin"
_ATTEMPTS = 50
_SIMULATED = "sim://"


@dataclass(frozen=True)
class DeviceReport:
    """What a client must know of a device: what it is and where it answers."""

    model: str
    address: str
    extra_addresses: Mapping[str, str] = field(default_factory=dict)
    """Where its further ports answer, by name."""


class _Wire(Protocol):
    """One device's way out of the bench."""

    @property
    def address(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class _LibraryWire:
    """A device that is reached through its maker's library, which comes to the control server."""

    def __init__(self, port: TaggerPort, control_address: str, device: str) -> None:
        self._port = port
        query = urlencode({"control": control_address, "device": device}, safe=":")
        self.address = f"c_api+python:sim_devices.server.c_api:function_table?{query}"

    def start(self) -> None:
        self._port.switch(on=True)

    def stop(self) -> None:
        self._port.switch(on=False)

    def close(self) -> None:
        self._port.switch(on=False)


class _PortsWire:
    """A device with several TCP ports; the first one's address is the device's."""

    def __init__(self, servers: Sequence[TcpServer]) -> None:
        self._servers = servers
        self.address = servers[0].address

    def start(self) -> None:
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        for server in self._servers:
            server.stop()

    def close(self) -> None:
        for server in self._servers:
            server.close()


class Bench:
    """All simulated devices of one testbed in this process; a context manager.

    Devices named in `without`, and those with a real address in sim.toml, are left out. `seed` takes the
    place of twin.toml's. Raises ConfigError with all mistakes of the two files, OSError for a port taken.
    """

    def __init__(self, testbed: Path, *, seed: int | None = None, without: Collection[str] = ()) -> None:
        mistakes = find_mistakes(testbed)
        if mistakes:
            raise ConfigError(mistakes)
        layout = load_twin(testbed)
        _refuse_unknown(without, layout.instruments)
        self.testbed = testbed.resolve().name
        self.twin = Twin(layout, seed)
        self._lock = threading.RLock()
        self._models: dict[str, str] = {}
        self._wires: dict[str, _Wire] = {}
        self._extra_addresses: dict[str, Mapping[str, str]] = {}
        self._taggers: dict[str, TaggerPort] = {}
        with ExitStack() as resources:
            self._stop_reader, self._stop_writer = map(resources.enter_context, socket.socketpair())
            self._control = ControlServer(self)
            resources.callback(self._close_wires)
            resources.callback(self._control.close)
            addresses = _addresses(testbed)
            for name, spec in layout.instruments.items():
                address = addresses.get(name, "")
                if address.startswith(_SIMULATED) and name not in without:
                    self._install(name, spec, address.removeprefix(_SIMULATED))
            self._resources = resources.pop_all()

    @property
    def devices(self) -> Mapping[str, DeviceReport]:
        """The devices of this bench by name, stopped ones included."""
        return {
            name: DeviceReport(self._models[name], wire.address, self._extra_addresses.get(name, {}))
            for name, wire in self._wires.items()
        }

    @property
    def control_address(self) -> str:
        """Host and port of the control server."""
        return self._control.address

    @property
    def lab_time(self) -> LabTime:
        """The bench's clock."""
        return self.twin.lab_time

    def start(self) -> None:
        """Let all devices answer."""
        with self._lock:
            for wire in self._wires.values():
                wire.start()
            self._control.start()

    def stop(self) -> None:
        """Hang up on everybody and give all addresses back, for good."""
        self._resources.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop_device(self, name: str) -> str:
        """Take a device off the wire; returns its address. Raises RequestRefused for an unknown name."""
        with self._lock:
            wire = self._wire(name)
            wire.stop()
            return wire.address

    def start_device(self, name: str) -> str:
        """Put a device back on the wire, as a rule at the address it had, which is returned."""
        with self._lock:
            wire = self._wire(name)
            wire.start()
            return wire.address

    def tagger(self, device: str) -> TaggerPort:
        """The time tagger of this name. Raises RequestRefused if there is none."""
        self._wire(device)
        if device not in self._taggers:
            raise RequestRefused(f"device {device} is no time tagger")
        return self._taggers[device]

    def report(self) -> dict[str, object]:
        """Who we are and which devices there are, as plain data."""
        devices: dict[str, dict[str, object]] = {
            name: {"model": device.model, "address": device.address} for name, device in self.devices.items()
        }
        for name, device in self.devices.items():
            if device.extra_addresses:
                devices[name]["extra_addresses"] = dict(device.extra_addresses)
        return {
            "devices": devices,
            "control": self.control_address,
            "source": SOURCE,
            "testbed": self.testbed,
            "seed": self.twin.seed,
            "pid": os.getpid(),
        }

    def hello(self) -> Mapping[str, object]:
        """As `report`, for the control server."""
        return self.report()

    def ask_to_stop(self) -> None:
        """End `wait`; safe in a signal handler."""
        with suppress(OSError):  # it has ended already
            self._stop_writer.send(b"x")

    def wait(self, until_closed: int | None = None) -> None:
        """Block until somebody asks the bench to stop, or until the file descriptor given is at its end."""
        with selectors.SelectSelector() as selector:
            selector.register(self._stop_reader, selectors.EVENT_READ)
            if until_closed is not None:
                selector.register(until_closed, selectors.EVENT_READ)
            while True:
                ready = [key.fd for key, _ in selector.select()]
                if self._stop_reader.fileno() in ready:
                    return
                if until_closed is not None and not os.read(until_closed, 4096):
                    return

    def _install(self, name: str, spec: InstrumentSpec, wire: str) -> None:
        """Build the firmware and its wire, which does not answer yet."""
        firmware = FIRMWARES[spec.firmware]
        kind, _, port = wire.partition(":")
        if (kind == "c_api") != (firmware is Qutag):
            reason = f"a {firmware.MODEL} is not reached through {_SIMULATED}{wire}"
            raise ConfigError([Mistake(SIM_FILE, f"addresses.{name}", reason)])
        components = {place: self.twin.handle(component) for place, component in spec.components.items()}
        handles = BenchSockets(components, self.lab_time)
        options: dict[str, Any] = dict(spec.options)
        if firmware is Qutag and "inputs" in spec.components:
            options["tags"] = self.twin.tagger(spec.components["inputs"])
        try:
            instrument = firmware(handles, serial_number=spec.serial_number, **options)
        except ValueError as error:
            raise ConfigError([Mistake(TWIN_FILE, f"instruments.{name}", str(error))]) from error
        self._models[name] = firmware.MODEL
        if isinstance(instrument, Qutag):
            self._taggers[name] = TaggerPort(instrument)
            self._wires[name] = _LibraryWire(self._taggers[name], self.control_address, name)
        elif kind == "tcp":
            extra: Mapping[str, ExtraPort] = getattr(instrument, "extra_ports", {})
            servers = _tcp_servers({"": ExtraPort(0, instrument.session), **extra}, int(port or 0), name)
            self._wires[name] = servers[""] if not extra else _PortsWire(list(servers.values()))
            self._extra_addresses[name] = {key: servers[key].address for key in extra}
        else:
            self._wires[name] = PtyServer(instrument.session, name=name)

    def _close_wires(self) -> None:
        with self._lock:
            for wire in self._wires.values():
                wire.close()

    def _wire(self, name: str) -> _Wire:
        if name not in self._wires:
            raise RequestRefused(f"no device {name}; there are {', '.join(self._wires)}")
        return self._wires[name]


def _tcp_servers(places: Mapping[str, ExtraPort], port: int, name: str) -> dict[str, TcpServer]:
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


def _addresses(testbed: Path) -> Mapping[str, str]:
    document = tomllib.loads((testbed / SIM_FILE).read_text(encoding="utf-8"))
    return SimModel.model_validate(document).addresses


def _refuse_unknown(names: Iterable[str], instruments: Mapping[str, InstrumentSpec]) -> None:
    unknown = [name for name in names if name not in instruments]
    if unknown:
        known = ", ".join(instruments)
        raise ConfigError(
            [Mistake("--without", name, f"no such device; there are {known}") for name in unknown]
        )
