"""A transport that answers from a recorded wire log and refuses whatever was not said in it."""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from qdci_lab.addresses import REPLAY
from qdci_lab.errors import LocalProtocolError, RecordError, TransportError, TransportTimeout
from qdci_lab.wire.wire_log import Entry, Mark, parse_wire_log

EXCERPT_BYTES = 80


class ReplayTransport:
    """Stands in for the recorded instrument: the conversation is played in its order, byte for byte.

    How messages were cut into writes does not matter; answers come in the recorded chunks. Recorded silences and
    failures come again, at once. Anything else that is asked of it is a LocalProtocolError that names the line of
    the file, what is recorded there and what was said instead. What a recording does not show of a message (`conceal`)
    may be anything.
    """

    left_over: bytes | None = None

    def __init__(self, address: str, *, conceal: Callable[[bytes], bytes] | None = None) -> None:
        self.address = address
        self._conceal = conceal
        self._path = Path(address.removeprefix(REPLAY))
        self._entries: Sequence[Entry] | None = None
        self._position = 0
        self._said = 0
        self._waiting: deque[bytes] = deque()
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether the recorded link is open."""
        return self._open

    @property
    def exhausted(self) -> bool:
        """Whether everything was played."""
        return self._entries is not None and self._next is None and not self._waiting

    def open(self) -> None:
        """Open the recorded link, for the first time or where it was opened anew."""
        if self._entries is None:
            self._entries = self._load()
        self._fail_if_recorded()
        self._expect(Mark.OPENED, "the link was opened")
        self._advance()
        self._waiting.clear()
        self._open = True

    def close(self) -> None:
        """Close the link; where the recorded one went on, it stays there."""
        if self._open and self._next is not None and self._next.mark is Mark.CLOSED:
            self._advance()
        self._waiting.clear()
        self._open = False

    def write(self, data: bytes) -> None:
        """Say what was said in the recording."""
        self._check_open()
        left = data if self._conceal is None else self._conceal(data)
        while left:
            self._queue_answers()
            self._fail_if_recorded()
            left = left[self._say(left) :]
        self._queue_answers()

    def read(self, timeout_s: float) -> bytes:
        """The next recorded chunk."""
        self._await_answer(timeout_s)
        return self._waiting.popleft()

    def read_into(self, buffer: memoryview, timeout_s: float) -> int:
        """As much of the next recorded chunk as fits."""
        self._await_answer(timeout_s)
        data = self._waiting.popleft()
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        if count < len(data):
            self._waiting.appendleft(data[count:])
        return count

    def _await_answer(self, timeout_s: float) -> None:
        """Return when an answer waits; what is recorded in its place is raised."""
        self._check_open()
        self._queue_answers()
        if self._waiting:
            return
        self._fail_if_recorded()
        entry = self._next
        if entry is not None and entry.mark in (Mark.SILENCE, Mark.CLOSED):
            if entry.mark is Mark.SILENCE:
                self._advance()
            raise TransportTimeout(f"{self.address}: no answer within {timeout_s:g} s")
        raise self._refusal("an answer was awaited")

    def _load(self) -> tuple[Entry, ...]:
        try:
            return parse_wire_log(self._path.read_text(encoding="utf-8")).entries
        except OSError as error:
            raise TransportError(f"{self.address}: {error.strerror}") from error
        except (UnicodeDecodeError, RecordError) as error:
            raise TransportError(f"{self.address}: {error}") from error

    @property
    def _next(self) -> Entry | None:
        entries = self._entries or ()
        return entries[self._position] if self._position < len(entries) else None

    def _advance(self) -> None:
        self._position += 1
        self._said = 0

    def _say(self, data: bytes) -> int:
        """Compare data with the message that is next, as far as both go; how many bytes were."""
        entry = self._expect(Mark.SENT, f"{_excerpt(data, 0)} was sent")
        expected = memoryview(entry.data)[self._said : self._said + len(data)]
        if expected != memoryview(data)[: len(expected)]:
            at = _first_difference(expected, data)
            raise self._refusal(f"{_excerpt(data, at)} was sent{_place(at)}", self._said + at)
        self._said += len(expected)
        if self._said == len(entry.data):
            self._advance()
        return len(expected)

    def _queue_answers(self) -> None:
        while (entry := self._next) is not None and entry.mark is Mark.RECEIVED:
            self._waiting.append(entry.data)
            self._advance()

    def _fail_if_recorded(self) -> None:
        entry = self._next
        if entry is not None and entry.mark is Mark.FAILURE:
            self._advance()
            raise TransportError(f"{self.address}: {entry.data.decode('utf-8', 'replace')}")

    def _expect(self, mark: Mark, instead: str) -> Entry:
        entry = self._next
        if entry is None or entry.mark is not mark:
            raise self._refusal(instead)
        return entry

    def _refusal(self, instead: str, at: int | None = None) -> LocalProtocolError:
        entry = self._next
        if entry is None:
            return LocalProtocolError(f"{self.address}: the recording is at its end, but {instead}")
        what = _description(entry, self._said if at is None else at)
        return LocalProtocolError(
            f"{self.address}: line {entry.line}: the recording has {what}, but {instead}"
        )

    def _check_open(self) -> None:
        if not self._open:
            raise TransportError(f"{self.address}: the link is closed")


def _description(entry: Entry, at: int) -> str:
    if entry.mark is Mark.SENT:
        return f"{_excerpt(entry.data, at)} to be sent here"
    return {
        Mark.OPENED: "the link opened anew here",
        Mark.CLOSED: "the link closed here",
        Mark.SILENCE: "an answer awaited in vain here",
    }.get(entry.mark, f"{_excerpt(entry.data, at)} here")


def _excerpt(data: bytes, at: int) -> str:
    """The bytes round one of them."""
    start = max(0, at - EXCERPT_BYTES // 2) if at >= EXCERPT_BYTES else 0
    dots = "…" if start + EXCERPT_BYTES < len(data) else ""
    return f"{'…' if start else ''}{data[start : start + EXCERPT_BYTES]!r}{dots}"


def _place(at: int) -> str:
    return f" (other from byte {at} on)" if at >= EXCERPT_BYTES else ""


def _first_difference(expected: memoryview, data: bytes) -> int:
    return next(index for index, byte in enumerate(expected) if byte != data[index])
