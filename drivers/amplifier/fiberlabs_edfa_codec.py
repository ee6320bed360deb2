"""What a FiberLabs desktop optical fibre amplifier understands (FiberLabs Programming Manual v4.0, by a public driver).

Every command has a reply. Settings are answered with an echo, `SETALC,1,13.0`; monitors with a comma list, `N/A` where
a path has no monitor; refusals begin with `??` (what was said) or `!!` (the instrument itself). That `ACTIVE` without
an argument is a query, as the other settings are, is assumed, and so is the echo's spacing: blanks are allowed.
"""

import math
from collections.abc import Callable
from typing import TypeVar

from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Query
from qdci_lab.wire.scpi import number, text

T = TypeVar("T")

CONTROL_MODES = ("ALC", "ACC")
PUMP = "1"
NO_CODE = -1

IDENTITY = Query.text("*IDN?", lambda reply: _accepted(reply))


class Emission:
    """ACTIVE: the pump lasers, all at once."""

    @staticmethod
    def get() -> Query[bool]:
        """Whether the pumps are on."""
        return _ask("ACTIVE", (), lambda field: _zero_or_one(field) == 1)

    @staticmethod
    def set(on: bool) -> Query[None]:
        """Switch the pumps on or off."""
        if on not in (0, 1):
            raise LocalProtocolError(f"emission is 0 or 1, not {on!r}")
        return _tell("ACTIVE", str(int(on)))


class ControlMode:
    """SETMOD: constant output light (ALC) or constant pump current (ACC). Changing it switches the output off."""

    @staticmethod
    def get() -> Query[str]:
        """The mode of the first pump."""
        return _ask("SETMOD", (PUMP,), _control_mode)

    @staticmethod
    def set(mode: str) -> Query[None]:
        """Choose one of CONTROL_MODES."""
        if mode not in CONTROL_MODES:
            raise LocalProtocolError(f"control mode is one of {', '.join(CONTROL_MODES)}, not {mode!r}")
        return _tell("SETMOD", PUMP, str(CONTROL_MODES.index(mode)))


class OutputPowerSetpoint:
    """SETALC: the output power that ALC keeps, in dBm; forgotten at power-off, which spares the EEPROM."""

    @staticmethod
    def get() -> Query[float]:
        """The setting of the first pump, which the others follow."""
        return _ask("SETALC", (PUMP,), _level)

    @staticmethod
    def set(power_dbm: float) -> Query[None]:
        """Set it, in steps of 0.01 dB on the wire."""
        if not math.isfinite(power_dbm):
            raise LocalProtocolError(f"output power is a finite number of dBm, not {power_dbm}")
        return _tell("SETALC", PUMP, f"{power_dbm:.2f}")


def output_power() -> Query[float]:
    """MONOUT: output power of the first path in dBm; not-a-number where it has no monitor."""
    return _ask("MONOUT", (), _level)


def input_power() -> Query[float]:
    """MONIN: input power of the first path in dBm; not-a-number where it has no monitor."""
    return _ask("MONIN", (), _level)


def case_temperature() -> Query[float]:
    """MONCTMP: temperature of the case in degrees Celsius."""
    return _ask("MONCTMP", (), _level)


def alarm_status() -> Query[int]:
    """ALMSTAT: a hexadecimal sum of 1 (output power), 2 (pump current), 4 (input power) and 8 (temperature)."""
    return _ask("ALMSTAT", (), _hexadecimal)


def _ask(word: str, arguments: tuple[str, ...], convert: Callable[[str], T]) -> Query[T]:
    """A query whose first value after the echo is what matters."""
    return Query.text(",".join((word, *arguments)), lambda reply: convert(_value(reply, word, arguments)))


def _tell(word: str, *arguments: str) -> Query[None]:
    """A setting, answered with its echo."""

    def confirm(reply: bytes) -> None:
        echoed = _accepted(reply).partition(",")[0].strip()
        if echoed.upper() != word:
            raise RemoteProtocolError(f"expected the echo of {word}, got {reply!r}")

    return Query.text(",".join((word, *arguments)), confirm)


def _accepted(reply: bytes) -> str:
    """The reply's text; a refusal is an InstrumentError."""
    words = text(reply)
    if words.startswith(("!!", "??")):
        raise InstrumentError(NO_CODE, words)
    return words


def _value(reply: bytes, word: str, arguments: tuple[str, ...]) -> str:
    fields = [field.strip() for field in _accepted(reply).split(",")]
    echo = [word, *arguments]
    if fields[0].upper() == word:
        fields = fields[len(echo) :] if fields[1 : len(echo)] == list(arguments) else []
    elif arguments:
        fields = []
    if not fields:
        raise RemoteProtocolError(f"expected the echo of {','.join(echo)} and a value, got {reply!r}")
    return fields[0]


def _level(field: str) -> float:
    return math.nan if field.upper() == "N/A" else number(field.encode("ascii"))


def _zero_or_one(field: str) -> int:
    if field not in ("0", "1"):
        raise RemoteProtocolError(f"neither 0 nor 1: {field!r}")
    return int(field)


def _control_mode(field: str) -> str:
    return CONTROL_MODES[_zero_or_one(field)]


def _hexadecimal(field: str) -> int:
    try:
        return int(field, 16)
    except ValueError as error:
        raise RemoteProtocolError(f"not a hexadecimal number: {field!r}") from error
