"""Thorlabs ITC4001: laser diode current source (1 A) and temperature controller in one.

Reference: Thorlabs Series 4000 SCPI Programmer's Reference Manual (error queue 10 deep, register tables of chapter
3.14) and the ITC4001 data sheet (1 A, 11 V). OUTPut1 and SOURce1 are the diode, OUTPut2 and SOURce2 the temperature
controller.

Assumed: *RST switches off and sets 0 A, the full limit, 25 C and the full temperature range; readings take no time;
optical power control and modulation are not there; what else is assumed stands with the diode and the temperature.
"""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import (
    ErrorEntry,
)
from sim_devices.firmware.scpi_settings import (
    bit,
    constant,
    ignored,
    register_commands,
)
from sim_devices.firmware.scpi_status import ErrorQueue, EventRegister, StatusSystem
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    arguments,
    bare,
    boolean,
)
from sim_devices.firmware.sockets import connect
from sim_devices.firmware.thorlabs_itc4001_diode import DiodeSource, output_number
from sim_devices.firmware.thorlabs_itc4001_thermal import ThermalController, nr3
from sim_devices.twin.handle import ComponentHandle

_KEY_LOCK, _COMPLIANCE, _INTERLOCK, _CURRENT_LIMIT = 1, 2, 4, 8
_WINDOW = 512
_WINDOW_C = 0.1


class ThorlabsItc4001(ScpiInstrument):
    """Socket "diode": settings `current_a` and `emission_on`.

    `key_locked` and `interlock_open` say how its panels are found.
    """

    MODEL: ClassVar[str] = "Thorlabs ITC4001"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "1.4.0/2.0.3/1.6.0",
        key_locked: bool = False,
        interlock_open: bool = False,
    ) -> None:
        handle = connect(components, ["diode"])["diode"]
        self._diode = DiodeSource(handle, key_locked=key_locked, interlock_open=interlock_open)
        self._thermal = ThermalController(handle.lab_time)
        self._measurement, self._auxiliary = EventRegister(positive=0xFFFF), EventRegister(positive=0xFFFF)
        self._quantity = "CURR"
        identity = f"THORLABS,ITC4001,{serial_number},{firmware_revision}"
        super().__init__(handle.lab_time, identity, StatusSystem(errors=ErrorQueue(10)))

    def error_text(self, entry: ErrorEntry) -> str:
        """Numbers have a sign."""
        return f'{entry.code:+d},"{entry.text}"'

    def set_interlock(self, *, is_open: bool) -> None:
        """Open or close the interlock on the rear panel; open, it switches the diode off."""
        self._diode.set_locks(interlock_open=is_open)
        self.refresh_status()

    def set_key(self, *, locked: bool) -> None:
        """Turn the key on the front panel; locked, it switches the diode off."""
        self._diode.set_locks(key_locked=locked)
        self.refresh_status()

    def reset(self) -> None:
        """Both outputs off, everything at its default."""
        self._diode.reset()
        self._thermal.reset()

    def clear_status(self) -> None:
        """*CLS empties the maker's own event registers too."""
        super().clear_status()
        self._measurement.event = self._auxiliary.event = 0

    def refresh_status(self) -> None:
        """The measurement register's conditions."""
        self._measurement.update(
            (_KEY_LOCK if self._diode.key_locked else 0)
            | (_COMPLIANCE if self._diode.tripped else 0)
            | (_INTERLOCK if self._diode.interlock_open else 0)
            | (_CURRENT_LIMIT if self._diode.at_limit else 0)
            | (_WINDOW if self._thermal.on and abs(self._thermal.error_c) > _WINDOW_C else 0)
        )

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        return (
            super().commands()
            | self._diode.commands()
            | self._thermal.commands()
            | self._measurement_commands()
            | self._system_commands()
        )

    def _measurement_commands(self) -> dict[str, Handler]:
        table: dict[str, Handler] = {
            ":OUTPut[n][:STATe]": self._switch,
            ":OUTPut[n][:STATe]?": self._state,
            ":INITiate[:IMMediate]": ignored(),
            ":ABORt": ignored(),
            ":CONFigure?": bare(lambda: self._quantity),
            ":READ?": bare(lambda: self._measured(self._quantity)),
            ":FETCh?": bare(lambda: self._measured(self._quantity)),
        }
        for name in ("CURRent[n][:DC]", "VOLTage[n][:DC]", "POWer[n][:DC]", "TEMPerature", "TSENsor"):
            short = "".join(letter for letter in name.partition("[")[0] if not letter.islower())
            table |= {f":CONFigure[:SCALar]:{name}": partial(self._configure, short)}
            table |= {f":MEASure[:SCALar]:{name}?": partial(self._measure, short)}
            table |= {f":FETCh:{name}?": partial(self._measure, short)}
        return table

    def _system_commands(self) -> dict[str, Handler]:
        groups = {
            "MEASurement": self._measurement,
            "AUXiliary": self._auxiliary,
            "OPERation": self.status.operation,
            "QUEStionable": self.status.questionable,
        }
        table: dict[str, Handler] = {
            ":SYSTem:BEEPer[:IMMediate]": ignored(),
            ":SYSTem:BEEPer:STATe": ignored(1),
            ":SYSTem:LFRequency?": constant("50"),
            ":STATus:PRESet": bare(partial(_preset, tuple(groups.values()))),
        }
        for name, register in groups.items():
            table |= register_commands(f":STATus:{name}", register, self.refresh_status)
        return table

    def _switch(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        on = boolean(token)
        if output_number(request, 1, 2) == 2:
            self._thermal.switch(on)
            return
        self._diode.switch(on)

    def _state(self, request: Request) -> str:
        arguments(request, 0)
        return bit(self._diode.on if output_number(request, 1, 2) == 1 else self._thermal.on)

    def _configure(self, quantity: str, request: Request) -> None:
        arguments(request, 0)
        self._quantity = _named(quantity, request)

    def _measure(self, quantity: str, request: Request) -> str:
        self._configure(quantity, request)
        return self._measured(self._quantity)

    def _measured(self, quantity: str) -> str:
        current_a, voltage_v = self._diode.current_a, self._diode.voltage_v
        readings = {
            "CURR": current_a,
            "VOLT": voltage_v,
            "POW": current_a * voltage_v,
            "CURR3": self._thermal.current_a,
            "VOLT3": self._thermal.voltage_v,
            "POW4": self._thermal.current_a * self._thermal.voltage_v,
            "TSEN": self._thermal.sensor_ohm,
        }
        if quantity == "TEMP":
            return nr3(self._thermal.shown(self._thermal.temperature_c))
        return nr3(readings.get(quantity, 0.0))


def _preset(registers: tuple[EventRegister, ...]) -> None:
    for register in registers:
        register.preset()


def _named(quantity: str, request: Request) -> str:
    number = output_number(request, 1, 2, 3, 4 if quantity == "POW" else 3)
    return quantity if number == 1 else f"{quantity}{number}"
