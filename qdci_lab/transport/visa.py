"""VISA resources of any backend: the pure-Python one, or the one that the environment's PYVISA_LIBRARY names.

A raw socket of the pure-Python backend is read directly: its own read ends at every line feed in a block, and
after a timeout hands each late answer to the next question.
"""

import os
import socket
from typing import Any, TypeVar

import pyvisa
from pyvisa.constants import StatusCode

from qdci_lab.errors import TransportError, TransportTimeout

# Small enough to come from the allocator's heap: a larger buffer is mapped, cleared and given back at every read.
_READ_BYTES = 1 << 16

Received = TypeVar("Received", bytes, int)


class VisaTransport:
    """One VISA resource, such as `TCPIP::10.0.0.5::5025::SOCKET` or `USB0::0x1313::0x8078::P0001::INSTR`."""

    def __init__(self, address: str, *, timeout_s: float = 2.0, backend: str = "") -> None:
        self.address = address
        self.left_over: bytes | None = None
        self._timeout_s = timeout_s
        self._backend = backend or os.environ.get("PYVISA_LIBRARY", "@py")
        self._resource: Any = None
        self._socket: socket.socket | None = None
        self._surplus = b""

    @property
    def is_open(self) -> bool:
        """Whether the resource is open."""
        return self._resource is not None

    def open(self) -> None:
        """Open the resource."""
        milliseconds = int(self._timeout_s * 1000)
        try:
            # One manager a process: pyvisa hands out the same until somebody closes it.
            manager = pyvisa.ResourceManager(self._backend)
            resource: Any = manager.open_resource(self.address, open_timeout=milliseconds)
            resource.timeout = milliseconds
        except Exception as error:  # what the pure-Python backend raises for a host that does not answer
            raise TransportError(f"{self.address}: {_words(error)}") from error
        self._resource, self._surplus = resource, b""
        self._socket = _socket_of(resource)
        self.left_over = b"" if self._socket is None else None
        if self._socket is not None:
            self._check_connected(self._socket)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close the resource."""
        resource, self._resource, self._socket = self._resource, None, None
        if resource is not None:
            try:
                resource.close()
            except (pyvisa.Error, OSError) as error:
                raise TransportError(f"{self.address}: {error}") from error

    def write(self, data: bytes) -> None:
        """Send all the bytes."""
        self._check_open()
        try:
            if self._socket is not None:
                _limit(self._socket, self._timeout_s)
                self._socket.sendall(data)
            else:
                self._resource.write_raw(data)
        except (pyvisa.Error, OSError) as error:
            raise TransportError(f"{self.address}: {error}") from error

    def read(self, timeout_s: float) -> bytes:
        """At least one byte, and whatever else has arrived."""
        self._check_open()
        data, self._surplus = self._surplus, b""
        try:
            return self._not_ended(data or self._receive(timeout_s))
        except (pyvisa.Error, OSError) as error:
            raise self._failure(error, timeout_s) from error

    def read_into(self, buffer: memoryview, timeout_s: float) -> int:
        """At least one byte, and whatever else has arrived and fits; a socket's bytes go there without a detour."""
        self._check_open()
        if self._socket is None:
            data = self.read(timeout_s)
            count = min(len(data), len(buffer))
            buffer[:count], self._surplus = data[:count], data[count:]
            return count
        try:
            _limit(self._socket, timeout_s)
            return self._not_ended(self._socket.recv_into(buffer))
        except (pyvisa.Error, OSError) as error:
            raise self._failure(error, timeout_s) from error

    def _receive(self, timeout_s: float) -> bytes:
        if self._socket is not None:
            _limit(self._socket, timeout_s)
            return self._socket.recv(_READ_BYTES)
        self._resource.timeout = int(timeout_s * 1000)
        return self._resource.read_raw()

    def _failure(self, error: Exception, timeout_s: float) -> TransportError:
        visa_code = error.error_code if isinstance(error, pyvisa.VisaIOError) else None
        if isinstance(error, TimeoutError) or visa_code == StatusCode.error_timeout:
            return TransportTimeout(f"{self.address}: no answer within {timeout_s:g} s")
        return TransportError(f"{self.address}: {error}")

    def _not_ended(self, received: Received) -> Received:
        if not received:
            raise TransportError(f"{self.address}: the instrument closed the link")
        return received

    def _check_connected(self, link: socket.socket) -> None:
        """The pure-Python backend takes a refused connection for an open one."""
        error = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.close()
            raise TransportError(f"{self.address}: {os.strerror(error)}")

    def _check_open(self) -> None:
        if self._resource is None:
            raise TransportError(f"{self.address}: the link is closed")


def _limit(link: socket.socket, timeout_s: float) -> None:
    """Set the time limit; that is a system call, which one that holds already is not worth."""
    if link.gettimeout() != timeout_s:
        link.settimeout(timeout_s)


def _words(error: Exception) -> str:
    """The error's text, with the name of a VISA status instead of its number."""
    text, _, number = str(error).rpartition(": ")
    known = {str(code.value): code.name.replace("_", " ") for code in StatusCode}
    return f"{text}: {known[number]}" if number in known else str(error)


def _socket_of(resource: Any) -> socket.socket | None:
    """The plain socket below a TCPIP SOCKET resource of the pure-Python backend."""
    sessions = getattr(resource.visalib, "sessions", {})
    interface = getattr(sessions.get(resource.session), "interface", None)
    return interface if isinstance(interface, socket.socket) else None
