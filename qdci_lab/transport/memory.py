"""A byte pipe inside one process: what is written goes to a function, what it returns can be read."""

from collections.abc import Callable

from qdci_lab.errors import TransportError, TransportTimeout


class MemoryTransport:
    """Talks to a function from bytes to bytes; `chunk` bytes at a time are handed over, to try a framer."""

    left_over: bytes | None = None

    def __init__(self, answer: Callable[[bytes], bytes], *, chunk: int = 1 << 16) -> None:
        self.address = "memory"
        self._answer = answer
        self._chunk = chunk
        self._waiting = bytearray()
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether it is open."""
        return self._open

    def open(self) -> None:
        """Open with nothing waiting."""
        self._waiting.clear()
        self._open = True

    def close(self) -> None:
        """Close."""
        self._open = False

    def write(self, data: bytes) -> None:
        """Hand the bytes to the function and keep its answer."""
        self._check_open()
        self._waiting += self._answer(data)

    def read(self, timeout_s: float) -> bytes:
        """The next chunk of the answer; an empty pipe times out at once."""
        return self._take(self._chunk, timeout_s)

    def read_into(self, buffer: memoryview, timeout_s: float) -> int:
        """As much of the next chunk of the answer as fits."""
        data = self._take(min(self._chunk, len(buffer)), timeout_s)
        buffer[: len(data)] = data
        return len(data)

    def _take(self, count: int, timeout_s: float) -> bytes:
        self._check_open()
        if not self._waiting:
            raise TransportTimeout(f"{self.address}: no answer within {timeout_s:g} s")
        data = bytes(self._waiting[:count])
        del self._waiting[:count]
        return data

    def _check_open(self) -> None:
        if not self._open:
            raise TransportError(f"{self.address}: the link is closed")
