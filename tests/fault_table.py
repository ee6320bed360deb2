"""The table of what the user sees of each fault, at the end of the tests' output.

Cells travel in the tests' reports, so that they arrive from other processes too.
"""

from collections.abc import Callable, Sequence
from typing import cast

import pytest

Table = dict[tuple[str, str], dict[str, str]]

CELL = "fault_cell"
OPERATIONS = ("connect", "set", "trigger", "read", "stop")
FAULT_WIDTH, INSTRUMENT_WIDTH, GAP = 20, 21, 2


@pytest.fixture
def note_cell(record_property: Callable[[str, object], None]) -> Callable[[str, str, str, str], None]:
    """Writes one cell of the table: fault, instrument, operation, and what was seen."""

    def note(fault: str, instrument: str, operation: str, seen: str) -> None:
        record_property(CELL, (fault, instrument, operation, seen))

    return note


class FaultTable:
    """A plugin: gathers the cells, and prints them; `>` between attempts, `then` when the fault was over."""

    def __init__(self) -> None:
        self._table: Table = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the cells of a test that has run, here or in another process."""
        for name, cell in report.user_properties if report.when == "call" else ():
            if name == CELL:
                fault, instrument, operation, seen = map(str, cast("Sequence[object]", cell))
                self._table.setdefault((fault, instrument), {})[operation] = seen

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, if there is anything in it."""
        if not self._table:
            return
        terminalreporter.section("faults on purpose: what the user sees, and how the device comes back")
        heads = {name: name for name in OPERATIONS}
        rows = {
            ("fault", "instrument"): heads,
            **dict(sorted(self._table.items(), key=lambda row: row[0][::-1])),
        }
        widths = {name: GAP + max(len(cells.get(name, "")) for cells in rows.values()) for name in OPERATIONS}
        for (fault, instrument), cells in rows.items():
            words = "".join(f"{cells.get(name, '(not run)'):{widths[name]}}" for name in OPERATIONS)
            terminalreporter.line(f"{fault:{FAULT_WIDTH}}{instrument:{INSTRUMENT_WIDTH}}{words}".rstrip())
