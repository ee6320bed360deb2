"""Plays transcripts against whatever answers at the other end of a byte pipe, and says where it answers otherwise."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qdci_lab.config import DeviceSpec
from qdci_lab.device import Instrument
from qdci_lab.errors import TransportTimeout
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.pipe import Transport, open_pipe
from qdci_lab.wire.framing import Framing
from qdci_lab.wire.transcript import OBJECTS_END, Exchange, Transcript, load_transcript

FOLDER = Path(__file__).parent / "transcripts"
SILENCE_S = 0.05
MAX_SILENCES = 3
TRANSCRIPTS: Mapping[str, Transcript] = {
    path.stem: load_transcript(path) for path in sorted(FOLDER.glob("*.toml"))
}
"""Every transcript, by the stem of its file, which is the name of the driver's module and of the firmware."""


@dataclass(frozen=True)
class Finding:
    """What came back in one exchange, and whether it is what the transcript says."""

    exchange: Exchange
    reply: bytes | None
    agrees: bool

    def __str__(self) -> str:
        said, wanted = self.exchange.send[:80], self.exchange.reply
        return f"{said!r} is answered with {self.reply!r}, and not as ({self.exchange.compare}) {wanted!r}"


class Player:
    """The client's part of a conversation over an open pipe."""

    def __init__(self, pipe: Transport, framing: Framing, *, timeout_s: float = 2.0) -> None:
        self._pipe = pipe
        self._framing = framing
        self._timeout_s = timeout_s

    def say(self, message: bytes) -> None:
        """Send a message."""
        self._pipe.write(self._framing.encode(message))

    def hear(self, timeout_s: float) -> bytes | None:
        """The next reply; None if there is none in time."""
        deadline_s = time.monotonic() + timeout_s
        while (reply := self._framing.next_reply()) is None:
            left_s = deadline_s - time.monotonic()
            try:
                self._framing.feed(self._pipe.read(max(left_s, 1e-3)))
            except TransportTimeout:
                return None
        return reply

    def play(self, transcript: Transcript) -> Iterator[Finding]:
        """Play all exchanges; what comes without having been asked for is a finding of the last one.

        An instrument that has given no answer three times is not asked further.
        """
        silences = 0
        for message in transcript.before:
            self.say(message)
            while self.hear(SILENCE_S) is not None:
                pass
        for exchange in transcript.exchanges:
            self.say(exchange.send)
            reply = self._answer(transcript, exchange)
            yield Finding(exchange, reply, transcript.agrees(exchange, reply))
            silences += reply is None and exchange.reply is not None
            if silences == MAX_SILENCES:
                return
        if not transcript.has_unasked and (surplus := self.hear(SILENCE_S)) is not None:
            yield Finding(transcript.exchanges[-1], surplus, agrees=False)

    def _answer(self, transcript: Transcript, exchange: Exchange) -> bytes | None:
        if exchange.reply is None:
            return None
        reply = self.hear(self._timeout_s)
        while exchange.compare == "objects" and reply and not transcript.agrees(exchange, reply):
            if (further := self.hear(self._timeout_s)) is None:
                break
            reply += OBJECTS_END + further
        return reply


def player_at(spec: DeviceSpec, address: str) -> tuple[Player, Transport]:
    """A player who speaks as the device's driver does, and its pipe, which is open."""
    driver = _bare_driver(spec)
    pipe = open_pipe(address, baud_rate=driver.BAUD_RATE, rts_cts=driver.RTS_CTS)
    pipe.open()
    return Player(pipe, driver.make_framing()), pipe


def framing_of(spec: DeviceSpec) -> Framing:
    """The framing of the device's driver."""
    return _bare_driver(spec).make_framing()


def _bare_driver(spec: DeviceSpec) -> Instrument:
    nobody = MemoryTransport(lambda _data: b"")
    driver = spec.driver("memory", name="device", transport=nobody, **spec.options)
    assert isinstance(driver, Instrument)
    return driver
