"""A loopback instrument on a socket, which the tests may tell to be late, silent or gone."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

Answer = Callable[[bytes], bytes | None]


class LoopbackInstrument:
    """Answers each line on every connection with what `answer` returns: bytes, nothing, or None to hang up."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def visa_address(self) -> str:
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    @property
    def serial_url(self) -> str:
        return f"socket://127.0.0.1:{self.port}"

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(timeout=5.0)
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5.0)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._clients.append(client)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, client.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                reply = self.answer(line)
                if reply is None:
                    return
                client.sendall(reply)


@pytest.fixture
def loopback() -> Iterator[Callable[[Answer], LoopbackInstrument]]:
    """Starts loopback instruments; all are stopped at the end."""
    started: list[LoopbackInstrument] = []

    def start(answer: Answer) -> LoopbackInstrument:
        instrument = LoopbackInstrument(answer)
        started.append(instrument)
        return instrument

    yield start
    for instrument in started:
        instrument.stop()
