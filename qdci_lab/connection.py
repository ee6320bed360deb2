"""One instrument, one conversation at a time: a transport, a framing, a lock and a log of what was said."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from qdci_lab.errors import InstrumentError, LabError, TransportError, TransportTimeout
from qdci_lab.transport.pipe import Transport
from qdci_lab.wire.block import BlockReception
from qdci_lab.wire.framing import Framing
from qdci_lab.wire.message import BlockQuery, Command, Query, Report
from qdci_lab.wire.scpi import NEXT_ERROR, ErrorReport

T = TypeVar("T")

LOG_LENGTH = 256
LOG_BYTES = 200
MAX_QUEUED_ERRORS = 64
SILENCE_S = 0.01
MAX_DISCARD_S = 1.0


@dataclass(frozen=True)
class LogEntry:
    """Bytes that passed, cut to their first 200: `>` to the instrument, `<` from it."""

    time_s: float
    direction: str
    data: bytes


class Connection:
    """The conversation with one instrument; safe to share between threads.

    After any failure of the link the next message finds it opened anew, so that a late reply is never taken for the
    answer to a later question. Errors carry the instrument's name. `next_error` is how this instrument is asked for
    the next entry of its error queue.
    """

    def __init__(self, name: str, transport: Transport, framing: Framing, *, timeout_s: float = 2.0) -> None:
        self.name = name
        self.transport = transport
        self.timeout_s = timeout_s
        self.log: deque[LogEntry] = deque(maxlen=LOG_LENGTH)
        self.next_error = NEXT_ERROR
        self._framing = framing
        self._lock = threading.RLock()

    def open(self) -> None:
        """Reach the instrument (TransportError)."""
        with self._lock, self._named():
            self._framing.reset()
            self.transport.open()

    def close(self) -> None:
        """Leave the instrument."""
        with self._lock, self._named():
            self.transport.close()

    def command(self, command: Command) -> None:
        """Send a command that has no reply."""
        with self._lock, self._guarded():
            self._send(command.message)

    def query(self, query: Query[T], *, timeout_s: float | None = None) -> T:
        """Send a query and parse its reply, within `timeout_s` (default: the connection's)."""
        with self._lock:
            with self._guarded():
                self._send(query.message)
                limit_s = self.timeout_s if timeout_s is None else timeout_s
                reply = self._receive(limit_s, query.answers or _any_message)
            with self._named(query.message):
                return query.parse(reply)

    def listen(self, report: Report[T], *, timeout_s: float | None = None) -> T:
        """Wait for the next message that the instrument sends by itself, and parse it."""
        with self._lock:
            with self._guarded():
                reply = self._receive(self.timeout_s if timeout_s is None else timeout_s, _any_message)
            with self._named():
                return report.parse(reply)

    def discard(self) -> None:
        """Drop the messages that have come unasked, until the line is silent; half a message is kept."""
        with self._lock, self._guarded():
            deadline = time.monotonic() + MAX_DISCARD_S
            while self.transport.is_open and time.monotonic() < deadline:
                try:
                    self._framing.feed(self.transport.read(SILENCE_S))
                except TransportTimeout:
                    break
            while self._framing.next_reply() is not None:
                pass

    def checked(self, command: Command) -> None:
        """Send an SCPI command and ask for the error queue in one go; InstrumentError if it was refused."""
        with self._lock:
            self.command(command)
            self.check_errors(command.message)

    def checked_query(self, query: Query[T], *, timeout_s: float | None = None) -> T:
        """An SCPI query; an instrument that refuses it stays silent, so its error queue explains the silence."""
        with self._lock:
            try:
                return self.query(query, timeout_s=timeout_s)
            except TransportTimeout:
                self.check_errors(query.message)
                raise

    def fetch(self, query: BlockQuery, target: memoryview, *, timeout_s: float | None = None) -> None:
        """Send an SCPI query and receive its block straight into `target`, a view of bytes, which it fills exactly.

        RemoteProtocolError for a block of another length; a silent instrument's error queue explains the silence.
        """
        with self._lock:
            try:
                with self._guarded():
                    self._send(query.message)
                    self._receive_into(target, self.timeout_s if timeout_s is None else timeout_s)
            except TransportTimeout:
                self.check_errors(query.message)
                raise

    def check_errors(self, message: bytes = b"") -> None:
        """Empty the SCPI error queue; the first error in it is raised."""
        with self._lock:
            report = first = self.query(self.next_error)
            for _ in range(MAX_QUEUED_ERRORS):
                if report.code == 0:
                    break
                report = self.query(self.next_error)
        self._refuse(first, message)

    def _refuse(self, report: ErrorReport, message: bytes) -> None:
        if report.code != 0:
            raise self._refusal(report.code, report.text, message)

    def _refusal(self, code: int, text: str, message: bytes) -> InstrumentError:
        words = message[:LOG_BYTES].decode("ascii", "replace")
        return InstrumentError(code, text, instrument=self.name, message=words)

    def _send(self, message: bytes) -> None:
        if not self.transport.is_open:
            self._framing.reset()
            self.transport.open()
        data = self._framing.encode(message)
        self.log.append(LogEntry(time.time(), ">", data[:LOG_BYTES]))
        self.transport.write(data)

    def _receive(self, timeout_s: float, answers: Callable[[bytes], bool]) -> bytes:
        deadline = time.monotonic() + timeout_s
        while True:
            while (reply := self._framing.next_reply()) is None:
                self._framing.feed(self.transport.read(self._left_s(deadline, timeout_s)))
            self.log.append(LogEntry(time.time(), "<", reply[:LOG_BYTES]))
            if answers(reply):
                return reply

    def _receive_into(self, target: memoryview, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        reception = BlockReception(target)
        while reception.place:
            reception.take(self.transport.read_into(reception.place, self._left_s(deadline, timeout_s)))
        self.log.append(LogEntry(time.time(), "<", bytes(target[:LOG_BYTES])))

    def _left_s(self, deadline: float, timeout_s: float) -> float:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TransportTimeout(f"{self.transport.address}: no complete answer within {timeout_s:g} s")
        return left_s

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Close the link on any failure: what is still under way in it belongs to nobody."""
        with self._named():
            try:
                yield
            except LabError:
                with contextlib.suppress(TransportError):
                    self.transport.close()
                raise

    @contextlib.contextmanager
    def _named(self, message: bytes = b"") -> Iterator[None]:
        """Put the instrument's name in front of an error of the link, or into what the instrument refused."""
        try:
            yield
        except InstrumentError as error:
            if error.instrument:
                raise
            raise self._refusal(error.code, error.text, message) from error
        except LabError as error:
            text = str(error)
            if text.startswith(f"{self.name}: "):
                raise
            raise type(error)(f"{self.name}: {text}") from error


def _any_message(_message: bytes) -> bool:
    """The first message that comes is the one that is wanted."""
    return True
