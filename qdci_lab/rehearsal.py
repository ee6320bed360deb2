"""A plan gone through without touching anything: every setting checked, and the time it will take estimated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from bluesky.utils import Msg, MsgGenerator

from qdci_lab.units import format_duration

PRIMARY = "primary"


@runtime_checkable
class TakesTime(Protocol):
    """A device that can say beforehand how long its measurement will take."""

    def expected_s(self, planned: Mapping[str, Any]) -> float:
        """Seconds of lab time at the settings planned, by the signals' names; what is not planned stays as it is."""
        ...


@dataclass
class Rehearsal:
    """What a plan would do. Steps that depend on what is measured are counted once: the time is a lower bound then."""

    points: int = 0
    moves: int = 0
    acquisitions: int = 0
    lab_time_s: float = 0.0
    planned: dict[str, Any] = field(default_factory=dict)
    _stream: str = ""

    def __str__(self) -> str:
        return (
            f"{self.points} points, {self.moves} moves, {self.acquisitions} acquisitions; "
            f"at least {format_duration(self.lab_time_s)} of the lab's time"
        )

    def take(self, message: Msg) -> None:
        """Count one message; LimitError, LocalProtocolError for a value that cannot be set."""
        if message.command == "set":
            self._move(message.obj, message.args[0])
        elif message.command == "sleep":
            self.lab_time_s += float(message.args[0])
        elif message.command == "trigger" and isinstance(message.obj, TakesTime):
            self.acquisitions += 1
            self.lab_time_s += message.obj.expected_s(self.planned)
        elif message.command == "create":
            self._stream = str(message.kwargs.get("name", PRIMARY))
        elif message.command == "save" and self._stream == PRIMARY:
            self.points += 1

    def _move(self, target: Any, value: Any) -> None:
        check = getattr(target, "check_value", None)
        if check is not None:
            check(value)
        self.moves += 1
        self.planned[target.name] = value


def rehearse(plan: MsgGenerator[Any]) -> Rehearsal:
    """Go through a plan's messages and answer none of them; LimitError for the first value that cannot be set.

    Plans are written so that a reading that is not there, because nothing was measured, ends what depends on it.
    """
    rehearsal = Rehearsal()
    try:
        message = next(plan)
        while True:
            rehearsal.take(message)
            message = plan.send(None)
    except StopIteration:
        return rehearsal
    finally:
        plan.close()
