import socket
import threading

import pytest

from sim_devices.server.tcp import TcpServer


class Upper:
    """Answers each chunk in capitals, and counts the sessions."""

    opened = 0

    def __init__(self) -> None:
        type(self).opened += 1
        self._seen = b""

    def feed(self, data: bytes) -> bytes:
        self._seen += data
        if not self._seen.endswith(b"\n"):
            return b""
        reply, self._seen = self._seen.upper(), b""
        return reply


@pytest.fixture
def server():
    server = TcpServer(Upper)
    server.start()
    yield server
    server.close()


def port_of(server: TcpServer) -> int:
    kind, host, port, ending = server.address.split("::")
    assert (kind, host, ending) == ("TCPIP", "127.0.0.1", "SOCKET")
    return int(port)


def connected(server: TcpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server)), timeout=30)


def ask(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    received = b""
    while not received.endswith(b"\n"):
        received += client.recv(1 << 16)
    return received


def test_several_clients_at_once_with_a_session_each(server):
    before = Upper.opened
    with connected(server) as one, connected(server) as other:
        one.sendall(b"half a ")
        assert ask(other, b"word\n") == b"WORD\n"
        assert ask(one, b"word\n") == b"HALF A WORD\n"
    assert Upper.opened == before + 2


def test_many_clients_in_parallel(server):
    replies: dict[int, bytes] = {}

    def talk(number: int) -> None:
        with connected(server) as client:
            for _ in range(20):
                replies[number] = ask(client, b"client %d\n" % number)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == {number: b"CLIENT %d\n" % number for number in range(8)}


def test_messages_of_megabytes(server):
    with connected(server) as client:
        message = bytes(range(97, 123)) * 100_000 + b"\n"
        sender = threading.Thread(target=client.sendall, args=(message,))
        sender.start()
        received = bytearray()
        while len(received) < len(message):
            received += client.recv(1 << 20)
        sender.join()
    assert received == message.upper()


def test_stopping_hangs_up_and_refuses(server):
    with connected(server) as client:
        assert ask(client, b"a\n") == b"A\n"
        server.stop()
        assert client.recv(10) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(server)


def test_it_comes_back_at_the_same_port_with_new_sessions(server):
    address = server.address
    for _ in range(3):
        with connected(server) as client:
            client.sendall(b"left over")
            server.stop()
        server.start()
        assert server.address == address
        with connected(server) as client:
            assert ask(client, b"new\n") == b"NEW\n"


def test_starting_and_stopping_twice_does_nothing(server):
    server.start()
    server.stop()
    server.stop()
    server.start()
    with connected(server) as client:
        assert ask(client, b"a\n") == b"A\n"


def test_a_stopped_port_stays_taken(server):
    server.stop()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port_of(server)))


def test_a_pinned_port():
    first = TcpServer(Upper)
    port = port_of(first)
    first.close()
    second = TcpServer(Upper, port=port)
    assert port_of(second) == port
    second.close()


def test_clients_that_leave_are_forgotten(server):
    for _ in range(50):
        connected(server).close()
    with connected(server) as client:
        assert ask(client, b"a\n") == b"A\n"
