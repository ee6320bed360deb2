"""General Photonics (Luna) PSY-201: polarization state generator with feedback, on a serial line or a GPIB adapter.

Reference: the command list of the PSY-201 user guide, as public drivers have it. Assumed: 9600 baud, the model's name
in the reply to `*IDN?`, that a state is reached within 5 s, and kept within 3 degrees on the Poincare sphere.
"""

from collections.abc import Sequence

from drivers.polarization_controller import general_photonics_codec as family
from drivers.polarization_controller import general_photonics_psy201_codec as codec
from qdci_lab.device import Instrument
from qdci_lab.errors import AcquisitionError, RemoteProtocolError
from qdci_lab.signals import TaskStatus, controlled, measured
from qdci_lab.wire.framing import Framing, LineFraming

SETTLING_S = 5.0
TOLERANCE_DEG = 3.0


class GeneralPhotonicsPsy201(Instrument):
    """A synthesizer of polarization states, moved by `mv(synthesizer, (1, 0, 0))`.

    `setpoint` is what was asked for, of any length; before anything was, it is what is measured. `stokes` is what is
    measured, and setting `setpoint` fails unless the two agree in direction.
    """

    MODEL = "General Photonics PSY-201"
    IDENTITY_CONTAINS = "PSY-201"

    setpoint = controlled(
        lambda device: device.ask_setpoint(),
        lambda device, stokes: device.go_to(stokes),
        "1",
        precision=4,
        limits=(-1.0, 1.0),
        check=lambda _device, stokes: codec.normalised(stokes),
        element="Stokes parameter",
    )
    stokes = measured(
        lambda device: device.connection.query(codec.measured_state()), "1", precision=4, kind="hinted"
    )
    degree_of_polarization = measured(
        lambda device: device.connection.query(codec.degree_of_polarization()), "1", precision=3
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

    wanted: tuple[float, ...] | None = None

    @property
    def position(self) -> tuple[float, ...]:
        """The state that was asked for."""
        return self.setpoint.last

    def make_framing(self) -> Framing:
        """Lines with CR and LF."""
        return LineFraming(terminator=family.TERMINATOR, skip_empty=True)

    def check_value(self, stokes: Sequence[float]) -> None:
        """LimitError for numbers beyond +-1, LocalProtocolError for what is no direction."""
        self.setpoint.check_value(stokes)

    def set(self, stokes: Sequence[float], *, timeout: float | None = None) -> TaskStatus:
        """Go to a state of polarization; the status is done when it is measured."""
        return self.setpoint.set(stokes, timeout=timeout)

    def ask_setpoint(self) -> tuple[float, ...]:
        """What was asked for, or what is measured; only the worker calls this."""
        if self.wanted is not None:
            return self.wanted
        return self.connection.query(codec.measured_state())

    def go_to(self, stokes: Sequence[float]) -> None:
        """Ask for a state, wait, and measure it; AcquisitionError if it is another one. Only the worker calls this."""
        self.connection.command(codec.go_to_state(stokes))
        self.wanted = tuple(float(part) for part in stokes)
        self.await_completion(within_s=SETTLING_S)
        found = self.stokes.refresh()
        away_deg = self._distance_deg(found)
        if away_deg > TOLERANCE_DEG:
            raise AcquisitionError(
                f"{self.setpoint.name}: {self.wanted} was asked for, but {found} is measured, {away_deg:.1f} deg away"
            )

    def _distance_deg(self, found: Sequence[float]) -> float:
        if self.wanted is None or not any(found):
            raise RemoteProtocolError(f"{self.label}: no state of polarization is measured: is there light?")
        return codec.angle_between_deg(self.wanted, found)
