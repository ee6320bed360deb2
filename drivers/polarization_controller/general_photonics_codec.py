"""What General Photonics' polarization instruments have in common (MPC-202 and PSY-201 user guides, command lists).

SCPI-like text, CR and LF both ways; commands have no reply, and there is no error queue. The range of the
operating wavelength is the one of a public driver of the PSY-201, which sends whole nm; assumed for the MPC-202.
"""

from qdci_lab.errors import LocalProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import number

TERMINATOR = b"\r\n"
WAVELENGTH_RANGE_NM = (1480.0, 1620.0)


def wavelength() -> Query[float]:
    """:CONFigure:WLENgth?: the operating wavelength in nm."""
    return Query.text(":CONF:WLEN?", number)


def set_wavelength(wavelength_nm: float) -> Command:
    """:CONFigure:WLENgth, in whole nm."""
    return Command.text(f":CONF:WLEN {within('wavelength', wavelength_nm, WAVELENGTH_RANGE_NM, 'nm'):.0f}")


def within(name: str, value: float, bounds: tuple[float, float], unit: str) -> float:
    """The value; LocalProtocolError, with name, unit and bounds, outside of them."""
    low, high = bounds
    if not low <= value <= high:
        raise LocalProtocolError(f"a {name} of {value:g} {unit}: must be {low:g} to {high:g} {unit}")
    return value
