"""Faults on purpose: what goes wrong with a simulated instrument, when it begins and for how long.

Nothing here is random and nothing follows the wall's clock: a fault begins after a number of messages or at a lab time,
and ends after a number of messages, after a span of lab time, or when it is cleared, so that a run meets it at the same
place each time. Only how long a reply or a call is held back is given in seconds of the wall, because the patience
that it tries is a client's.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

from qdci_lab.units import seconds_to_ps
from sim_devices.twin.lab_time import LabTime

STREAM, SERIAL, LIBRARY = "tcp", "pty", "c_api"
_WIRES = frozenset({STREAM, SERIAL})
_EVERYWHERE = frozenset({STREAM, SERIAL, LIBRARY})
_POLL_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What all faults have: `after_messages` that pass unharmed, and the earliest lab time `from_s` of its beginning.

    It spoils that many `messages`, or lasts `for_s` of lab time from its beginning, or both, whichever ends first;
    with neither it lasts until it is cleared. For the time tagger a message is a call that reaches the device.
    """

    KIND: ClassVar[str] = ""
    WIRES: ClassVar[frozenset[str]] = _WIRES

    after_messages: Annotated[int, Ge(0)] = 0
    from_s: Annotated[float, Ge(0)] = 0.0
    messages: Annotated[int, Ge(1)] | None = None
    for_s: Annotated[float, Gt(0)] | None = None


@dataclass(frozen=True, kw_only=True)
class LateReply(Fault):
    """Replies come `delay_s` late, or when the fault is cleared; whatever is asked meanwhile waits behind them."""

    KIND = "late_reply"
    delay_s: Annotated[float, Gt(0)] = 1.0


@dataclass(frozen=True, kw_only=True)
class DroppedConnection(Fault):
    """The instrument hangs up instead of answering; a tagger's cable is pulled."""

    KIND = "dropped_connection"
    WIRES = _EVERYWHERE


@dataclass(frozen=True, kw_only=True)
class HalfOpenLink(Fault):
    """The instrument is gone without having hung up: bytes go nowhere, also later on the links that met the fault."""

    KIND = "half_open_link"


@dataclass(frozen=True, kw_only=True)
class TruncatedReply(Fault):
    """A reply breaks off in its middle, and its end never comes."""

    KIND = "truncated_reply"


@dataclass(frozen=True, kw_only=True)
class Garbage(Fault):
    """Instead of a reply come as many bytes without meaning, with a line end: a wrong baud rate looks like this."""

    KIND = "garbage"
    seed: Annotated[int, Ge(0)] = 1


@dataclass(frozen=True, kw_only=True)
class WrongIdentity(Fault):
    """Another instrument stands at the address: it knows its own name and nothing else. A tagger has another number."""

    KIND = "wrong_identity"
    WIRES = _EVERYWHERE
    identity: str = "ACME,Another instrument,0,1.0"
    device_id: Annotated[int, Ge(0)] = 99


@dataclass(frozen=True, kw_only=True)
class Busy(Fault):
    """The instrument takes messages, and executes and answers them when it is free again.

    A tagger is in the hands of another program: its session is over and a new one is refused.
    """

    KIND = "busy"
    WIRES = _EVERYWHERE


@dataclass(frozen=True, kw_only=True)
class StuckErrorQueue(Fault):
    """However often the SCPI error queue is read, there is one more error in it."""

    KIND = "stuck_error_queue"
    code: int = -350
    text: str = "Queue overflow"


@dataclass(frozen=True, kw_only=True)
class Reboot(Fault):
    """The instrument starts anew with its power-on settings; it hangs up on everybody while it does."""

    KIND = "reboot"
    WIRES = _EVERYWHERE


@dataclass(frozen=True, kw_only=True)
class PowerGlitch(Fault):
    """Power is gone for an instant: one message is lost, links end, and the power-on settings are back at once."""

    KIND = "power_glitch"
    WIRES = _EVERYWHERE
    messages: Annotated[int, Ge(1)] | None = 1


@dataclass(frozen=True, kw_only=True)
class HungCall(Fault):
    """A call of the library does not return: for `delay_s`, or until the fault is cleared or its lab time is over."""

    KIND = "hung_call"
    WIRES = frozenset({LIBRARY})
    delay_s: Annotated[float, Gt(0)] | None = None


@dataclass(frozen=True, kw_only=True)
class TagOverflow(Fault):
    """The tagger's buffer overflows: events since the last reading are lost, and the library says that some are."""

    KIND = "tag_overflow"
    WIRES = frozenset({LIBRARY})


FAULTS: Mapping[str, type[Fault]] = {
    kind.KIND: kind
    for kind in (
        LateReply, DroppedConnection, HalfOpenLink, TruncatedReply, Garbage, WrongIdentity, Busy, StuckErrorQueue,
        Reboot, PowerGlitch, HungCall, TagOverflow,
    )
}  # fmt: skip
"""Every kind of fault by the name that twin.toml, the control socket and the command line use."""
RESTARTS = (Reboot, PowerGlitch)


@dataclass(eq=False)
class _Armed:
    """A fault that waits or is at work: how many messages it has let pass and spoilt, and when its span began."""

    fault: Fault
    began_ps: int | None
    passed: int = 0
    spoilt: int = 0

    def is_late(self, now_ps: int) -> bool:
        """Whether its lab time is used up."""
        span_s = self.fault.for_s
        return (
            span_s is not None
            and self.began_ps is not None
            and now_ps >= self.began_ps + seconds_to_ps(span_s)
        )

    def is_due(self, now_ps: int) -> bool:
        """Whether it spoils the next message."""
        fault = self.fault
        begun = self.passed >= fault.after_messages and now_ps >= seconds_to_ps(fault.from_s)
        is_spent = fault.messages is not None and self.spoilt >= fault.messages
        return begun and not is_spent and not self.is_late(now_ps)


class FaultSchedule:
    """The faults of one device. The oldest one that is due spoils the next message; thread-safe."""

    def __init__(self, lab_time: LabTime) -> None:
        self._lab_time = lab_time
        self._armed: list[_Armed] = []
        self._changed = threading.Condition()

    def __bool__(self) -> bool:
        return bool(self._armed)

    def add(self, fault: Fault) -> None:
        """Arm a fault. Messages count from now; a span of lab time counts from the first message that it may spoil."""
        with self._changed:
            earliest_ps = max(self._lab_time.now_ps(), seconds_to_ps(fault.from_s))
            self._armed.append(_Armed(fault, earliest_ps if fault.after_messages == 0 else None))

    def clear(self) -> None:
        """End every fault, and let go what they hold back."""
        with self._changed:
            self._armed.clear()
            self._changed.notify_all()

    def next(self) -> Fault | None:
        """The fault that the next message meets, if any."""
        with self._changed:
            now_ps = self._lab_time.now_ps()
            return next((armed.fault for armed in self._armed if armed.is_due(now_ps)), None)

    def let_pass(self) -> None:
        """A message has met no fault: one fewer for those that wait for their number."""
        with self._changed:
            for armed in self._armed:
                armed.passed += 1

    def spoil(self, fault: Fault) -> bool:
        """A message has met the fault; tells whether it was the first."""
        with self._changed:
            armed = self._of(fault)
            if armed is None:
                return False
            armed.spoilt += 1
            if armed.began_ps is None:
                armed.began_ps = max(self._lab_time.now_ps(), seconds_to_ps(fault.from_s))
            return armed.spoilt == 1

    def hold(self, fault: Fault, delay_s: float | None) -> None:
        """Wait until the fault is cleared, its lab time is over, or `delay_s` of the wall's time have passed."""
        deadline_s = None if delay_s is None else time.monotonic() + delay_s
        with self._changed:
            while (armed := self._of(fault)) is not None and not armed.is_late(self._lab_time.now_ps()):
                left_s = _POLL_S if deadline_s is None else deadline_s - time.monotonic()
                if left_s <= 0:
                    return
                self._changed.wait(min(left_s, _POLL_S))

    def _of(self, fault: Fault) -> _Armed | None:
        return next((armed for armed in self._armed if armed.fault is fault), None)
