"""Raw TCP: an instrument's socket server, and the listener that the control server shares with it."""

import selectors
import socket
import threading
from collections.abc import Callable

from sim_devices.firmware.session import Session, StreamingSession
from sim_devices.server.tcp_stream import stream

_CHUNK_BYTES = 1 << 18
_WAITING_CLIENTS = 128


class TcpListener:
    """A port on 127.0.0.1 that gives every client a thread of its own.

    The port is bound for the listener's whole life, listening or not: a stopped instrument refuses
    connections and nobody else can take its port, so that it comes back at the same address.
    """

    def __init__(self, serve: Callable[[socket.socket], None], *, port: int = 0, name: str = "tcp") -> None:
        self._serve = serve
        self._name = name
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._thread: threading.Thread | None = None
        self._socket = _bound_socket(port)
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        """Accept clients from now on; no effect when it already does."""
        if self._thread is not None:
            return
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._socket.setblocking(False)
        self._socket.listen(_WAITING_CLIENTS)
        self._thread = threading.Thread(target=self._accept, name=f"{self._name}:{self.port}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse new clients and hang up on the present ones; returns when their threads are done."""
        if self._thread is None:
            return
        self._wake_writer.send(b"x")
        self._thread.join()
        self._thread = None
        self._wake_reader.close()
        self._wake_writer.close()
        self._socket.close()
        self._hang_up()
        self._socket = _bound_socket(self.port)

    def close(self) -> None:
        """Stop and give the port back."""
        self.stop()
        self._socket.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while all(key.fileobj is not self._wake_reader for key, _ in selector.select()):
                self._welcome()
        while self._welcome():
            continue  # who has knocked before the end is hung up on like the others, not reset

    def _welcome(self) -> bool:
        """Give the next client that has knocked a thread; False if there is none."""
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return False  # or it has gone again
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=self._converse, args=(connection,), name=self._name, daemon=True)
        with self._lock:
            self._connections[connection] = thread
        thread.start()
        return True

    def _converse(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except ConnectionError:
            return  # the client is gone, or we hung up on it: both are ways to end a conversation
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _hang_up(self) -> None:
        with self._lock:
            present = list(self._connections.items())
            for connection, _ in present:
                _shut_down(connection)
        for _, thread in present:
            if thread is not threading.current_thread():
                thread.join()


class TcpServer:
    """One instrument behind a port; every client gets a session of its own, the instrument is shared."""

    def __init__(self, open_session: Callable[[], Session], *, port: int = 0, name: str = "tcp") -> None:
        self._open_session = open_session
        self._listener = TcpListener(self._serve, port=port, name=name)

    @property
    def port(self) -> int:
        """The port's number."""
        return self._listener.port

    @property
    def address(self) -> str:
        """VISA resource name of the port."""
        return f"TCPIP::127.0.0.1::{self._listener.port}::SOCKET"

    def start(self) -> None:
        """Answer clients from now on."""
        self._listener.start()

    def stop(self) -> None:
        """Refuse and hang up; the address stays taken."""
        self._listener.stop()

    def close(self) -> None:
        """Stop and give the address back."""
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        session = self._open_session()
        if isinstance(session, StreamingSession):
            stream(connection, session)
            return
        while data := connection.recv(_CHUNK_BYTES):
            if reply := session.feed(data):
                connection.sendall(reply)


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was quicker
