"""Thorlabs PM100D: power meter console with an InGaAs fibre sensor S154C.

Reference: Thorlabs PM100D Operation Manual, SCPI chapter. Wavelengths are in nm; MEASure, READ and INITiate average as
many samples as :SENSe:AVERage says, 3 ms each, in lab time, and answer in W or dBm as :SENSe:POWer:UNIT says.

Assumed: the sensor covers 800 to 1700 nm at 1 A/W, so that the console's six ranges of photocurrent, 50 nA to 5 mA,
are as many watts; more than the range reads 9.9E+37 and sets questionable bit 3; no light reads -200 dBm; numbers have
nine digits; the queue is 20 deep; zeroing takes 1 s and finds nothing to subtract; an input loss of x dB is added to
every power.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import pi
from typing import ClassVar

from qdci_lab.units import db_to_ratio, seconds_to_ps, watt_to_dbm
from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import ErrorEntry
from sim_devices.firmware.scpi_settings import (
    bit,
    choice_setting,
    constant,
    ignored,
    number_setting,
    register_commands,
    switch_setting,
    whole,
)
from sim_devices.firmware.scpi_status import ErrorQueue, EventRegister, StatusSystem
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import LEVEL_DB, POWER_W, Limits, Units, arguments, bare, limited
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

SAMPLE_S = 3e-3
ZEROING_S = 1.0
OVER_RANGE = 9.9e37
RESPONSIVITY_A_PER_W = 1.0
RANGES_W = tuple(5e-8 * 10.0**decade for decade in range(6))
_LOWEST_DBM = -200.0
_POWER_OVER_RANGE = 8
_WAVELENGTH_NM = Limits(800.0, 1700.0, 1550.0)
_AVERAGES = Limits(1, 10_000, 1)
_LOSS_DB = Limits(-60.0, 60.0, 0.0)
_RANGE_W = Limits(RANGES_W[0], RANGES_W[-1], RANGES_W[-1])
_REFERENCE_W = Limits(0.0, 1.0, 0.0)
_BEAM_MM = Limits(0.1, 100.0, 9.0)
_NANOMETRE: Units = {"NM": Decimal(1)}
_MILLIMETRE: Units = {"MM": Decimal(1)}
_QUANTITIES = ("POWer", "CURRent", "PDENsity", "TEMPerature")


@dataclass
class MeterSetup:
    """What the console remembers, with its *RST values."""

    wavelength_nm: float = _WAVELENGTH_NM.default
    averages: int = 1
    loss_db: float = 0.0
    beam_mm: float = _BEAM_MM.default
    range_w: float = _RANGE_W.default
    automatic: bool = True
    unit: str = "W"
    reference_w: float = 0.0
    relative: bool = False
    low_pass: bool = True
    quantity: str = "POW"


class ThorlabsPm100d(ScpiInstrument):
    """Socket "sensor": the component whose power the sensor sees."""

    MODEL: ClassVar[str] = "Thorlabs PM100D"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "2.4.0",
        sensor: str = "S154C",
        sensor_serial_number: str = "130620123",
    ) -> None:
        self._sensor = connect(components, ["sensor"])["sensor"]
        self._sensor_identity = f"{sensor},{sensor_serial_number},05-Jul-2023,1,2,289"
        self._setup = MeterSetup()
        self._reading: float | None = None
        self._zeroed_ps = 0
        self._groups = {name: EventRegister() for name in ("MEASurement", "AUXillary")}
        status = StatusSystem(errors=ErrorQueue(20))
        identity = f"Thorlabs,PM100D,{serial_number},{firmware_revision}"
        super().__init__(self._sensor.lab_time, identity, status)

    def error_text(self, entry: ErrorEntry) -> str:
        """Numbers have a sign."""
        return f'{entry.code:+d},"{entry.text}"'

    def reset(self) -> None:
        """Back to the default setup."""
        self._setup, self._reading = MeterSetup(), None

    def busy_until_ps(self) -> int:
        """End of zeroing."""
        return self._zeroed_ps

    def commands(self) -> dict[str, Handler]:
        """All commands of the console."""
        return (
            super().commands()
            | self._sense_commands()
            | self._range_commands()
            | self._measurement_commands()
            | self._system_commands()
        )

    def _sense_commands(self) -> dict[str, Handler]:
        node, own = "[:SENSe]:CORRection", self._own
        return {
            **number_setting(
                f"{node}:WAVelength", own, "wavelength_nm", _WAVELENGTH_NM, _NANOMETRE, show=_nr3
            ),
            **number_setting(
                f"{node}:LOSS[:INPut][:MAGNitude]", own, "loss_db", _LOSS_DB, LEVEL_DB, show=_nr3
            ),
            **number_setting(f"{node}:BEAMdiameter", own, "beam_mm", _BEAM_MM, _MILLIMETRE, show=_nr3),
            f"{node}:COLLect:ZERO[:INITiate]": bare(self._zero),
            f"{node}:COLLect:ZERO:ABORt": bare(self._abort_zeroing),
            f"{node}:COLLect:ZERO:STATe?": bare(lambda: bit(self.still_busy(self._zeroed_ps))),
            f"{node}:COLLect:ZERO:MAGNitude?": constant(_nr3(0.0)),
            f"{node}:POWer[:PDIode][:RESPonse]?": constant(_nr3(RESPONSIVITY_A_PER_W), 1),
            **number_setting("[:SENSe]:AVERage[:COUNt]", own, "averages", _AVERAGES, show=whole, keep=round),
            **switch_setting(":INPut[:PDIode]:FILTer[:LPASs][:STATe]", own, "low_pass"),
        }

    def _range_commands(self) -> dict[str, Handler]:
        power, own = "[:SENSe]:POWer[:DC]", self._own
        any_range = "[:SENSe]:RANGe"
        table: dict[str, Handler] = {
            **choice_setting(f"{power}:UNIT", own, "unit", "W", "DBM"),
            **number_setting(f"{power}:REFerence", own, "reference_w", _REFERENCE_W, POWER_W, show=_nr3),
            **switch_setting(f"{power}:REFerence:STATe", own, "relative"),
        }
        for node in (f"{power}:RANGe", any_range):
            table |= switch_setting(f"{node}:AUTO", own, "automatic")
            table |= number_setting(f"{node}[:UPPer]", own, "range_w", _RANGE_W, POWER_W, show=_nr3)
            table |= {f"{node}[:UPPer]": self._set_range}
        return table

    def _measurement_commands(self) -> dict[str, Handler]:
        table: dict[str, Handler] = {
            ":INITiate[:IMMediate]": bare(self._initiate),
            ":ABORt": bare(lambda: None),
            ":FETCh?": bare(self._fetch),
            ":READ?": bare(self._read),
            ":CONFigure?": bare(lambda: self._setup.quantity),
            ":MEASure[:SCALar]?": bare(lambda: self._measure("POW")),
        }
        for quantity in _QUANTITIES:
            short = "".join(letter for letter in quantity if not letter.islower())
            table |= {
                f":CONFigure[:SCALar]:{quantity}": bare(lambda short=short: self._configure(short)),
                f":MEASure[:SCALar]:{quantity}?": bare(lambda short=short: self._measure(short)),
            }
        return table

    def _system_commands(self) -> dict[str, Handler]:
        groups = {
            "OPERation": self.status.operation,
            "QUEStionable": self.status.questionable,
            **self._groups,
        }
        table: dict[str, Handler] = {
            ":SYSTem:SENSor:IDN?": constant(self._sensor_identity),
            ":SYSTem:BEEPer[:IMMediate]": ignored(),
            ":SYSTem:BEEPer:STATe": ignored(1),
            ":SYSTem:LFRequency": ignored(1),
            ":SYSTem:LFRequency?": constant("50", 1),
            ":DISPlay:BRIGhtness": ignored(1),
            ":DISPlay:BRIGhtness?": constant(_nr3(1.0)),
            ":STATus:PRESet": bare(self._preset),
        }
        for name, register in groups.items():
            table |= register_commands(f":STATus:{name}", register, self.refresh_status)
        return table

    def _own(self, request: Request) -> MeterSetup:
        del request
        return self._setup

    def _set_range(self, request: Request) -> None:
        """The smallest range that holds the value; it ends the automatic choice."""
        (token,) = arguments(request, 1)
        wanted_w = limited(token, _RANGE_W, POWER_W)
        self._setup.range_w = next(w for w in RANGES_W if w >= wanted_w * (1 - 1e-9))
        self._setup.automatic = False

    def _zero(self) -> None:
        self._zeroed_ps = self.lab_time.now_ps() + seconds_to_ps(ZEROING_S)

    def _abort_zeroing(self) -> None:
        self._zeroed_ps = 0

    def _preset(self) -> None:
        for register in (self.status.operation, self.status.questionable, *self._groups.values()):
            register.preset()

    def _configure(self, quantity: str) -> None:
        self._setup.quantity = quantity

    def _measure(self, quantity: str) -> str:
        self._configure(quantity)
        return self._read()

    def _read(self) -> str:
        self._initiate()
        return self._fetch()

    def _initiate(self) -> None:
        span_s = SAMPLE_S * self._setup.averages
        self.lab_time.advance_by(seconds_to_ps(span_s))
        self._reading = self._sensor.sense("power_w", span_s)

    def _fetch(self) -> str:
        if self._reading is None:
            self._initiate()
        power_w = self._in_range(self._reading or 0.0)
        return _nr3(self._converted(power_w) if power_w < OVER_RANGE else OVER_RANGE)

    def _in_range(self, power_w: float) -> float:
        setup = self._setup
        if setup.automatic:
            setup.range_w = next((w for w in RANGES_W if w >= power_w), RANGES_W[-1])
        over = power_w > setup.range_w
        self.status.questionable.update(_POWER_OVER_RANGE if over else 0)
        return OVER_RANGE if over else power_w

    def _converted(self, power_w: float) -> float:
        setup = self._setup
        if setup.quantity == "CURR":
            return power_w * RESPONSIVITY_A_PER_W
        if setup.quantity == "TEMP":
            return 25.0
        power_w *= db_to_ratio(setup.loss_db)
        if setup.quantity == "PDEN":
            return power_w / (pi / 4.0 * (setup.beam_mm / 10.0) ** 2)
        if setup.relative:
            power_w -= setup.reference_w
        if setup.unit == "W":
            return power_w
        return max(watt_to_dbm(power_w), _LOWEST_DBM) if power_w > 0.0 else _LOWEST_DBM


def _nr3(value: float) -> str:
    return f"{value + 0.0:.8E}"
