"""The line between the quTAG library in a client's process and the device on the bench: a control connection.

Tags are received straight into arrays that are kept from read to read, so that 10^8 of them (900 MB) pass
without a copy of them being made on the way.
"""

import io
import json
import socket
import time

import numpy as np

from qdci_lab.errors import TransportError
from qdci_lab.units import PS_PER_S
from sim_devices.firmware.qutag_library import DeviceLocked, FoundDevice
from sim_devices.firmware.qutag_stream import Channels, Times

_PATIENCE_S = 600.0
_BUFFER_BYTES = 1 << 16


class TaggerLine:
    """A client of the control server that speaks for one tagger. Methods raise TransportError when either is gone.

    With a `rate` each read lets lab time pass that many times as long as it is since the last one.
    """

    def __init__(self, control: str, device: str, *, rate: float = 0.0) -> None:
        self._rate = rate
        self._last_s = 0.0
        self._control = control
        self._device = device
        self._boot: object = None
        self._line: tuple[socket.socket, io.BufferedReader] | None = None
        self._times: Times = np.empty(0, dtype=np.int64)
        self._channels: Channels = np.empty(0, dtype=np.uint8)
        self.overflowed = False
        """Whether events were lost on the way in the last read."""

    def find(self) -> FoundDevice:
        """Look for the device; nothing else is possible before."""
        self._boot = None
        reply = self._ask("state")
        numbers = (int(str(reply[key])) for key in ("device_id", "features"))
        return FoundDevice(str(reply["serial_number"]), *numbers)

    def connect(self) -> int:
        """Begin a session, which ends when the device is switched off."""
        self._boot = None
        reply = self._ask("state")
        self._boot = reply["boot"]
        self._last_s = time.monotonic()
        return _lab_time(reply)

    def check(self) -> None:
        """Make sure that the session still lasts."""
        self._ask("state")

    def switch_input(self, *, on: bool) -> int:
        """Let events in or not; returns lab time in ps."""
        return _lab_time(self._ask("input", on=on))

    def read(self, until_ps: int) -> tuple[int, Times, Channels]:
        """Lab time and events before `until_ps`, in arrays that the next read fills anew."""
        if self._rate > 0.0:
            begin_s, self._last_s = self._last_s, time.monotonic()
            self.wait(round((self._last_s - begin_s) * self._rate * PS_PER_S))
        reply = self._ask("read", until_ps=until_ps)
        count = int(str(reply["count"]))
        self.overflowed = reply.get("lost") is True
        if count > self._times.size:
            self._times = np.empty(count, dtype=np.int64)
            self._channels = np.empty(count, dtype=np.uint8)
        times, channels = self._times[:count], self._channels[:count]
        self._receive(times.data.cast("B"))
        self._receive(channels.data)
        return _lab_time(reply), times, channels

    def wait(self, by_ps: int) -> int:
        """Let lab time pass; returns it in ps."""
        return _lab_time(self._request({"op": "advance", "by_ps": by_ps}))

    def close(self) -> None:
        """Leave the bench; the next call opens the line again."""
        if self._line is not None:
            connection, replies = self._line
            replies.close()
            connection.close()
            self._line = None

    def _ask(self, call: str, **arguments: object) -> dict[str, object]:
        request = {"op": "tagger", "device": self._device, "call": call, **arguments}
        if self._boot is not None:
            request["boot"] = self._boot
        return self._request(request)

    def _request(self, request: dict[str, object]) -> dict[str, object]:
        try:
            connection, replies = self._opened()
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = replies.readline()
        except OSError as error:
            raise self._broken(str(error)) from error
        if not line.endswith(b"\n"):
            raise self._broken("the simulated bench is gone")
        reply = json.loads(line)
        if reply.get("taken") is True:
            raise DeviceLocked(f"quTAG {self._device}: {reply['error']}")
        if "error" in reply:
            raise TransportError(f"quTAG {self._device}: {reply['error']}")
        return reply

    def _receive(self, target: memoryview) -> None:
        try:
            received = self._opened()[1].readinto(target) if len(target) else 0
        except OSError as error:
            raise self._broken(str(error)) from error
        if received != len(target):
            raise self._broken("the simulated bench is gone")

    def _opened(self) -> tuple[socket.socket, io.BufferedReader]:
        if self._line is None:
            host, _, port = self._control.rpartition(":")
            connection = socket.create_connection((host, int(port)), timeout=_PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._line = connection, io.BufferedReader(socket.SocketIO(connection, "r"), _BUFFER_BYTES)
        return self._line

    def _broken(self, reason: str) -> TransportError:
        self.close()
        return TransportError(f"quTAG {self._device} at {self._control}: {reason}")


def _lab_time(reply: dict[str, object]) -> int:
    return int(str(reply["now_ps"]))
