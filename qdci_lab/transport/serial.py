"""Serial ports and pseudo-terminals, by pyserial: device names and URLs (`socket://`, `rfc2217://`)."""

import serial

from qdci_lab.errors import TransportError, TransportTimeout

SILENCE_S = 0.05
WRITE_TIMEOUT_S = 2.0
UNTIMED = "rfc2217://"
"""Where pyserial cannot limit how long a write takes."""

_DISCARD_BYTES = 4096


class SerialTransport:
    """8N1, without flow control unless an instrument wants RTS/CTS."""

    def __init__(self, address: str, *, baud_rate: int = 9600, rts_cts: bool = False) -> None:
        self.address = address
        self.left_over: bytes | None = None if address.startswith("socket://") else b""
        self._baud_rate = baud_rate
        self._rts_cts = rts_cts
        self._port: serial.SerialBase | None = None

    @property
    def is_open(self) -> bool:
        """Whether the port is open."""
        return self._port is not None

    def open(self) -> None:
        """Open the port and discard what is still on its way to an earlier question, until the line is silent.

        Closing a port does not stop a late answer, as it does on a network link.
        """
        try:
            port = serial.serial_for_url(self.address, baudrate=self._baud_rate, rtscts=self._rts_cts)
            if not self.address.lower().startswith(UNTIMED):
                port.write_timeout = WRITE_TIMEOUT_S
            port.timeout = SILENCE_S
            dropped = bytearray()
            while data := port.read(_DISCARD_BYTES):
                dropped += data
        except (OSError, ValueError) as error:
            raise TransportError(f"{self.address}: {error}") from error
        self._port = port
        self.left_over = None if self.left_over is None else bytes(dropped)

    def close(self) -> None:
        """Close the port."""
        port, self._port = self._port, None
        if port is not None:
            link = getattr(port, "_socket", None)  # which pyserial forgets to close when its peer has hung up
            port.close()
            if link is not None:
                link.close()

    def write(self, data: bytes) -> None:
        """Send all the bytes."""
        port = self._opened()
        try:
            port.write(data)
        except OSError as error:
            raise TransportError(f"{self.address}: {error}") from error

    def read(self, timeout_s: float) -> bytes:
        """At least one byte, and whatever else has arrived."""
        return self._receive(None, timeout_s)

    def read_into(self, buffer: memoryview, timeout_s: float) -> int:
        """At least one byte, and whatever else has arrived and fits."""
        data = self._receive(len(buffer), timeout_s)
        buffer[: len(data)] = data
        return len(data)

    def _receive(self, limit: int | None, timeout_s: float) -> bytes:
        port = self._opened()
        try:
            port.timeout = timeout_s
            data = port.read(1)
            waiting = getattr(port, "in_waiting", 0)
            data += port.read(waiting if limit is None else min(waiting, limit - 1)) if data else b""
        except (OSError, TypeError) as error:
            raise TransportError(f"{self.address}: {error}") from error
        if not data:
            raise TransportTimeout(f"{self.address}: no answer within {timeout_s:g} s")
        return data

    def _opened(self) -> serial.SerialBase:
        if self._port is None:
            raise TransportError(f"{self.address}: the port is closed")
        return self._port
