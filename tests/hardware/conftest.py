"""Opt-in: `python -m pytest tests/hardware --bench configs/<testbed>` plays the transcripts on real instruments.

They are collected only where this folder is named. Playing a transcript changes settings and switches outputs on: see
docs/real_hardware.md.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from qdci_lab.config import load_testbed
from tests.hardware.capture import Played
from tests.transcript_player import FOLDER

HERE = Path(__file__).parent
PLAYED: pytest.StashKey[list[Played]] = pytest.StashKey()


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Ignore what is here unless the command line leads here."""
    paths = [config.invocation_params.dir / word.partition("::")[0] for word in config.args]
    return None if any(path.resolve().is_relative_to(HERE) for path in paths) else True


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench")
    group.addoption(
        "--bench", type=Path, help="the testbed's folder: lab.toml and the addresses of its instruments"
    )
    group.addoption("--addresses", default="bench.toml", help="its address file (bench.toml)")
    group.addoption(
        "--write-captured", type=Path, help="write the transcripts, with what was seen, into this folder"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PLAYED] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each device of the testbed that is at a real address."""
    if "spec" in metafunc.fixturenames:
        folder = metafunc.config.getoption("bench", None)
        if folder is None:
            raise pytest.UsageError("which instruments? give --bench configs/<testbed>")
        testbed = load_testbed(folder, str(metafunc.config.getoption("addresses")))
        metafunc.parametrize("spec", testbed.devices.values(), ids=lambda spec: spec.role)


@pytest.fixture
def note(pytestconfig: pytest.Config) -> list[Played]:
    """Where a test puts what it has seen."""
    return pytestconfig.stash[PLAYED]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what became captured, and write it where that is asked for."""
    played = config.stash[PLAYED]
    if played:
        terminalreporter.section("transcripts on the bench")
    for one in played:
        for line in one.summary():
            terminalreporter.write_line(line)
    directory = config.getoption("write_captured", None)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        for one in played:
            text = (FOLDER / f"{one.stem}.toml").read_text(encoding="utf-8")
            path = directory / f"{one.stem}.toml"
            path.write_text(one.rewritten(text, datetime.now(UTC).date()), encoding="utf-8")
            terminalreporter.write_line(f"written: {path}")
