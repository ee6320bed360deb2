"""Keysight N7764A: four variable optical attenuators with power monitors, in the slots 1-2, 3-4, 5-6 and 7-8.

Reference: Keysight N77xx Series Programming Guide, chapter 4, "Signal Conditioning"; range 0 to 45 dB and 1260 to
1640 nm from the N776xA data sheet.

Assumed, because neither says it: resolution 0.001 dB; default speed 1000 dB/s; the *RST values 0 dB, 1550 nm, shutter
closed, averaging 0.1 s; limits of the power setting; the name of the module option; zeroing takes 5 s. The queried
attenuation is the one that was set, also while the filter moves. Opening the shutter starts at 45 dB and takes the
configured speed, closing it darkens at once. READ lets one averaging time pass, FETCh looks back over one.
:OUTPut:POWer measures once and moves the filter once; continuous control (:OUTPut:POWer:CONTRol 1) is refused with
-301, because a loop that follows the input at every instant does not exist here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from qdci_lab.units import db_to_ratio, dbm_to_watt, seconds_to_ps, watt_to_dbm
from sim_devices.firmware.keysight_n77xx import N77xx
from sim_devices.firmware.keysight_n77xx_attenuator import (
    AVERAGING_S,
    MAXIMUM_DB,
    OFFSET_DB,
    SPEED_DB_PER_S,
    WAVELENGTH_M,
    Attenuator,
    AttenuatorState,
    rounded_db,
)
from sim_devices.firmware.keysight_n77xx_offsets import OffsetTable, offset_commands
from sim_devices.firmware.keysight_n77xx_power import power_commands, power_unit_commands, unit_list_command
from sim_devices.firmware.keysight_n77xx_values import COMMAND_NOT_SUPPORTED, asked, flag, real, stat_limits
from sim_devices.firmware.scpi_errors import ErrorEntry, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    LENGTH_M,
    LEVEL_DB,
    TIME_S,
    Limits,
    PowerUnit,
    arguments,
    boolean,
    integer,
    limited,
    power,
)
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

POWER_DBM = stat_limits(-80.0, 23.0, 0.0)
INIT_IGNORED = ErrorEntry(-213, "Init ignored")


class KeysightN7764A(N77xx[AttenuatorState]):
    """Sockets "1", "3", "5", "7": the attenuator component of each pair of slots."""

    MODEL: ClassVar[str] = "Keysight N7764A"
    PRODUCT: ClassVar[str] = "N7764A"
    SLOT_COUNT: ClassVar[int] = 8
    MODULES: ClassVar[tuple[int, ...]] = (1, 3, 5, 7)
    MODULE_OPTION: ClassVar[str] = "N7764A-002"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "V1.30",
        shutters_open_at_power_on: bool = False,
    ) -> None:
        handles = connect(components, [str(module) for module in self.MODULES])
        on = shutters_open_at_power_on
        self._power_on_state = AttenuatorState(shutter_open=on, open_at_power_on=on)
        self._attenuators = {
            module: Attenuator(handles[str(module)], self._power_on_state) for module in self.MODULES
        }
        self._tables = {module: OffsetTable() for module in self.MODULES}
        super().__init__(
            next(iter(handles.values())).lab_time,
            serial_number=serial_number,
            firmware_revision=firmware_revision,
            power_on=0,
        )

    def initial_state(self, module: int) -> AttenuatorState:
        """0 dB; the shutter as configured for power-on."""
        del module
        return self._power_on_state

    def default_state(self, module: int) -> AttenuatorState:
        """0 dB behind a closed shutter."""
        del module
        return AttenuatorState()

    def bring(self, module: int, state: AttenuatorState) -> None:
        """Remember a state and let the hardware follow; a shutter that opens at a set power regulates first."""
        attenuator = self._attenuators[module]
        opens = state.shutter_open and not self.state[module].shutter_open
        if opens and state.set_power_dbm is not None:
            attenuator.bring(replace(state, filter_db=MAXIMUM_DB))
            state = self._regulated(module, state)
        self.state[module] = state
        attenuator.bring(state)

    def module_busy_until_ps(self, module: int) -> int:
        """End of the filter's movement or of zeroing."""
        return self._attenuators[module].busy_until_ps

    def slot_conditions(self, slot: int) -> tuple[int, int]:
        """Zeroing, shutter and offset bits; excessive power. Only the first slot of an attenuator shows them."""
        if slot not in self.MODULES:
            return 0, 0
        state, attenuator, table = self.state[slot], self._attenuators[slot], self._tables[slot]
        operation = (8 if attenuator.zeroing else 0) | (16 if state.shutter_open else 0)
        return operation | table.status_bits(state.wavelength_m), int(attenuator.excessive)

    def meter_ports(self) -> Sequence[int]:
        """Every attenuator has a monitor."""
        return self.MODULES

    def read_power_w(self, ports: Sequence[int]) -> list[float]:
        """Monitored powers over the averaging time that starts now."""
        self.lab_time.advance_by(seconds_to_ps(max(self.state[port].averaging_s for port in ports)))
        return self.fetch_power_w(ports)

    def fetch_power_w(self, ports: Sequence[int]) -> list[float]:
        """Monitored powers over the averaging time that ends now."""
        return [self._attenuators[port].monitor_w(self.state[port].averaging_s) for port in ports]

    def displayed(self, port: int, power_w: float) -> float:
        """Monitored power less the power offset, in the output's unit."""
        offset_db = self._power_offset_db(port)
        if self.state[port].power_unit is PowerUnit.WATT:
            return power_w / db_to_ratio(offset_db)
        return watt_to_dbm(power_w) - offset_db

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        return (
            super().commands()
            | power_commands(self)
            | unit_list_command(self)
            | offset_commands(self._table, WAVELENGTH_M, self._offset_to_reference)
            | self._input_commands()
            | self._output_commands()
            | self._output_power_commands()
            | self._sensor_commands()
        )

    def _input_commands(self) -> dict[str, Handler]:
        node = ":INPut[n][:CHANnel[m]]"
        set_wavelength = self.planned("wavelength_m", lambda token: limited(token, WAVELENGTH_M, LENGTH_M))
        return {
            **self.numeric(f"{node}:ATTenuation:SPEed", "speed_db_per_s", SPEED_DB_PER_S),
            **self.numeric(f"{node}:OFFSet", "offset_db", OFFSET_DB, LEVEL_DB),
            **self.numeric(f"{node}:WAVelength", "wavelength_m", WAVELENGTH_M, LENGTH_M),
            f"{node}:WAVelength:ALL": self.every(set_wavelength),
            f"{node}:ATTenuation": self.one(self._with_attenuation),
            f"{node}:ATTenuation:ALL": self.every(self._with_attenuation),
            f"{node}:ATTenuation?": self._attenuation,
            f"{node}:OFFSet:DISPlay": self._offset_from_display,
            f"{node}:OFFSet:POWermeter": self._offset_from_meter,
        }

    def _output_commands(self) -> dict[str, Handler]:
        node = ":OUTPut[n][:CHANnel[m]]"
        zero = f"{node}:CORRection:COLLection:ZERO"
        sense_zero = ":SENSe[n][:CHANnel[m]]:CORRection:COLLect:ZERO"
        table: dict[str, Handler] = {
            **self.switch(f"{node}[:STATe]", "shutter_open"),
            **self.switch(f"{node}[:STATe]:APOWeron", "open_at_power_on"),
            **self.numeric(f"{node}:ATIMe", "averaging_s", AVERAGING_S, TIME_S),
            f"{node}[:STATe]:ALL": self.every(self.planned("shutter_open", boolean)),
            f"{node}:APMode": self._without_effect,
            f"{node}:APMode?": lambda request: flag(self.of(request, 0).set_power_dbm is not None),
        }
        for root in (zero, sense_zero):
            table |= {root: self._zero, f"{root}:ALL": self._zero}
            table |= {f"{root}?": self.constant("0"), f"{root}:ALL?": self.constant("0")}
        return table

    def _output_power_commands(self) -> dict[str, Handler]:
        node = ":OUTPut[n][:CHANnel[m]]:POWer"
        return {
            **self.numeric(f"{node}:OFFSet", "power_offset_db", OFFSET_DB, LEVEL_DB),
            **power_unit_commands(self, f"{node}:UNit"),
            node: self.one(self._with_power),
            f"{node}:ALL": self.every(self._with_power),
            f"{node}?": self._power,
            f"{node}:OFFSet:POWermeter": self._power_offset_from_meter,
            f"{node}:CONTRol": self._set_power_control,
            f"{node}:CONTRol?": self.constant("0"),
        }

    def _sensor_commands(self) -> dict[str, Handler]:
        """Commands of the family's power meters, as attenuator slots answer them."""
        sense = ":SENSe[n][:CHANnel[m]]:POWer"
        nodes = (
            f"{sense}:WAVelength",
            f"{sense}:UNIT",
            f"{sense}:ATIMe",
            f"{sense}:RANGe:AUTO",
            f"{sense}:RANGe",
        )
        table: dict[str, Handler] = {}
        for node in nodes:
            table |= {node: self._not_supported, f"{node}?": self._not_supported}
        return table | {
            ":INITiate[n][:CHANnel[m]][:IMMediate]": self._initiate,
            ":INITiate[n][:CHANnel[m]]:CONTinuous": self._without_effect,
            ":INITiate[n][:CHANnel[m]]:CONTinuous?": self.constant("1"),
        }

    def _with_attenuation(self, module: int, token: bytes) -> AttenuatorState:
        state = self.state[module]
        shown_db = limited(token, self._attenuation_limits(state), LEVEL_DB)
        return replace(state, filter_db=rounded_db(shown_db - state.offset_db), set_power_dbm=None)

    def _attenuation(self, request: Request) -> str:
        state = self.of(request)
        return asked(request, self._attenuation_limits(state), state.filter_db + state.offset_db)

    def _attenuation_limits(self, state: AttenuatorState) -> Limits:
        return stat_limits(state.offset_db, MAXIMUM_DB + state.offset_db, state.offset_db)

    def _offset_from_display(self, request: Request) -> None:
        state = self.of(request, 0)
        self.bring(self.module(request), replace(state, offset_db=-state.filter_db))

    def _offset_from_meter(self, request: Request) -> None:
        offset_db = OFFSET_DB.check(self._difference_to_meter(request, *self._meter(request)))
        self.bring(self.module(request), replace(self.of(request), offset_db=offset_db))

    def _power_offset_from_meter(self, request: Request) -> None:
        module, state = self.module(request), self.of(request)
        table_db = self._tables[module].offset_db(state.wavelength_m)
        offset_db = OFFSET_DB.check(self._difference_to_meter(request, *self._meter(request)) + table_db)
        self.bring(module, replace(state, power_offset_db=offset_db))

    def _offset_to_reference(self, request: Request) -> float:
        return self._difference_to_meter(request, *self._table(request).reference)

    def _meter(self, request: Request) -> tuple[int, int]:
        slot, channel = arguments(request, 2)
        return integer(slot), integer(channel)

    def _difference_to_meter(self, request: Request, slot: int, channel: int) -> float:
        """Monitored power of the addressed module less that of another slot's monitor, in dB."""
        other = self.module(Request(request.header, {"n": slot, "m": channel}, ()))
        return self._attenuators[self.module(request)].monitor_dbm() - self._attenuators[other].monitor_dbm()

    def _power_offset_db(self, module: int) -> float:
        state = self.state[module]
        return state.power_offset_db + self._tables[module].offset_db(state.wavelength_m)

    def _with_power(self, module: int, token: bytes) -> AttenuatorState:
        state = self.state[module]
        named = POWER_DBM.named(plain_text(token))
        value, unit = (named, PowerUnit.DBM) if named is not None else power(token, state.power_unit)
        power_dbm = POWER_DBM.check(value if unit is PowerUnit.DBM else watt_to_dbm(value))
        asked_for = replace(state, set_power_dbm=power_dbm)
        return self._regulated(module, asked_for) if state.shutter_open else asked_for

    def _regulated(self, module: int, state: AttenuatorState) -> AttenuatorState:
        monitor_dbm = (state.set_power_dbm or 0.0) + self._power_offset_db(module)
        return replace(state, filter_db=self._attenuators[module].filter_for(monitor_dbm))

    def _power(self, request: Request) -> str:
        module, state = self.module(request), self.of(request)
        parameters = arguments(request, 0, 1)
        if parameters:
            power_dbm = limited(parameters[0], POWER_DBM)
        elif state.set_power_dbm is not None:
            power_dbm = state.set_power_dbm
        else:
            return real(self.displayed(module, self._attenuators[module].monitor_w()))
        return real(power_dbm if state.power_unit is PowerUnit.DBM else dbm_to_watt(power_dbm))

    def _set_power_control(self, request: Request) -> None:
        if boolean(*arguments(request, 1)):
            self._not_supported(request)
        self.module(request)

    def _zero(self, request: Request) -> None:
        self.of(request, 0)
        for attenuator in self._attenuators.values():
            attenuator.zero()

    def _initiate(self, request: Request) -> None:
        self.of(request, 0)
        raise ScpiError(INIT_IGNORED)

    def _not_supported(self, request: Request) -> None:
        self.module(request)
        raise ScpiError(COMMAND_NOT_SUPPORTED)

    def _without_effect(self, request: Request) -> None:
        self.module(request)
        boolean(*arguments(request, 1))

    def _table(self, request: Request) -> OffsetTable:
        return self._tables[self.module(request)]
