"""OZ Optics DD-100-MC motor-driven variable attenuator: a blocker on a stepper motor.

Reference: OZ Optics DD-100-MC serial commands (9600 8N1) and replies as public drivers have them: a command ends with
CR or CR LF, a reply's lines with CR LF, a reply with `Done` and an empty line.

A motion is over when its reply comes, so the reply lets lab time pass.
Assumed: 100 steps a dB from home, where the attenuation is the insertion loss; one step in 0.9 ms, as the
configuration says, without the overshoot; 2 s to find the home sensor; the unit has homed itself when it is switched
on, and homes before it moves if it has not; an attenuation below the insertion loss or beyond the maximum, and a
position beyond the ends, is answered with Error-6 and changes nothing; an error is followed by `Done` too; the echo is
off at power-on and ends with CR LF; the words of EVA?, I2C? and RES?, and that the modes they report have no effect.
"""

import threading
from collections.abc import Callable, Mapping

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.lines import LineSession
from sim_devices.firmware.oz_lines import (
    BAD_COMMAND,
    DONE,
    OVERFLOW,
    EchoingLine,
    Refused,
    in_range,
    number,
    whole,
)
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

STEPS_PER_DB = 100
STEP_S = 0.9e-3
HOME_SEARCH_S = 2.0
UNKNOWN = "unknown"


class OzDd100mc:
    """Socket "attenuator". Remembers a step position; attenuations are in steps of 0.01 dB."""

    MODEL = "OZ Optics DD-100-MC"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        max_attenuation_db: float = 60.0,
        insertion_loss_db: float = 0.0,
        wavelength_nm: int = 1550,
        homed_at_start: bool = True,
    ) -> None:
        self._attenuator = connect(components, ["attenuator"])["attenuator"]
        self._serial_number = serial_number
        self._last_step = round(max_attenuation_db * STEPS_PER_DB)
        self._insertion_loss_db = insertion_loss_db
        self._wavelength_nm = wavelength_nm
        self._lock = threading.RLock()
        self._position = 0
        self._homed = homed_at_start
        self._echo = False
        self._modes = {"EVA": "8", "I2C": "5"}
        self._address = 64
        self._last_reply = DONE
        self._attenuator.apply(attenuation_db=0.0, shutter_open=True)

    def session(self) -> EchoingLine:
        """A serial line; all lines share the instrument."""
        overflow = f"{OVERFLOW}\r\n{DONE}"
        line = LineSession(self._answer, self._lock, reply_end=b"\r\n\r\n", overflow=overflow)
        return EchoingLine(line, lambda: self._echo, end=b"\r\n")

    def _answer(self, message: str) -> str:
        command = message.upper().replace(" ", "")
        if command == "RES?":
            return self._last_reply
        try:
            lines = self._execute(command)
        except Refused as refusal:
            lines = [str(refusal)]
        self._last_reply = "\r\n".join([*lines, DONE])
        return self._last_reply

    def _execute(self, command: str) -> list[str]:
        fixed: Mapping[str, Callable[[], list[str]]] = {
            "A?": lambda: [f"Atten:{self._attenuation()}(dB)" if self._homed else f"Atten:{UNKNOWN}"],
            "S?": self._pos,
            "D": lambda: [f"D{self._pos()[0]}", f"ATTEN:{self._attenuation()}"],
            "CD": self._configuration,
            "H": self._home,
            "RST": self._restart,
            "F": lambda: self._move(self._present() + 1),
            "B": lambda: self._move(self._present() - 1),
            "E0": lambda: self._set_echo(on=False),
            "E1": lambda: self._set_echo(on=True),
            "EVA?": lambda: [f"EVA{self._modes['EVA']}"],
            "I2C?": lambda: [{"3": "3.3V", "5": "5.0V"}[self._modes["I2C"]]],
        }
        if command in fixed:
            return fixed[command]()
        prefixed: Mapping[str, Callable[[str], list[str]]] = {
            "EVA": lambda mode: self._set_mode("EVA", mode, "89"),
            "I2C": lambda mode: self._set_mode("I2C", mode, "35"),
            "CI": lambda text: self._set_address(whole(text)),
            "CH": lambda text: self._set_address(_hexadecimal(text)),
            "CS": self._set_spi,
            "S+": lambda text: self._move(self._present() + whole(text)),
            "S-": lambda text: self._move(self._present() - whole(text)),
            "S": lambda text: self._move(whole(text)),
            "A": lambda text: self._move(self._steps(number(text))),
            "L": lambda text: self._set_insertion_loss(number(text)),
            "W": self._select_wavelength,
        }
        for prefix, action in prefixed.items():
            if command.startswith(prefix):
                return action(command.removeprefix(prefix))
        raise Refused(BAD_COMMAND)

    def _pos(self) -> list[str]:
        return [f"Pos:{self._position if self._homed else UNKNOWN}"]

    def _attenuation(self) -> str:
        """In dB with two decimals, insertion loss included."""
        if not self._homed:
            return UNKNOWN
        return f"{self._insertion_loss_db + self._position / STEPS_PER_DB:.2f}"

    def _steps(self, attenuation_db: float) -> int:
        return in_range(round((attenuation_db - self._insertion_loss_db) * STEPS_PER_DB), self._last_step)

    def _present(self) -> int:
        if not self._homed:
            self._home()
        return self._position

    def _move(self, position: int) -> list[str]:
        in_range(position, self._last_step)
        way = abs(position - self._present())
        self._drive(position, way * STEP_S)
        return self._pos()

    def _home(self) -> list[str]:
        self._drive(0, self._position * STEP_S + HOME_SEARCH_S)
        self._homed = True
        return ["Diff=0"]

    def _drive(self, position: int, over_s: float) -> None:
        self._attenuator.apply(over_s=over_s, attenuation_db=position / STEPS_PER_DB)
        self._attenuator.lab_time.advance_by(seconds_to_ps(over_s))
        self._position = position

    def _restart(self) -> list[str]:
        self._echo = False
        self._home()
        return []

    def _set_echo(self, *, on: bool) -> list[str]:
        self._echo = on
        return []

    def _set_mode(self, name: str, mode: str, modes: str) -> list[str]:
        if len(mode) != 1 or mode not in modes:
            raise Refused(BAD_COMMAND)
        self._modes[name] = mode
        return []

    def _set_address(self, address: int) -> list[str]:
        self._address = in_range(address, 127)
        return []

    def _set_spi(self, text: str) -> list[str]:
        """Clock polarity and data position, 0 or 1 each."""
        if len(text) != 2 or set(text) - {"0", "1"}:
            raise Refused(BAD_COMMAND)
        return []

    def _set_insertion_loss(self, insertion_loss_db: float) -> list[str]:
        in_range(round(insertion_loss_db * STEPS_PER_DB), self._last_step)
        self._insertion_loss_db = insertion_loss_db
        return []

    def _select_wavelength(self, text: str) -> list[str]:
        if whole(text) != 0:
            raise Refused(BAD_COMMAND)
        return []

    def _configuration(self) -> list[str]:
        return [
            "DD100MC",
            "V6.2a",
            f"NO:{self._serial_number}",
            f"MAX ATTEN:{self._last_step / STEPS_PER_DB:.2f}",
            "OVERSHOOT:-30",
            "CALIB:MAR-02-2022",
            "GEAR RATIO:485:1",
            f"MINTERVAL(MS):{STEP_S * 1e3:.2f}",
            "MOTOR VOLT:5",
            f"IL:{self._insertion_loss_db:.2f}",
            f"WAVELENGTH:{self._wavelength_nm}",
            f"I2C ADDRESS:{self._address}",
            f"W0 {self._wavelength_nm}",
        ]


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError as error:
        raise Refused(BAD_COMMAND) from error
