"""A transport that plays a transcript and refuses any other word."""

from collections.abc import Sequence

from qdci_lab.errors import LocalProtocolError
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.wire.transcript import Exchange


class ScriptedTransport(MemoryTransport):
    """Stands in for the instrument of a transcript: exchanges are taken in order, byte for byte."""

    left_over: bytes | None = None

    def __init__(
        self,
        exchanges: Sequence[Exchange],
        *,
        terminator: bytes = b"\n",
        reply_end: bytes = b"\n",
        chunk: int = 1 << 16,
    ) -> None:
        super().__init__(self._play, chunk=chunk)
        self._terminator = terminator
        self._reply_end = reply_end
        self._left = list(exchanges)

    @property
    def exhausted(self) -> bool:
        """Whether every exchange was played."""
        return not self._left

    def _play(self, data: bytes) -> bytes:
        replies = b""
        while data:
            if not self._left:
                raise LocalProtocolError(f"the transcript is at its end, but {data!r} was sent")
            exchange = self._left.pop(0)
            expected = exchange.send + self._terminator
            if not data.startswith(expected):
                raise LocalProtocolError(f"the transcript has {expected!r} here, but {data!r} was sent")
            data = data[len(expected) :]
            replies += b"" if exchange.reply is None else exchange.reply + self._reply_end
        return replies
