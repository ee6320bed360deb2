"""What a General Photonics PSY-201 polarization synthesizer understands (PSY-201 user guide, command list).

States of polarization are Stokes vectors `s1,s2,s3`; what is sent need not be of unit length, but not 0,0,0 either.
Assumed: the reply to `*OPC?` is 1 when the state that is asked for is there.
"""

import math
from collections.abc import Collection, Sequence

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import number, numbers

DIGITS = 4
AZIMUTH_RANGE_DEG, POLAR_RANGE_DEG = (0.0, 360.0), (0.0, 180.0)

Stokes = tuple[float, float, float]


def normalised(stokes: Sequence[float]) -> Stokes:
    """The vector of unit length in the same direction; LocalProtocolError unless there is one, of three numbers."""
    if not isinstance(stokes, Collection) or len(stokes) != 3:
        raise LocalProtocolError(f"three Stokes parameters are wanted, not {stokes!r}")
    length = math.hypot(*(float(part) for part in stokes))
    if not (math.isfinite(length) and length > 0.5 * 10.0**-DIGITS):
        raise LocalProtocolError(f"the Stokes vector {tuple(stokes)} has no direction")
    s1, s2, s3 = (float(part) / length for part in stokes)
    return s1, s2, s3


def measured_state() -> Query[Stokes]:
    """:MEASure:SOP?."""
    return Query.text(":MEAS:SOP?", _stokes)


def degree_of_polarization() -> Query[float]:
    """:MEASure:DOP?, 0 to 1."""
    return Query.text(":MEAS:DOP?", number)


def go_to_state(stokes: Sequence[float]) -> Command:
    """:CONTrol:SOP: keep the output in this state."""
    words = ",".join(f"{part:.{DIGITS}f}" for part in normalised(stokes))
    return Command.text(f":CONT:SOP {words}")


def go_to_angles(azimuth_deg: float, polar_deg: float) -> Command:
    """:CONTrol:ANGLe: the same in spherical coordinates on the Poincare sphere, theta 0 to 360, phi 0 to 180."""
    for value, (low, high) in ((azimuth_deg, AZIMUTH_RANGE_DEG), (polar_deg, POLAR_RANGE_DEG)):
        if not low <= value <= high:
            raise LocalProtocolError(f"an angle of {value:g} deg: must be {low:g} to {high:g} deg")
    return Command.text(f":CONT:ANGL {azimuth_deg:.2f},{polar_deg:.2f}")


def angle_between_deg(one: Sequence[float], other: Sequence[float]) -> float:
    """How far two states are apart on the Poincare sphere, in degrees."""
    cosine = sum(a * b for a, b in zip(normalised(one), normalised(other), strict=True))
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _stokes(reply: bytes) -> Stokes:
    parts = numbers(reply)
    if len(parts) != 3 or not all(math.isfinite(part) for part in parts):
        raise RemoteProtocolError(f"not three Stokes parameters: {reply!r}")
    return parts[0], parts[1], parts[2]
