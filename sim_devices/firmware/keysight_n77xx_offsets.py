"""The table of wavelength-dependent power offsets of an N776x attenuator.

Reference: Keysight N77xx Series Programming Guide, chapter 4, "The table of wavelength-dependent offsets". The table
survives *RST; it can be edited only while it is not in use. The commands that the guide lists as "included for
compatibility", without an answer, do not exist here.
"""

from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from sim_devices.firmware.keysight_n77xx_values import flag
from sim_devices.firmware.scpi_errors import ErrorEntry, ScpiError
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    LENGTH_M,
    LEVEL_DB,
    Limits,
    arguments,
    boolean,
    definite_block,
    integer,
    limited,
    number,
)

CAPACITY = 1000
TABLE_EMPTY = ErrorEntry(-323, "Flash programming error (StatUserCalTable Empty)")
TABLE_FULL = ErrorEntry(-323, "Flash programming error (StatUserCalTable Full)")
TABLE_ACTIVE = ErrorEntry(-323, "Flash programming error (StatUserCalActive)")
ENABLED, BELOW, ABOVE = 32, 64, 128
"""Bits of the slot's operation status: in use, extrapolated from above and below; both mean interpolated."""


class OffsetTable:
    """Pairs of wavelength and offset in ascending order, and the power meter that TOREF compares with."""

    def __init__(self) -> None:
        self.enabled = False
        self.reference: tuple[int, int] = (1, 1)
        self._pairs: dict[float, float] = {}

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """Wavelength in m and offset in dB, from the shortest wavelength on."""
        return sorted(self._pairs.items())

    def enable(self, on: bool) -> None:
        """Use the table or not; -323 if there is nothing in it."""
        if on and not self._pairs:
            raise ScpiError(TABLE_EMPTY)
        self.enabled = on

    def put(self, wavelength_m: float, offset_db: float) -> None:
        """Add or overwrite a pair; -323 while the table is in use or when it is full."""
        if self.enabled:
            raise ScpiError(TABLE_ACTIVE)
        if len(self._pairs) >= CAPACITY and wavelength_m not in self._pairs:
            raise ScpiError(TABLE_FULL)
        self._pairs[wavelength_m] = offset_db

    def clear(self) -> None:
        """Delete every pair; -323 while the table is in use."""
        if self.enabled:
            raise ScpiError(TABLE_ACTIVE)
        self._pairs.clear()

    def offset_db(self, wavelength_m: float) -> float:
        """Interpolated offset, the nearest one beyond the ends; 0 while the table is not in use."""
        if not self.enabled:
            return 0.0
        wavelengths, offsets = zip(*self.pairs, strict=True)
        return float(np.interp(wavelength_m, wavelengths, offsets))

    def status_bits(self, wavelength_m: float) -> int:
        """How the offset at a wavelength comes about, as bits of the operation status."""
        if not self.enabled:
            return 0
        wavelengths = [wavelength for wavelength, _ in self.pairs]
        if wavelength_m in self._pairs:
            return ENABLED
        place = bisect_left(wavelengths, wavelength_m)
        if place == 0:
            return ENABLED | BELOW
        return ENABLED | (ABOVE if place == len(wavelengths) else BELOW | ABOVE)


def offset_commands(
    table_of: Callable[[Request], OffsetTable],
    wavelengths: Limits,
    to_reference: Callable[[Request], float],
) -> dict[str, Handler]:
    """The commands of the table; `to_reference` measures the offset that TOREF stands for."""

    def put(request: Request) -> None:
        wavelength, offset = arguments(request, 2)
        is_reference = offset.strip().upper() == b"TOREF"
        offset_db = to_reference(request) if is_reference else number(offset, LEVEL_DB)
        table_of(request).put(limited(wavelength, wavelengths, LENGTH_M), offset_db)

    def set_reference(request: Request) -> None:
        slot, channel = (integer(token) for token in arguments(request, 2))
        table_of(request).reference = (slot, channel)

    def block(request: Request) -> bytes:
        arguments(request, 0)
        pairs = np.array(table_of(request).pairs, np.dtype([("wavelength_m", "<f8"), ("offset_db", "<f4")]))
        return definite_block(pairs.tobytes())

    def size(request: Request) -> str:
        pairs = len(table_of(request).pairs)
        parameters = arguments(request, 0, 1)
        return str(integer(parameters[0], Limits(0, CAPACITY, pairs)) if parameters else pairs)

    root = ":CONFigure[n][:CHANnel[m]]:OFFSet:WAVelength"
    return {
        f"{root}:STATe": lambda request: table_of(request).enable(boolean(*arguments(request, 1))),
        f"{root}:STATe?": lambda request: flag(table_of(request).enabled),
        f"{root}:VALue": put,
        f"{root}:VALue:DELete:ALL": lambda request: table_of(request).clear(),
        f"{root}:REFerence": set_reference,
        f"{root}:REFerence?": lambda request: "{:+d},{:+d}".format(*table_of(request).reference),
        f"{root}:TABle?": block,
        f"{root}:TABle:SIZE?": size,
    }
