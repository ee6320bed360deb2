"""Keysight N7744A: a four-port optical power meter, one port per slot.

Reference: Keysight N77xx Series Programming Guide, chapter 4, "Measurement Functions"; range -80 to +10 dBm, averaging
1 us to 10 s (data sheet).

Assumed, because the guide does not say it: averaging 0.1 s after *RST; wavelengths 1250 to 1650 nm; *RST
in dBm, autoranging and measuring continuously; a calibration in dB adds to the reading; setting a range ends
autoranging; above twice the range's nominal power the answer is +3.40282347E+038; readings end at a noise floor of
-90 dBm, and what lies between it and -80 dBm is still answered; zeroing takes 5 s.
READ always lets one averaging time pass, also while measuring continuously, so that it never shows the past alone;
FETCh looks back over one, or waits for a measurement that INITiate has begun. Logging, stability and MinMax functions
are not there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from qdci_lab.units import db_to_ratio, dbm_to_watt, ps_to_seconds, seconds_to_ps, watt_to_dbm
from sim_devices.firmware.keysight_n77xx import N77xx
from sim_devices.firmware.keysight_n77xx_power import power_commands, power_unit_commands, unit_list_command
from sim_devices.firmware.keysight_n77xx_values import SLOT_INVALID, STAT_TOO_SMALL, real, stat_limits
from sim_devices.firmware.scpi_errors import ErrorEntry, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_status import POWER_ON
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    LENGTH_M,
    LEVEL_DB,
    POWER_DBM,
    TIME_S,
    PowerUnit,
    arguments,
    choice,
    integer,
    number,
    power,
)
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

OVERRANGE_W = 3.40282347e38
ZEROING_S = 5.0
ABSOLUTE = 255
AVERAGING_S = stat_limits(1e-6, 10.0, 0.1)
WAVELENGTH_M = stat_limits(
    1250e-9, 1650e-9, 1450e-9
)  # DEFault is the middle of the range, not the *RST value
CALIBRATION_DB = stat_limits(-200.0, 200.0, 0.0)
RANGE_DBM = stat_limits(-30.0, 10.0, 0.0)
INIT_IGNORED = ErrorEntry(-213, "Init ignored")
NOT_YET_MEASURED = ErrorEntry(-231, "Data questionable (StatValNYetAcc)")


@dataclass(frozen=True)
class MeterState:
    """What one port remembers."""

    averaging_s: float = AVERAGING_S.default
    wavelength_m: float = 1550e-9
    power_unit: PowerUnit = PowerUnit.DBM
    calibration_db: float = 0.0
    auto_range: bool = True
    range_dbm: float = 10.0
    auto_gain: bool = True
    continuous: bool = True
    relative: bool = False
    reference_slot: int = ABSOLUTE
    reference_dbm: float = 0.0
    """Level that relative readings refer to."""
    reference_db: float = 0.0
    """Ratio to the other slot that relative readings refer to."""


@dataclass
class _Measurement:
    """A triggered measurement: when it ends, and its result once it is known."""

    end_ps: int
    power_w: float | None = None


class KeysightN7744A(N77xx[MeterState]):
    """Sockets "1" to "4": the power sensor behind each port."""

    MODEL: ClassVar[str] = "Keysight N7744A"
    PRODUCT: ClassVar[str] = "N7744A"
    SLOT_COUNT: ClassVar[int] = 4
    MODULES: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    MODULE_OPTION: ClassVar[str] = "N7744A"
    STATUS_PRESET_CLEARS: ClassVar[bool] = False

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "1.24",
        noise_floor_dbm: float = -90.0,
    ) -> None:
        handles = connect(components, [str(module) for module in self.MODULES])
        self._sensors = {module: handles[str(module)] for module in self.MODULES}
        self._measurements: dict[int, _Measurement] = {}
        self._zeroed_ps = 0
        self._floor_w = dbm_to_watt(noise_floor_dbm)
        super().__init__(
            self._sensors[1].lab_time,
            serial_number=serial_number,
            firmware_revision=firmware_revision,
            power_on=POWER_ON,
        )

    def default_state(self, module: int) -> MeterState:
        """dBm at 1550 nm, measuring continuously."""
        del module
        return MeterState()

    def bring(self, module: int, state: MeterState) -> None:
        """Remember a state; a change of the averaging or trigger mode ends a measurement under way."""
        before = self.state[module]
        if (before.averaging_s, before.continuous) != (state.averaging_s, state.continuous):
            self._measurements.pop(module, None)
        self.state[module] = state

    def slot_conditions(self, slot: int) -> tuple[int, int]:
        """Zeroing."""
        del slot
        return (8 if self.lab_time.now_ps() < self._zeroed_ps else 0), 0

    def module_busy_until_ps(self, module: int) -> int:
        """End of the measurement under way, or of zeroing."""
        measurement = self._measurements.get(module)
        return max(self._zeroed_ps, 0 if measurement is None else measurement.end_ps)

    def wait(self) -> None:
        """Let everything end, and take the results at that moment."""
        super().wait()
        for module, measurement in self._measurements.items():
            self._finish(module, measurement)

    def meter_ports(self) -> Sequence[int]:
        """Every slot has a sensor."""
        return self.MODULES

    def read_power_w(self, ports: Sequence[int]) -> list[float]:
        """Powers over the averaging times that start now, which pass on all ports together."""
        for port in ports:
            self._trigger_measurement(port)
        self.lab_time.advance_to(max(self._measurements[port].end_ps for port in ports))
        powers_w = [self._finish(port, self._measurements[port]) for port in ports]
        for port in ports:
            if self.state[port].continuous:
                del self._measurements[port]
        return powers_w

    def fetch_power_w(self, ports: Sequence[int]) -> list[float]:
        """Powers over the averaging times that end now, or of the last triggered measurements; -231 if none was."""
        return [self._fetch(port) for port in ports]

    def displayed(self, port: int, power_w: float) -> float:
        """A power in the port's unit, or in dB relative to its reference."""
        state = self.state[port]
        if power_w >= OVERRANGE_W:
            return OVERRANGE_W
        if not state.relative:
            return power_w if state.power_unit is PowerUnit.WATT else watt_to_dbm(power_w)
        if state.reference_slot == ABSOLUTE:
            return watt_to_dbm(power_w) - state.reference_dbm
        (other_w,) = self.fetch_power_w([state.reference_slot])
        return watt_to_dbm(power_w) - watt_to_dbm(other_w) - state.reference_db

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        return (
            super().commands()
            | power_commands(self)
            | unit_list_command(self)
            | self._sense_commands()
            | self._reference_commands()
            | {
                **self.switch(":INITiate[n][:CHANnel[m]]:CONTinuous", "continuous"),
                ":INITiate[n][:CHANnel[m]][:IMMediate]": self._initiate,
            }
        )

    def _sense_commands(self) -> dict[str, Handler]:
        node, zero = ":SENSe[n][:CHANnel[m]]", ":SENSe[n][:CHANnel[m]]:CORRection:COLLect:ZERO"
        calibration = f"{node}:CORRection[:LOSS][:INPut][:MAGNitude]"
        return {
            **self.numeric(calibration, "calibration_db", CALIBRATION_DB, LEVEL_DB),
            **self.numeric(f"{node}:POWer:ATIMe", "averaging_s", AVERAGING_S, TIME_S),
            **self.numeric(f"{node}:POWer:WAVelength", "wavelength_m", WAVELENGTH_M, LENGTH_M),
            **power_unit_commands(self, f"{node}:POWer:UNIT"),
            **self.switch(f"{node}:POWer:RANGe:AUTO", "auto_range"),
            **self.switch(f"{node}:POWer:GAIN:AUTO", "auto_gain"),
            f"{node}:POWer:RANGe[:UPPer]": self.one(self._with_range),
            f"{node}:POWer:RANGe[:UPPer]?": lambda request: real(self.of(request, 0).range_dbm),
            zero: self._zero,
            f"{zero}:ALL": self._zero,
            f"{zero}?": self.constant("0"),
            f"{zero}:ALL?": self.constant("0"),
        }

    def _reference_commands(self) -> dict[str, Handler]:
        node = ":SENSe[n][:CHANnel[m]]:POWer:REFerence"
        return {
            **self.switch(f"{node}:STATe", "relative"),
            node: self._set_reference,
            f"{node}?": self._reference,
            f"{node}:DISPlay": self._reference_from_display,
            f"{node}:STATe:RATio": self._set_reference_slot,
            f"{node}:STATe:RATio?": self._reference_slot,
        }

    def _initiate(self, request: Request) -> None:
        if self.of(request, 0).continuous:
            raise ScpiError(INIT_IGNORED)
        self._trigger_measurement(self.module(request))

    def _trigger_measurement(self, port: int) -> None:
        span_ps = seconds_to_ps(self.state[port].averaging_s)
        self._measurements[port] = _Measurement(self.lab_time.now_ps() + span_ps)

    def _fetch(self, port: int) -> float:
        if self.state[port].continuous:
            return self._average_w(port)
        if port not in self._measurements:
            raise ScpiError(NOT_YET_MEASURED)
        measurement = self._measurements[port]
        self.lab_time.advance_to(measurement.end_ps)
        return self._finish(port, measurement)

    def _finish(self, port: int, measurement: _Measurement) -> float:
        if measurement.power_w is None:
            measurement.power_w = self._average_w(port)
        return measurement.power_w

    def _average_w(self, port: int) -> float:
        state = self.state[port]
        past_s = ps_to_seconds(self.lab_time.now_ps())
        sensed_w = self._sensors[port].sense("power_w", average_s=min(state.averaging_s, past_s))
        highest_dbm = RANGE_DBM.maximum if state.auto_range else state.range_dbm
        if sensed_w >= 2.0 * dbm_to_watt(highest_dbm):
            return OVERRANGE_W
        return max(sensed_w, self._floor_w) * db_to_ratio(state.calibration_db)

    def _with_range(self, module: int, token: bytes) -> MeterState:
        range_dbm = RANGE_DBM.check(10.0 * math.floor(number(token, POWER_DBM) / 10.0 + 0.5))
        return replace(self.state[module], range_dbm=range_dbm, auto_range=False)

    def _zero(self, request: Request) -> None:
        self.of(request, 0)
        self._zeroed_ps = self.lab_time.now_ps() + seconds_to_ps(ZEROING_S)

    def _set_reference(self, request: Request) -> None:
        kind, value = arguments(request, 2)
        module, state = self.module(request), self.of(request)
        if choice(kind, "TOMODule", "TOREF") == "TOMOD":
            self.bring(module, replace(state, reference_db=number(value, LEVEL_DB)))
        else:
            level, unit = power(value, state.power_unit)
            if unit is PowerUnit.WATT and level <= 0.0:
                raise ScpiError(STAT_TOO_SMALL)
            level_dbm = level if unit is PowerUnit.DBM else watt_to_dbm(level)
            self.bring(module, replace(state, reference_dbm=level_dbm))

    def _reference(self, request: Request) -> str:
        (kind,) = arguments(request, 1)
        state = self.of(request)
        if choice(kind, "TOMODule", "TOREF") == "TOMOD":
            return real(state.reference_db)
        is_dbm = state.power_unit is PowerUnit.DBM
        return real(state.reference_dbm if is_dbm else dbm_to_watt(state.reference_dbm))

    def _reference_from_display(self, request: Request) -> None:
        module, state = self.module(request), self.of(request, 0)
        self.bring(module, replace(state, reference_dbm=watt_to_dbm(self._fetch(module))))

    def _set_reference_slot(self, request: Request) -> None:
        slot_token, _ = arguments(request, 2)
        slot = ABSOLUTE if plain_text(slot_token).upper() == "TOREF" else integer(slot_token)
        if slot != ABSOLUTE and slot not in self.MODULES:
            raise ScpiError(SLOT_INVALID)
        self.bring(self.module(request), replace(self.of(request), reference_slot=slot))

    def _reference_slot(self, request: Request) -> str:
        slot = self.of(request, 0).reference_slot
        return "+255,+0" if slot == ABSOLUTE else f"{slot:+d},+1"
