"""One instrument, one conversation at a time: a transport, a framing, a lock and a log of what was said."""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn, TypeVar

from qdci_lab.errors import (
    InstrumentError,
    LabError,
    RemoteProtocolError,
    SettingsChanged,
    TransportError,
    TransportTimeout,
)
from qdci_lab.transport.pipe import Transport
from qdci_lab.trust import SILENCE_S, Trust
from qdci_lab.wire.block import BlockReception
from qdci_lab.wire.framing import Framing
from qdci_lab.wire.message import BlockQuery, Command, Query, Report
from qdci_lab.wire.scpi import NEXT_ERROR, ErrorReport

T = TypeVar("T")
Conceal = Callable[[bytes], bytes]

LOG_LENGTH = 256
LOG_BYTES = 200
MAX_QUEUED_ERRORS = 64
MAX_DISCARD_S = 1.0
EXPLANATION_SHARE = 0.25
"""Of the timeout, to ask an instrument that has been silent for all of it why."""


class LogEntry(NamedTuple):
    """Bytes that passed, cut to their first 200: `>` to the instrument, `<` from it."""

    time_s: float
    direction: str
    data: bytes


class Connection:
    """The conversation with one instrument; safe to share between threads.

    After any failure of the link the next message finds it opened anew, so that a late reply is never taken for the
    answer to a later question. A serial line outlives its opening: there a question whose answer is known, the one
    that was asked `identifying`, is asked first, and whatever comes before its answer is dropped. Then `greet` runs on
    the new link, and `restore` before the first message that follows a failure. Errors carry the instrument's name.
    `next_error` is how this instrument is asked for the next entry of its error queue. `conceal` gives what may be
    shown of a message, where that is not all of it.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        framing: Framing,
        *,
        timeout_s: float = 2.0,
        conceal: Conceal | None = None,
    ) -> None:
        self.name = name
        self.transport = transport
        self.timeout_s = timeout_s
        self.log: deque[LogEntry] = deque(maxlen=LOG_LENGTH)
        self.next_error = NEXT_ERROR
        self.conceal = conceal
        self.greet: Callable[[], object] | None = None
        self.restore: Callable[[], object] | None = None
        self._framing = framing
        self._lock = threading.RLock()
        self._trust = Trust()

    def open(self) -> None:
        """Reach the instrument (TransportError), whose settings the caller is going to look at."""
        with self._lock:
            try:
                self._open_anew()
                self._trust.rely()
            except LabError as error:
                self._hang_up(error)

    def close(self) -> None:
        """Leave the instrument."""
        with self._lock:
            self._trust.lose()
            try:
                self.transport.close()
            except LabError as error:
                self._raise_named(error)

    @contextlib.contextmanager
    def identifying(self) -> Iterator[None]:
        """The last question that is asked herein and its answer are those by which the instrument is known again."""
        with self._lock:
            self._trust.identifying = True
            try:
                yield
            finally:
                self._trust.identifying = False

    def command(self, command: Command) -> None:
        """Send a command that has no reply."""
        with self._lock:
            try:
                self._send(command.message)
            except LabError as error:
                self._hang_up(error)

    def query(self, query: Query[T], *, timeout_s: float | None = None) -> T:
        """Send a query and parse its reply, within `timeout_s` (default: the connection's)."""
        with self._lock:
            limit_s = self.timeout_s if timeout_s is None else timeout_s
            began_s = time.monotonic()
            try:
                self._send(query.message)
                reply = self._receive(limit_s, query.answers)
                if self._trust.identifying and query.answers is None:
                    self._recognise(query.message, reply, limit_s)
            except LabError as error:
                self._hang_up(error, query.message, began_s)
            try:
                return query.parse(reply)
            except LabError as error:
                self._raise_named(error, query.message)

    def listen(self, report: Report[T], *, timeout_s: float | None = None) -> T:
        """Wait for the next message that the instrument sends by itself, and parse it."""
        with self._lock:
            try:
                reply = self._receive(self.timeout_s if timeout_s is None else timeout_s)
            except LabError as error:
                self._hang_up(error)
            try:
                return report.parse(reply)
            except LabError as error:
                self._raise_named(error)

    def discard(self) -> None:
        """Drop the messages that have come unasked, until the line is silent; half a message is kept."""
        with self._lock:
            try:
                self._drain()
            except LabError as error:
                self._hang_up(error)

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
                self._explain_silence(query.message)
                raise

    def fetch(self, query: BlockQuery, target: memoryview, *, timeout_s: float | None = None) -> None:
        """Send an SCPI query and receive its block straight into `target`, a view of bytes, which it fills exactly.

        RemoteProtocolError for a block of another length; a silent instrument's error queue explains the silence.
        """
        with self._lock:
            try:
                self._send(query.message)
                self._receive_into(target, self.timeout_s if timeout_s is None else timeout_s)
            except TransportTimeout as silence:
                self._lose(silence)
                self._explain_silence(query.message)
                self._raise_named(silence)
            except LabError as error:
                self._hang_up(error)

    def check_errors(self, message: bytes = b"") -> None:
        """Empty the SCPI error queue; the first error in it is raised.

        After a failure it is asked before the instrument is restored, which would empty it.
        """
        with self._lock, self._trust.unrestored():
            report = first = self.query(self.next_error)
            for _ in range(MAX_QUEUED_ERRORS):
                if report.code == 0:
                    break
                report = self.query(self.next_error)
        self._refuse(first, message)

    def _explain_silence(self, message: bytes) -> None:
        """The error queue's reason for a silence, if it has one."""
        patience_s, self.timeout_s = self.timeout_s, self.timeout_s * EXPLANATION_SHARE
        try:
            self.check_errors(message)
        except InstrumentError:
            self._trust.rely()  # the instrument is there and says why it was silent
            raise
        finally:
            self.timeout_s = patience_s

    def _refuse(self, report: ErrorReport, message: bytes) -> None:
        if report.code != 0:
            raise self._refusal(report.code, report.text, message)

    def _refusal(self, code: int, text: str, message: bytes) -> InstrumentError:
        words = self._shown(message).decode("ascii", "replace")
        return InstrumentError(code, text, instrument=self.name, message=words)

    def _send(self, message: bytes) -> None:
        if not (self._trust.restored and self.transport.is_open):
            self._recover()
        data = self._framing.encode(message)
        self.log.append(LogEntry(time.time(), ">", self._shown(data)))
        self.transport.write(data)

    def _recover(self) -> None:
        """Open the link unless it is open, and let the instrument be restored, whose own messages pass meanwhile."""
        if not self.transport.is_open:
            self._open_anew()
        if self._trust.restored or self._trust.restoring:
            return
        if self.restore is not None and self._trust.lost:
            with self._trust.unrestored():
                self.restore()
        self._trust.rely()

    def _open_anew(self) -> None:
        self._framing.reset()
        self.transport.open()
        if self.transport.left_over is None:
            self._trust.settle()
        elif self._trust.lost and self._trust.known is not None:
            self._synchronise(*self._trust.known, self.transport.left_over)
        if self.greet is not None:
            with self._trust.unrestored():
                self.greet()

    def _synchronise(self, question: bytes, answer: bytes, left_over: bytes) -> None:
        """Ask the question by which the instrument is known, and drop what comes until all its answers have come.

        Another answer, followed by silence, is another instrument or another state of it, which is not for us to judge.
        """
        self._trust.unanswered[question] += 1 - self._count_replies(left_over, answer)
        self._trust.missed_s = min(self._trust.missed_s, time.monotonic())
        missing = max(self._trust.unanswered[question], 1)
        self.transport.write(self._framing.encode(question))
        received, limit_s = None, self.timeout_s
        while missing > 0:
            try:
                received = self._receive(limit_s)
                limit_s = self._trust.patience_s(self.timeout_s)
            except TransportTimeout:
                if received is None:
                    raise
                break
            missing -= received == answer
        self._trust.settle()

    def _count_replies(self, data: bytes, wanted: bytes) -> int:
        """How often a reply is among the bytes that were dropped when the line was opened."""
        count = 0
        with contextlib.suppress(RemoteProtocolError):
            self._framing.feed(data)
            while (reply := self._framing.next_reply()) is not None:
                count += reply == wanted
        self._framing.reset()
        return count

    def _recognise(self, question: bytes, answer: bytes, timeout_s: float) -> None:
        """Keep by what the instrument is known, once answers to the same question asked earlier in vain have passed."""
        self._trust.known = (question, answer)
        limit_s = self._trust.patience_s(timeout_s)
        with contextlib.suppress(TransportTimeout):
            for _ in range(self._trust.unanswered[question]):
                self._receive(limit_s)
        self._trust.settle()

    def _receive(self, timeout_s: float, answers: Callable[[bytes], bool] | None = None) -> bytes:
        """The next message, or the next one that is the answer."""
        left_s, deadline_s = timeout_s, time.monotonic() + timeout_s
        while True:
            while (reply := self._framing.next_reply()) is None:
                self._check_left(left_s, timeout_s)
                self._framing.feed(self.transport.read(left_s))
                left_s = deadline_s - time.monotonic()
            self.log.append(LogEntry(time.time(), "<", reply[:LOG_BYTES]))
            if answers is None or answers(reply):
                return reply

    def _receive_into(self, target: memoryview, timeout_s: float) -> None:
        left_s, deadline_s = timeout_s, time.monotonic() + timeout_s
        reception = BlockReception(target)
        while reception.place:
            self._check_left(left_s, timeout_s)
            reception.take(self.transport.read_into(reception.place, left_s))
            left_s = deadline_s - time.monotonic()
        self.log.append(LogEntry(time.time(), "<", bytes(target[:LOG_BYTES])))

    def _drain(self) -> None:
        deadline_s = time.monotonic() + MAX_DISCARD_S
        while self.transport.is_open and time.monotonic() < deadline_s:
            try:
                self._framing.feed(self.transport.read(SILENCE_S))
            except TransportTimeout:
                break
        while self._framing.next_reply() is not None:
            pass

    def _check_left(self, left_s: float, timeout_s: float) -> None:
        if left_s <= 0:
            raise TransportTimeout(f"{self.transport.address}: no complete answer within {timeout_s:g} s")

    def _shown(self, message: bytes) -> bytes:
        """The beginning of a message, as it may be shown."""
        return (message if self.conceal is None else self.conceal(message))[:LOG_BYTES]

    def _lose(self, error: LabError, question: bytes = b"", asked_s: float = math.inf) -> None:
        """Close the link: what is still under way in it belongs to nobody."""
        self._trust.lose()
        if isinstance(error, TransportTimeout):
            self._trust.miss(question, asked_s)
        with contextlib.suppress(TransportError):
            self.transport.close()

    def _hang_up(self, error: LabError, question: bytes = b"", asked_s: float = math.inf) -> NoReturn:
        """End what failed. Other settings than before are no failure of the link, and are told once."""
        if isinstance(error, SettingsChanged):
            self._trust.rely()
        else:
            self._lose(error, question, asked_s)
        self._raise_named(error)

    def _raise_named(self, error: LabError, message: bytes = b"") -> NoReturn:
        """Put the instrument's name in front of an error of the link, or into what the instrument refused."""
        if isinstance(error, InstrumentError):
            if error.instrument:
                raise error
            raise self._refusal(error.code, error.text, message) from error
        text = str(error)
        if text.startswith(f"{self.name}: "):
            raise error
        raise type(error)(f"{self.name}: {text}") from error
