"""The twin's own clock: it moves when somebody waits, never because the wall clock did."""

import threading

from qdci_lab.units import PS_PER_S


class LabTime:
    """Picoseconds of lab time since the bench was switched on; thread-safe and monotonic.

    Crossing lab time costs nothing: what happened meanwhile is computed when somebody asks for it.
    """

    def __init__(self, start_ps: int = 0) -> None:
        self._now_ps = int(start_ps)
        self._lock = threading.Lock()

    def now_ps(self) -> int:
        """Picoseconds since the origin; never goes back."""
        with self._lock:
            return self._now_ps

    def advance_to(self, at_ps: int) -> int:
        """Move on to `at_ps` and return the present time; a time in the past has no effect."""
        with self._lock:
            self._now_ps = max(self._now_ps, int(at_ps))
            return self._now_ps

    def advance_by(self, span_ps: int) -> int:
        """Move on by `span_ps` and return the present time; a negative span has no effect."""
        with self._lock:
            self._now_ps += max(0, int(span_ps))
            return self._now_ps

    def __repr__(self) -> str:
        return f"LabTime({self.now_ps() / PS_PER_S:.6f} s)"
