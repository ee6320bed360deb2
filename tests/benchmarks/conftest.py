"""Benchmarks are collected only where this folder is named: `python -m pytest tests/benchmarks -q -s`."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tags", default="1e8", help="time tags to measure with")
    parser.addoption("--peer", help="a Python with pycorrelate, tttrlib or etabackend, to measure beside")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Ignore what is here unless the command line leads here."""
    paths = [config.invocation_params.dir / word.partition("::")[0] for word in config.args]
    return None if any(path.resolve().is_relative_to(HERE) for path in paths) else True


def two_processors() -> tuple[int, int]:
    """Two processors that we may use, or -1 twice where they are fewer or cannot be chosen."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        return -1, -1
    ours, theirs, *_ = sorted(os.sched_getaffinity(0))
    return ours, theirs


@contextlib.contextmanager
def staying_on(processor: int) -> Iterator[None]:
    if processor < 0:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def loopback_port() -> Iterator[int]:
    """The port of an instrument in a process of its own; it and we stay on one processor each, where there are two.

    Where the scheduler happens to put the two would otherwise change the time of a round trip by a factor of three.
    """
    ours, theirs = two_processors()
    process = subprocess.Popen(
        [sys.executable, str(HERE / "loopback_instrument.py"), str(theirs)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with staying_on(ours):
        yield int(process.stdout.readline())
    process.stdin.close()
    assert process.wait(10.0) == 0
    process.stdout.close()
