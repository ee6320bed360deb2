"""Keysight E36312A: supply with three outputs.

Reference: Keysight E36300 Series Programming Guide. Commands take a channel list such as (@1:3) as their last
parameter; without one they mean the output that :INSTrument selects.

Assumed: the error queue is 20 deep and its numbers have a sign; numbers are printed as +5.00000000E+00, APPLy? as a
quoted pair; readings average 20 ms; an output that has been shut down reads as off. Pairing, tracking, lists, delays of
the outputs, data logging, slew rates and digital ports are not there.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.keysight_e36312a_lists import OutputLists, output_number, printed
from sim_devices.firmware.keysight_e36312a_output import (
    DELAY_S,
    OVER_CURRENT,
    OVER_VOLTAGE,
    Output,
    OutputSetup,
    rating,
)
from sim_devices.firmware.keysight_e36312a_status import SupplyRegisters
from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import ErrorEntry
from sim_devices.firmware.scpi_settings import bit, choice_setting, constant, ignored
from sim_devices.firmware.scpi_status import ErrorQueue, StatusSystem
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    TIME_S,
    VOLTAGE_V,
    Limits,
    Units,
    arguments,
    bare,
    choice,
    integer,
    limited,
)
from sim_devices.firmware.sockets import lab_time_of
from sim_devices.twin.handle import ComponentHandle

APERTURE_S = 0.02
CURRENT_A: Units = {{"UV": "UA", "MV": "MA", "V": "A"}[name]: scale for name, scale in VOLTAGE_V.items()}
_MEMORIES = Limits(0, 9, 0)
_OUTPUTS = Limits(1, 3, 1)


class KeysightE36312A(ScpiInstrument):
    """Sockets "1" to "3": the load at each output."""

    MODEL: ClassVar[str] = "Keysight E36312A"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "2.1.1-1.0.4-1.12",
    ) -> None:
        unknown = sorted(set(components) - {"1", "2", "3"})
        if unknown:
            raise ValueError(f"no socket {', '.join(unknown)}; there are 1, 2, 3")
        lab_time = lab_time_of(components)
        ratings = {1: rating(6.0, 5.0), 2: rating(25.0, 1.0), 3: rating(25.0, 1.0)}
        self.outputs = {
            number: Output(limits, components.get(str(number)), lab_time)
            for number, limits in ratings.items()
        }
        self._lists = OutputLists(self.outputs)
        self._trigger_source = "BUS"
        self._initiated: set[int] = set()
        self._memories: dict[int, dict[int, OutputSetup]] = {}
        status = StatusSystem(errors=ErrorQueue(20))
        self._registers = SupplyRegisters(status, self.outputs)
        identity = f"Keysight Technologies,E36312A,{serial_number},{firmware_revision}"
        super().__init__(lab_time, identity, status)

    def error_text(self, entry: ErrorEntry) -> str:
        """Numbers have a sign."""
        return f'{entry.code:+d},"{entry.text}"'

    def reset(self) -> None:
        """Everything off and at its default; protections are cleared."""
        self._lists.selected, self._trigger_source = 1, "BUS"
        self._initiated.clear()
        for output in self.outputs.values():
            output.tripped = 0
            output.setup = output.default()
            output.drive()

    def clear_status(self) -> None:
        """*CLS empties the registers of the outputs too."""
        super().clear_status()
        self._registers.clear()

    def refresh_status(self) -> None:
        """The protections watch; then the conditions go up to the status byte."""
        for output in self.outputs.values():
            output.watch()
        self._registers.refresh()

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        return (
            super().commands()
            | self._registers.commands(self.refresh_status)
            | self._level_commands()
            | self._protection_commands()
            | self._output_commands()
            | self._measurement_commands()
            | self._system_commands()
        )

    def _level_commands(self) -> dict[str, Handler]:
        table: dict[str, Handler] = {}
        for quantity, field, units in (
            ("VOLTage", "voltage_v", VOLTAGE_V),
            ("CURRent", "current_a", CURRENT_A),
        ):
            node = f"[:SOURce]:{quantity}[:LEVel]"

            def limits(output: Output, field: str = field) -> Limits:
                return getattr(output.limits, field)

            table |= self._lists.number(f"{node}[:IMMediate][:AMPLitude]", field, limits, units)
            table |= self._lists.number(f"{node}:TRIGgered[:AMPLitude]", f"triggered_{field}", limits, units)
        return table

    def _protection_commands(self) -> dict[str, Handler]:
        voltage, current = "[:SOURce]:VOLTage:PROTection", "[:SOURce]:CURRent:PROTection"

        def levels(output: Output) -> Limits:
            return output.limits.protection_v

        return {
            **self._lists.number(f"{voltage}[:LEVel]", "protection_v", levels, VOLTAGE_V),
            **self._lists.switch(f"{voltage}:STATe", "voltage_protected"),
            **self._lists.switch(f"{current}:STATe", "current_protected"),
            **self._lists.number(f"{current}:DELay[:TIME]", "protection_delay_s", lambda _: DELAY_S, TIME_S),
            f"{voltage}:TRIPped?": self._lists.each(lambda output: bit(bool(output.tripped & OVER_VOLTAGE))),
            f"{current}:TRIPped?": self._lists.each(lambda output: bit(bool(output.tripped & OVER_CURRENT))),
            f"{voltage}:CLEar": self._lists.all(lambda output: output.clear(OVER_VOLTAGE)),
            f"{current}:CLEar": self._lists.all(lambda output: output.clear(OVER_CURRENT)),
            ":OUTPut:PROTection:CLEar": self._lists.all(
                lambda output: output.clear(OVER_VOLTAGE | OVER_CURRENT)
            ),
        }

    def _output_commands(self) -> dict[str, Handler]:
        sense = "[:SOURce]:VOLTage:SENSe[:SOURce]"
        return {
            **self._lists.switch(":OUTPut[:STATe]", "on"),
            ":OUTPut[:STATe]?": self._lists.each(lambda output: bit(output.on)),
            sense: self._set_sensing,
            f"{sense}?": self._lists.each(lambda output: output.setup.sensing),
            ":APPLy": self._apply,
            ":APPLy?": self._applied,
            ":INSTrument[:SELect]": self._select,
            ":INSTrument[:SELect]?": bare(lambda: f"CH{self._lists.selected}"),
            ":INSTrument:NSELect": self._select_number,
            ":INSTrument:NSELect?": bare(lambda: str(self._lists.selected)),
        }

    def _measurement_commands(self) -> dict[str, Handler]:
        def reading(quantity: str) -> Handler:
            return self._lists.each(
                lambda output: printed(getattr(output, quantity)(APERTURE_S)), before=self._integrate
            )

        return {
            ":MEASure[:SCALar]:VOLTage[:DC]?": reading("voltage_v"),
            ":MEASure[:SCALar][:DC]?": reading("voltage_v"),
            ":MEASure[:SCALar]:CURRent[:DC]?": reading("current_a"),
        }

    def _system_commands(self) -> dict[str, Handler]:
        return {
            "*TRG": bare(self._trigger),
            "*SAV": self._save,
            "*RCL": self._recall,
            ":INITiate[:IMMediate][:TRANsient]": self._initiate,
            ":ABORt[:TRANsient]": lambda request: self._initiated.difference_update(
                self._lists.named(request)[0]
            ),
            **choice_setting(
                ":TRIGger[:TRANsient]:SOURce", lambda _: self, "_trigger_source", "BUS", "IMMediate"
            ),
            ":TRIGger[:TRANsient][:IMMediate]": self._trigger_now,
            ":SYSTem:BEEPer[:IMMediate]": ignored(),
            ":SYSTem:LOCal": ignored(),
            ":SYSTem:REMote": ignored(),
            ":SYSTem:RWLock": ignored(),
            ":DISPlay[:WINDow][:STATe]": ignored(1),
            ":DISPlay[:WINDow]:TEXT[:DATA]": ignored(1),
            ":DISPlay[:WINDow]:TEXT:CLEar": ignored(),
            ":SYSTem:COMMunicate:RLSTate": ignored(1),
            ":SYSTem:COMMunicate:RLSTate?": constant("REM"),
        }

    def _integrate(self) -> None:
        self.lab_time.advance_by(seconds_to_ps(APERTURE_S))

    def _set_sensing(self, request: Request) -> None:
        outputs, (token,) = self._lists.split(request, 1, 1)
        sensing = choice(token, "INTernal", "EXTernal")
        for output in outputs:
            output.setup.sensing = sensing

    def _apply(self, request: Request) -> None:
        name, *values = arguments(request, 1, 3)
        output = self.outputs[output_number(name)]
        limits = (output.limits.voltage_v, output.limits.current_a)
        levels = [
            limited(token, one, units)
            for token, one, units in zip(values, limits, (VOLTAGE_V, CURRENT_A), strict=False)
        ]
        for field, level in zip(("voltage_v", "current_a"), levels, strict=False):
            setattr(output.setup, field, level)
        output.drive()

    def _applied(self, request: Request) -> str:
        tokens = arguments(request, 0, 1)
        setup = self.outputs[output_number(tokens[0]) if tokens else self._lists.selected].setup
        return f'"{setup.voltage_v:.6f},{setup.current_a:.6f}"'

    def _select(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._lists.selected = output_number(token)

    def _select_number(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._lists.selected = integer(token, _OUTPUTS)

    def _initiate(self, request: Request) -> None:
        self._initiated.update(self._lists.named(request)[0])
        if self._trigger_source == "IMM":
            self._trigger()

    def _trigger(self) -> None:
        self._take_triggered(sorted(self._initiated))
        self._initiated.clear()

    def _trigger_now(self, request: Request) -> None:
        self._take_triggered(self._lists.named(request)[0])

    def _take_triggered(self, numbers: list[int]) -> None:
        for number in numbers:
            setup = self.outputs[number].setup
            setup.voltage_v, setup.current_a = setup.triggered_voltage_v, setup.triggered_current_a
            self.outputs[number].drive()

    def _save(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        setups = {number: replace(output.setup) for number, output in self.outputs.items()}
        self._memories[integer(token, _MEMORIES)] = setups

    def _recall(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        setups = self._memories.get(integer(token, _MEMORIES), {})
        for number, output in self.outputs.items():
            output.setup = replace(setups[number]) if number in setups else output.default()
            output.drive()
