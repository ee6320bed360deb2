"""General Photonics (Luna) MPC-202: polarization scrambler on a serial line or a GPIB adapter.

Reference: the command list of the MPC-202 user guide, as public drivers have it. Assumed: 9600 baud, the model's name
in the reply to `*IDN?`, and that one way to scramble must end before another one begins.
"""

from typing import Any

from drivers.polarization_controller import general_photonics_codec as family
from drivers.polarization_controller import general_photonics_mpc202_codec as codec
from qdci_lab.device import Instrument
from qdci_lab.signals import controlled
from qdci_lab.wire.framing import Framing, LineFraming

RESOLUTION_HZ = 0.01


def _rate(mode: str) -> Any:
    """The component of the rate of one way to scramble."""
    return controlled(
        lambda device: device.connection.query(codec.rate(mode)),
        lambda device, rate_hz: device.connection.command(codec.set_rate(mode, rate_hz)),
        "Hz",
        precision=2,
        limits=codec.RATE_RANGES_HZ[mode],
        resolution=RESOLUTION_HZ,
    )


class GeneralPhotonicsMpc202(Instrument):
    """A scrambler. `scrambling` is `OFF`, or the one of `DISC`, `TRI`, `RAYL` and `TORN` that is on.

    Rates can be set at any time and hold when their way to scramble is on. It does nothing to the light's power: there
    is no safe state to enter.
    """

    MODEL = "General Photonics MPC-202"
    IDENTITY_CONTAINS = "MPC-202"

    scrambling = controlled(
        lambda device: device.ask_scrambling(),
        lambda device, choice: device.choose_scrambling(choice),
        None,
        check=lambda _device, choice: codec.check_choice(choice),
    )
    discrete_rate = _rate("DISC")
    triangle_rate = _rate("TRI")
    rayleigh_rate = _rate("RAYL")
    tornado_rate = _rate("TORN")
    tornado_type = controlled(
        lambda device: device.connection.query(codec.tornado_type()),
        lambda device, kind: device.connection.command(codec.set_tornado_type(kind)),
        "1",
        precision=0,
        limits=(0.0, 1.0),
        kind="config",
        check=lambda _device, kind: codec.set_tornado_type(kind),
    )
    wavelength = controlled(
        lambda device: device.connection.query(family.wavelength()),
        lambda device, wavelength_nm: device.connection.command(family.set_wavelength(wavelength_nm)),
        "nm",
        precision=0,
        limits=family.WAVELENGTH_RANGE_NM,
        resolution=1.0,
        kind="config",
    )

    def make_framing(self) -> Framing:
        """Lines with CR and LF."""
        return LineFraming(terminator=family.TERMINATOR, skip_empty=True)

    def ask_scrambling(self) -> str:
        """What is on, or `OFF`; only the worker calls this."""
        return next((mode for mode in codec.MODES if self._is_on(mode)), codec.OFF)

    def choose_scrambling(self, choice: str) -> None:
        """End the others, then begin the one that is wanted; only the worker calls this."""
        for mode in codec.MODES:
            if mode != choice and self._is_on(mode):
                self.connection.command(codec.scramble(mode, False))
        if choice != codec.OFF:
            self.connection.command(codec.scramble(choice, True))

    def _is_on(self, mode: str) -> bool:
        return self.connection.query(codec.is_scrambling(mode))
