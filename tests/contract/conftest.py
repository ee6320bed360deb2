"""What contract tests share: a bench in this process, the testbed's devices on it, and what was said to each."""

import json
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from pathlib import Path
from typing import Any

import pytest

from drivers.time_tagger.qutag import QuTag
from qdci_lab.device import Instrument, LabDevice
from qdci_lab.session import Session, open_session
from qdci_lab.sim_process import registration_path
from qdci_lab.transport.c_api import CLibrary
from sim_devices.bench import Bench

Log = MutableSequence[Any]


class LoggedLibrary(CLibrary):
    """A C library that notes every call, as a connection notes its messages."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.log: list[str] = []

    def function(self, symbol: str, result: Any, arguments: Sequence[Any]) -> Callable[..., Any]:
        call = super().function(symbol, result, arguments)

        def noted(*values: Any) -> Any:
            self.log.append(symbol)
            return call(*values)

        return noted


@pytest.fixture(scope="module")
def bench(testbed_folder: Path) -> Iterator[Bench]:
    """A bench in this process, which sessions find as they find any other."""
    note = registration_path(testbed_folder)
    with Bench(testbed_folder) as running:
        note.write_text(json.dumps({"control": running.control_address}), encoding="utf-8")
        yield running
        note.unlink()


@pytest.fixture(scope="module")
def session(
    testbed_folder: Path, bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """The ten devices and the link, connected over the bench's wires."""
    opened = open_session(testbed_folder, addresses="sim.toml", directory=tmp_path_factory.mktemp("data"))
    assert opened.bench is not None
    assert opened.bench.control == bench.control_address
    tagger = opened.devices["bob.tagger"]
    assert isinstance(tagger, QuTag)
    tagger.library = LoggedLibrary(tagger.address)
    opened.connect()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def log_of() -> Callable[[LabDevice], Log]:
    """What has passed between a device and its instrument."""

    def log(device: LabDevice) -> Log:
        if isinstance(device, Instrument):
            return device.connection.log
        assert isinstance(device, QuTag)
        assert isinstance(device.library, LoggedLibrary)
        return device.library.log

    return log
