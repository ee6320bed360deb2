"""Every transcript, played against the simulated instrument of its model; its other player is the driver.

The firmware stands on a twin of its own. Messages and replies are framed as the driver frames them.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from qdci_lab.config import load_testbed
from qdci_lab.device import Instrument
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.wire.framing import Framing
from qdci_lab.wire.transcript import Exchange, Transcript, load_transcript
from sim_devices.config import load_twin
from sim_devices.firmware import FIRMWARES
from sim_devices.firmware.session import Session
from sim_devices.twin.layout import ComponentSpec, InstrumentSpec, Layout
from sim_devices.twin.twin import Twin

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "configs" / "ji_mcf"
# Of the instruments that no testbed has, the drivers alone play the transcripts.
ON_THE_BENCH = {spec.firmware for spec in load_twin(TESTBED).instruments.values()}
TRANSCRIPTS = {
    path.stem: load_transcript(path)
    for path in (ROOT / "tests" / "transcripts").glob("*.toml")
    if path.stem in ON_THE_BENCH
}
STEMS = sorted(TRANSCRIPTS)
WITHOUT_TRANSCRIPT = {"qutag"}  # a library, not a conversation


def instrument_of(stem: str) -> tuple[Layout, str, InstrumentSpec]:
    """A layout, and the first instrument in it with that firmware; the switch has the size of its transcript."""
    layout = load_twin(TESTBED)
    role, spec = next((role, spec) for role, spec in layout.instruments.items() if spec.firmware == stem)
    if stem != "polatis_6000":
        return layout, role, spec
    matrix = ComponentSpec("optical_switch", {"ingress": 16, "egress": 16, "insertion_loss_db": 0.5})
    small = replace(spec, options={**spec.options, "product_code": "N-VST-16x16-LU1-DMHNV"})
    return Layout(layout.seed, {spec.components["matrix"]: matrix}, ()), role, small


def session_with(stem: str) -> Session:
    """A client's session with an instrument that has just been switched on."""
    layout, _, spec = instrument_of(stem)
    twin = Twin(layout)
    handles = {socket: twin.handle(component) for socket, component in spec.components.items()}
    firmware = FIRMWARES[stem](handles, serial_number=spec.serial_number, **spec.options)
    return firmware.session()


def framing_of(stem: str) -> Framing:
    """The framing of the driver."""
    _, role, _ = instrument_of(stem)
    spec = load_testbed(TESTBED, "sim.toml").devices[role]
    nobody = MemoryTransport(lambda _data: b"")
    driver = spec.driver("memory", name="device", transport=nobody, **spec.options)
    assert isinstance(driver, Instrument)
    return driver.make_framing()


class Client:
    """Talks to a freshly started instrument, `chunk` bytes at a time in both directions (0: all there are)."""

    def __init__(self, stem: str, chunk: int) -> None:
        self._session = session_with(stem)
        self._framing = framing_of(stem)
        self._chunk = chunk

    def say(self, *messages: bytes) -> list[bytes]:
        """All messages in one go, and the replies to them."""
        for sent in self._pieces(b"".join(map(self._framing.encode, messages))):
            for received in self._pieces(self._session.feed(sent)):
                self._framing.feed(received)
        replies = []
        while (reply := self._framing.next_reply()) is not None:
            replies.append(reply)
        return replies

    def _pieces(self, data: bytes) -> list[bytes]:
        size = self._chunk or max(len(data), 1)
        return [data[start : start + size] for start in range(0, len(data), size)]


def disagreement(transcript: Transcript, exchange: Exchange, reply: bytes | None) -> str:
    if transcript.agrees(exchange, reply):
        return ""
    said, wanted = exchange.send[:80], exchange.reply
    return f"{said!r} is answered with {reply!r}, and not as ({exchange.compare}) {wanted!r}"


def test_every_instrument_of_the_testbed_has_a_transcript():
    firmwares = {spec.firmware for spec in load_twin(TESTBED).instruments.values()}
    assert firmwares - WITHOUT_TRANSCRIPT == set(STEMS)


@pytest.mark.parametrize("chunk", [0, 1], ids=["message by message", "byte by byte"])
@pytest.mark.parametrize("stem", STEMS)
def test_the_simulated_instrument_answers_as_the_transcript_says(stem, chunk):
    transcript, client = TRANSCRIPTS[stem], Client(stem, chunk)
    client.say(*transcript.before)
    found = []
    for exchange in transcript.exchanges:
        replies = client.say(exchange.send)
        assert len(replies) <= 1, exchange.send
        found.append(disagreement(transcript, exchange, replies[0] if replies else None))
    assert [words for words in found if words] == []


@pytest.mark.parametrize("stem", STEMS)
def test_it_answers_alike_when_all_is_said_in_one_piece(stem):
    transcript, client = TRANSCRIPTS[stem], Client(stem, 0)
    client.say(*transcript.before)
    answered = [exchange for exchange in transcript.exchanges if exchange.reply is not None]
    replies = client.say(*(exchange.send for exchange in transcript.exchanges))
    found = [
        disagreement(transcript, exchange, reply) for exchange, reply in zip(answered, replies, strict=True)
    ]
    assert [words for words in found if words] == []


@pytest.mark.parametrize("stem", STEMS)
def test_every_answer_of_a_transcript_can_be_wrong(stem):
    transcript = TRANSCRIPTS[stem]
    for exchange in transcript.exchanges:
        if exchange.reply is None:
            assert not transcript.agrees(exchange, b"1")
        else:
            assert transcript.agrees(exchange, exchange.reply)
            for wrong in (None, b"", exchange.reply + b",1.5x"):
                assert not transcript.agrees(exchange, wrong) or (wrong and exchange.compare == "identity")


@pytest.mark.parametrize(
    ("compare", "step", "example", "good", "bad"),
    [
        ("exact", 0.0, b'+0,"No error"', [b'+0,"No error"'], [b'0,"No error"', b'+0, "No error"']),
        ("number", 0.0, b"+1.00000000E+001", [b"10", b"1e1", b"10.00000001"], [b"10.00001", b"ten", b"10,1"]),
        ("number", 0.1, b"SETALC,1,13.0", [b"SETALC,1,13.05"], [b"SETALC,1,13.3", b"SETACC,1,13.0"]),
        ("form", 0.0, b"-3.10,N/A", [b"-60.00,N/A", b"+1.5E-03,N/A"], [b"-60.00", b"-60,N/A", b"N/A,N/A"]),
        ("form", 0.0, b"1234", [b"0"], [b"0.5", b"Unknown command"]),
        ("identity", 0.0, b"Maker Ltd,M1,7,1.0", [b"Maker,M1,8,2.0"], [b"Maker,M2,7,1.0", b"Other,M1,7,1.0"]),
        ("end", 0.0, b"Error!", [b"Error!", b"Parameter Error!"], [b"Error!\r\nDone", b"Done"]),
    ],
)
def test_what_counts_as_the_same_answer(compare, step, example, good, bad):
    exchange = Exchange(b"?", example, "assumed", compare, step)
    transcript = Transcript("Maker M1", (exchange,))
    assert [reply for reply in good if not transcript.agrees(exchange, reply)] == []
    assert [reply for reply in bad if transcript.agrees(exchange, reply)] == []
