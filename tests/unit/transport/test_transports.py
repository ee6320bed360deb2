import contextlib
import os
import socket
import tty
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qdci_lab.errors import LocalProtocolError, TransportError, TransportTimeout
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.pipe import Transport, open_pipe
from qdci_lab.transport.scripted import ScriptedTransport
from qdci_lab.transport.serial import SerialTransport
from qdci_lab.transport.visa import VisaTransport
from qdci_lab.wire.transcript import Exchange

BLOCK = b"#44096" + bytes(range(256)) * 16 + b"\n"


def answer(line: bytes) -> bytes | None:
    """The instrument behind every transport here."""
    return {b"ECHO?\n": b"echo\n", b"BLOCK?\n": BLOCK, b"SILENCE?\n": b"", b"HANG UP\n": None}[line]


def read_exactly(transport: Transport, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += transport.read(2.0)
    return data


def read_into_all(transport: Transport, buffer: memoryview) -> None:
    while buffer:
        buffer = buffer[transport.read_into(buffer, 2.0) :]


@pytest.fixture(params=["visa", "serial", "memory"])
def transport(request: pytest.FixtureRequest, loopback: Any) -> Iterator[Transport]:
    if request.param == "memory":
        pipe: Transport = MemoryTransport(lambda data: answer(data) or b"", chunk=1000)
    else:
        instrument = loopback(answer)
        address = instrument.visa_address if request.param == "visa" else instrument.serial_url
        pipe = open_pipe(address, timeout_s=2.0)
    pipe.open()
    yield pipe
    pipe.close()


def test_a_reply_comes_back(transport: Transport):
    assert transport.is_open
    transport.write(b"ECHO?\n")
    assert read_exactly(transport, 5) == b"echo\n"


def test_any_byte_passes_in_any_number(transport: Transport):
    transport.write(b"BLOCK?\n")
    assert read_exactly(transport, len(BLOCK)) == BLOCK


@pytest.mark.parametrize("size", [1, 1000, len(BLOCK), 2 * len(BLOCK)])
def test_bytes_are_read_into_a_buffer_of_any_size(transport: Transport, size: int):
    transport.write(b"BLOCK?\n")
    data, buffer = b"", memoryview(bytearray(size))
    while len(data) < len(BLOCK):
        room = buffer[: len(BLOCK) - len(data)]
        count = transport.read_into(room, 2.0)
        assert 1 <= count <= len(room)
        data += room[:count]
    assert data == BLOCK
    with pytest.raises(TransportTimeout, match=r"^\S+: no answer within 0.05 s"):
        transport.read_into(buffer, 0.05)


def test_what_did_not_fit_is_read_next(transport: Transport):
    transport.write(b"ECHO?\n")
    start = memoryview(bytearray(2))
    read_into_all(transport, start)
    assert bytes(start) == b"ec"
    assert read_exactly(transport, 3) == b"ho\n"


def test_silence_is_a_timeout_that_names_the_address(transport: Transport):
    transport.write(b"SILENCE?\n")
    with pytest.raises(TransportTimeout, match=r"^\S+: no answer within 0.05 s"):
        transport.read(0.05)
    assert transport.address


def test_a_closed_link_says_so_and_can_be_opened_again(transport: Transport):
    transport.close()
    transport.close()
    assert not transport.is_open
    with pytest.raises(TransportError, match="closed"):
        transport.write(b"ECHO?\n")
    with pytest.raises(TransportError, match="closed"):
        transport.read(0.1)
    with pytest.raises(TransportError, match="closed"):
        transport.read_into(memoryview(bytearray(1)), 0.1)
    transport.open()
    transport.write(b"ECHO?\n")
    assert read_exactly(transport, 5) == b"echo\n"


def test_what_was_under_way_does_not_survive_a_close(transport: Transport):
    transport.write(b"BLOCK?\n")
    transport.close()
    transport.open()
    transport.write(b"ECHO?\n")
    assert read_exactly(transport, 5) == b"echo\n"


@pytest.mark.parametrize("kind", ["visa_address", "serial_url"])
@pytest.mark.parametrize("into", [False, True])
def test_a_peer_that_hangs_up_is_no_timeout(loopback: Any, kind: str, into: bool):
    transport = open_pipe(getattr(loopback(answer), kind))
    transport.open()
    transport.write(b"HANG UP\n")
    with pytest.raises(TransportError, match=r"127\.0\.0\.1") as caught:
        transport.read_into(memoryview(bytearray(4)), 2.0) if into else transport.read(2.0)
    assert not isinstance(caught.value, TransportTimeout)
    transport.close()


@pytest.mark.parametrize("form", ["TCPIP::127.0.0.1::{}::SOCKET", "socket://127.0.0.1:{}"])
def test_nobody_there_is_an_error_that_names_the_address(form: str):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = form.format(server.getsockname()[1])
    transport = open_pipe(address, timeout_s=0.5)
    with pytest.raises(TransportError) as caught:
        transport.open()
    assert address in str(caught.value)
    assert not transport.is_open


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The master's descriptor and the slave's name of a pseudo-terminal in raw mode."""
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    yield master, name
    with contextlib.suppress(OSError):
        os.close(master)


def test_a_pseudo_terminal_is_a_serial_port(terminal: tuple[int, str]):
    master, name = terminal
    transport = open_pipe(name, baud_rate=38400)
    assert isinstance(transport, SerialTransport)
    transport.open()
    transport.write(b"V?\r\n")
    assert os.read(master, 100) == b"V?\r\n"
    os.write(master, b"Done\r\n")
    assert read_exactly(transport, 6) == b"Done\r\n"
    with pytest.raises(TransportTimeout, match=f"{name}: no answer within 0.05 s"):
        transport.read(0.05)
    transport.close()


def test_what_an_earlier_user_left_in_a_serial_port_is_discarded(terminal: tuple[int, str]):
    master, name = terminal
    transport = SerialTransport(name)
    transport.open()
    os.write(master, b"late\n")
    transport.close()
    transport.open()
    with pytest.raises(TransportTimeout):
        transport.read(0.05)
    transport.close()


def test_a_serial_port_that_is_gone_is_an_error(terminal: tuple[int, str]):
    master, name = terminal
    transport = SerialTransport(name)
    transport.open()
    os.close(master)
    with pytest.raises(TransportError, match=name):
        transport.read(0.5)
    transport.close()


def test_a_serial_port_that_is_not_there_stays_closed():
    transport = SerialTransport("/dev/there-is-no-such-port")
    with pytest.raises(TransportError, match="/dev/there-is-no-such-port"):
        transport.open()
    assert not transport.is_open


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("TCPIP::10.0.0.5::5025::SOCKET", VisaTransport),
        ("tcpip0::10.0.0.5::inst0::INSTR", VisaTransport),
        ("USB0::0x1313::0x8078::P0001::INSTR", VisaTransport),
        ("GPIB0::20::INSTR", VisaTransport),
        ("/dev/ttyUSB0", SerialTransport),
        ("COM3", SerialTransport),
        ("rfc2217://10.0.0.5:4000", SerialTransport),
    ],
)
def test_an_address_tells_its_transport(address: str, kind: type):
    transport = open_pipe(address)
    assert isinstance(transport, kind)
    assert not transport.is_open
    assert transport.address == address


@pytest.mark.parametrize("address", ["", "10.0.0.5", "sim://tcp", "c_api:libtdcbase.so", "http://10.0.0.5"])
def test_other_addresses_are_refused(address: str):
    with pytest.raises(LocalProtocolError, match="no byte pipe"):
        open_pipe(address)


def script(*exchanges: tuple[bytes, bytes | None]) -> tuple[Exchange, ...]:
    return tuple(Exchange(send, reply, "assumed") for send, reply in exchanges)


@pytest.fixture
def play() -> Callable[..., ScriptedTransport]:
    def opened(*exchanges: tuple[bytes, bytes | None], **options: Any) -> ScriptedTransport:
        transport = ScriptedTransport(script(*exchanges), **options)
        transport.open()
        return transport

    return opened


def test_a_script_is_played_in_order(play: Callable[..., ScriptedTransport]):
    transport = play((b"*CLS", None), (b"*IDN?", b"me"))
    transport.write(b"*CLS\n")
    assert not transport.exhausted
    transport.write(b"*IDN?\n")
    assert transport.read(1.0) == b"me\n"
    assert transport.exhausted


def test_a_script_takes_several_messages_at_once(play: Callable[..., ScriptedTransport]):
    transport = play((b"A?", b"1"), (b"B?", b"2"), terminator=b"\r", reply_end=b"\r\n", chunk=2)
    transport.write(b"A?\rB?\r")
    assert [transport.read(1.0) for _ in range(3)] == [b"1\r", b"\n2", b"\r\n"]


@pytest.mark.parametrize("said", [b"*IDN\n", b"*IDN?", b"*idn?\n", b"*IDN?\nX\n"])
def test_a_script_refuses_any_other_word(play: Callable[..., ScriptedTransport], said: bytes):
    transport = play((b"*IDN?", b"me"))
    with pytest.raises(LocalProtocolError, match="the transcript"):
        transport.write(said)
