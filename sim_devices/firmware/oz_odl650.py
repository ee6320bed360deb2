"""OZ Optics ODL-650-MC motor-driven optical delay line: 0 to 200 mm of optical path.

Reference: the serial commands (9600 8N1, CR LF) and replies as public drivers use them: the value stands on the second
line of a reply, after an echo or an empty line, and `Done` ends it; 32768 steps are 5.08 mm of optical path.

S<n> and FH are over when their reply comes, so the reply lets lab time pass; GF and GR run on until G0 or the end, and
S? during the run lets 5 ms pass.
Assumed: the position is unknown until FH; S<n> then, and GF and GR, do not move anything and answer as S?; two turns of
32768 steps a second; 2 s to find the home sensor; a position beyond the ends gives Error-6, an unknown command Error-2,
each followed by `Done`; the word before the colon of S?; the echo is off at power-on and leaves out the end of the
line; RESET forgets position and echo; OW and OZ-SHS<n> do nothing; the manufacturing date.
"""

import re
import threading
from collections.abc import Callable, Mapping

from qdci_lab.units import PS_PER_S, SPEED_OF_LIGHT_M_PER_S, ps_to_seconds, seconds_to_ps
from sim_devices.firmware.lines import LineSession
from sim_devices.firmware.oz_lines import (
    BAD_COMMAND,
    DONE,
    OVERFLOW,
    EchoingLine,
    Refused,
    in_range,
    whole,
)
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

STEPS_PER_MM = 32768 / 5.08
LAST_STEP = int(200 * STEPS_PER_MM)
SPEED_STEPS_PER_S = 65536
HOME_SEARCH_S = 2.0
POLL_PS = seconds_to_ps(5e-3)


def delay_ps(steps: int) -> float:
    """Delay of the optical path at a step position, in ps beyond that at home."""
    return steps / STEPS_PER_MM * 1e-3 / SPEED_OF_LIGHT_M_PER_S * PS_PER_S


class OzOdl650:
    """Socket "line". Remembers a step position, and a run that is under way."""

    MODEL = "OZ Optics ODL-650-MC"

    def __init__(self, components: Mapping[str, ComponentHandle], *, serial_number: str) -> None:
        self._line = connect(components, ["line"])["line"]
        self._lab_time = self._line.lab_time
        self._serial_number = serial_number
        self._lock = threading.RLock()
        self._start = self._end = 0
        self._start_ps = 0
        self._homed = False
        self._echo = False
        self._line.apply(delay_ps=0.0)

    def session(self) -> EchoingLine:
        """A serial line; all lines share the instrument."""
        overflow = f"\r\n{OVERFLOW}\r\n{DONE}"
        line = LineSession(self._answer, self._lock, reply_end=b"\r\n", overflow=overflow)
        return EchoingLine(line, lambda: self._echo, end=b"")

    def _answer(self, message: str) -> str:
        try:
            lines = self._execute(message.upper().replace(" ", ""))
        except Refused as refusal:
            lines = [str(refusal)]
        return "\r\n".join(["", *lines, DONE])

    def _execute(self, command: str) -> list[str]:
        fixed: Mapping[str, Callable[[], list[str]]] = {
            "S?": self._poll,
            "FH": self._home,
            "GF": lambda: self._run(LAST_STEP),
            "GR": lambda: self._run(0),
            "G0": self._stop,
            "V1": lambda: ["ODL-650-MCV1.2_"],
            "V2": lambda: [self._serial_number],
            "D?": lambda: ["MAR-02-2022"],
            "E0": lambda: self._set_echo(on=False),
            "E1": lambda: self._set_echo(on=True),
            "RESET": self._reset,
            "OW": list,
        }
        if command in fixed:
            return fixed[command]()
        if re.fullmatch(r"OZ-SHS[01]", command):
            return []
        if command.startswith("S"):
            return self._move(in_range(whole(command.removeprefix("S")), LAST_STEP))
        raise Refused(BAD_COMMAND)

    def _position(self) -> int:
        """The step position at this instant of lab time."""
        way = self._end - self._start
        gone = int(SPEED_STEPS_PER_S * ps_to_seconds(self._lab_time.now_ps() - self._start_ps))
        return self._end if gone >= abs(way) else self._start + (gone if way > 0 else -gone)

    def _poll(self) -> list[str]:
        if self._position() != self._end:
            self._lab_time.advance_by(POLL_PS)
        return [f"Pos:{self._position() if self._homed else 'UNKNOWN'}"]

    def _run(self, end: int) -> list[str]:
        """Start towards `end`; the light follows in lab time."""
        if not self._homed:
            return self._poll()
        self._set_out(end, abs(end - self._position()) / SPEED_STEPS_PER_S)
        return []

    def _move(self, end: int) -> list[str]:
        if not self._homed:
            return self._poll()
        self._run(end)
        way_s = abs(self._end - self._start) / SPEED_STEPS_PER_S
        self._lab_time.advance_to(self._start_ps + seconds_to_ps(way_s) + 1)
        return self._poll()

    def _stop(self) -> list[str]:
        self._set_out(self._position(), 0.0)
        return self._poll()

    def _home(self) -> list[str]:
        over_s = self._position() / SPEED_STEPS_PER_S + HOME_SEARCH_S
        self._set_out(0, over_s)
        self._lab_time.advance_by(seconds_to_ps(over_s))
        self._homed = True
        return self._poll()

    def _set_out(self, end: int, over_s: float) -> None:
        self._start, self._end, self._start_ps = self._position(), end, self._lab_time.now_ps()
        self._line.apply(over_s=over_s, delay_ps=delay_ps(end))

    def _set_echo(self, *, on: bool) -> list[str]:
        self._echo = on
        return []

    def _reset(self) -> list[str]:
        self._stop()
        self._homed = self._echo = False
        return []
