import os
import select
import termios

import pytest
import serial

from sim_devices.server.pty import PtyServer


class Echo:
    """Sends back what it gets, and a long text on demand."""

    def feed(self, data: bytes) -> bytes:
        return data.replace(b"L", b"0123456789" * 20_000)


def is_at_its_end(far: int) -> bool:
    """Whether nothing comes any more; the system says so in one of two ways."""
    try:
        return os.read(far, 1) == b""
    except OSError:
        return True


@pytest.fixture
def server():
    server = PtyServer(Echo)
    server.start()
    yield server
    server.close()


def test_every_byte_passes_both_ways(server):
    everything = bytes(range(256)).replace(b"L", b"")
    with serial.Serial(server.address, 9600, timeout=10) as port:
        port.write(everything)
        assert port.read(len(everything)) == everything


def test_a_client_that_knows_nothing_of_terminals(server):
    far = os.open(server.address, os.O_RDWR | os.O_NOCTTY)
    os.write(far, b"\r\n\x03\x04\x11")
    received = b""
    while len(received) < 5:
        received += os.read(far, 100)
    os.close(far)
    assert received == b"\r\n\x03\x04\x11"


def test_clients_come_and_go(server):
    for word in (b"one", b"two", b"three"):
        with serial.Serial(server.address, 57600, timeout=10) as port:
            port.write(word)
            assert port.read(len(word)) == word


def test_a_long_reply_waits_for_its_reader(server):
    with serial.Serial(server.address, timeout=10) as port:
        port.write(b"L!")
        assert port.read(200_001) == b"0123456789" * 20_000 + b"!"


def test_stopping_hangs_up(server):
    with serial.Serial(server.address, timeout=10) as port:
        port.write(b"a")
        assert port.read(1) == b"a"
        server.stop()
        with pytest.raises((serial.SerialException, OSError)):
            port.read(1)
    assert not os.path.exists(server.address)
    with pytest.raises(serial.SerialException):
        serial.Serial(server.address)


def test_the_address_is_the_same_again_whoever_took_the_terminals_number(server):
    address = server.address
    server.stop()
    others = [os.openpty() for _ in range(3)]
    server.start()
    for other in others:
        os.close(other[0])
        os.close(other[1])
    assert server.address == address
    with serial.Serial(address, timeout=10) as port:
        port.write(b"back")
        assert port.read(4) == b"back"


def test_the_address_is_the_same_while_a_client_holds_the_dead_terminal(server):
    address = server.address
    far = os.open(address, os.O_RDWR | os.O_NOCTTY)
    server.stop()
    server.start()
    assert server.address == address
    assert select.select([far], [], [], 10)[0]  # the end is there to be read
    with serial.Serial(server.address, timeout=10) as port:
        port.write(b"new")
        assert port.read(3) == b"new"
    os.close(far)


def test_an_instrument_that_hangs_up_comes_back_at_the_same_address():
    class HangsUpOnce:
        calls = 0

        def feed(self, data: bytes) -> bytes:
            HangsUpOnce.calls += 1
            if HangsUpOnce.calls == 1:
                raise ConnectionAbortedError
            return data

    server = PtyServer(HangsUpOnce)
    server.start()
    address = server.address
    far = os.open(address, os.O_RDWR | os.O_NOCTTY)
    os.write(far, b"a")
    assert is_at_its_end(far)
    os.close(far)
    with serial.Serial(address, timeout=10) as port:
        port.write(b"b")
        assert port.read(1) == b"b"
    server.close()
    assert not os.path.lexists(os.path.dirname(address))


def test_the_terminal_is_raw(server):
    far = os.open(server.address, os.O_RDWR | os.O_NOCTTY)
    attributes = termios.tcgetattr(far)
    os.close(far)
    assert attributes[3] & (termios.ECHO | termios.ICANON | termios.ISIG) == 0
    assert attributes[1] & termios.OPOST == 0


def test_starting_and_stopping_twice_does_nothing(server):
    server.start()
    server.stop()
    server.stop()
    server.start()
    with serial.Serial(server.address, timeout=10) as port:
        port.write(b"a")
        assert port.read(1) == b"a"
