"""What the OZ Optics instruments with a stepper motor have in common (DD-100-MC, ODL-650-MC, public drivers)."""

from typing import ClassVar, TypeVar

from drivers.oz_motor_codec import END_MARKS
from qdci_lab.device import Instrument
from qdci_lab.errors import InstrumentError
from qdci_lab.wire.framing import Framing, MarkedFraming
from qdci_lab.wire.message import Query

T = TypeVar("T")

HOMING_S = 30.0


class OzMotorInstrument(Instrument):
    """A motor on a serial line: every command has a reply, which comes when the motor stands still."""

    TERMINATOR: ClassVar[bytes] = b"\r\n"
    MOTION_S: ClassVar[float] = HOMING_S

    @property
    def patience_s(self) -> float:
        """Longer than any motion."""
        return super().patience_s + 2.0 * max(HOMING_S, self.MOTION_S)

    def make_framing(self) -> Framing:
        """Replies of several lines, ended by their mark."""
        return MarkedFraming(terminator=self.TERMINATOR, end_marks=END_MARKS)

    def ask(self, query: Query[T], *, within_s: float = 0.0) -> T:
        """The answer, which may take `within_s` longer than the motor is at rest; only the worker calls this.

        What follows a refusal is dropped: whether a `Done` does is not known.
        """
        try:
            return self.connection.query(query, timeout_s=within_s + self.timeout_s)
        except InstrumentError:
            self.connection.discard()
            raise
