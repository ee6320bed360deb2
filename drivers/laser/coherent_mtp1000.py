"""Coherent Solutions (Quantifi) MTP1000: a mainframe with tunable lasers (LaserBlade).

Reference: Coherent Solutions MTP1000 and LaserBlade user manuals, the public part of their SCPI commands. Assumed:
1527.6 to 1568.4 nm and 6 to 16 dBm (the C-band blade's data sheet), steps of 0.001 nm and 0.01 dB, and that tuning
and switching end within 30 s, until when `*OPC?` is not answered with 1.

Each laser is a device of its own.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from drivers.laser.coherent_mtp1000_codec import (
    BLADES,
    CLEAR_STATUS,
    SLOTS,
    Emission,
    Power,
    Wavelength,
    checked_number,
)
from qdci_lab.device import Instrument
from qdci_lab.signals import controlled, measured, switched
from qdci_lab.wire.message import Command, Query

T = TypeVar("T")

CHANNELS = range(1, 5)
SETTLING_S = 30.0


class CoherentMtp1000(Instrument):
    """One laser: `slot` is that of its blade, 1 to 9, `channel` its place on the blade. It settles with each change."""

    MODEL = "Coherent MTP1000"
    IDENTITY_CONTAINS = "MTP"

    wavelength = controlled(
        lambda device: device.ask(Wavelength.get),
        lambda device, value: device.obey(Wavelength.set(device.slot, device.channel, value)),
        "nm",
        precision=4,
        limits=(1527.6, 1568.4),
        resolution=0.001,
    )
    power = controlled(
        lambda device: device.ask(Power.get),
        lambda device, value: device.obey(Power.set(device.slot, device.channel, value)),
        "dBm",
        precision=2,
        limits=(6.0, 16.0),
        resolution=0.01,
    )
    emission = switched(
        lambda device: device.ask(Emission.get),
        lambda device, value: device.obey(Emission.set(device.slot, device.channel, value)),
    )
    blades = measured(
        lambda device: device.connection.checked_query(BLADES), None, kind="config", polled=False
    )

    def __init__(
        self, address: str, *, slot: int, channel: int = 1, timeout_s: float = 2.0, **kwargs: Any
    ) -> None:
        self.slot = checked_number("slot", slot, SLOTS)
        self.channel = checked_number("channel", channel, CHANNELS)
        super().__init__(address, timeout_s=timeout_s, **kwargs)

    @property
    def patience_s(self) -> float:
        """Longer than the laser takes to settle."""
        return super().patience_s + 2.0 * SETTLING_S

    def prepare_instrument(self) -> None:
        """Forget errors from before our time and ask which blades there are; the light stays as it is."""
        self.connection.command(CLEAR_STATUS)
        self.blades.refresh()

    def ask(self, entry: Callable[[int, int], Query[T]]) -> T:
        """The value behind a codec entry, for this laser; InstrumentError if the instrument refuses the query."""
        return self.connection.checked_query(entry(self.slot, self.channel))

    def obey(self, command: Command) -> None:
        """Send a command, and wait until the laser has settled; InstrumentError if the instrument refuses."""
        self.connection.checked(command)
        self.await_completion(within_s=SETTLING_S)

    def enter_safe_state(self) -> None:
        """Emission off."""
        self.connection.checked(Emission.set(self.slot, self.channel, 0))
        self.emission.refresh()
