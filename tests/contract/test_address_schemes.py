"""Every form of address really opens: a driver reaches its simulated instrument through each kind of link."""

import ctypes
import ctypes.util
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import serial
from serial.rfc2217 import PortManager

from drivers.polarization_controller.oz_epc400 import OzEpc400
from drivers.power_meter.thorlabs_pm100d import ThorlabsPm100d
from qdci_lab.errors import TransportError
from qdci_lab.transport.c_api import CLibrary
from qdci_lab.transport.pipe import open_pipe
from sim_devices.firmware.oz_epc400 import OzEpc400 as SimulatedController
from sim_devices.firmware.thorlabs_pm100d import ThorlabsPm100d as SimulatedMeter
from sim_devices.server.pty import PtyServer
from sim_devices.server.tcp import TcpServer

WAIT_S = 30.0


@pytest.fixture
def terminal() -> Iterator[str]:
    controller = SimulatedController({}, serial_number="1")
    with closing(PtyServer(controller.session)) as server:
        server.start()
        yield server.address


@pytest.fixture
def port() -> Iterator[int]:
    controller = SimulatedController({}, serial_number="1")
    with closing(TcpServer(controller.session)) as server:
        server.start()
        yield server.port


class Rfc2217Server:
    """A serial port on the network for one client, as pyserial's example server offers it (RFC 2217)."""

    def __init__(self, device: str) -> None:
        self._serial = serial.serial_for_url(device, timeout=0.02)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._client: socket.socket | None = None
        self.port: int = self._listener.getsockname()[1]
        self.baud_rates: list[int] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        self._client, _ = self._listener.accept()
        manager = PortManager(self._serial, self)
        reader = threading.Thread(target=self._forward, args=(manager,), daemon=True)
        self._threads.append(reader)
        reader.start()
        while data := self._receive():
            self._serial.write(b"".join(manager.filter(data)))
            self.baud_rates.append(self._serial.baudrate)

    def _receive(self) -> bytes:
        assert self._client is not None
        try:
            return self._client.recv(4096)
        except OSError:
            return b""

    def _forward(self, manager: PortManager) -> None:
        while not self._done.is_set():
            data = self._serial.read(256)
            if data:
                self.write(b"".join(manager.escape(data)))

    def write(self, data: bytes) -> None:
        """What the port manager says to the client."""
        assert self._client is not None
        self._client.sendall(data)

    def close(self) -> None:
        if self._client is not None:
            self._client.shutdown(socket.SHUT_RDWR)
        self._done.set()
        for thread in self._threads:
            thread.join(5.0)
        self._serial.close()
        for link in (self._client, self._listener):
            if link is not None:
                link.close()


@pytest.fixture
def served(port: int) -> Iterator[Rfc2217Server]:
    with closing(Rfc2217Server(f"socket://127.0.0.1:{port}")) as server:
        yield server


def try_out(address: str) -> None:
    """Set and read back, and come again."""
    device = OzEpc400(address, name="controller")
    for voltage_v in (1.25, -2.5):
        device.connect()
        device.voltage_3.set(voltage_v).wait(WAIT_S)
        assert device.voltage_3.get() == voltage_v
    device.disconnect()


def test_a_serial_port(terminal: str):
    try_out(terminal)


def test_a_socket_url(port: int):
    try_out(f"socket://127.0.0.1:{port}")


@pytest.mark.filterwarnings(r"ignore:set(Daemon|Name)\(\):DeprecationWarning")  # pyserial's own
def test_a_serial_port_on_the_network(served: Rfc2217Server):
    device = OzEpc400(f"rfc2217://127.0.0.1:{served.port}", name="controller")
    device.connect()
    device.voltage_3.set(1.25).wait(WAIT_S)
    assert device.voltage_3.get() == 1.25
    assert served.baud_rates[-1] == OzEpc400.BAUD_RATE
    device.disconnect()


def test_a_visa_socket(port: int):
    try_out(f"TCPIP0::127.0.0.1::{port}::SOCKET")


def test_a_visa_serial_port(terminal: str):
    """Read as any VISA resource that is no plain socket is: USB, GPIB, HiSLIP, VXI-11."""
    try_out(f"ASRL{terminal}::INSTR")


def test_a_usb_instrument_s_name_reaches_the_visa_library():
    device = ThorlabsPm100d("USB0::0x1313::0x8078::P0000001::INSTR", name="meter")
    with pytest.raises(TransportError, match="meter: USB0::0x1313::0x8078::P0000001::INSTR: "):
        device.connect()


@pytest.mark.parametrize("resource", ["GPIB0::20::INSTR", "USB0::0x1313::0x8078::P0000001::INSTR"])
def test_a_resource_that_is_not_there_is_named(resource: str):
    with pytest.raises(TransportError, match=resource.replace("::", r"\:\:")):
        open_pipe(resource, timeout_s=0.5).open()


def test_the_environment_chooses_another_visa_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYVISA_LIBRARY", "/opt/no_such_vendor/libvisa.so")
    with pytest.raises(TransportError, match="no_such_vendor"):
        open_pipe("GPIB0::20::INSTR").open()


def test_a_meter_on_a_visa_socket():
    meter = SimulatedMeter({}, serial_number="P1")
    with closing(TcpServer(meter.session)) as server:
        server.start()
        device = ThorlabsPm100d(server.address, name="meter")
        device.connect()
        assert device.identity.last.startswith("Thorlabs,PM100D,P1")
        device.disconnect()


def test_a_c_library_by_its_path():
    path = Path(ctypes.util.find_library("c") or "libc.so.6")
    library = CLibrary(f"c_api:{path}")
    library.open()
    assert library.function("abs", ctypes.c_int, [ctypes.c_int])(-7) == 7
    with pytest.raises(TransportError, match="no_such_function"):
        library.function("no_such_function", ctypes.c_int, [])
    with pytest.raises(TransportError, match="no_such_library"):
        CLibrary(f"c_api:{os.curdir}/no_such_library.so").open()
