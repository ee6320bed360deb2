"""Keysight N7714A: four tunable lasers, one per slot.

Reference: Keysight N77xx Series Programming Guide, chapter 4, "Signal Generation - The SOURce subtree". In auto mode
wavelength or frequency is set; in grid mode it is reference + channel x spacing + offset.

Assumed, because the guide refers to the data sheet: 1527.6 to 1565.5 nm, +6 to +15.5 dBm, offset within 6 GHz, spacing
0.1 GHz to 1 THz, SBS suppression up to 1 GHz; *RST values 1550 nm in auto mode, 10 dBm, off, 193.1 THz, 50 GHz. A laser
that is on goes dark for `tuning_s` when it changes channel, not when its offset or power changes; switching on and
tuning while off take no time. Leaving auto mode takes the channel next to the present frequency.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from qdci_lab.units import SPEED_OF_LIGHT_M_PER_S, dbm_to_watt, seconds_to_ps, watt_to_dbm
from sim_devices.firmware.keysight_n77xx import N77xx
from sim_devices.firmware.keysight_n77xx_power import power_unit_commands, unit_list_command
from sim_devices.firmware.keysight_n77xx_values import asked, real, stat_limits
from sim_devices.firmware.scpi_errors import SETTINGS_CONFLICT, ErrorEntry, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    FREQUENCY_HZ,
    LENGTH_M,
    Limits,
    PowerUnit,
    boolean,
    integer,
    limited,
    power,
)
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

WAVELENGTH_M = stat_limits(1527.6e-9, 1565.5e-9, 1550e-9)
FREQUENCY = stat_limits(
    SPEED_OF_LIGHT_M_PER_S / WAVELENGTH_M.maximum,
    SPEED_OF_LIGHT_M_PER_S / WAVELENGTH_M.minimum,
    SPEED_OF_LIGHT_M_PER_S / WAVELENGTH_M.default,
)
REFERENCE = stat_limits(FREQUENCY.minimum, FREQUENCY.maximum, 193.1e12)
SPACING = stat_limits(0.1e9, 1e12, 50e9)
OFFSET = stat_limits(-6e9, 6e9, 0.0)
SBS_CONTROL = stat_limits(0.0, 1e9, 0.2e9)
POWER_DBM = stat_limits(6.0, 15.5, 10.0)
LASER_IS_ON = ErrorEntry(-221, "Not allowed while laser is on")
AUTO_IS_ON = ErrorEntry(-221, "Not allowed while frequency auto mode is on")
AUTO_IS_OFF = ErrorEntry(-221, "Not allowed while frequency auto mode is off")


@dataclass(frozen=True)
class LaserState:
    """What one laser remembers."""

    on: bool = False
    power_dbm: float = POWER_DBM.default
    power_unit: PowerUnit = PowerUnit.DBM
    auto: bool = True
    auto_frequency_hz: float = FREQUENCY.default
    reference_hz: float = REFERENCE.default
    spacing_hz: float = SPACING.default
    channel: int = 0
    offset_hz: float = OFFSET.default
    modulation: bool = False
    sbs_control_hz: float = SBS_CONTROL.default

    @property
    def grid_frequency_hz(self) -> float:
        """Frequency of the grid point, without the offset."""
        return self.reference_hz + self.channel * self.spacing_hz

    @property
    def frequency_hz(self) -> float:
        """Frequency that the laser is set to."""
        return self.auto_frequency_hz if self.auto else self.grid_frequency_hz + self.offset_hz


class KeysightN7714A(N77xx[LaserState]):
    """Sockets "1" to "4": the continuous laser in each slot."""

    MODEL: ClassVar[str] = "Keysight N7714A"
    PRODUCT: ClassVar[str] = "N7714A"
    SLOT_COUNT: ClassVar[int] = 4
    MODULES: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    MODULE_OPTION: ClassVar[str] = "N7714A"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "V1.30",
        tuning_s: float = 1.0,
    ) -> None:
        handles = connect(components, [str(module) for module in self.MODULES])
        self._lasers = {module: handles[str(module)] for module in self.MODULES}
        self._tuned_ps = dict.fromkeys(self.MODULES, 0)
        self._tuning_s = tuning_s
        super().__init__(
            self._lasers[1].lab_time,
            serial_number=serial_number,
            firmware_revision=firmware_revision,
            power_on=0,
        )
        for module, state in self.state.items():
            self._emit(module, state, dark_s=0.0)

    def default_state(self, module: int) -> LaserState:
        """Off, 1550 nm."""
        del module
        return LaserState()

    def bring(self, module: int, state: LaserState) -> None:
        """Remember a state and let the laser follow, dark while it tunes to another channel."""
        before, self.state[module] = self.state[module], state
        retuned = _channel_hz(before) != _channel_hz(state)
        now_ps = self.lab_time.now_ps()
        if state.on and retuned:
            self._tuned_ps[module] = now_ps + seconds_to_ps(self._tuning_s)
            self._emit(module, state, dark_s=self._tuning_s)
        elif before != state:
            remaining_s = max(0, self._tuned_ps[module] - now_ps) * 1e-12 if state.on else 0.0
            self._tuned_ps[module] = self._tuned_ps[module] if state.on else now_ps
            self._emit(module, state, dark_s=remaining_s)

    def module_busy_until_ps(self, module: int) -> int:
        """End of tuning."""
        return self._tuned_ps[module]

    def slot_conditions(self, slot: int) -> tuple[int, int]:
        """Questionable bit 12 tells that a frequency offset is in use."""
        state = self.state[slot]
        return 0, (4096 if not state.auto and state.offset_hz != 0.0 else 0)

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        return (
            super().commands()
            | unit_list_command(self)
            | self._power_commands()
            | self._frequency_commands()
            | self._modulation_commands()
        )

    def _power_commands(self) -> dict[str, Handler]:
        node, output = "[:SOURce[n]][:CHANnel[m]]:POWer", ":OUTPut[n][:CHANnel[m]]"
        return {
            f"{node}[:LEVel][:IMMediate][:AMPLitude]": self.one(self._with_power),
            f"{node}[:LEVel][:IMMediate][:AMPLitude]?": self._power,
            **self.switch(f"{node}:STATe", "on"),
            **self.switch(f"{output}[:STATe]", "on"),
            **power_unit_commands(self, f"{node}:UNIT"),
            **power_unit_commands(self, f"{output}:POWer:UNit"),
        }

    def _frequency_commands(self) -> dict[str, Handler]:
        node = "[:SOURce[n]][:CHANnel[m]]:FREQuency"
        wave = "[:SOURce[n]][:CHANnel[m]]:WAVelength"
        return {
            f"{wave}[:CW|:FIXed]": self.one(self._in_auto_mode(_wavelength_hz)),
            f"{wave}[:CW|:FIXed]?": self._wavelength,
            f"{wave}:TOGRid": self.one(self._to_grid(_wavelength_hz)),
            node: self.one(self._in_auto_mode(_frequency_hz)),
            f"{node}?": lambda request: asked(request, FREQUENCY, self.of(request).frequency_hz),
            f"{node}:TOGRid": self.one(self._to_grid(_frequency_hz)),
            **self._grid_number(f"{node}:REFerence", "reference_hz", REFERENCE, must_be_off=True),
            **self._grid_number(f"{node}:GRID", "spacing_hz", SPACING, must_be_off=True),
            **self._grid_number(f"{node}:OFFSet", "offset_hz", OFFSET, must_be_off=False),
            f"{node}:CHANnel": self.one(self._with_channel),
            f"{node}:CHANnel?": self._channel,
            f"{node}:AUTO": self.one(self._with_auto),
            f"{wave}:AUTO": self.one(self._with_auto),
            f"{node}:AUTO?": lambda request: str(int(self.of(request, 0).auto)),
            f"{wave}:AUTO?": lambda request: str(int(self.of(request, 0).auto)),
        }

    def _modulation_commands(self) -> dict[str, Handler]:
        node = "[:SOURce[n]][:CHANnel[m]]:MODUlation:INTernal"
        return {
            **self.switch(f"{node}[:STATe]", "modulation"),
            **self.numeric(f"{node}:SBSControl[:LEVel]", "sbs_control_hz", SBS_CONTROL, FREQUENCY_HZ),
            f"{node}:RATE?": self.constant(real(2e4)),
            f"{node}:WAVeform?": self.constant("SIN"),
        }

    def _emit(self, module: int, state: LaserState, *, dark_s: float) -> None:
        laser = self._lasers[module]
        laser.apply(power_dbm=state.power_dbm)
        laser.apply(wavelength_nm=SPEED_OF_LIGHT_M_PER_S / state.frequency_hz * 1e9, after_s=dark_s)
        if dark_s > 0.0:
            laser.apply(emission_on=False)
        laser.apply(emission_on=state.on, after_s=dark_s)

    def _with_power(self, module: int, token: bytes) -> LaserState:
        state = self.state[module]
        named = POWER_DBM.named(plain_text(token))
        value, unit = (named, PowerUnit.DBM) if named is not None else power(token, state.power_unit)
        return replace(
            state, power_dbm=POWER_DBM.check(value if unit is PowerUnit.DBM else watt_to_dbm(value))
        )

    def _power(self, request: Request) -> str:
        state = self.of(request)
        if state.power_unit is PowerUnit.DBM:
            return asked(request, POWER_DBM, state.power_dbm)
        ends_w = (dbm_to_watt(end) for end in (POWER_DBM.minimum, POWER_DBM.maximum, POWER_DBM.default))
        return asked(request, stat_limits(*ends_w), dbm_to_watt(state.power_dbm))

    def _wavelength(self, request: Request) -> str:
        return asked(request, WAVELENGTH_M, SPEED_OF_LIGHT_M_PER_S / self.of(request).frequency_hz)

    def _in_auto_mode(self, parse: Callable[[bytes], float]) -> Callable[[int, bytes], LaserState]:
        def plan(module: int, token: bytes) -> LaserState:
            if not self.state[module].auto:
                raise ScpiError(AUTO_IS_OFF)
            return replace(self.state[module], auto_frequency_hz=parse(token))

        return plan

    def _to_grid(self, parse: Callable[[bytes], float]) -> Callable[[int, bytes], LaserState]:
        def plan(module: int, token: bytes) -> LaserState:
            return self._on_channel(self._gridded(module), parse(token))

        return plan

    def _grid_number(
        self, pattern: str, field: str, limits: Limits, *, must_be_off: bool
    ) -> dict[str, Handler]:
        def plan(module: int, token: bytes) -> LaserState:
            state = self._gridded(module)
            if must_be_off and state.on:
                raise ScpiError(LASER_IS_ON)
            return _possible(replace(state, **{field: limited(token, limits, FREQUENCY_HZ)}))

        return self.numeric(pattern, field, limits, FREQUENCY_HZ) | {pattern: self.one(plan)}

    def _gridded(self, module: int) -> LaserState:
        if self.state[module].auto:
            raise ScpiError(AUTO_IS_ON)
        return self.state[module]

    def _with_channel(self, module: int, token: bytes) -> LaserState:
        state = self._gridded(module)
        return _possible(replace(state, channel=integer(token, _channels(state))))

    def _channel(self, request: Request) -> str:
        state = self.of(request)
        return f"{round(float(asked(request, _channels(state), state.channel))):+d}"

    def _with_auto(self, module: int, token: bytes) -> LaserState:
        state, auto = self.state[module], boolean(token)
        if auto == state.auto:
            return state
        if auto:
            return replace(state, auto=True, auto_frequency_hz=state.frequency_hz)
        return self._on_channel(replace(state, auto=False), state.frequency_hz)

    def _on_channel(self, state: LaserState, frequency_hz: float) -> LaserState:
        return _possible(
            replace(state, channel=round((frequency_hz - state.reference_hz) / state.spacing_hz))
        )


def _wavelength_hz(token: bytes) -> float:
    return SPEED_OF_LIGHT_M_PER_S / limited(token, WAVELENGTH_M, LENGTH_M)


def _frequency_hz(token: bytes) -> float:
    return limited(token, FREQUENCY, FREQUENCY_HZ)


def _channel_hz(state: LaserState) -> float:
    return state.auto_frequency_hz if state.auto else state.grid_frequency_hz


def _channels(state: LaserState) -> Limits:
    """Channels whose frequency the laser can reach; DEFault is channel 0 (assumed)."""
    lowest = -int((state.reference_hz - FREQUENCY.minimum) // state.spacing_hz)
    highest = int((FREQUENCY.maximum - state.reference_hz) // state.spacing_hz)
    return stat_limits(lowest, highest, 0)


def _possible(state: LaserState) -> LaserState:
    """The state itself; -221 if its frequency is out of the laser's reach."""
    if not FREQUENCY.minimum <= state.grid_frequency_hz <= FREQUENCY.maximum:
        raise ScpiError(SETTINGS_CONFLICT)
    return state
