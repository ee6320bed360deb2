"""A sample of the crash table: nothing that was acknowledged is ever missing after recovery, and a loss is noticed."""

import sys
from pathlib import Path

import pytest

from tests.system.crash_run import Judge, empty, record
from tests.system.crash_table import GOOD, table


@pytest.mark.skipif(sys.platform != "linux", reason="traces a process by its system calls")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_no_crash_loses_what_was_acknowledged(tmp_path: Path) -> None:
    rows = table(tmp_path / "run", every=61)
    assert {verdict for row in rows for verdict in row.verdicts} <= GOOD
    assert all(row.verdicts["kept"] for row in rows)


def test_a_loss_would_be_noticed(tmp_path: Path) -> None:
    judge, seen = Judge(), []
    record(empty(tmp_path / "run"), lambda name, _document: seen.append(name))
    assert judge.verdict(tmp_path / "run", len(seen)) == "kept"
    assert (
        judge.verdict(tmp_path / "run", len(seen) + 1)
        == f"{len(seen)} documents of {len(seen) + 1} acknowledged"
    )
    assert "no journal" in judge.verdict(empty(tmp_path / "run"), 1)
