"""A program in C, compiled for the quTAG library, on its stand-in as a shared library and a simulated bench."""

import ctypes
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from sim_devices.firmware.qutag import Qutag
from sim_devices.server.c_api import EXPORTS
from sim_devices.server.control import ControlServer, TaggerPort
from sim_devices.server.shared_library import LibraryError, build, source_text
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin

PROGRAM = Path(__file__).parent / "c" / "tags.c"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_a_compiler = pytest.mark.skipif(
    COMPILER is None or not sysconfig.get_config_var("Py_ENABLE_SHARED"),
    reason="no C compiler, or this Python is no shared library",
)
EVENTS = [(1000, 1), (1015, 2), (2000, 1), (2100, 2), (3000, 4), (4000, 1), (4120, 2)]


class KnownTags:
    """A tag source that plays the events."""

    def __init__(self) -> None:
        self._times, self._channels = (np.array(column) for column in zip(*EVENTS, strict=True))
        self._next = 0

    def start(self, at_ps: int) -> None:
        self._next = int(np.searchsorted(self._times, at_ps))

    def read(self, until_ps: int):
        begin, self._next = self._next, max(self._next, int(np.searchsorted(self._times, until_ps)))
        part = slice(begin, self._next)
        return self._times[part].astype(np.int64), self._channels[part].astype(np.uint8)


class Bench:
    """A control server's bench of one tagger."""

    def __init__(self) -> None:
        tagger = ComponentSpec("time_tagger", {"channel_delays_ps": (0.0,) * 4})
        inputs = Twin(Layout(1, {"tagger": tagger}, ())).handle("tagger")
        self.lab_time = inputs.lab_time
        self.port = TaggerPort(Qutag({"inputs": inputs}, serial_number="C-1", tags=KnownTags()))

    def tagger(self, _device: str) -> TaggerPort:
        return self.port


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("c")
    command = [sys.executable, "-m", "sim_devices", "build-qutag-library", str(folder / "libtdcbase.so")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "QUTAG_TWIN" in built.stdout
    compile_it = [str(COMPILER), str(PROGRAM), "-Wall", "-Werror", "-o", str(folder / "tags")]
    subprocess.run([*compile_it, f"-L{folder}", "-ltdcbase", f"-Wl,-rpath,{folder}"], check=True)
    return folder / "tags"


def clean_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QUTAG", "PYTHON"))}
    return {**kept, **more}


def run(program: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(**environment)
    return subprocess.run(
        [str(program)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@needs_a_compiler
def test_a_c_program_takes_tags_histograms_and_a_file(program, tmp_path):
    bench = Bench()
    server = ControlServer(bench)
    server.start()
    environment = clean_environment(QUTAG_TWIN=f"{server.address}/bob.tagger", QUTAG_TWIN_RATE="0")
    with subprocess.Popen(
        [str(program), str(tmp_path / "tags.bin")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert [process.stdout.readline(), process.stdout.readline()] == ["base 1e-12\n", "ready\n"]
        bench.lab_time.advance_by(10**9)
        lines = process.communicate("\n", timeout=120)[0].splitlines()
    server.close()
    kept = [event for event in EVENTS if event[1] in (1, 2)]
    assert process.returncode == 0
    assert [line for line in lines if line.startswith("tag")] == [
        f"tag {time} {channel}" for time, channel in kept
    ]
    assert f"histogram 3 3 3 {4120 - 1000}" in lines
    assert [line for line in lines if line.startswith("bin")] == ["bin 1 1", "bin 10 1", "bin 12 1"]
    assert lines[-1] == "exposure 10 Parameter in function call is out of range"
    content = (tmp_path / "tags.bin").read_bytes()
    assert struct.unpack_from("<II", content) == (0xFA91B387, 40 + 10 * len(kept))
    assert [struct.unpack_from("<qH", content, 40 + 10 * n) for n in range(len(kept))] == kept


@needs_a_compiler
def test_without_a_bench_there_is_no_device(program):
    result = run(program)
    assert (result.returncode, result.stdout) == (1, "init: 2 No connection was established\n")
    assert result.stderr == "libtdcbase: QUTAG_TWIN is not set to HOST:PORT/DEVICE: there is no device\n"
    gone = run(program, QUTAG_TWIN="127.0.0.1:1/bob.tagger")
    assert (gone.returncode, gone.stderr) == (1, "")


@needs_a_compiler
def test_a_wrong_rate_is_told_and_the_library_says_driver_error(program):
    result = run(program, QUTAG_TWIN="127.0.0.1:1/bob.tagger", QUTAG_TWIN_RATE="fast")
    assert result.stdout == "init: 3 the Python behind this library does not start\n"
    assert "QUTAG_TWIN_RATE is 'fast'" in result.stderr


@needs_a_compiler
def test_every_name_resolves_and_python_itself_may_load_it(program):
    library = ctypes.CDLL(str(program.parent / "libtdcbase.so"))
    assert all(getattr(library, name) for name in EXPORTS[1])
    library.TDC_getVersion.restype = ctypes.c_double
    assert library.TDC_getVersion() == EXPORTS[1]["TDC_getVersion"].body.__globals__["GENERATIONS"][1].version


@pytest.mark.parametrize("generation", [1, 2])
def test_the_source_has_one_function_for_each_name(generation):
    defined = re.findall(r"^TWIN_API .*?(TDC_\w+)\(.*\);$", source_text(generation), re.MULTILINE)
    assert defined == list(EXPORTS[generation])


def test_without_a_compiler_it_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "none-such")
    with pytest.raises(LibraryError, match=r"no C compiler here \(looked for CC=none-such, cc, gcc, clang\)"):
        build(tmp_path / "libtdcbase.so")


@needs_a_compiler
def test_what_the_compiler_says_is_passed_on(tmp_path):
    with pytest.raises(LibraryError, match="refuses the library"):
        build(tmp_path / "no" / "folder" / "libtdcbase.so")
