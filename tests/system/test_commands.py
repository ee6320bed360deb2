"""The commands as a user types them, in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pyvisa

ROOT = Path(__file__).parents[2]
QDCI = (sys.executable, "-m", "qdci_lab.cli")


def qdci(*words, **kwargs):
    return subprocess.run(
        [*QDCI, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **kwargs,
    )


@pytest.fixture
def bench(testbed_folder):
    """A bench for everybody, in a process of its own; gives the report it printed."""
    process = subprocess.Popen(
        [*QDCI, "sim", "up", str(testbed_folder), "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()


def test_run_prints_one_json_object_as_its_last_line(testbed_folder, tmp_path):
    result = qdci(
        "run", testbed_folder, "skr_vs_launch_power", "--sim", "--out", tmp_path, "--detections", "1e5",
        "--set", "launch_powers_dbm=[-10]", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.splitlines()[-1])
    assert Path(answer["file"]).exists()
    assert Path(answer["figure"]).exists()
    wanted = {"launch_power_dbm", "skr_bps", "skr_wiesemann_bps", "qber_z", "qber_x", "n_z", "duration_s"}
    assert wanted <= set(answer["points"][0])
    assert "Traceback" not in result.stderr


def test_every_mistake_on_the_command_line_is_told(testbed_folder):
    result = qdci(
        "run",
        testbed_folder,
        "skr_vs_launch_power",
        "--sim",
        "--set",
        "lauch_powers_dbm=[1]",
        "--set",
        "cor=2",
    )
    assert result.returncode == 1
    assert "did you mean 'launch_powers_dbm'?" in result.stderr
    assert "did you mean 'core'?" in result.stderr


@pytest.mark.usefixtures("bench")
def test_check_names_the_device_that_is_off_and_the_others_as_healthy(testbed_folder):
    assert qdci("check", testbed_folder, "--sim").returncode == 0
    assert qdci("sim", "stop", testbed_folder, "bob.polarization_controller").returncode == 0
    result = qdci("check", testbed_folder, "--sim")
    assert result.returncode == 1
    assert "not connected: bob.polarization_controller" in result.stderr
    assert re.search(r"alice\.voa +Keysight", result.stdout)
    assert qdci("sim", "start", testbed_folder, "bob.polarization_controller").returncode == 0
    assert qdci("check", testbed_folder, "--sim").returncode == 0


@pytest.mark.usefixtures("bench")
def test_a_fault_is_put_on_a_device_and_cleared(testbed_folder):
    result = qdci("sim", "fault", testbed_folder, "alice.voa", "garbage", "seed=3")
    assert (result.returncode, result.stderr) == (0, "")
    check = qdci("check", testbed_folder, "--sim")
    assert check.returncode == 1
    assert "not connected: alice.voa" in check.stderr
    assert "Traceback" not in check.stderr
    assert re.search(r"classical\.launch_voa +Keysight", check.stdout)
    assert qdci("sim", "clear", testbed_folder, "alice.voa").returncode == 0
    assert qdci("check", testbed_folder, "--sim").returncode == 0


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("alice.voa", "garbadge"), "did you mean 'garbage'?"),
        (
            ("alice.voa", "garbage", "messages=0"),
            "messages: Input should be greater than or equal to 1, not 0",
        ),
        (("alice.voa", "garbage", "mesages=1"), "did you mean 'messages'?"),
        (("alice.vao", "garbage"), "no device alice.vao"),
        (("bob.tagger", "garbage"), "bob.tagger is behind sim://c_api"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_the_reason(testbed_folder, words, told):
    result = qdci("sim", "fault", testbed_folder, *words)
    assert result.returncode == 1
    assert told in result.stderr


def test_a_run_with_a_device_off_fails_before_anything_moves(testbed_folder, bench, tmp_path):
    assert qdci("sim", "stop", testbed_folder, "switch").returncode == 0
    result = qdci("run", testbed_folder, "skr_vs_launch_power", "--sim", "--out", tmp_path)
    assert result.returncode == 1
    assert "not connected: switch" in result.stderr
    manager = pyvisa.ResourceManager("@py")
    voa = manager.open_resource(
        bench["devices"]["alice.voa"]["address"], read_termination="\n", write_termination="\n"
    )
    assert voa.query(":OUTP1?").strip() == "0"
    voa.close()
    manager.close()


def test_ctrl_c_stops_a_run_keeps_the_data_and_leaves_the_bench_safe(testbed_folder, bench, tmp_path):
    process = subprocess.Popen(
        [*QDCI, "run", str(testbed_folder), "skr_vs_launch_power", "--sim", "--out", str(tmp_path),
         "--detections", "1e9", "--set", "launch_powers_dbm=[-10]", "--set", "keep_tags=false"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    manager = pyvisa.ResourceManager("@py")
    voa = manager.open_resource(
        bench["devices"]["classical.launch_voa"]["address"], read_termination="\n", write_termination="\n"
    )
    while voa.query(":OUTP1?").strip() == "0":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "stopped by the user" in errors
    assert voa.query(":OUTP1?").strip() == "0"
    voa.close()
    manager.close()
    assert len(list(tmp_path.glob("*.h5"))) == 1


def test_a_bench_that_is_not_there_is_told_device_by_device(testbed_folder):
    result = qdci("check", testbed_folder)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    for role in ("alice.awg", "alice.voa", "bob.tagger", "bob.detectors", "switch"):
        assert f"  {role}: " in result.stderr
        assert f"{role}: {role}" not in result.stderr
