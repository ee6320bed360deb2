"""How much of a bare socket and of a bare PyVISA resource our connection leaves, against one instrument, in one run.

All ways are taken in turn in every round, and the ratios are of the same round: what else the machine does meets all.
"""

import socket
import statistics
from collections.abc import Iterator

import pytest
import pyvisa
from rounds import rates, ratios, show

from qdci_lab.connection import Connection
from qdci_lab.transport.pipe import open_pipe
from qdci_lab.wire.framing import ScpiFraming
from qdci_lab.wire.message import BlockQuery, Query
from qdci_lab.wire.scpi import block_data, number

BLOCK_BYTES = 40_000_000
BLOCK_HEADER = f"#8{BLOCK_BYTES}".encode()
VISA_CHUNK_BYTES = 256 * 1024
QUERY_ROUNDS, QUERIES = 99, 200
BLOCK_ROUNDS = 21
TIMEOUT_S = 10.0

pytestmark = pytest.mark.benchmark


@pytest.fixture
def bare_socket(loopback_port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", loopback_port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield link


@pytest.fixture
def bare_resource(loopback_port: int) -> Iterator[pyvisa.resources.MessageBasedResource]:
    manager = pyvisa.ResourceManager("@py")
    resource = manager.open_resource(
        f"TCPIP::127.0.0.1::{loopback_port}::SOCKET", read_termination="\n", write_termination="\n"
    )
    assert isinstance(resource, pyvisa.resources.MessageBasedResource)
    yield resource
    resource.close()


@pytest.fixture
def connection(loopback_port: int) -> Iterator[Connection]:
    pipe = open_pipe(f"TCPIP::127.0.0.1::{loopback_port}::SOCKET", timeout_s=TIMEOUT_S)
    connection = Connection("lab.dev", pipe, ScpiFraming(), timeout_s=TIMEOUT_S)
    connection.open()
    yield connection
    connection.close()


def test_queries(
    bare_socket: socket.socket,
    bare_resource: pyvisa.resources.MessageBasedResource,
    connection: Connection,
):
    question = Query.text(":INP1:ATT?", number)

    def by_socket() -> None:
        for _ in range(QUERIES):
            bare_socket.sendall(b":INP1:ATT?\n")
            reply = bare_socket.recv(4096)
            while not reply.endswith(b"\n"):
                reply += bare_socket.recv(4096)
            float(reply)

    def by_resource() -> None:
        for _ in range(QUERIES):
            float(bare_resource.query(":INP1:ATT?"))

    def by_connection() -> None:
        for _ in range(QUERIES):
            connection.query(question)

    ways = {"bare socket": by_socket, "bare PyVISA resource": by_resource, "our connection": by_connection}
    measured = rates(ways, QUERY_ROUNDS, QUERIES)
    show("Queries over loopback", "queries/s", measured, ("bare socket", "bare PyVISA resource"))
    assert statistics.median(ratios(measured, "our connection", "bare PyVISA resource")) >= 0.9


def test_a_block_of_40_mb(
    bare_socket: socket.socket,
    bare_resource: pyvisa.resources.MessageBasedResource,
    connection: Connection,
):
    whole = memoryview(bytearray(len(BLOCK_HEADER) + BLOCK_BYTES + 1))
    target = memoryview(bytearray(BLOCK_BYTES))

    def by_socket() -> None:
        bare_socket.sendall(b"DATA?\n")
        received = 0
        while received < len(whole):
            received += bare_socket.recv_into(whole[received:])

    def by_resource() -> None:
        bare_resource.write("DATA?")
        bare_resource.read_bytes(len(whole), chunk_size=VISA_CHUNK_BYTES, break_on_termchar=False)

    ways = {
        "bare recv_into": by_socket,
        "PyVISA read_bytes, 256 KiB": by_resource,
        "our fetch into an array": lambda: connection.fetch(BlockQuery.text("DATA?"), target),
        "our query": lambda: connection.query(Query.text("DATA?", block_data)),
    }
    bare_resource.read_termination = None
    measured = rates(ways, BLOCK_ROUNDS, BLOCK_BYTES / 1e6)
    assert target == whole[len(BLOCK_HEADER) : -1]
    show("A block of 40 MB over loopback", "MB/s", measured, ("bare recv_into",))
    assert statistics.median(ratios(measured, "our fetch into an array", "bare recv_into")) >= 0.7
