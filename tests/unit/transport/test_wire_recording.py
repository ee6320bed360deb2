"""What a tap writes down and what a replay makes of it, byte for byte."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qdci_lab.connection import Connection
from qdci_lab.errors import LocalProtocolError, RecordError, TransportError, TransportTimeout
from qdci_lab.transport.c_api import CLibrary
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.pipe import open_pipe
from qdci_lab.transport.replay import ReplayTransport
from qdci_lab.transport.tap import TapTransport
from qdci_lab.wire.framing import ScpiFraming
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import block, block_data, integer, text
from qdci_lab.wire.wire_log import Mark, WireLog, parse_wire_log

NOISE = bytes(range(256)) * 20
SECONDS = re.compile(r"^ *\d+\.\d{6} ", re.MULTILINE)
IDENTITY, SILENT = Query.text("*IDN?", text), Query.text("SILENCE?", text)


def answer(data: bytes) -> bytes:
    return {
        b"*IDN?\n": b"Maker,Model,1,2\r\n",
        b"NOISE?\n": block(NOISE) + b"\n",
        b"TWO?\n": b"1\n",
        b"THREE?\n": b"2\n3\n",
        b":SYST:ERR?\n": b'-113,"Undefined header"\n',
    }.get(data, b"")


def tapped(path: Path, *, chunk: int = 1000, **options: Any) -> TapTransport:
    return TapTransport(MemoryTransport(answer, chunk=chunk), path, **options)


def connection(transport: Any) -> Connection:
    return Connection("lab.dev", transport, ScpiFraming(), timeout_s=2.0)


def log_of(path: Path) -> WireLog:
    return parse_wire_log(path.read_text(encoding="ascii"))


def body(path: Path) -> str:
    """The file without its header and times."""
    return SECONDS.sub("", path.read_text(encoding="ascii").partition("+00:00\n")[2])


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., ReplayTransport]:
    """A replay of entries given as `mark bytes` lines."""

    def write(*lines: str) -> ReplayTransport:
        path = tmp_path / "written.wire"
        head = "# wire log 1\n# address: there\n# date: 2026-03-01T09:30:00+00:00\n"
        path.write_text(head + "".join(f"0.000000 {line}\n" for line in lines), encoding="ascii")
        return ReplayTransport(f"replay:{path}")

    return write


def test_a_tap_writes_what_passes_and_changes_nothing(tmp_path: Path):
    tap = tapped(tmp_path / "lab.dev.wire", model="Maker Model")
    assert not tap.is_open
    tap.open()
    assert tap.is_open
    tap.write(b"*IDN?\n")
    assert tap.read(1.0) == b"Maker,Model,1,2\r\n"
    with pytest.raises(TransportTimeout):
        tap.read(0.1)
    tap.close()
    assert not tap.is_open
    assert body(tap.path) == "+\n> *IDN?\\n\n< Maker,Model,1,2\\r\\n\n?\n-\n"
    header = log_of(tap.path).header
    assert (header.address, header.model) == (tap.address, "Maker Model")


def test_what_was_said_is_in_the_file_at_once(tmp_path: Path):
    tap = tapped(tmp_path / "lab.dev.wire")
    tap.open()
    tap.write(b"*IDN?\n")
    assert body(tap.path) == "+\n> *IDN?\\n\n"
    tap.close()


def test_bytes_read_into_a_buffer_are_written_down_as_well(tmp_path: Path):
    tap = tapped(tmp_path / "lab.dev.wire")
    tap.open()
    tap.write(b"*IDN?\n")
    buffer = bytearray(5)
    assert tap.read_into(memoryview(buffer), 1.0) == 5
    assert (bytes(buffer), tap.read(1.0)) == (b"Maker", b",Model,1,2\r\n")
    tap.close()
    received = [entry.data for entry in log_of(tap.path).entries if entry.mark is Mark.RECEIVED]
    assert received == [b"Maker", b",Model,1,2\r\n"]


def test_a_link_opened_anew_goes_on_in_the_same_file_and_time(tmp_path: Path):
    tap = tapped(tmp_path / "lab.dev.wire")
    for _ in range(2):
        tap.open()
        tap.write(b"*IDN?\n")
        tap.close()
        tap.close()
    log = log_of(tap.path)
    assert [entry.mark.value for entry in log.entries] == list("+>-+>-")
    times = [entry.offset_us for entry in log.entries]
    assert times == sorted(times)


def test_no_recording_is_overwritten(tmp_path: Path):
    path = tmp_path / "lab.dev.wire"
    path.write_text("precious", encoding="ascii")
    with pytest.raises(RecordError, match=r"lab\.dev\.wire: is there already"):
        tapped(path).open()
    assert path.read_text(encoding="ascii") == "precious"


def test_a_folder_that_is_not_there_is_an_error_with_a_name(tmp_path: Path):
    with pytest.raises(RecordError, match=r"nowhere/lab\.dev\.wire: No such file"):
        tapped(tmp_path / "nowhere" / "lab.dev.wire").open()


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_a_recorded_conversation_is_had_again(tmp_path: Path, chunk: int):
    def converse(dev: Connection) -> list[object]:
        dev.open()
        said: list[object] = [dev.query(IDENTITY)]
        dev.command(Command(b":DATA " + block(NOISE)))
        said.append(dev.query(Query.text("NOISE?", block_data)) == NOISE)
        with pytest.raises(TransportTimeout) as caught:
            dev.query(SILENT)
        said += [str(caught.value).partition(": ")[0], dev.query(Query.text("TWO?", integer))]
        dev.close()
        return said

    tap = tapped(tmp_path / "lab.dev.wire", chunk=chunk)
    replay = open_pipe(f"replay:{tap.path}")
    assert isinstance(replay, ReplayTransport)
    live = converse(connection(tap))
    assert converse(connection(replay)) == live == ["Maker,Model,1,2", True, "lab.dev", 1]
    assert replay.exhausted


def test_a_refusal_of_the_instrument_is_replayed(tmp_path: Path):
    tap = tapped(tmp_path / "lab.dev.wire")
    complaints = []
    for transport in (tap, ReplayTransport(f"replay:{tap.path}")):
        dev = connection(transport)
        with pytest.raises(Exception, match="Undefined header") as caught:
            dev.checked(Command.text("BAD"))
        complaints.append(str(caught.value))
        dev.close()
    assert complaints[0] == complaints[1]


def test_a_link_that_failed_fails_again_in_its_own_words(tmp_path: Path, loopback: Any):
    instrument = loopback(lambda line: None if line == b"HANG UP\n" else b"1\n")
    tap = TapTransport(open_pipe(instrument.visa_address), tmp_path / "lab.dev.wire")

    def converse(transport: Any) -> list[str]:
        dev, said = connection(transport), []
        with pytest.raises(TransportError) as caught:
            dev.query(Query.text("HANG UP", text))
        said.append(str(caught.value).replace(transport.address, "…"))
        said.append(dev.query(Query.text("WELL?", text)))
        dev.close()
        return said

    live = converse(tap)
    assert live[1] == "1"
    assert converse(ReplayTransport(f"replay:{tap.path}")) == live


def test_an_instrument_that_was_not_there_is_not_there_again(tmp_path: Path):
    tap = TapTransport(open_pipe("/dev/there-is-no-such-port"), tmp_path / "lab.dev.wire")
    complaints = []
    for transport in (tap, ReplayTransport(f"replay:{tap.path}")):
        with pytest.raises(TransportError) as caught:
            transport.open()
        assert not transport.is_open
        complaints.append(str(caught.value).partition(": ")[2])
    assert complaints[0] == complaints[1]
    assert "No such file" in complaints[0]


def test_how_messages_are_cut_into_writes_does_not_matter(recording: Callable[..., ReplayTransport]):
    replay = recording("+", r"> A?\nB?\n", r"< 1\n", r"> C?\n", r"> D?\n", r"< 2\n", "-")
    replay.open()
    replay.write(b"A?")
    replay.write(b"\nB?\n")
    assert replay.read(1.0) == b"1\n"
    replay.write(b"C?\nD?\n")
    buffer = bytearray(1)
    assert replay.read_into(memoryview(buffer), 1.0) == 1
    assert bytes(buffer) + replay.read(1.0) == b"2\n"
    replay.close()
    assert replay.exhausted


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"*RST\n", r"line 5: the recording has b'\*IDN\?\\n' to be sent here, but b'\*RST\\n' was sent$"),
        (b"*IDN?\r\n", r"line 5: the recording has b'\*IDN\?\\n' .*but b'\*IDN\?\\r\\n' was sent"),
        (b"*IDN?\nX\n", r"line 7: the recording has b':DATA #3200A+'… to be sent here, but b'X\\n' was sent"),
        (
            b"*IDN?\n:DATA #3200" + b"A" * 150 + b"B" * 50 + b"\n",
            r"line 7: .*b'A+'… to be sent here, but …b'A{40}B{40}'… was sent \(other from byte 161 on\)",
        ),
        (
            b"*IDN?\n:DATA #3200" + b"A" * 200 + b"\nMORE\n",
            r"line 8: the recording has the link closed here, but b'MORE\\n' was sent",
        ),
    ],
)
def test_anything_else_is_refused_with_the_place(
    recording: Callable[..., ReplayTransport], said: bytes, complaint: str
):
    replay = recording("+", r"> *IDN?\n", r"< me\n", f"> :DATA #3200{'A' * 200}\\n", "-")
    replay.open()
    with pytest.raises(LocalProtocolError, match=rf"^replay:\S+written\.wire: {complaint}"):
        replay.write(said)


def test_an_answer_that_nobody_recorded_is_refused(recording: Callable[..., ReplayTransport]):
    replay = recording("+", r"> *CLS\n", r"> *RST\n")
    replay.open()
    replay.write(b"*CLS\n")
    with pytest.raises(LocalProtocolError, match=r"line 6: .*b'\*RST\\n' to be sent here, but an answer"):
        replay.read(1.0)
    replay.write(b"*RST\n")
    with pytest.raises(LocalProtocolError, match="the recording is at its end, but an answer was awaited"):
        replay.read(1.0)


def test_a_link_is_not_opened_more_often_than_recorded(recording: Callable[..., ReplayTransport]):
    replay = recording("+", r"> *CLS\n", "-")
    replay.open()
    replay.close()
    with pytest.raises(
        LocalProtocolError, match=r"line 5: .*b'\*CLS\\n' to be sent .*, but the link was opened"
    ):
        replay.open()


def test_a_refusal_names_the_instrument_and_does_not_mend_itself(recording: Callable[..., ReplayTransport]):
    dev = connection(recording("+", r"> *IDN?\n", r"< me\n", "-"))
    for complaint in ("b'OTHER", "the link was opened"):
        with pytest.raises(LocalProtocolError, match=rf"^lab\.dev: replay:.*line 5: .*{complaint}"):
            dev.query(Query.text("OTHER?", text))


def test_a_closed_replay_says_so(recording: Callable[..., ReplayTransport]):
    replay = recording("+")
    for act in (lambda: replay.write(b"A\n"), lambda: replay.read(1.0)):
        with pytest.raises(TransportError, match="the link is closed"):
            act()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "No such file"), (b"# wire log 9\n", "line 1: a wire log begins"), (b"\xff\xfe", "utf-8")],
)
def test_a_recording_that_cannot_be_played_is_a_link_that_cannot_be_opened(
    tmp_path: Path, content: bytes | None, complaint: str
):
    path = tmp_path / "lab.dev.wire"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TransportError, match=rf"lab\.dev\.wire: .*{complaint}"):
        ReplayTransport(f"replay:{path}").open()


def test_only_a_file_can_be_replayed_and_no_c_library():
    with pytest.raises(LocalProtocolError, match="no byte pipe"):
        open_pipe("replay:")
    with pytest.raises(TransportError, match=r"replay:tagger\.wire: is no address of a C library"):
        CLibrary("replay:tagger.wire").open()
