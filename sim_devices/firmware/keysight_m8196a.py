"""Keysight M8196A: arbitrary waveform generator with four channels of up to 93.4 GSa/s and 512 KiSa each.

Reference: Keysight M8196A User's Guide and public drivers: one segment a channel, of 128 to 524 288 samples in steps of
128. Everything else is that of its family.

Assumed: 82.24 to 93.4 GSa/s, 92 GSa/s after *RST; amplitudes and markers as the M8195A has them; DAC modes SINGle,
DUAL, FOUR, MARKer and DCMarker; the segment has number 1; there is neither extended memory nor its rate divider, nor
a function mode, and the commands for these are unknown headers.
"""

from collections.abc import Mapping
from typing import ClassVar

from sim_devices.firmware.keysight_m819xa import Hardware, KeysightM819xA
from sim_devices.firmware.keysight_m8195a_memory import Room
from sim_devices.firmware.scpi_values import Limits
from sim_devices.twin.handle import ComponentHandle

_ABSENT = (":TRACe[n]:MMODe", ":INSTrument:MEMory:EXTended:RDIVider", "[:SOURce]:FUNCtion:MODE")


class KeysightM8196A(KeysightM819xA):
    """Socket "outputs": the waveform source component with all four connectors."""

    MODEL: ClassVar[str] = "Keysight M8196A"
    HARDWARE: ClassVar[Hardware] = Hardware(
        "M8196A",
        Limits(82.24e9, 93.4e9, 92e9),
        ("SINGle", "DUAL", "FOUR", "MARKer", "DCMarker"),
        Room(524_288, 128, 128, 1),
        frozenset(pattern + end for pattern in _ABSENT for end in ("", "?")),
    )

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "2.2.0.0",
        options: str = "004",
    ) -> None:
        super().__init__(
            components, serial_number=serial_number, firmware_revision=firmware_revision, options=options
        )
