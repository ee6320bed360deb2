"""An instrument behind a wire on which faults can be put: the wire meets them, the firmware knows nothing of them."""

import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from sim_devices.faults import (
    RESTARTS,
    STREAM,
    Busy,
    DroppedConnection,
    Fault,
    FaultSchedule,
    Garbage,
    HalfOpenLink,
    LateReply,
    PowerGlitch,
    Reboot,
    StuckErrorQueue,
    TruncatedReply,
    WrongIdentity,
)
from sim_devices.firmware.session import ExtraPort, Session, StreamingSession

_ERROR_QUERY = re.compile(rb":?SYST(EM)?:ERR(OR)?(:NEXT)?\?\s*$", re.IGNORECASE)
_IDENTITY_QUERY = re.compile(rb"\*IDN\?\s*$", re.IGNORECASE)
_LINE_ENDS = b"\r\n"
_FIRST_MEANINGLESS, _LAST_MEANINGLESS = 0x80, 0xFE


class LinkEnds(ConnectionError):
    """The instrument hangs up in the middle of a conversation."""


class FaultyInstrument:
    """A firmware that can be started anew, and the faults of its wire.

    Links through a socket end with the instrument; a serial line stays.
    """

    def __init__(self, build: Callable[[], Any], faults: FaultSchedule, *, wire: str) -> None:
        self._build = build
        self.faults = faults
        self.wire = wire
        self.hangs_up = wire == STREAM
        self.starts = 1
        self.firmware = build()

    @property
    def extra_ports(self) -> Mapping[str, ExtraPort]:
        """Further ports of the firmware, with the same faults."""
        ports: Mapping[str, ExtraPort] = getattr(self.firmware, "extra_ports", {})
        return {key: ExtraPort(port.offset, self._opener(key)) for key, port in ports.items()}

    def session(self) -> Session:
        """A new conversation."""
        return _faulty(self, lambda: self.firmware.session())

    def arm(self, fault: Fault) -> None:
        """Put a fault on the wire; one that takes the power away and is due does it now."""
        self.faults.add(fault)
        if isinstance(fault, RESTARTS) and self.faults.next() is fault:
            self.restart()

    def restart(self) -> None:
        """Switch off and on: the firmware forgets all that it keeps in memory, and conversations end."""
        self.firmware = self._build()
        self.starts += 1

    def _opener(self, key: str) -> Callable[[], Session]:
        return lambda: _faulty(self, lambda: self.firmware.extra_ports[key].session())


class FaultySession:
    """One client's conversation. A message ends with CR, LF or both, or with the bytes that came together.

    A fault that spoils replies counts messages that have one; the others count every message.
    """

    def __init__(self, instrument: FaultyInstrument, opener: Callable[[], Session], inner: Session) -> None:
        self._instrument = instrument
        self._faults = instrument.faults
        self._opener = opener
        self._inner = inner
        self._starts = instrument.starts
        self._opened_under = instrument.faults.next()
        self._is_dead = False
        self._waiting = bytearray()
        self._effects: Mapping[type[Fault], Callable[[Any, bytes], bytes]] = {
            LateReply: self._reply_late,
            DroppedConnection: self._hang_up,
            HalfOpenLink: self._swallow,
            TruncatedReply: self._break_off,
            Garbage: self._babble,
            WrongIdentity: self._be_another,
            Busy: self._queue,
            StuckErrorQueue: self._report_an_error,
            Reboot: self._start_anew,
            PowerGlitch: self._start_anew,
        }

    def feed(self, data: bytes) -> bytes:
        """Bytes from the client to bytes for the client. LinkEnds when the instrument hangs up instead."""
        if not self._faults and not self._is_dead:
            return self._answer(data)
        return b"".join(map(self._take, data.splitlines(keepends=True)))

    def _take(self, message: bytes) -> bytes:
        fault = self._faults.next()
        if self._is_dead:
            return b""
        if fault is None:
            if message.strip(_LINE_ENDS):
                self._faults.let_pass()
            return self._answer(message)
        return self._effects[type(fault)](fault, message)

    def _answer(self, message: bytes) -> bytes:
        """What the instrument as it is now says to it, and to what it has not yet come to."""
        self._notice_restart()
        if self._waiting:
            message, self._waiting = bytes(self._waiting) + message, bytearray()
        return self._inner.feed(message)

    def _notice_restart(self) -> None:
        if self._starts == self._instrument.starts:
            return
        if self._instrument.hangs_up:
            raise LinkEnds
        self._inner, self._starts, self._waiting = self._opener(), self._instrument.starts, bytearray()

    def _reply_late(self, fault: LateReply, message: bytes) -> bytes:
        reply = self._answer(message)
        if reply:
            self._faults.spoil(fault)
            self._faults.hold(fault, fault.delay_s)
        return reply

    def _hang_up(self, fault: DroppedConnection, _message: bytes) -> bytes:
        self._faults.spoil(fault)
        raise LinkEnds

    def _swallow(self, fault: HalfOpenLink, _message: bytes) -> bytes:
        self._faults.spoil(fault)
        self._is_dead = self._instrument.hangs_up
        return b""

    def _break_off(self, fault: TruncatedReply, message: bytes) -> bytes:
        reply = self._answer(message)
        if reply:
            self._faults.spoil(fault)
        body = reply.rstrip(_LINE_ENDS)
        return body[: (len(body) + 1) // 2]

    def _babble(self, fault: Garbage, message: bytes) -> bytes:
        reply = self._answer(message)
        if reply:
            self._faults.spoil(fault)
        body = reply.rstrip(_LINE_ENDS)
        choose = random.Random(fault.seed)
        noise = bytes(choose.randint(_FIRST_MEANINGLESS, _LAST_MEANINGLESS) for _ in body)
        return noise + reply[len(body) :]

    def _be_another(self, fault: WrongIdentity, message: bytes) -> bytes:
        self._faults.spoil(fault)
        if self._instrument.hangs_up and self._opened_under is not fault:
            raise LinkEnds  # the cable that this link went through is in another instrument now
        return fault.identity.encode() + b"\r\n" if _IDENTITY_QUERY.search(message) else b""

    def _queue(self, fault: Busy, message: bytes) -> bytes:
        self._faults.spoil(fault)
        self._waiting += message
        return b""

    def _report_an_error(self, fault: StuckErrorQueue, message: bytes) -> bytes:
        reply = self._answer(message)
        if not _ERROR_QUERY.search(message):
            return reply
        self._faults.spoil(fault)
        others = reply.rpartition(b";")[0] if b";" in message else b""
        entry = f'{fault.code:+d},"{fault.text}"\n'.encode()
        return others + b";" + entry if others else entry

    def _start_anew(self, fault: Reboot | PowerGlitch, _message: bytes) -> bytes:
        if self._faults.spoil(fault) and self._starts == self._instrument.starts:
            self._instrument.restart()
        if self._instrument.hangs_up:
            raise LinkEnds
        return b""


class FaultyStreamingSession(FaultySession):
    """A conversation in which the instrument also speaks unasked; only one that is there and has time does."""

    def pull(self) -> bytes:
        """What comes next; nothing from an instrument that is busy or gone."""
        fault = self._faults.next()
        if self._is_dead or isinstance(fault, Busy | HalfOpenLink):
            return b""
        self._notice_restart()
        inner = self._inner
        return inner.pull() if isinstance(inner, StreamingSession) else b""


def _faulty(instrument: FaultyInstrument, opener: Callable[[], Session]) -> FaultySession:
    inner = opener()
    kind = FaultyStreamingSession if isinstance(inner, StreamingSession) else FaultySession
    return kind(instrument, opener, inner)
