"""What a General Photonics MPC-202 polarization scrambler understands (MPC-202 user guide, command list).

Four ways to scramble, each with a rate and a state of its own. Assumed: rates and states can be asked for with `?`, and
rates are kept in steps of 0.01 Hz.
"""

from qdci_lab.errors import LocalProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import boolean, number

OFF = "OFF"
RATE_RANGES_HZ = {
    "DISC": (0.01, 20_000.0),
    "TRI": (0.01, 2_000.0),
    "RAYL": (0.01, 2_000.0),
    "TORN": (0.01, 60_000.0),
}
"""Discrete, triangle, Rayleigh and tornado scrambling, by their names on the wire."""

MODES = tuple(RATE_RANGES_HZ)
TORNADO_TYPES = (0, 1)


def rate(mode: str) -> Query[float]:
    """:SCRamble:<mode>:RATE?, in Hz."""
    return Query.text(f":SCR:{_mode(mode)}:RATE?", number)


def set_rate(mode: str, rate_hz: float) -> Command:
    """:SCRamble:<mode>:RATE; LocalProtocolError outside the mode's range."""
    low, high = RATE_RANGES_HZ[_mode(mode)]
    if not low <= rate_hz <= high:
        raise LocalProtocolError(f"a {mode} rate of {rate_hz:g} Hz: must be {low:g} to {high:g} Hz")
    return Command.text(f":SCR:{mode}:RATE {rate_hz:.2f}")


def is_scrambling(mode: str) -> Query[bool]:
    """:SCRamble:<mode>:STATe?."""
    return Query.text(f":SCR:{_mode(mode)}:STAT?", boolean)


def scramble(mode: str, on: bool) -> Command:
    """:SCRamble:<mode>:STATe."""
    return Command.text(f":SCR:{_mode(mode)}:STAT {'ON' if on else OFF}")


def tornado_type() -> Query[int]:
    """:SCRamble:TORNado:TYPE?: about a fixed axis (0) or one that moves (1)."""
    return Query.text(":SCR:TORN:TYPE?", lambda reply: int(number(reply)))


def set_tornado_type(kind: int) -> Command:
    """:SCRamble:TORNado:TYPE."""
    if kind not in TORNADO_TYPES:
        raise LocalProtocolError(f"a tornado is of type 0 or 1, not {kind!r}")
    return Command.text(f":SCR:TORN:TYPE {int(kind)}")


def check_choice(choice: str) -> None:
    """LocalProtocolError unless it is `OFF` or one of MODES."""
    if choice != OFF:
        _mode(choice)


def _mode(mode: str) -> str:
    if mode not in RATE_RANGES_HZ:
        raise LocalProtocolError(f"scrambling is one of {', '.join((OFF, *MODES))}, not {mode!r}")
    return mode
