"""What an OZ Optics ODL-650-MC motor-driven delay line understands (its command list, as a public driver has it).

A turn of the motor, 32768 steps, is 5.08 mm of optical path; 0 to 200 mm of path are 0 to 667 ps. Assumed: the position
is counted from home, where the path is shortest.
"""

import math
import re

from drivers.oz_motor_codec import accepted, done
from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.units import PS_PER_S, SPEED_OF_LIGHT_M_PER_S
from qdci_lab.wire.message import Query

STEPS_PER_TURN = 32768
PATH_PER_TURN_MM = 5.08
MAX_PATH_MM = 200.0
MAX_STEPS = math.floor(MAX_PATH_MM / PATH_PER_TURN_MM * STEPS_PER_TURN)
PS_PER_STEP = PATH_PER_TURN_MM * 1e-3 / STEPS_PER_TURN / SPEED_OF_LIGHT_M_PER_S * PS_PER_S

_POSITION = re.compile(r":\s*([+-]?\d+)")


def to_steps(delay_ps: float) -> int:
    """The step nearest to a delay; LocalProtocolError outside the line's range."""
    if not math.isfinite(delay_ps):
        raise LocalProtocolError(f"a delay is a finite number of ps, not {delay_ps}")
    steps = round(delay_ps / PS_PER_STEP)
    if not 0 <= steps <= MAX_STEPS:
        raise LocalProtocolError(
            f"a delay of {delay_ps:g} ps: must be 0 to {to_delay_ps(MAX_STEPS):.3f} ps, {MAX_STEPS} steps"
        )
    return steps


def to_delay_ps(steps: int) -> float:
    """The delay of a number of steps from home."""
    return steps * PS_PER_STEP


def position() -> Query[int | None]:
    """`S?`: steps from home; None, `UNKNOWN` on the wire, while the line has not been homed."""
    return Query.text("S?", _position)


def move_to(steps: int) -> Query[None]:
    """`S<steps>`: move."""
    if not 0 <= steps <= MAX_STEPS:
        raise LocalProtocolError(f"step {steps}: must be 0 to {MAX_STEPS}")
    return Query.text(f"S{steps}", done)


def home() -> Query[None]:
    """`FH`: find the home sensor."""
    return Query.text("FH", done)


def stop() -> Query[None]:
    """`G0`: let the motor stop where it is."""
    return Query.text("G0", done)


def model() -> Query[str]:
    """`V1`: the model and its version, `<name>V<version>_...`, on the second line."""
    return Query.text("V1", lambda reply: _second_line("V1", reply))


def serial_number() -> Query[str]:
    """`V2`: the serial number, on the second line."""
    return Query.text("V2", lambda reply: _second_line("V2", reply))


def _position(reply: bytes) -> int | None:
    words = accepted(reply)
    if "UNKNOWN" in words:
        return None
    match = _POSITION.search(words)
    if match is None:
        raise RemoteProtocolError(f"expected a position, got {reply!r}")
    return int(match[1])


def _second_line(command: str, reply: bytes) -> str:
    """The line of the value: the first one, which is blank or the command's echo, is left out."""
    lines = [line.strip() for line in accepted(reply).splitlines()]
    values = [line for line in lines if line and line != command]
    if not values:
        raise RemoteProtocolError(f"expected a line of text, got {reply!r}")
    return values[0]
