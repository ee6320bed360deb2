"""General Photonics MPC-202 polarization controller and scrambler.

Reference: the MPC-202 command set as public drivers use it: :SCR:DISC, TRI, RAYL and TORN with RATE (DISC 0.01 to
20000 Hz, TRI and RAYL to 2000, TORN to 60000), STAT ON or OFF and TORN:TYPE 0 or 1.

Assumed: what `general_photonics` says, and that rates are 100 Hz at the start.
"""

from collections.abc import Mapping
from typing import ClassVar

from sim_devices.firmware.general_photonics import GeneralPhotonics, Scramblers
from sim_devices.firmware.scpi_tree import Handler
from sim_devices.firmware.scpi_values import Limits
from sim_devices.twin.handle import ComponentHandle

_LIMITS_HZ = {
    "DISCrete": Limits(0.01, 20_000, 100),
    "TRIangle": Limits(0.01, 2000, 100),
    "RAYLeigh": Limits(0.01, 2000, 100),
    "TORNado": Limits(0.01, 60_000, 100),
}


class GeneralPhotonicsMpc202(GeneralPhotonics):
    """Socket "scrambler"; its mode is one of discrete, triangle, rayleigh, tornado."""

    MODEL: ClassVar[str] = "General Photonics MPC-202"
    PRODUCT: ClassVar[str] = "MPC-202"
    SOCKET: ClassVar[str] = "scrambler"

    def __init__(self, components: Mapping[str, ComponentHandle], *, serial_number: str) -> None:
        self._scramblers = Scramblers(_LIMITS_HZ, self._drive)
        super().__init__(components, serial_number=serial_number)
        self._scramblers.reset()

    def reset(self) -> None:
        """Scrambles no more; rates and wavelength as at the start."""
        super().reset()
        self._scramblers.reset()

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        return super().commands() | self._scramblers.commands(":SCRamble")

    def _drive(self, mode: str, rate_hz: float, on: bool) -> None:
        self.light.apply(mode=mode.lower(), rate_hz=rate_hz, scrambling_on=on)
