"""What the devices of the Keysight N77xx family have in common: one device is one slot of an instrument.

Reference: Keysight N77xx Series Programming Guide, N7744-90C01, edition 7. Several devices may share one instrument,
each with a connection of its own. `*OPC?` answers for all slots of the instrument, with 0 or 1.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from drivers.keysight_n77xx_codec import CLEAR_STATUS, checked_slot
from qdci_lab.device import Instrument
from qdci_lab.wire.message import Command, Query

T = TypeVar("T")


class SlotInstrument(Instrument):
    """One slot of an N77xx; `slot` is counted from 1 (LocalProtocolError beyond the model's SLOTS)."""

    SLOTS: ClassVar[int] = 1

    def __init__(self, address: str, *, slot: int, timeout_s: float = 2.0, **kwargs: Any) -> None:
        self.slot = checked_slot(slot, self.SLOTS)
        super().__init__(address, timeout_s=timeout_s, **kwargs)

    def ask(self, entry: Callable[[int], Query[T]], *, timeout_s: float | None = None) -> T:
        """The value behind a codec entry, for this slot; InstrumentError if the instrument refuses the query."""
        return self.connection.checked_query(entry(self.slot), timeout_s=timeout_s)

    def obey(self, command: Command, *, within_s: float | None = None) -> None:
        """Send a command, and wait until the instrument has carried it out; InstrumentError if it refuses."""
        self.connection.checked(command)
        self.await_completion(within_s=within_s)

    def prepare_instrument(self) -> None:
        """Forget errors from before our time."""
        self.connection.command(CLEAR_STATUS)
