"""A bench of one time tagger with tags that are known, and clients made of sockets and ctypes alone."""

import ctypes
import json
import socket
import threading
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from sim_devices.firmware.qutag import Qutag
from sim_devices.server.c_api import function_table
from sim_devices.server.control import ControlServer, RequestRefused, TaggerPort
from sim_devices.twin.lab_time import LabTime
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin

DEVICE = "bob.tagger"


class RecordedTags:
    """A tag source that plays back what it was given."""

    def __init__(self) -> None:
        self.times = np.empty(0, dtype=np.int64)
        self.channels = np.empty(0, dtype=np.uint8)
        self.reads: list[int] = []
        self._next = 0

    def play(self, *events: tuple[int, int]) -> None:
        times, channels = zip(*events, strict=True)
        self.times, self.channels = np.array(times, dtype=np.int64), np.array(channels, dtype=np.uint8)

    def start(self, at_ps: int) -> None:
        self._next = int(np.searchsorted(self.times, at_ps))

    def read(self, until_ps: int):
        begin, self._next = self._next, max(self._next, int(np.searchsorted(self.times, until_ps)))
        self.reads.append(until_ps)
        return self.times[begin : self._next], self.channels[begin : self._next]


class SmallBench:
    """What the control server needs of a bench, with one device."""

    def __init__(self) -> None:
        twin = Twin(
            Layout(1, {"tagger": ComponentSpec("time_tagger", {"channel_delays_ps": (1000.0,) * 4})}, ())
        )
        self.inputs = twin.handle("tagger")
        self.tags = RecordedTags()
        self.port = TaggerPort(Qutag({"inputs": self.inputs}, serial_number="QT-1", tags=self.tags))
        self.stopping = threading.Event()

    @property
    def lab_time(self) -> LabTime:
        return self.inputs.lab_time

    def hello(self) -> Mapping[str, object]:
        return {"source": "twin", "devices": {DEVICE: {}}}

    def tagger(self, device: str) -> TaggerPort:
        if device != DEVICE:
            raise RequestRefused(f"no device {device}; there are {DEVICE}")
        return self.port

    def stop_device(self, name: str) -> str:
        self.tagger(name).switch(on=False)
        return "here"

    def start_device(self, name: str) -> str:
        self.tagger(name).switch(on=True)
        return "here"

    def ask_to_stop(self) -> None:
        self.stopping.set()


class ControlClient:
    """The control protocol, by hand."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.replies = self.socket.makefile("rb")

    def ask(self, **request: object) -> dict:
        return self.ask_raw(json.dumps(request).encode() + b"\n")

    def ask_raw(self, line: bytes) -> dict:
        self.socket.sendall(line)
        return json.loads(self.replies.readline())

    def close(self) -> None:
        self.replies.close()
        self.socket.close()


PROTOTYPES: dict[str, tuple[type, tuple]] = {
    "TDC_getVersion": (ctypes.c_double, ()),
    "TDC_perror": (ctypes.c_char_p, (ctypes.c_int,)),
    "TDC_getTimebase": (ctypes.c_int, (ctypes.POINTER(ctypes.c_double),)),
    "TDC_checkFeatures": (ctypes.c_int32, ()),
    "TDC_getLastTimestamps": (
        ctypes.c_int,
        (
            ctypes.c_int32,
            ctypes.POINTER(ctypes.c_int64),
            ctypes.POINTER(ctypes.c_uint8),
            ctypes.POINTER(ctypes.c_int32),
        ),
    ),
    "TDC_configureSignalConditioning": (
        ctypes.c_int,
        (ctypes.c_int32, ctypes.c_int, ctypes.c_int32, ctypes.c_double),
    ),
    "TDC_writeTimestamps": (ctypes.c_int, (ctypes.c_char_p, ctypes.c_int)),
    "TDC_readTimestamps": (ctypes.c_int, (ctypes.c_char_p, ctypes.c_int)),
    "TDC_generateTimestamps": (ctypes.c_int, (ctypes.c_int, ctypes.POINTER(ctypes.c_double), ctypes.c_int32)),
    "TDC_discover": (ctypes.c_int, (ctypes.POINTER(ctypes.c_uint),)),
    "TDC_connect": (ctypes.c_int, (ctypes.c_uint,)),
}


class Binding:
    """A ctypes binding as somebody writes it who has the header; where no prototype is given, plain C promotion."""

    def __init__(self, addresses: Mapping[str, int]) -> None:
        self.addresses = addresses

    def __getattr__(self, name: str):
        result, arguments = PROTOTYPES.get(f"TDC_{name}", (ctypes.c_int, None))
        address = self.addresses[f"TDC_{name}"]
        if arguments is None:
            return lambda *values: ctypes.CFUNCTYPE(result, *map(_promoted, values))(address)(*values)
        return ctypes.CFUNCTYPE(result, *arguments)(address)

    def last_timestamps(self, size: int, *, reset: bool = True) -> list[tuple[int, int]]:
        times, channels, valid = (ctypes.c_int64 * size)(), (ctypes.c_uint8 * size)(), ctypes.c_int32(-1)
        assert self.getLastTimestamps(reset, times, channels, valid) == 0
        return list(zip(times[: valid.value], channels[: valid.value], strict=True))

    def value(self, name: str, *inputs: int, kind: type = ctypes.c_int32):
        """The one value that a getter writes to its last parameter."""
        output = kind(-1)
        assert getattr(self, name)(*inputs, ctypes.pointer(output)) == 0
        return output.value


def _promoted(value: object) -> type:
    return ctypes.c_int if isinstance(value, int) else ctypes.c_void_p if value is None else type(value)


@pytest.fixture
def small_bench() -> SmallBench:
    return SmallBench()


@pytest.fixture
def server(small_bench) -> Iterator[ControlServer]:
    server = ControlServer(small_bench)
    server.start()
    yield server
    server.close()


@pytest.fixture
def control(server) -> Iterator[ControlClient]:
    client = ControlClient(server.address)
    yield client
    client.close()


@pytest.fixture
def new_control(server) -> Iterator:
    clients: list[ControlClient] = []

    def new() -> ControlClient:
        clients.append(ControlClient(server.address))
        return clients[-1]

    yield new
    for client in clients:
        client.close()


@pytest.fixture
def tdc(server) -> Iterator[Binding]:
    binding = Binding(function_table(server.address, DEVICE))
    yield binding
    binding.deInit()
