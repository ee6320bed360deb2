"""What one end of a link may believe of the other after a failure: kept by a connection, which acts on it."""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

SILENCE_S = 0.01
"""How long nothing must come for a line to count as silent."""


@dataclass
class Trust:
    """What is known of the other end of a link: whether it was lost, who it was, and what it still owes us."""

    restored: bool = False
    restoring: bool = False
    lost: bool = False
    identifying: bool = False
    known: tuple[bytes, bytes] | None = None
    unanswered: Counter[bytes] = field(default_factory=Counter)
    missed_s: float = math.inf

    def lose(self) -> None:
        """The link failed: nothing is certain any longer."""
        self.lost, self.restored = True, False

    def miss(self, question: bytes, asked_s: float) -> None:
        """A question has no answer yet. Only the one that identifies the instrument can be mistaken for itself."""
        if self.identifying or (self.known is not None and question == self.known[0]):
            self.unanswered[question] += 1
            self.missed_s = min(self.missed_s, asked_s)

    def patience_s(self, timeout_s: float) -> float:
        """How long to wait for a late answer after another one has come: as late as the first may be, no more."""
        return min(timeout_s, max(time.monotonic() - self.missed_s, SILENCE_S))

    def settle(self) -> None:
        """Nothing is owed any longer."""
        self.unanswered.clear()
        self.missed_s = math.inf

    def rely(self) -> None:
        """The link is new and the instrument is as it should be, or as its user has been told that it is."""
        self.lost, self.restored = False, True

    @contextlib.contextmanager
    def unrestored(self) -> Iterator[None]:
        """Let messages pass although the instrument has not been restored."""
        before, self.restoring = self.restoring, True
        try:
            yield
        finally:
            self.restoring = before
