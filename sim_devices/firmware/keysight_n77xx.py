"""What every Keysight N77xx instrument has: slots, identity, measurement settings, system commands.

Reference: Keysight N77xx Series Programming Guide (N77xx-90C01), edition 7: chapters 1 (messages, queues), 3
(IEEE common commands, SYSTem, CONFigure:MEASurement:SETTing), 4 (root layer) and 7 (error codes).
The guide prints queue entries with a blank after the comma where it explains the queue, and without one in the example
of :SYSTem:ERRor?; here errors have it and "no error" has not (assumed). All clients share one status system and
one error queue (assumed).
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sim_devices.firmware.keysight_n77xx_status import SlotRegisters
from sim_devices.firmware.keysight_n77xx_system import system_commands
from sim_devices.firmware.keysight_n77xx_values import INVALID_SETTING, SLOT_INVALID, asked, flag, stat_limits
from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import DATA_OUT_OF_RANGE, ILLEGAL_PARAMETER_VALUE, ErrorEntry, ScpiError
from sim_devices.firmware.scpi_status import ErrorQueue, StatusSystem
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    NO_UNIT,
    Limits,
    Units,
    arguments,
    bare,
    boolean,
    choice,
    integer,
    limited,
    string,
)
from sim_devices.twin.lab_time import LabTime

_TRIGGER_MODES = ("DISabled", "DEFault", "PASSthrough", "LOOPback")
_TRIGGER_INPUTS = ("IGNore", "SMEasure", "CMEasure", "MMEasure")
_TRIGGER_OUTPUTS = ("DISabled", "AVGover", "MEASure")


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


State = TypeVar("State", bound=_Dataclass)


class N77xx(ScpiInstrument, Generic[State]):
    """Slots with one state each, which can be saved, recalled and preset as a whole.

    `state` maps each module (by its first slot) to a frozen dataclass; `bring` makes a module take a new one.
    """

    PRODUCT: ClassVar[str]
    SLOT_COUNT: ClassVar[int]
    MODULES: ClassVar[tuple[int, ...]]
    MODULE_OPTION: ClassVar[str]
    STATUS_PRESET_CLEARS: ClassVar[bool] = True
    MEMORIES: ClassVar[int] = 10  # assumed: the guide does not say how many settings can be saved

    def __init__(
        self, lab_time: LabTime, *, serial_number: str, firmware_revision: str, power_on: int
    ) -> None:
        status = StatusSystem(ErrorQueue(30, room=29), standard_event=power_on, has_master_summary=False)
        self.serial_number = serial_number
        self.firmware_revision = firmware_revision
        self.slots = SlotRegisters(
            status, self.SLOT_COUNT, self.slot_conditions, preset_clears=self.STATUS_PRESET_CLEARS
        )
        self.state: dict[int, State] = {module: self.initial_state(module) for module in self.MODULES}
        self._saved: dict[int, dict[int, State]] = {}
        self._unmodified: tuple[int, dict[int, State]] = (0, dict(self.state))
        self._trigger_mode = "DEF"
        self._triggers: dict[tuple[int, str], str] = {}
        identity = f"Keysight Technologies,{self.PRODUCT},{serial_number},{firmware_revision}"
        super().__init__(lab_time, identity, status)

    def one(self, plan: Callable[[int, bytes], State]) -> Handler:
        """A command with one parameter that brings the addressed module into the state that `plan` makes of it."""

        def handle(request: Request) -> None:
            (token,) = arguments(request, 1)
            module = self.module(request)
            self.bring(module, plan(module, token))

        return handle

    def every(self, plan: Callable[[int, bytes], State]) -> Handler:
        """The same for all modules at once; -224, and no change at all, if one of them cannot."""

        def handle(request: Request) -> None:
            (token,) = arguments(request, 1)
            try:
                states = {module: plan(module, token) for module in self.MODULES}
            except ScpiError as error:
                if error.entry.code != DATA_OUT_OF_RANGE.code:
                    raise
                raise ScpiError(ILLEGAL_PARAMETER_VALUE) from error
            self._bring_all(states)

        return handle

    def numeric(self, pattern: str, field: str, limits: Limits, units: Units = NO_UNIT) -> dict[str, Handler]:
        """Command and query of a number that is a field of the module's state."""
        return {
            pattern: self.one(self.planned(field, lambda token: limited(token, limits, units))),
            pattern + "?": lambda request: asked(request, limits, getattr(self.of(request), field)),
        }

    def switch(self, pattern: str, field: str) -> dict[str, Handler]:
        """Command and query of a boolean that is a field of the module's state."""
        return {
            pattern: self.one(self.planned(field, boolean)),
            pattern + "?": lambda request: flag(getattr(self.of(request, 0), field)),
        }

    def planned(self, field: str, parse: Callable[[bytes], object]) -> Callable[[int, bytes], State]:
        """A plan that sets one field of the state to the parsed parameter."""
        return lambda module, token: replace(self.state[module], **{field: parse(token)})

    def of(self, request: Request, parameters: int | None = None) -> State:
        """State of the module that a request addresses, after a check of the number of parameters."""
        if parameters is not None:
            arguments(request, parameters)
        return self.state[self.module(request)]

    def constant(self, reply: str) -> Handler:
        """A query about a module that always has the same answer."""

        def handle(request: Request) -> str:
            self.of(request, 0)
            return reply

        return handle

    def initial_state(self, module: int) -> State:
        """The state of a module at power-on, which its components have already."""
        return self.default_state(module)

    @abstractmethod
    def default_state(self, module: int) -> State:
        """The state of a module after *RST."""

    @abstractmethod
    def bring(self, module: int, state: State) -> None:
        """Make a module take a state, with whatever movement that needs."""

    def slot_conditions(self, slot: int) -> tuple[int, int]:
        """Operation and questionable condition of a slot (guide, chapter 3, status model)."""
        del slot
        return 0, 0

    def module_busy_until_ps(self, module: int) -> int:
        """Lab time at which the module's present operation ends."""
        del module
        return 0

    def module(self, request: Request) -> int:
        """First slot of the module that a request addresses; -303 for a slot or channel that is not there."""
        slot = request.suffixes.get("n", 1)
        width = self.SLOT_COUNT // len(self.MODULES)
        if not 1 <= slot <= self.SLOT_COUNT or request.suffixes.get("m", 1) != 1:
            raise ScpiError(SLOT_INVALID)
        return self.MODULES[(slot - 1) // width]

    def busy_until_ps(self) -> int:
        """End of the slowest module's operation."""
        return max(self.module_busy_until_ps(module) for module in self.MODULES)

    def clear_status(self) -> None:
        """Empties the error queue and the event registers of the instrument and its slots."""
        self.slots.clear()

    def refresh_status(self) -> None:
        """Latch what has changed in the slots."""
        self.slots.refresh()

    def error_text(self, entry: ErrorEntry) -> str:
        """An entry of the error queue: `-113, "Undefined header"`, but `+0,"No error"`."""
        return f'{entry.code}, "{entry.text}"' if entry.code else f'+0,"{entry.text}"'

    def options(self) -> str:
        """The module in each slot; the second slot of a wide module shows two blanks."""
        width = self.SLOT_COUNT // len(self.MODULES)
        return ",".join(",".join([self.MODULE_OPTION] + ["  "] * (width - 1)) for _ in self.MODULES)

    def reset(self) -> None:
        """*RST: presets the settings, deletes the saved ones, empties the error queue."""
        self.status.errors.clear()
        self._system_preset()

    def commands(self) -> dict[str, Handler]:
        """The commands of all models."""
        return (
            super().commands()
            | self.slots.commands()
            | system_commands(self.PRODUCT, self.serial_number)
            | self._setting_commands()
            | {
                ":SLOT[n][:HEAD[m]]:IDN?": self._slot_identity,
                ":SLOT[n][:HEAD[m]]:OPTions?": self._slot_options,
                ":SLOT[n]:OPC?": self._slot_complete,
                ":SYSTem:PRESet": bare(self._system_preset),
                ":SYSTem:REBoot": bare(self._preset),
                ":TRIGger[n][:CHANnel[m]]:INPut": self._set_trigger("INP", *_TRIGGER_INPUTS),
                ":TRIGger[n][:CHANnel[m]]:INPut?": lambda request: self._trigger("INP", request),
                ":TRIGger[n][:CHANnel[m]]:OUTPut": self._set_trigger("OUTP", *_TRIGGER_OUTPUTS),
                ":TRIGger[n][:CHANnel[m]]:OUTPut?": lambda request: self._trigger("OUTP", request),
                ":TRIGger:CONFiguration": self._set_trigger_mode,
                ":TRIGger:CONFiguration?": bare(lambda: self._trigger_mode),
            }
        )

    def _setting_commands(self) -> dict[str, Handler]:
        return {
            ":CONFigure:MEASurement:SETTing:ACTual?": bare(self._actual_setting),
            ":CONFigure:MEASurement:SETTing:NUMBer?": bare(lambda: f"{self.MEMORIES:+d}"),
            ":CONFigure:MEASurement:SETTing:PRESet": self._preset_setting,
            ":CONFigure:MEASurement:SETTing:CANCel": bare(lambda: self._bring_all(self._unmodified[1])),
            ":CONFigure:MEASurement:SETTing:RECall": self._recall,
            ":CONFigure:MEASurement:SETTing:SAVE": self._save,
            ":CONFigure:MEASurement:SETTing:ERASe": self._erase,
        }

    def _slot_identity(self, request: Request) -> str:
        arguments(request, 0)
        self.module(request)
        return f"Keysight Technologies, {self.MODULE_OPTION}, {self.serial_number}, {self.firmware_revision}"

    def _slot_options(self, request: Request) -> str:
        arguments(request, 0)
        self.module(request)
        return "NO CONNECTOR OPTION, NO INSTRUMENT OPTIONS"

    def _slot_complete(self, request: Request) -> str:
        arguments(request, 0)
        return flag(not self.still_busy(self.module_busy_until_ps(self.module(request))))

    def _set_trigger(self, side: str, *responses: str) -> Handler:
        def handle(request: Request) -> None:
            (token,) = arguments(request, 1)
            self._triggers[self.module(request), side] = choice(token, *responses)

        return handle

    def _trigger(self, side: str, request: Request) -> str:
        arguments(request, 0)
        return self._triggers.get((self.module(request), side), {"INP": "IGN", "OUTP": "DIS"}[side])

    def _set_trigger_mode(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        if token.strip().isdigit():
            token = _TRIGGER_MODES[integer(token, stat_limits(0, 3, 1))].encode("ascii")
        self._trigger_mode = choice(token, *_TRIGGER_MODES)

    def _bring_all(self, states: dict[int, State]) -> None:
        for module, state in states.items():
            self.bring(module, state)

    def _preset(self) -> None:
        self._bring_all({module: self.default_state(module) for module in self.MODULES})
        self._unmodified = (0, dict(self.state))

    def _system_preset(self) -> None:
        self._saved.clear()
        self._preset()

    def _preset_setting(self, request: Request) -> None:
        for name in arguments(request, 0, 1):
            string(name)
        self._preset()

    def _actual_setting(self) -> str:
        index, states = self._unmodified
        return f"{index:+d}" if states == self.state else "-1"

    def _memory(self, request: Request) -> int:
        parameters = arguments(request, 1, 2)
        index = integer(parameters[0])
        if not 1 <= index <= self.MEMORIES:
            raise ScpiError(INVALID_SETTING)
        return index

    def _recall(self, request: Request) -> None:
        index = self._memory(request)
        if index not in self._saved:
            raise ScpiError(INVALID_SETTING)
        self._bring_all(self._saved[index])
        self._unmodified = (index, dict(self.state))

    def _save(self, request: Request) -> None:
        index = self._memory(request)
        self._saved[index] = dict(self.state)
        self._unmodified = (index, dict(self.state))

    def _erase(self, request: Request) -> None:
        index = self._memory(request)
        self._saved.pop(index, None)
        if self._unmodified[0] == index:
            self._unmodified = (0, self._unmodified[1])
