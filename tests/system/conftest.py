"""A table of what the user sees of each fault, printed at the end of the tests."""

from collections.abc import Callable

import pytest

Row = tuple[str, str]
Table = dict[Row, dict[str, str]]

TABLE = pytest.StashKey[Table]()
OPERATIONS = ("connect", "set", "trigger", "read", "stop")
FAULT_WIDTH, INSTRUMENT_WIDTH, GAP = 20, 21, 2


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
    """What was seen, a row for each fault and instrument: `>` between attempts, `then` when the fault was over."""
    del exitstatus
    table = config.stash.get(TABLE, {})
    if not table:
        return
    terminalreporter.section("faults on purpose: what the user sees, and how the device comes back")
    heads = {name: name for name in OPERATIONS}
    widths = {
        name: GAP + max(len(cells.get(name, "")) for cells in (heads, *table.values())) for name in OPERATIONS
    }
    for (fault, instrument), cells in {("fault", "instrument"): heads, **table}.items():
        words = "".join(f"{cells.get(name, '(not run)'):{widths[name]}}" for name in OPERATIONS)
        terminalreporter.line(f"{fault:{FAULT_WIDTH}}{instrument:{INSTRUMENT_WIDTH}}{words}".rstrip())
