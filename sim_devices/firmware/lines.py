"""Line protocols of serial instruments: bytes in any chunking to lines, and answers back to bytes."""

import threading
from collections.abc import Callable

_LONGEST_LINE_BYTES = 1024
_CR, _LF = b"\r", b"\n"


class LineSession:
    """The line a serial instrument listens to: CR, LF or both end a message, empty messages are ignored.

    `answer` gets each message as text without its end and gives the reply, or None for silence; it is called
    under `lock`. A reply ends with `reply_end`, or where that is None as the message did: with CR, LF, or CR and
    LF. A message that is longer than any command can be is dropped, and answered with `overflow`.
    """

    def __init__(
        self,
        answer: Callable[[str], str | None],
        lock: threading.RLock,
        *,
        reply_end: bytes | None = None,
        separators: bytes = b"",
        overflow: str | None = None,
    ) -> None:
        self._answer = answer
        self._lock = lock
        self._reply_end = reply_end
        self._separators = separators
        self._overflow = overflow
        self._message = bytearray()
        self._completes_crlf = False

    def feed(self, data: bytes) -> bytes:
        """Bytes from the client to bytes for the client."""
        reply = bytearray()
        for byte in data:
            end = bytes((byte,))
            if end in (_CR, _LF) or end in self._separators:
                reply += self._finish(end)
            else:
                self._completes_crlf = False
                self._message += end
        return bytes(reply)

    def _finish(self, end: bytes) -> bytes:
        message, self._message = bytes(self._message).strip(), bytearray()
        if not message:
            missing_half = _LF if self._completes_crlf and end == _LF else b""
            self._completes_crlf = False
            return missing_half
        reply = self._reply(message)
        self._completes_crlf = reply is not None and end == _CR and self._reply_end is None
        if reply is None:
            return b""
        return reply.encode("ascii", "replace") + (end if self._reply_end is None else self._reply_end)

    def _reply(self, message: bytes) -> str | None:
        if len(message) > _LONGEST_LINE_BYTES:
            return self._overflow
        with self._lock:
            return self._answer(message.decode("ascii", "replace"))
