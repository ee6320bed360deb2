"""What a connection does after a failure before anything else is said, in memory."""

from collections.abc import Callable

import pytest

from qdci_lab.connection import Connection
from qdci_lab.errors import InstrumentError, LabError, SettingsChanged, TransportError, TransportTimeout
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.wire.framing import ScpiFraming
from qdci_lab.wire.message import Query
from qdci_lab.wire.scpi import IDENTITY, text

VALUE, SILENT = Query.text("VALUE?", text), Query.text("SILENT?", text)


class Line(MemoryTransport):
    """A serial line: what was waiting when it was closed comes first when it is opened again."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        super().__init__(answer)
        self.left_over = b""
        self.late = b""

    def write(self, data: bytes) -> None:
        super().write(b"")
        self._waiting += self.late
        self.late = b""
        super().write(data)


class Instrument:
    """Knows itself and a value, says nothing to SILENT?, and has an error to tell once."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.errors: list[bytes] = []
        self.is_silent = False

    def answer(self, data: bytes) -> bytes:
        if not data or self.is_silent:
            return b""
        self.heard.append(data.strip())
        if data == b":SYST:ERR?\n":
            return self.errors.pop(0) if self.errors else b'+0,"No error"\n'
        return {b"*IDN?\n": b"me\n", b"VALUE?\n": b"1\n"}.get(data, b"")


@pytest.fixture
def instrument() -> Instrument:
    return Instrument()


@pytest.fixture
def connection(instrument: Instrument) -> Connection:
    connection = Connection("lab.dev", MemoryTransport(instrument.answer), ScpiFraming())
    connection.open()
    return connection


def fail(connection: Connection) -> None:
    with pytest.raises(TransportTimeout):
        connection.query(SILENT)


def test_the_instrument_is_restored_before_the_first_message_after_a_failure_and_not_again(
    connection, instrument
):
    connection.restore = lambda: connection.query(IDENTITY)
    connection.query(VALUE)
    fail(connection)
    instrument.heard.clear()
    assert [connection.query(VALUE) for _ in range(2)] == ["1", "1"]
    assert instrument.heard == [b"*IDN?", b"VALUE?", b"VALUE?"]


def test_what_cannot_be_restored_is_tried_again_at_the_next_message(connection):
    outcomes: list[LabError] = [TransportError("not yet"), TransportError("nor now")]

    def restore() -> None:
        if outcomes:
            raise outcomes.pop(0)

    connection.restore = restore
    fail(connection)
    for _ in range(2):
        with pytest.raises(TransportError, match=r"lab\.dev: n"):
            connection.query(VALUE)
    assert connection.query(VALUE) == "1"


def test_changed_settings_are_told_once_and_the_link_is_kept(connection, instrument):
    def restore() -> None:
        raise SettingsChanged("others")

    connection.restore = restore
    fail(connection)
    with pytest.raises(SettingsChanged, match=r"lab\.dev: others"):
        connection.query(VALUE)
    assert connection.transport.is_open
    assert connection.query(VALUE) == "1"
    assert instrument.heard[-1] == b"VALUE?"


def test_silence_is_explained_before_the_instrument_is_restored(connection, instrument):
    restored: list[bool] = []
    connection.restore = lambda: restored.append(True)
    instrument.errors.append(b'-113,"Undefined header"\n')
    with pytest.raises(InstrumentError, match="-113"):
        connection.checked_query(SILENT)
    assert restored == []
    assert connection.query(VALUE) == "1"
    assert restored == []  # it was there all the time
    assert connection.timeout_s == 2.0


def test_unexplained_silence_leaves_the_restoring_to_the_next_message(connection):
    restored: list[bool] = []
    connection.restore = lambda: restored.append(True)
    with pytest.raises(TransportTimeout):
        connection.checked_query(SILENT)
    assert restored == []
    assert connection.query(VALUE) == "1"
    assert restored == [True]


def test_every_new_link_is_greeted(connection, instrument):
    connection.greet = lambda: connection.query(IDENTITY)
    fail(connection)
    instrument.heard.clear()
    connection.query(VALUE)
    connection.close()
    connection.query(VALUE)
    assert instrument.heard == [b"*IDN?", b"VALUE?"] * 2


@pytest.mark.parametrize("late", [b"", b"9\n", b"9\n8\n", b"9"])
def test_on_a_line_everything_before_the_identity_is_dropped(instrument, late):
    line = Line(instrument.answer)
    connection = Connection("lab.dev", line, ScpiFraming(), timeout_s=0.05)
    connection.open()
    with connection.identifying():
        connection.query(IDENTITY)
    fail(connection)
    line.late = late
    if late.endswith(b"9"):  # half a reply spoils the identity, and the next attempt is right
        fail(connection)
    assert connection.query(VALUE) == "1"


@pytest.mark.parametrize(("late", "left_over"), [(b"me\n", b""), (b"", b"me\n"), (b"", b"")])
def test_a_late_identity_is_counted_wherever_it_turns_up(instrument, late, left_over):
    line = Line(instrument.answer)
    connection = Connection("lab.dev", line, ScpiFraming(), timeout_s=0.05)
    connection.open()
    with connection.identifying():
        connection.query(IDENTITY)
    instrument.is_silent = True
    with pytest.raises(TransportTimeout):
        connection.query(IDENTITY)
    instrument.is_silent = False
    line.late, line.left_over = late, left_over
    assert [connection.query(VALUE) for _ in range(3)] == ["1"] * 3
