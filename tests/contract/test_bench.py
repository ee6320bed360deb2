"""The simulated bench as its clients meet it: real wires, the real twin, processes that start and stop."""

import contextlib
import ctypes
import gc
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import serial

from qdci_lab.clock import LabClock
from qdci_lab.errors import ConfigError
from sim_devices.bench import Bench
from sim_devices.server.c_api import function_table

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "configs" / "ji_mcf"
TCP = (
    "alice.awg", "alice.voa", "alice.oscilloscope", "classical.laser", "classical.launch_voa",
    "classical.power_meter", "switch", "probe.laser", "probe.voa", "probe.power_meter",
)  # fmt: skip
PTY = ("classical.amplifier", "bob.polarization_controller", "bob.detectors")


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(TESTBED) as bench:
        yield bench


def connected(address: str) -> socket.socket:
    _, host, port, _ = address.split("::")
    return socket.create_connection((host, int(port)), timeout=30)


def ask_tcp(address: str, message: bytes) -> str:
    with connected(address) as client, client.makefile("rb") as replies:
        client.sendall(message + b"\n")
        return replies.readline().decode().strip()


def ask_serial(address: str, message: bytes) -> str:
    with serial.Serial(address, 9600, timeout=30) as port:
        port.write(message + b"\r\n")
        return port.read_until(b"\r\n").decode().strip()


def ask_control(address: str, **request: object) -> dict:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as client, client.makefile("rb") as replies:
        client.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(replies.readline())


class Tagger:
    """The few functions of the quTAG's library that are needed here, bound by hand."""

    def __init__(self, address: str) -> None:
        query = parse_qs(urlsplit(address).query)
        self._table = function_table(query["control"][0], query["device"][0])

    def call(self, name: str, *arguments) -> int:
        kinds = [ctypes.c_int32 if isinstance(argument, int) else type(argument) for argument in arguments]
        return ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(self._table[name])(*arguments)

    def last_timestamps(self, size: int) -> list[tuple[int, int]]:
        times, channels, valid = (ctypes.c_int64 * size)(), (ctypes.c_uint8 * size)(), ctypes.c_int32()
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
        )
        addresses = [ctypes.addressof(output) for output in (times, channels, valid)]
        assert prototype(self._table["TDC_getLastTimestamps"])(1, *addresses) == 0
        return list(zip(times[: valid.value], channels[: valid.value], strict=True))


def dark_tags(bench: Bench, milliseconds: int = 50) -> list[tuple[int, int]]:
    tagger = Tagger(bench.devices["bob.tagger"].address)
    clock = LabClock(bench.control_address)
    assert tagger.call("TDC_init", -1) == 0
    assert tagger.call("TDC_setTimestampBufferSize", 100_000) == 0
    clock.sleep(milliseconds / 1000)
    tags = tagger.last_timestamps(100_000)
    assert tagger.call("TDC_deInit") == 0
    clock.close()
    return tags


# Devices on their wires


def test_all_devices_are_there(bench):
    assert set(bench.devices) == {*TCP, *PTY, "bob.tagger"}
    assert {
        name for name in bench.devices if bench.devices[name].address.startswith("TCPIP::127.0.0.1::")
    } == set(TCP)
    assert {name for name in bench.devices if bench.devices[name].address.startswith("/dev/")} == set(PTY)
    control = bench.control_address
    library = f"c_api+python:sim_devices.server.c_api:function_table?control={control}&device=bob.tagger"
    assert bench.devices["bob.tagger"].address == library


@pytest.mark.parametrize("name", TCP)
def test_instruments_on_sockets_say_what_they_are(bench, name):
    device = bench.devices[name]
    makers = {"switch": "polatis", "alice.oscilloscope": "keysight"}
    maker_or_model = makers.get(name) or device.model.split()[-1].lower()
    assert maker_or_model in ask_tcp(device.address, b"*IDN?").lower()


@pytest.mark.parametrize(
    ("name", "message", "contained"),
    [
        ("classical.amplifier", b"*IDN?", "FiberLabs"),
        ("bob.polarization_controller", b"V?", "Voltage(mV): CH1 "),
        ("bob.detectors", b"*idn?", "SPD"),
    ],
)
def test_instruments_on_serial_lines_answer(bench, name, message, contained):
    assert contained in ask_serial(bench.devices[name].address, message)


def test_hello_tells_the_same_as_the_bench(bench):
    hello = ask_control(bench.control_address, op="hello")
    assert (hello["source"], hello["testbed"], hello["seed"]) == ("twin", "ji_mcf", 1)
    assert hello["devices"] == {
        name: {"model": device.model, "address": device.address} for name, device in bench.devices.items()
    }


def test_messages_cost_no_lab_time_but_counting_does(bench):
    before = bench.lab_time.now_ps()
    ask_tcp(bench.devices["alice.voa"].address, b"*IDN?")
    ask_serial(bench.devices["classical.amplifier"].address, b"MONOUT")
    assert bench.lab_time.now_ps() == before
    assert int(ask_serial(bench.devices["bob.detectors"].address, b"time 40\r\ncounts?")) > 0
    assert bench.lab_time.now_ps() == before + 40 * 10**9


def test_settings_reach_the_twin(bench):
    ask_serial(bench.devices["bob.polarization_controller"].address, b"V2,1250")
    assert bench.twin.handle("polarization_controller").setting("voltages_v") == (0.0, 1.25, 0.0, 0.0)
    ask_serial(bench.devices["bob.polarization_controller"].address, b"VZ2")


def test_clients_at_once_on_one_instrument(bench):
    address = bench.devices["alice.voa"].address
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(address)) for _ in range(5)]
        for client in clients:
            client.sendall(b"*ID")
        for client in reversed(clients):
            client.sendall(b"N?\n")
        replies = [stack.enter_context(client.makefile("rb")).readline() for client in clients]
    assert len(set(replies)) == 1
    assert b"N7764A" in replies[0]


# Devices that go and come back


def test_a_stopped_socket_comes_back_at_its_port(bench):
    address = bench.devices["switch"].address
    with connected(address) as client:
        ask_control(bench.control_address, op="stop_device", device="switch")
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(address)
    assert ask_control(bench.control_address, op="start_device", device="switch") == {"address": address}
    assert "POLATIS" in ask_tcp(address, b"*IDN?").upper()


def test_a_stopped_serial_line_comes_back(bench):
    address = bench.devices["bob.polarization_controller"].address
    ask_serial(address, b"V1,77")
    bench.stop_device("bob.polarization_controller")
    with pytest.raises(serial.SerialException):
        serial.Serial(address)
    bench.start_device("bob.polarization_controller")
    again = ask_control(bench.control_address, op="hello")["devices"]["bob.polarization_controller"][
        "address"
    ]
    assert again == bench.devices["bob.polarization_controller"].address
    assert "CH1 +0077" in ask_serial(again, b"V?")
    ask_serial(again, b"VZ1")


def test_a_stopped_tagger_comes_back(bench):
    tagger = Tagger(bench.devices["bob.tagger"].address)
    assert tagger.call("TDC_init", -1) == 0
    bench.stop_device("bob.tagger")
    assert tagger.call("TDC_enableChannels", 31) == 2
    assert tagger.call("TDC_init", -1) == 2
    bench.start_device("bob.tagger")
    assert tagger.call("TDC_enableChannels", 31) == 2
    assert tagger.call("TDC_init", -1) == 0
    assert tagger.call("TDC_enableChannels", 31) == 0
    assert tagger.call("TDC_deInit") == 0


def test_unknown_devices(bench):
    for op in ("stop_device", "start_device"):
        assert "no device nobody" in ask_control(bench.control_address, op=op, device="nobody")["error"]
    reply = ask_control(bench.control_address, op="tagger", device="switch", call="read")
    assert "no time tagger" in reply["error"]


# Tags


def test_dark_counts_of_the_array(bench):
    tags = dark_tags(bench, 500)
    rate_hz = 4 * 600.0
    assert abs(len(tags) - 0.5 * rate_hz) < 6 * (0.5 * rate_hz) ** 0.5  # false alarm 2e-9, seed fixed
    assert {channel for _, channel in tags} == {1, 2, 3, 4}
    assert [time for time, _ in tags] == sorted(time for time, _ in tags)


def test_the_seed_decides_the_tags():
    def tags(seed: int | None) -> list[tuple[int, int]]:
        with Bench(TESTBED, seed=seed) as bench:
            return dark_tags(bench)

    assert tags(None) == tags(1)
    assert tags(7) == tags(7)
    assert tags(7) != tags(8)


def test_nothing_is_left_of_a_bench_that_ended():
    def threads_and_files() -> tuple[set[threading.Thread], int]:
        gc.collect()
        return set(threading.enumerate()), len(list(Path("/proc/self/fd").iterdir()))

    before = threads_and_files()
    with Bench(TESTBED) as bench:
        clients = [connected(bench.devices[name].address) for name in TCP]
        ask_serial(bench.devices["bob.detectors"].address, b"temp?")
        bench.stop_device("classical.amplifier")
        assert threads_and_files()[1] > before[1]
    for client in clients:
        client.close()
    assert threads_and_files() == before


# Testbeds


@pytest.fixture
def testbed(tmp_path) -> Path:
    shutil.copytree(TESTBED, tmp_path / "copy")
    return tmp_path / "copy"


def readdressed(testbed: Path, name: str, address: str) -> Path:
    lines = (testbed / "sim.toml").read_text().splitlines()
    changed = [f'"{name}" = "{address}"' if line.startswith(f'"{name}"') else line for line in lines]
    assert changed != lines
    (testbed / "sim.toml").write_text("\n".join(changed))
    return testbed


def test_devices_left_out(testbed):
    readdressed(testbed, "alice.voa", "TCPIP::192.0.2.12::5025::SOCKET")
    with Bench(testbed, without=["bob.tagger", "switch"]) as bench:
        assert {*TCP, *PTY} - set(bench.devices) == {"alice.voa", "switch"}
        assert "bob.tagger" not in bench.devices


def test_a_pinned_port(testbed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Bench(readdressed(testbed, "alice.voa", f"sim://tcp:{port}")) as bench:
        assert bench.devices["alice.voa"].address == f"TCPIP::127.0.0.1::{port}::SOCKET"


@pytest.mark.parametrize(
    ("name", "address"),
    [("alice.voa", "sim://pipe"), ("alice.voa", "sim://c_api"), ("bob.tagger", "sim://tcp")],
)
def test_wrong_addresses_are_mistakes(testbed, name, address):
    with pytest.raises(ConfigError, match=rf"sim\.toml: addresses\.{name}"):
        Bench(readdressed(testbed, name, address))


def test_a_socket_that_the_firmware_does_not_have(testbed):
    text = (testbed / "twin.toml").read_text()
    (testbed / "twin.toml").write_text(text.replace('"squeezers" = ', '"squeezer" = '))
    with pytest.raises(ConfigError, match=r"bob\.polarization_controller"):
        Bench(testbed)


def test_leaving_out_what_is_not_there():
    with pytest.raises(ConfigError, match="nobody"):
        Bench(TESTBED, without=["nobody"])


# Processes


def started(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "sim_devices", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def up() -> Iterator:
    processes: list[subprocess.Popen] = []

    def start(*options: object) -> tuple[subprocess.Popen, dict]:
        process = started("up", TESTBED, "--json", *options)
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return process, json.loads(line)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def end_of(process: subprocess.Popen) -> tuple[int, str]:
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_bench_orderly(up, tmp_path, number):
    note = tmp_path / "run" / "bench.json"
    process, report = up("--register", note)
    assert json.loads(note.read_text()) == report
    assert (report["pid"], report["source"], report["seed"]) == (process.pid, "twin", 1)
    assert "N7764A" in ask_tcp(report["devices"]["alice.voa"]["address"], b"*IDN?")
    process.send_signal(number)
    assert end_of(process) == (0, "")
    assert list(note.parent.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        connected(report["devices"]["alice.voa"]["address"])


def test_shutdown_over_the_control_server(up):
    process, report = up("--seed", 5, "--without", "switch", "--without", "alice.awg")
    assert report["seed"] == 5
    assert {*TCP} - set(report["devices"]) == {"switch", "alice.awg"}
    assert ask_control(report["control"], op="shutdown") == {}
    assert end_of(process) == (0, "")


def test_the_bench_ends_with_its_parent(up):
    process, report = up("--until-stdin-closes")
    process.stdin.write("noise is ignored\n")
    process.stdin.flush()
    assert "now_ps" in ask_control(report["control"], op="now")
    assert end_of(process) == (0, "")


def test_another_benchs_note_is_left_alone(up, tmp_path):
    note = tmp_path / "bench.json"
    process, _ = up("--register", note)
    note.write_text("{}")
    process.send_signal(signal.SIGTERM)
    assert end_of(process) == (0, "")
    assert note.read_text() == "{}"


def test_a_table_for_people():
    process = started("up", TESTBED, "--until-stdin-closes")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    for text in ("alice.voa", "Keysight N7764A", "/dev/", "control server at 127.0.0.1:"):
        assert text in output


def test_check_prints_mistakes(testbed):
    process = started("check", TESTBED)
    assert "no mistakes" in process.communicate(timeout=60)[0]
    assert process.returncode == 0
    process = started("check", readdressed(testbed, "alice.voa", "sim://pipe"))
    assert "sim.toml: addresses.alice.voa" in process.communicate(timeout=60)[0]
    assert process.returncode == 1


def test_a_testbed_that_does_not_exist(tmp_path):
    process = started("up", tmp_path / "nowhere")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert "twin.toml" in errors
    assert "Traceback" not in errors
