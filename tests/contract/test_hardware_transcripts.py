"""The run on real instruments, tried on simulated ones: `bench.toml` has the addresses at which a bench answers."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qdci_lab.wire.transcript import load_transcript
from sim_devices.bench import Bench

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "tests" / "testbeds" / "every_model"
ROLES = ("keysight_n7764a", "oz_epc400", "polatis_6000_tl1")
LAB = """
[testbed]
name = "bench"

[devices."alice.voa"]
driver = "drivers.voa.keysight_n7764a:KeysightN7764A"
slot = 1

[devices."other.voa"]
driver = "drivers.voa.keysight_n7764a:KeysightN7764A"
slot = 3

[devices."bob.polarization_controller"]
driver = "drivers.polarization_controller.oz_epc400:OzEpc400"

[devices.switch]
driver = "drivers.optical_switch.polatis_6000_tl1:Polatis6000Tl1"

[devices."bob.tagger"]
driver = "drivers.time_tagger.qutag:QuTag"
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    others = {path.stem for path in (ROOT / "tests" / "transcripts").glob("*.toml")} - set(ROLES)
    with Bench(TESTBED, without=others) as running:
        yield running


@pytest.fixture
def folder(bench: Bench, tmp_path: Path) -> Path:
    """A testbed whose real instruments are the simulated ones."""
    voa, controller, switch = (bench.devices[role].address for role in ROLES)
    (tmp_path / "lab.toml").write_text(LAB)
    (tmp_path / "bench.toml").write_text(
        f'[addresses]\n"alice.voa" = "{voa}"\n"other.voa" = "{voa}"\n"bob.polarization_controller" = "{controller}"\n'
        f'"switch" = "{switch}"\n"bob.tagger" = "c_api:libtdcbase.so"\n'
    )
    return tmp_path


@pytest.fixture
def play() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "tests/hardware",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            *words,
        ]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    return run


def test_what_the_instruments_have_said_is_captured_where_that_is_asked_for(play, folder, tmp_path):
    seen = tmp_path / "seen"
    run = play("--bench", str(folder), "--write-captured", str(seen))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed, 2 skipped" in run.stdout
    assert "other.voa: its transcript is about {'slot': 1}, the device has {'slot': 3}" in run.stdout
    assert "manual -> captured: b':INP1:ATT?'" in run.stdout
    assert {path.stem for path in seen.iterdir()} == set(ROLES)
    for role in ROLES:
        before = load_transcript(ROOT / "tests" / "transcripts" / f"{role}.toml")
        after = load_transcript(seen / f"{role}.toml")
        assert after.balance()["captured"] == len(before.exchanges)
        assert [one.send for one in after.exchanges] == [one.send for one in before.exchanges]


def test_an_instrument_that_answers_otherwise_is_told_and_nothing_is_written(play, folder):
    text = (
        (folder / "lab.toml")
        .read_text()
        .replace("polatis_6000_tl1:Polatis6000Tl1", "polatis_6000:Polatis6000")
    )
    (folder / "lab.toml").write_text(text)
    before = sorted(path.name for path in folder.iterdir())
    run = play("--bench", str(folder), "-k", "switch")
    assert run.returncode == 1
    assert "1 failed" in run.stdout
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_a_bench_it_says_what_is_missing(play):
    run = play()
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "give --bench configs/<testbed>" in run.stdout + run.stderr


def test_an_ordinary_run_collects_no_hardware():
    others = [
        f"--ignore=tests/{name}"
        for name in ("architecture", "contract", "physics", "system", "truth", "unit")
    ]
    command = [sys.executable, "-m", "pytest", "tests", "-q", "--collect-only", *others]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert listed.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, listed.stdout + listed.stderr
