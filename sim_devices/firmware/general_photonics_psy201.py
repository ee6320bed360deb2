"""General Photonics PSY-201 polarization synthesizer and analyzer.

Reference: the PSY-201 command set as public drivers use it: :MEAS:SOP? and :MEAS:DOP?, :CONT:SOP s1,s2,s3 (normalised;
0,0,0 is not allowed), :CONT:ANGL theta,phi in degrees, and :CONT:SCR:DISC, TRI and TORN with RATE, STAT and TYPE.

Assumed: what `general_photonics` says; the same rates as the MPC-202, 100 Hz at the start; theta is the longitude and
phi the colatitude on the Poincare sphere; four decimals; a state takes effect at once, also in the answer; setting a
state stops the scrambling, which is remembered without effect on the light.
"""

from collections.abc import Mapping
from math import cos, hypot, radians, sin
from typing import ClassVar

from sim_devices.firmware.general_photonics import GeneralPhotonics, Scramblers
from sim_devices.firmware.scpi_errors import DATA_OUT_OF_RANGE, ScpiError
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import Limits, arguments, bare, limited, number
from sim_devices.twin.handle import ComponentHandle

_LIMITS_HZ = {
    "DISCrete": Limits(0.01, 20_000, 100),
    "TRIangle": Limits(0.01, 2000, 100),
    "TORNado": Limits(0.01, 60_000, 100),
}
_THETA_DEG, _PHI_DEG = Limits(0, 360, 0), Limits(0, 180, 0)
_START = (1.0, 0.0, 0.0)


class GeneralPhotonicsPsy201(GeneralPhotonics):
    """Socket "synthesizer": takes a state and measures the one that is there."""

    MODEL: ClassVar[str] = "General Photonics PSY-201"
    PRODUCT: ClassVar[str] = "PSY-201"
    SOCKET: ClassVar[str] = "synthesizer"

    def __init__(self, components: Mapping[str, ComponentHandle], *, serial_number: str) -> None:
        self._scramblers = Scramblers(_LIMITS_HZ)
        super().__init__(components, serial_number=serial_number)
        self.light.apply(stokes=_START)

    def reset(self) -> None:
        """Horizontal polarization, no scrambling; rates and wavelength as at the start."""
        super().reset()
        self._scramblers.reset()
        self.light.apply(stokes=_START)

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        return (
            super().commands()
            | {
                ":MEASure:SOP?": bare(lambda: ",".join(map(self._measured, ("s1", "s2", "s3")))),
                ":MEASure:DOP?": bare(lambda: self._measured("dop")),
                ":CONTrol:SOP": self._set_stokes,
                ":CONTrol:ANGLe": self._set_angles,
            }
            | self._scramblers.commands(":CONTrol:SCRamble")
        )

    def _measured(self, quantity: str) -> str:
        return f"{self.light.sense(quantity):.4f}"

    def _set_stokes(self, request: Request) -> None:
        s1, s2, s3 = (number(token) for token in arguments(request, 3))
        largest = max(abs(s1), abs(s2), abs(s3))
        if not 1e-9 < largest < 1e9:
            raise ScpiError(DATA_OUT_OF_RANGE)
        length = hypot(s1, s2, s3)
        self._control((s1 / length, s2 / length, s3 / length))

    def _set_angles(self, request: Request) -> None:
        theta_token, phi_token = arguments(request, 2)
        theta = radians(limited(theta_token, _THETA_DEG))
        phi = radians(limited(phi_token, _PHI_DEG))
        self._control((sin(phi) * cos(theta), sin(phi) * sin(theta), cos(phi)))

    def _control(self, stokes: tuple[float, float, float]) -> None:
        self._scramblers.stop()
        self.light.apply(stokes=stokes)
