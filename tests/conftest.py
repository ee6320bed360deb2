"""What many tests share: the testbed, and a console that keeps what is printed."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import settings
from rich.console import Console

from tests.fault_table import FaultTable, note_cell

__all__ = ["note_cell"]

ROOT = Path(__file__).parents[1]

# A first example may wait for a kernel to be compiled. Examples are the same every time, unless new ones are wanted.
settings.register_profile("lab", deadline=None, derandomize="QDCI_NEW_EXAMPLES" not in os.environ)
settings.load_profile("lab")


def pytest_configure(config: pytest.Config) -> None:
    """Gather what is seen of faults on purpose."""
    config.pluginmanager.register(FaultTable())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests of silent instruments wait, a third of the time."""
    return 1 + (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def testbed_folder() -> Path:
    return ROOT / "configs" / "ji_mcf"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160)


@pytest.fixture(autouse=True, scope="session")
def own_runtime_folder(tmp_path_factory):
    """No test joins a bench that the user has up."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    yield
    patch.undo()
