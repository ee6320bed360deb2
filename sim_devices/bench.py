"""A simulated bench: the twin, the instruments' firmware, and the wires on which clients reach them."""

import os
import selectors
import socket
import threading
import tomllib
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qdci_lab.errors import ConfigError, Mistake
from sim_devices.config import SIM_FILE, TWIN_FILE, SimModel, find_mistakes, load_faults, load_twin
from sim_devices.fault_config import misplaced, read_fault
from sim_devices.faults import LIBRARY, STREAM, FaultSchedule
from sim_devices.firmware import FIRMWARES
from sim_devices.firmware.qutag import Qutag
from sim_devices.firmware.session import ExtraPort
from sim_devices.firmware.sockets import BenchSockets
from sim_devices.server.control import ControlServer, RequestRefused, TaggerPort
from sim_devices.server.faulty import FaultyInstrument
from sim_devices.server.pty import PtyServer
from sim_devices.server.wires import LibraryWire, PortsWire, Wire, tcp_servers
from sim_devices.twin.lab_time import LabTime
from sim_devices.twin.layout import InstrumentSpec
from sim_devices.twin.twin import Twin

SOURCE = "twin"
_SIMULATED = "sim://"


@dataclass(frozen=True)
class DeviceReport:
    """What a client must know of a device: what it is and where it answers."""

    model: str
    address: str
    extra_addresses: Mapping[str, str] = field(default_factory=dict)
    """Where its further ports answer, by name."""


class Bench:
    """All simulated devices of one testbed in this process; a context manager.

    Devices named in `without`, and those with a real address in sim.toml, are left out. `seed` takes the
    place of twin.toml's; the origin of every click goes into the folder `truth`, if one is given. Raises ConfigError
    with all mistakes of the two files, OSError for a port taken.
    """

    def __init__(
        self,
        testbed: Path,
        *,
        seed: int | None = None,
        without: Collection[str] = (),
        truth: Path | None = None,
    ) -> None:
        mistakes = find_mistakes(testbed)
        if mistakes:
            raise ConfigError(mistakes)
        layout = load_twin(testbed)
        _refuse_unknown(without, layout.instruments)
        self.testbed = testbed.resolve().name
        self.twin = Twin(layout, seed)
        self._lock = threading.RLock()
        self._models: dict[str, str] = {}
        self._wires: dict[str, Wire] = {}
        self._extra_addresses: dict[str, Mapping[str, str]] = {}
        self._faulty: dict[str, TaggerPort | FaultyInstrument] = {}
        with ExitStack() as resources:
            self._stop_reader, self._stop_writer = map(resources.enter_context, socket.socketpair())
            if truth is not None:
                resources.callback(self.twin.log_truth(truth))
            self._control = ControlServer(self)
            resources.callback(self._close_wires)
            resources.callback(self._control.close)
            resources.callback(self.clear_faults)  # first: it lets go the threads that the others wait for
            addresses = _addresses(testbed)
            for name, spec in layout.instruments.items():
                address = addresses.get(name, "")
                if address.startswith(_SIMULATED) and name not in without:
                    self._install(name, spec, address.removeprefix(_SIMULATED))
            for name, fault in load_faults(testbed):
                if name in self._faulty:
                    self._faulty[name].arm(fault)
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
        port = self._faulty[device]
        if not isinstance(port, TaggerPort):
            raise RequestRefused(f"device {device} is no time tagger")
        return port

    def add_fault(self, device: str, document: Mapping[str, Any]) -> None:
        """Put a fault, given as a table of twin.toml has it, on a device.

        Raises RequestRefused for an unknown device or one that cannot have it, ConfigError for a fault with mistakes.
        """
        self._wire(device)
        port = self._faulty[device]
        fault = read_fault(document)
        wire = LIBRARY if isinstance(port, TaggerPort) else port.wire
        reason = misplaced(fault, device, wire)
        if reason is not None:
            raise RequestRefused(reason)
        port.arm(fault)

    def clear_faults(self, device: str | None = None) -> None:
        """End the faults of one device, or all of them. Raises RequestRefused for an unknown device."""
        if device is not None:
            self._wire(device)
        for name, port in self._faulty.items():
            if device in (None, name):
                port.faults.clear()

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
        kind, _, port_number = wire.partition(":")
        if (kind == LIBRARY) != (firmware is Qutag):
            reason = f"a {firmware.MODEL} is not reached through {_SIMULATED}{wire}"
            raise ConfigError([Mistake(SIM_FILE, f"addresses.{name}", reason)])
        components = {place: self.twin.handle(component) for place, component in spec.components.items()}
        handles = BenchSockets(components, self.lab_time)
        options: dict[str, Any] = dict(spec.options)
        if firmware is Qutag and "inputs" in spec.components:
            options["tags"] = self.twin.tagger(spec.components["inputs"])

        def build() -> Any:
            return firmware(handles, serial_number=spec.serial_number, **options)

        self._models[name] = firmware.MODEL
        try:
            if firmware is Qutag:
                port = self._faulty[name] = TaggerPort(build())
                self._wires[name] = LibraryWire(port, self.control_address, name)
                return
            instrument = self._faulty[name] = FaultyInstrument(build, FaultSchedule(self.lab_time), wire=kind)
        except ValueError as error:
            raise ConfigError([Mistake(TWIN_FILE, f"instruments.{name}", str(error))]) from error
        if kind == STREAM:
            extra = instrument.extra_ports
            servers = tcp_servers(
                {"": ExtraPort(0, instrument.session), **extra}, int(port_number or 0), name
            )
            self._wires[name] = servers[""] if not extra else PortsWire(list(servers.values()))
            self._extra_addresses[name] = {key: servers[key].address for key in extra}
        else:
            self._wires[name] = PtyServer(instrument.session, name=name)

    def _close_wires(self) -> None:
        with self._lock:
            for wire in self._wires.values():
                wire.close()

    def _wire(self, name: str) -> Wire:
        if name not in self._wires:
            raise RequestRefused(f"no device {name}; there are {', '.join(self._wires)}")
        return self._wires[name]


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
