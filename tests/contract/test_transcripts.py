"""Every transcript, played against the simulated instrument of its model; its other player is the driver.

Each instrument stands on a bench of its own, switched on a moment ago. It is talked to over its wire, and without one,
byte by byte. Messages and replies are framed as the driver frames them.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qdci_lab.config import load_testbed
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.wire.transcript import Exchange, Transcript
from sim_devices.bench import Bench
from sim_devices.config import load_twin
from sim_devices.firmware import FIRMWARES
from sim_devices.firmware.session import Session
from sim_devices.twin.twin import Twin
from tests.transcript_player import TRANSCRIPTS, Finding, Player, framing_of, player_at

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "tests" / "testbeds" / "every_model"
DEVICES = load_testbed(TESTBED, "sim.toml").devices
UNASKED = sorted(stem for stem, transcript in TRANSCRIPTS.items() if transcript.has_unasked)
WITHOUT_TRANSCRIPT = {"qutag"}  # a library, not a conversation
every_transcript = pytest.mark.parametrize("stem", TRANSCRIPTS)


def session_with(stem: str) -> Session:
    """A client's session with an instrument that has just been switched on, without a wire."""
    layout = load_twin(TESTBED)
    twin, spec = Twin(layout), layout.instruments[stem]
    twin.handle("light").apply(emission_on=True)
    handles = {socket: twin.handle(component) for socket, component in spec.components.items()}
    firmware = FIRMWARES[spec.firmware](handles, serial_number=spec.serial_number, **spec.options)
    return firmware.session()


def byte_by_byte(feed: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The same conversation, with what the client says arriving one byte at a time."""
    return lambda data: b"".join(feed(data[at : at + 1]) for at in range(len(data)))


def wrong(findings: Iterator[Finding]) -> list[str]:
    return [str(finding) for finding in findings if not finding.agrees]


def test_every_simulated_instrument_has_a_transcript_and_a_device_that_speaks_so():
    assert set(FIRMWARES) - WITHOUT_TRANSCRIPT == set(TRANSCRIPTS) == set(DEVICES)
    assert {spec.driver.__module__.rpartition(".")[2] for spec in DEVICES.values()} == set(TRANSCRIPTS)


def transcript_tests() -> Iterator[str]:
    """The drivers' tests that play a transcript, each with the name of its file, where one file is for one model."""
    for file in sorted((ROOT / "tests" / "unit" / "drivers").glob("test_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if (
                isinstance(node, ast.FunctionDef)
                and node.name.startswith("test_")
                and "transcript" in node.name
            ):
                yield f"{file.stem}\n{ast.unparse(node)}"


@every_transcript
def test_its_driver_plays_it_too(stem):
    assert any(stem in test for test in transcript_tests())


@every_transcript
def test_the_simulated_instrument_answers_over_its_wire_as_the_transcript_says(stem):
    with Bench(TESTBED, without=set(DEVICES) - {stem}) as bench:
        bench.twin.handle("light").apply(emission_on=True)
        player, pipe = player_at(DEVICES[stem], bench.devices[stem].address)
        with closing(pipe):
            assert wrong(player.play(TRANSCRIPTS[stem])) == []


@every_transcript
def test_it_answers_alike_byte_by_byte(stem):
    pipe = MemoryTransport(byte_by_byte(session_with(stem).feed), chunk=1)
    pipe.open()
    assert wrong(Player(pipe, framing_of(DEVICES[stem])).play(TRANSCRIPTS[stem])) == []


@pytest.mark.parametrize("stem", [stem for stem in TRANSCRIPTS if stem not in UNASKED])
def test_it_answers_alike_when_all_is_said_in_one_piece(stem):
    transcript, framing, session = TRANSCRIPTS[stem], framing_of(DEVICES[stem]), session_with(stem)
    session.feed(b"".join(map(framing.encode, transcript.before)))
    framing.feed(session.feed(b"".join(framing.encode(exchange.send) for exchange in transcript.exchanges)))
    answered = [exchange for exchange in transcript.exchanges if exchange.reply is not None]
    replies = [framing.next_reply() for _ in answered]
    assert framing.next_reply() is None
    pairs = zip(answered, replies, strict=True)
    assert wrong(Finding(one, reply, transcript.agrees(one, reply)) for one, reply in pairs) == []


@every_transcript
def test_every_answer_of_a_transcript_can_be_wrong(stem):
    transcript = TRANSCRIPTS[stem]
    for exchange in transcript.exchanges:
        if exchange.reply is None:
            assert not transcript.agrees(exchange, b"1")
            continue
        assert transcript.agrees(exchange, exchange.reply)
        assert not transcript.agrees(exchange, None)
        assert not transcript.agrees(exchange, b"")
        longer = exchange.reply + b",1.5x"
        assert not transcript.agrees(exchange, longer) or exchange.compare == "identity"


@pytest.mark.parametrize(
    ("compare", "step", "example", "good", "bad"),
    [
        ("exact", 0.0, b'+0,"No error"', [b'+0,"No error"'], [b'0,"No error"', b'+0, "No error"']),
        ("number", 0.0, b"+1.00000000E+001", [b"10", b"1e1", b"10.00000001"], [b"10.00001", b"ten", b"10,1"]),
        ("number", 0.1, b"SETALC,1,13.0", [b"SETALC,1,13.05"], [b"SETALC,1,13.3", b"SETACC,1,13.0"]),
        ("form", 0.0, b"-3.10,N/A", [b"-60.00,N/A", b"+1.5E-03,N/A"], [b"-60.00", b"-60,N/A", b"N/A,N/A"]),
        ("form", 0.0, b"1234", [b"0"], [b"0.5", b"Unknown command"]),
        ("identity", 0.0, b"Maker Ltd,M1,7,1.0", [b"Maker,M1,8,2.0"], [b"Maker,M2,7,1.0", b"Other,M1,7,1.0"]),
        ("lines", 0.0, b"IL:1.20\r\nDone", [b"A\r\nIL:0.75\r\nDone"], [b"IL:2\r\nDone", b"IL:1.20", b"Done"]),
        (
            "objects",
            0.0,
            b'{"label": "A", "value": {"value": 1}}\x17{"label": "B", "value": 2.5}',
            [
                b'{"value": 2.5, "label": "B"}\x17{"label": "C"}\x17{"label": "A", "value": {"value": 1, "unit": "s"}}'
            ],
            [
                b'{"label": "A", "value": {"value": 1}}',
                b'{"label": "A", "value": {"value": true}}\x17{"label": "B", "value": 2.5}',
            ],
        ),
        ("end", 0.0, b"Error!", [b"Error!", b"Parameter Error!"], [b"Error!\r\nDone", b"Done"]),
    ],
)
def test_what_counts_as_the_same_answer(compare, step, example, good, bad):
    exchange = Exchange(b"?", example, "assumed", compare, step)
    transcript = Transcript("Maker M1", (exchange,))
    assert [reply for reply in good if not transcript.agrees(exchange, reply)] == []
    assert [reply for reply in bad if transcript.agrees(exchange, reply)] == []
