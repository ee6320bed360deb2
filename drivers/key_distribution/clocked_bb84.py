"""A decoy-state BB84 link with what looks at its synchronisation: the sync pulses over a cable and over light.

Source of the arrangement: Ji et al., sections 2.2 and 2.4. A 3 GHz clock travels on the local oscillator in a core of
its own; recovered and divided it triggers the quantum transmitter, as a cable from the generator could.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ophyd.utils import LimitError

from drivers.key_distribution.decoy_bb84 import DecoyBb84Link
from drivers.key_distribution.link_settings import ClassicalLight, Probe, Protocol, ReceiverWiring, Routing
from drivers.key_distribution.transmitter import Transmitter

OSCILLOSCOPE = "oscilloscope"


@dataclass(frozen=True)
class SyncDelivery:
    """Where the sync pulses are seen, and what lights the clock's core.

    Channels are the oscilloscope's: the pulses over cable and over light, and those straight from the generator, which
    trigger it. The probe laser is the local oscillator: it passes the clock's modulator, which it enters behind
    `modulator_input_port` and leaves into `modulator_output_port`, and enters the core behind `core_port`.
    """

    cable_channel: int
    optical_channel: int
    trigger_channel: int
    rate_hz: float
    range_v: float
    offset_v: float
    trigger_level_v: float
    laser_power_dbm: float
    laser_wavelength_nm: float
    modulator_input_port: int
    modulator_output_port: int
    core_port: int


class ClockedBb84Link(DecoyBb84Link):
    """As the link without, and `oscilloscope` with `check_sync` and `sync_connections` beside it.

    The oscilloscope is no part of a key's acquisition, and none of `parts`.
    """

    OPTIONAL_PARTS: ClassVar[tuple[str, ...]] = (*DecoyBb84Link.OPTIONAL_PARTS, OSCILLOSCOPE)

    def __init__(
        self,
        *,
        name: str,
        devices: Mapping[str, Any],
        transmitter: Transmitter,
        protocol: Protocol,
        receiver: ReceiverWiring,
        classical: ClassicalLight,
        routing: Routing,
        probe: Probe | None = None,
        sync: SyncDelivery | None = None,
        expected_sifted_rate_hz: float = 5e5,
        **kwargs: Any,
    ) -> None:
        others = {part: device for part, device in devices.items() if part != OSCILLOSCOPE}
        super().__init__(
            name=name, devices=others, transmitter=transmitter, protocol=protocol, receiver=receiver,
            classical=classical, routing=routing, probe=probe,
            expected_sifted_rate_hz=expected_sifted_rate_hz, **kwargs,
        )  # fmt: skip
        self.sync = sync
        self.oscilloscope = devices.get(OSCILLOSCOPE)

    def check_sync(self) -> SyncDelivery:
        """How the clock is delivered; LimitError for a testbed that cannot show it."""
        self.check_probe()
        if self.sync is None or self.oscilloscope is None:
            raise LimitError(
                f"{self.label}: the testbed shows no sync pulses "
                f"(in lab.toml: [link.sync] and {OSCILLOSCOPE} of [link.devices])"
            )
        return self.sync

    def sync_connections(self) -> Any:
        """The optical switch's connections with light on the clock's way; LimitError as `check_sync`."""
        sync, probe = self.check_sync(), self.check_probe()
        return self.routed(
            [
                (probe.laser_port, sync.modulator_input_port),
                (sync.modulator_output_port, sync.core_port),
            ]
        )
