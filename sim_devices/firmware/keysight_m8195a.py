"""Keysight M8195A: arbitrary waveform generator with four channels, internal and extended memory.

Reference: Keysight M8195A Revision 2 User's Guide, chapter 6; rates 53.76 to 65 GSa/s from section 1.5, amplitude 75 mV
to 1 V from the data sheet.
"""

from collections.abc import Mapping
from typing import ClassVar

from sim_devices.firmware.keysight_m819xa import Hardware, KeysightM819xA
from sim_devices.firmware.keysight_m8195a_memory import INTERNAL_ROOM
from sim_devices.firmware.keysight_m8195a_setup import RASTER_HZ
from sim_devices.twin.handle import ComponentHandle


class KeysightM8195A(KeysightM819xA):
    """Socket "outputs": the waveform source component with all four connectors."""

    MODEL: ClassVar[str] = "Keysight M8195A"
    HARDWARE: ClassVar[Hardware] = Hardware(
        "M8195A",
        RASTER_HZ,
        ("SINGle", "DUAL", "FOUR", "MARKer", "DCDuplicate", "DCMarker"),
        INTERNAL_ROOM,
    )

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "3.6.0.0",
        options: str = "004,16G",
    ) -> None:
        super().__init__(
            components, serial_number=serial_number, firmware_revision=firmware_revision, options=options
        )
