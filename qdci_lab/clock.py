"""The time a wait is measured in: the wall's on a real bench, the twin's lab time on a simulated one."""

import json
import socket
import threading
import time
from typing import Protocol

from qdci_lab.errors import TransportError
from qdci_lab.units import seconds_to_ps


class Clock(Protocol):
    """What waits go through, so that the same driver waits rightly on the bench and on the twin."""

    def now_ps(self) -> int:
        """Picoseconds since an arbitrary origin; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""
        ...


class WallClock:
    """Monotonic time of this computer."""

    def now_ps(self) -> int:
        return time.monotonic_ns() * 1000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class LabClock:
    """Lab time of a simulated bench, kept by its control server: a sleep moves it on at once.

    Control protocol: one JSON object a line each way over TCP. Raises TransportError when the bench is gone.
    """

    def __init__(self, address: str, timeout_s: float = 60.0) -> None:
        self.address = address
        host, _, port = address.rpartition(":")
        self._lock = threading.Lock()
        try:
            self._socket = socket.create_connection((host, int(port)), timeout=timeout_s)
        except OSError as error:
            raise TransportError(f"lab clock at {address}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb")

    def now_ps(self) -> int:
        return self._ask({"op": "now"})

    def sleep(self, seconds: float) -> None:
        self._ask({"op": "advance", "by_ps": seconds_to_ps(seconds)})

    def close(self) -> None:
        """Leave the bench; it goes on without us."""
        self._lines.close()
        self._socket.close()

    def _ask(self, request: dict[str, object]) -> int:
        try:
            with self._lock:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
                line = self._lines.readline()
        except (OSError, ValueError) as error:
            raise TransportError(f"lab clock at {self.address}: {error}") from error
        if not line:
            raise TransportError(f"lab clock at {self.address}: the simulated bench is gone")
        reply = json.loads(line)
        if "error" in reply:
            raise TransportError(f"lab clock at {self.address}: {reply['error']}")
        return int(reply["now_ps"])
