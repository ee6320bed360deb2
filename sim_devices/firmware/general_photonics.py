"""What General Photonics (Luna) polarization instruments have in common: SCPI-like text, wavelength, scramblers.

Assumed: long forms of the words, the identity, 1480 to 1620 nm in whole nm, one scrambling at a time (starting one
stops the other), rates in Hz with two decimals, and everything off at the start.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    FREQUENCY_HZ,
    NO_UNIT,
    Limits,
    arguments,
    bare,
    boolean,
    integer,
    limited,
)
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

WAVELENGTH_NM = Limits(1480, 1620, 1550)
_KIND = Limits(0, 1, 0)


class Scramblers:
    """Several ways to scramble, each with a rate, of which one at most is on; `drive` is told of every change."""

    def __init__(
        self, limits: Mapping[str, Limits], drive: Callable[[str, float, bool], None] | None = None
    ) -> None:
        self._limits = limits
        self._drive = drive
        self._default()

    def reset(self) -> None:
        """All off, at their default rates."""
        self._default()
        self._tell(next(iter(self._limits)))

    def stop(self) -> None:
        """Scramble no more."""
        on, self._on = self._on, None
        if on is not None:
            self._tell(on)

    def commands(self, root: str) -> dict[str, Handler]:
        """Rates and states of all modes, and the type of the tornado."""
        table: dict[str, Handler] = {
            f"{root}:TORNado:TYPE": self._set_kind,
            f"{root}:TORNado:TYPE?": bare(lambda: str(self._kind)),
        }
        for mode in self._limits:
            table |= self._mode_commands(f"{root}:{mode}", mode)
        return table

    def _default(self) -> None:
        self._rates_hz = {mode: limit.default for mode, limit in self._limits.items()}
        self._kind = 0
        self._on: str | None = None

    def _mode_commands(self, root: str, mode: str) -> dict[str, Handler]:
        def set_rate(request: Request) -> None:
            (value,) = arguments(request, 1)
            self._rates_hz[mode] = round(limited(value, self._limits[mode], FREQUENCY_HZ), 2)
            if self._on == mode:
                self._tell(mode)

        def set_state(request: Request) -> None:
            (value,) = arguments(request, 1)
            wanted = boolean(value)
            if wanted or self._on == mode:
                self._on = mode if wanted else None
                self._tell(mode)

        return {
            f"{root}:RATE": set_rate,
            f"{root}:RATE?": bare(lambda: f"{self._rates_hz[mode]:.2f}"),
            f"{root}:STATe": set_state,
            f"{root}:STATe?": bare(lambda: "ON" if self._on == mode else "OFF"),
        }

    def _set_kind(self, request: Request) -> None:
        (value,) = arguments(request, 1)
        self._kind = integer(value, _KIND)

    def _tell(self, mode: str) -> None:
        if self._drive is not None:
            self._drive(mode, self._rates_hz[mode], self._on == mode)


class GeneralPhotonics(ScpiInstrument):
    """Base of both: the wavelength, and replies that end with CR LF."""

    terminator: bytes = b"\r\n"
    PRODUCT: ClassVar[str]
    SOCKET: ClassVar[str]

    def __init__(self, components: Mapping[str, ComponentHandle], *, serial_number: str) -> None:
        self.light = connect(components, [self.SOCKET])[self.SOCKET]
        self._wavelength_nm = round(WAVELENGTH_NM.default)
        super().__init__(self.light.lab_time, f"General Photonics,{self.PRODUCT},{serial_number},V1.0")

    def reset(self) -> None:
        """The wavelength that the instrument starts with."""
        self._wavelength_nm = round(WAVELENGTH_NM.default)

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        return super().commands() | {
            ":CONFigure:WLENgth": self._set_wavelength,
            ":CONFigure:WLENgth?": bare(lambda: str(self._wavelength_nm)),
        }

    def _set_wavelength(self, request: Request) -> None:
        (value,) = arguments(request, 1)
        self._wavelength_nm = round(limited(value, WAVELENGTH_NM, NO_UNIT))
