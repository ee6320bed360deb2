import socket

import pytest

from sim_devices.bench import Bench
from sim_devices.server.tcp import TcpServer
from sim_devices.server.tcp_stream import everything_read


class Counting:
    """Says a number at a time by itself, and repeats what it hears."""

    said = 0

    def feed(self, data: bytes) -> bytes:
        return data

    def pull(self) -> bytes:
        type(self).said += 1
        return b"%d\n" % self.said


@pytest.fixture
def server():
    Counting.said = 0
    server = TcpServer(Counting)
    server.start()
    yield server
    server.close()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_one_line_at_a_time_reaches_a_client_that_reads(server):
    with connected(server.port) as client:
        assert [client.recv(1 << 16) for _ in range(20)] == [b"%d\n" % number for number in range(1, 21)]


def test_a_client_that_does_not_read_is_not_flooded(server):
    with connected(server.port) as client:
        assert client.recv(10, socket.MSG_PEEK) == b"1\n"
        with connected(server.port) as other:
            while int(other.recv(1 << 16)) < 30:
                continue  # the other one reads all that is said meanwhile
        assert client.recv(1 << 16) == b"1\n"


def test_what_the_client_says_is_answered(server):
    with connected(server.port) as client:
        client.sendall(b"hello")
        received = b""
        while b"hello" not in received:
            received += client.recv(1 << 16)


def test_stopping_hangs_up(server):
    with connected(server.port) as client:
        assert client.recv(2) == b"1\n"
        server.stop()
        while client.recv(1 << 16):
            continue  # what was on its way
    with pytest.raises(ConnectionRefusedError):
        connected(server.port)


def test_what_is_unread_is_known():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = connected(listener.getsockname()[1])
        near, _ = listener.accept()
        with far, near:
            assert everything_read(near)
            near.sendall(b"ab")
            assert far.recv(1) == b"a"
            assert not everything_read(near)
            assert far.recv(1) == b"b"
            while not everything_read(near):
                continue  # the acknowledgement is on its way


TWIN = """
seed = 1
[components.attenuator]
type = "attenuator"
[instruments."bob.detectors"]
firmware = "single_quantum_eos"
serial_number = "EOS-7"
[instruments."alice.voa"]
firmware = "keysight_n7764a"
serial_number = "1"
"""
SIM = """
[addresses]
"bob.detectors" = "sim://tcp{port}"
"alice.voa" = "sim://tcp"
"""


@pytest.fixture
def testbed(tmp_path):
    (tmp_path / "twin.toml").write_text(TWIN)
    (tmp_path / "sim.toml").write_text(SIM.format(port=""))
    return tmp_path


def port_in(address: str) -> int:
    return int(address.split("::")[2])


def test_a_bench_opens_the_counts_port_345_above_the_control_port(testbed):
    with Bench(testbed) as bench:
        eos = bench.devices["bob.detectors"]
        assert port_in(eos.extra_addresses["counts"]) == port_in(eos.address) + 345
        with connected(port_in(eos.extra_addresses["counts"])) as client:
            assert client.recv(1 << 16) == b"1704067200.000,0,0,0,0\n"
            assert client.recv(1 << 16) == b"1704067200.100,0,0,0,0\n"
        report = bench.report()["devices"]
        assert isinstance(report, dict)
        assert report["bob.detectors"]["extra_addresses"] == dict(eos.extra_addresses)
        assert set(report["alice.voa"]) == {"model", "address"}


def test_all_ports_of_a_device_stop_and_come_back(testbed):
    with Bench(testbed) as bench:
        eos = bench.devices["bob.detectors"]
        bench.stop_device("bob.detectors")
        for address in (eos.address, eos.extra_addresses["counts"]):
            with pytest.raises(ConnectionRefusedError):
                connected(port_in(address))
        bench.start_device("bob.detectors")
        with connected(port_in(eos.extra_addresses["counts"])) as client:
            assert client.recv(1 << 16).endswith(b",0,0,0,0\n")


def test_a_pinned_device_whose_further_port_is_taken_is_an_error(testbed):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1] - 345
        (testbed / "sim.toml").write_text(SIM.format(port=f":{number}"))
        with pytest.raises(OSError, match="in use"):
            Bench(testbed)
