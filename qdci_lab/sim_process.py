"""The simulated bench as a process of its own: found if it is up for a testbed, started if not, and asked about itself.

The bench answers on its control server, one JSON object a line each way; it belongs to another package and is known
here by its command line and by that protocol alone.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from qdci_lab.errors import LabError, TransportError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
COMMAND = (sys.executable, "-m", "sim_devices", "up")


@dataclass(frozen=True)
class SimulatedDevice:
    """One simulated instrument: which model it plays, and where it answers."""

    model: str
    address: str


@dataclass(frozen=True)
class SimulatedBench:
    """A simulated bench that is up; `process` is ours to stop, None when somebody else started it."""

    devices: Mapping[str, SimulatedDevice]
    control: str
    seed: int
    process: subprocess.Popen[str] | None = None

    def stop(self) -> None:
        """Stop the bench if we started it."""
        if self.process is None or self.process.poll() is not None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


def registration_path(folder: Path) -> Path:
    """Where a bench that serves everybody notes its address: one file a testbed and user."""
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    directory = Path(base) / f"qdci_lab-{os.getuid()}"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory / f"{folder.name}-{key}.json"


def find_bench(folder: Path) -> SimulatedBench | None:
    """The bench that is up for this testbed, or None."""
    try:
        control = str(json.loads(registration_path(folder).read_text(encoding="utf-8"))["control"])
        return _described(ask(control, {"op": "hello"}), control)
    except (OSError, ValueError, KeyError, TransportError):
        return None


def start_bench(folder: Path, *, seed: int | None = None) -> SimulatedBench:
    """Start a bench that lives as long as we do; LabError with its own words if it does not come up."""
    options = ["--json", "--until-stdin-closes", *([] if seed is None else ["--seed", str(seed)])]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as words:
        process = subprocess.Popen(
            [*COMMAND, str(folder), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.communicate(timeout=STOP_TIMEOUT_S)
            words.seek(0)
            raise LabError(f"the simulated bench did not start:\n{words.read().strip()}")
    report = json.loads(line)
    return _described(report, report["control"], process)


def serve(folder: Path, arguments: Sequence[str]) -> NoReturn:
    """Become a bench for everybody, in this process, until it is told to stop."""
    words = [*COMMAND, str(folder), "--register", str(registration_path(folder)), *arguments]
    sys.stdout.flush()
    os.execv(words[0], words)


def ask(control: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """One question to a bench's control server; TransportError if it is gone or refuses."""
    host, _, port = control.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=STOP_TIMEOUT_S) as link:
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as lines:
                reply = json.loads(lines.readline() or b'{"error": "no answer"}')
    except OSError as error:
        raise TransportError(f"simulated bench at {control}: {error}") from error
    if "error" in reply:
        raise TransportError(f"simulated bench at {control}: {reply['error']}")
    return reply


def _described(
    report: Mapping[str, Any], control: str, process: subprocess.Popen[str] | None = None
) -> SimulatedBench:
    devices = {
        role: SimulatedDevice(entry["model"], entry["address"]) for role, entry in report["devices"].items()
    }
    return SimulatedBench(devices, control, int(report["seed"]), process)
