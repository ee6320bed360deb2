"""A table of what the user sees of each fault, printed at the end of the tests."""

from collections.abc import Callable

import pytest

Row = tuple[str, str]
Table = dict[Row, dict[str, str]]

TABLE = pytest.StashKey[Table]()
OPERATIONS = ("connect", "set", "trigger", "read", "stop")
CELL_WIDTH = 33


@pytest.fixture(scope="session")
def note_cell(request: pytest.FixtureRequest) -> Callable[[str, str, str, str], None]:
    """Writes one cell of the table: fault, instrument, operation, and what was seen."""
    table = request.config.stash.setdefault(TABLE, {})

    def note(fault: str, instrument: str, operation: str, seen: str) -> None:
        table.setdefault((fault, instrument), {})[operation] = seen

    return note


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """What was seen, a row for each fault and instrument. `>` separates the errors of attempts."""
    del exitstatus
    table = config.stash.get(TABLE, {})
    if not table:
        return
    terminalreporter.section("faults on purpose: what the user sees, and how the device comes back")
    header = f"{'fault':20}{'instrument':22}" + "".join(f"{name:{CELL_WIDTH}}" for name in OPERATIONS)
    terminalreporter.line(header.rstrip())
    for (fault, instrument), cells in table.items():
        words = "".join(f"{cells.get(name, '(not run)'):{CELL_WIDTH}}" for name in OPERATIONS)
        terminalreporter.line(f"{fault:20}{instrument:22}{words}".rstrip())
