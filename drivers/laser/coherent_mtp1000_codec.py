"""Messages of the Coherent Solutions (Quantifi) MTP1000 mainframe with LaserBlades.

Reference: Coherent Solutions MTP1000 and LaserBlade user manuals: the public part of their SCPI commands. Units are
dBm and m where none is given. Assumed: that each setting can be asked for with a question mark, wavelengths in m.
"""

from typing import SupportsFloat

from qdci_lab.errors import LocalProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import boolean, finite, number, on_off, text

SLOTS = range(1, 10)
NM_PER_M = 1e9
CLEAR_STATUS = Command.text("*CLS")
BLADES = Query.text("*OPT?", text)


def checked_number(what: str, value: int, choices: range) -> int:
    """A slot or a channel; LocalProtocolError for one that cannot be."""
    if isinstance(value, bool) or value not in choices:
        last = choices[-1]
        raise LocalProtocolError(f"{what} {value!r}: must be a whole number from {choices[0]} to {last}")
    return value


def wavelength_nm(reply: bytes) -> float:
    """A wavelength reply, which is in metres, as nm to the tenth of a pm."""
    return round(number(reply) * NM_PER_M, 4)


class Emission:
    """:OUTPut<slot>:CHANnel<channel>:STATE."""

    @staticmethod
    def get(slot: int, channel: int) -> Query[bool]:
        return Query.text(f":OUTP{slot}:CHAN{channel}:STATE?", boolean)

    @staticmethod
    def set(slot: int, channel: int, state: SupportsFloat) -> Command:
        return Command.text(f":OUTP{slot}:CHAN{channel}:STATE {'ON' if on_off(state) else 'OFF'}")


class Wavelength:
    """:SOURce<slot>:CHANnel<channel>:WAVelength."""

    @staticmethod
    def get(slot: int, channel: int) -> Query[float]:
        return Query.text(f":SOUR{slot}:CHAN{channel}:WAV?", wavelength_nm)

    @staticmethod
    def set(slot: int, channel: int, value_nm: float) -> Command:
        return Command.text(f":SOUR{slot}:CHAN{channel}:WAV {finite(value_nm):.4f} NM")


class Power:
    """:SOURce<slot>:CHANnel<channel>:POWer in dBm."""

    @staticmethod
    def get(slot: int, channel: int) -> Query[float]:
        return Query.text(f":SOUR{slot}:CHAN{channel}:POW?", number)

    @staticmethod
    def set(slot: int, channel: int, power_dbm: float) -> Command:
        return Command.text(f":SOUR{slot}:CHAN{channel}:POW {finite(power_dbm):.2f}")
