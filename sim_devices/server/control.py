"""The control server: lab time, the switches and faults of the simulated devices, and the time tagger's tags.

One JSON object a line each way; a reply with "binary": n is followed by n raw bytes. A request that cannot
be met is answered with {"error": reason}; the connection goes on.
"""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from qdci_lab.errors import LabError
from sim_devices.faults import Fault, TagOverflow, WrongIdentity
from sim_devices.firmware.qutag import Qutag
from sim_devices.server.tagger_port import DeviceTaken, RequestRefused, TaggerPort
from sim_devices.server.tcp import TcpListener
from sim_devices.twin.lab_time import LabTime

_MORE = getattr(socket, "MSG_MORE", 0)


class ControlledBench(Protocol):
    """What the control server needs of a bench."""

    @property
    def lab_time(self) -> LabTime:
        """The bench's clock."""
        ...

    def hello(self) -> Mapping[str, object]:
        """Who we are and which devices there are."""
        ...

    def tagger(self, device: str) -> TaggerPort:
        """The time tagger of this name. Raises RequestRefused if there is none."""
        ...

    def stop_device(self, name: str) -> str:
        """Take a device off the wire; returns its address. Raises RequestRefused if there is none."""
        ...

    def start_device(self, name: str) -> str:
        """Put a device back on the wire; returns its address. Raises RequestRefused if there is none."""
        ...

    def add_fault(self, device: str, document: Mapping[str, object]) -> None:
        """Put a fault on a device. Raises LabError with what is wrong with it."""
        ...

    def clear_faults(self, device: str | None = None) -> None:
        """End the faults of a device, or of all. Raises RequestRefused if there is no such device."""
        ...

    def ask_to_stop(self) -> None:
        """Let whoever serves the bench know that it should end."""
        ...


@dataclass(frozen=True)
class _Reply:
    head: Mapping[str, object]
    body: tuple[memoryview, ...] = ()
    afterwards: Callable[[], None] | None = None
    """What is done when the reply has been sent."""


class ControlServer:
    """Serves a bench on 127.0.0.1 to any number of clients."""

    def __init__(self, bench: ControlledBench, *, port: int = 0) -> None:
        self._bench = bench
        self._listener = TcpListener(self._serve, port=port, name="control")
        self._operations: Mapping[str, Callable[[Mapping[str, object]], _Reply]] = {
            "hello": self._hello,
            "now": self._now,
            "advance": self._advance,
            "tagger": self._tagger,
            "stop_device": self._stop_device,
            "start_device": self._start_device,
            "fault": self._fault,
            "clear_faults": self._clear_faults,
            "shutdown": self._shutdown,
        }

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listener.port}"

    def start(self) -> None:
        """Answer clients from now on."""
        self._listener.start()

    def close(self) -> None:
        """Hang up on all clients."""
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as requests:
            for line in requests:
                reply = self._answer(line)
                head = json.dumps(reply.head).encode() + b"\n"
                connection.sendall(head, _MORE if reply.body else 0)
                for part, more in zip(reply.body, (_MORE,) * (len(reply.body) - 1) + (0,), strict=False):
                    connection.sendall(part, more)
                if reply.afterwards is not None:
                    reply.afterwards()

    def _answer(self, line: bytes) -> _Reply:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise RequestRefused("a request is a JSON object")
            operation = self._operations.get(str(request.get("op")))
            if operation is None:
                raise RequestRefused(
                    f"no operation {request.get('op')!r}; there are {', '.join(self._operations)}"
                )
            return operation(request)
        except DeviceTaken as error:
            return _Reply({"error": str(error), "taken": True})
        except (LabError, ValueError) as error:
            return _Reply({"error": str(error)})

    def _hello(self, request: Mapping[str, object]) -> _Reply:
        del request
        return _Reply(self._bench.hello())

    def _now(self, request: Mapping[str, object]) -> _Reply:
        del request
        return _Reply({"now_ps": self._bench.lab_time.now_ps()})

    def _advance(self, request: Mapping[str, object]) -> _Reply:
        by_ps = _integer(request, "by_ps")
        if by_ps < 0:
            raise RequestRefused("lab time does not go back")
        return _Reply({"now_ps": self._bench.lab_time.advance_by(by_ps)})

    def _stop_device(self, request: Mapping[str, object]) -> _Reply:
        return _Reply({"address": self._bench.stop_device(_text(request, "device"))})

    def _start_device(self, request: Mapping[str, object]) -> _Reply:
        return _Reply({"address": self._bench.start_device(_text(request, "device"))})

    def _fault(self, request: Mapping[str, object]) -> _Reply:
        """The fault is a JSON object with what a table `[[faults]]` of twin.toml has."""
        fault = request.get("fault")
        if not isinstance(fault, dict):
            raise RequestRefused(f"fault must be an object with a kind, not {fault!r}")
        self._bench.add_fault(_text(request, "device"), fault)
        return _Reply({})

    def _clear_faults(self, request: Mapping[str, object]) -> _Reply:
        self._bench.clear_faults(_text(request, "device") if "device" in request else None)
        return _Reply({})

    def _shutdown(self, request: Mapping[str, object]) -> _Reply:
        del request
        return _Reply({}, afterwards=self._bench.ask_to_stop)

    def _tagger(self, request: Mapping[str, object]) -> _Reply:
        """Calls: "input", "read" (optionally up to "until_ps"), "state". With "boot" it must still be the same one."""
        device, call = _text(request, "device"), _text(request, "call")
        port = self._bench.tagger(device)
        fault = port.meet_fault(call)
        if not port.connected or request.get("boot", port.boots) != port.boots:
            raise RequestRefused(f"device {device} is not connected")
        if call == "read":
            return self._read(port.tagger, request, fault)
        head: dict[str, object] = {"boot": port.boots}
        if call == "input":
            port.tagger.switch_input(on=request.get("on") is True)
        elif call == "state":
            tagger = port.tagger
            device_id = fault.device_id if isinstance(fault, WrongIdentity) else tagger.device_id
            head |= {
                "serial_number": tagger.serial_number,
                "device_id": device_id,
                "features": tagger.features,
            }
        else:
            raise RequestRefused(f"a tagger has no call {call!r}; there are input, read, state")
        return _Reply({"now_ps": self._bench.lab_time.now_ps(), **head})

    def _read(self, tagger: Qutag, request: Mapping[str, object], fault: Fault | None) -> _Reply:
        now_ps = self._bench.lab_time.now_ps()
        until_ps = min(now_ps, _integer(request, "until_ps")) if "until_ps" in request else now_ps
        times, channels = tagger.read(until_ps)
        if isinstance(fault, TagOverflow):
            return _Reply({"now_ps": now_ps, "count": 0, "binary": 0, "lost": True})
        times, channels = np.ascontiguousarray(times, dtype="<i8"), np.ascontiguousarray(channels, dtype="u1")
        body = (times.data.cast("B"), channels.data.cast("B")) if times.size else ()
        return _Reply({"now_ps": now_ps, "count": times.size, "binary": times.nbytes + channels.nbytes}, body)


def _integer(request: Mapping[str, object], key: str) -> int:
    value = request.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestRefused(f"{key} must be a whole number, not {value!r}")
    return value


def _text(request: Mapping[str, object], key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str):
        raise RequestRefused(f"{key} must be a name, not {value!r}")
    return value
