"""Questionable status of an E36312A: a register per output under one for all under the SCPI register.

Reference: Keysight E36300 Series Programming Guide, "SCPI Status Registers". Bit 0 of an output's register tells that
it regulates current, bit 1 that it regulates voltage; bits 1 to 3 of the instrument register stand for the outputs, and
bit 13 of the questionable register for that. The operation register stays empty.
"""

from collections.abc import Callable, Mapping

from sim_devices.firmware.keysight_e36312a_output import Output
from sim_devices.firmware.scpi_errors import HEADER_SUFFIX_OUT_OF_RANGE, ScpiError
from sim_devices.firmware.scpi_settings import MASK, register_commands
from sim_devices.firmware.scpi_status import EventRegister, StatusSystem
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import arguments, bare, integer

_ANY_OUTPUT = 1 << 13


class SupplyRegisters:
    """The registers and their commands."""

    def __init__(self, status: StatusSystem, outputs: Mapping[int, Output]) -> None:
        self._status = status
        self._outputs = outputs
        self._instrument = EventRegister()
        self._each = {number: EventRegister() for number in outputs}

    def clear(self) -> None:
        """Empty the event registers."""
        self._instrument.event = 0
        for register in self._each.values():
            register.event = 0

    def refresh(self) -> None:
        """Take the outputs' conditions and carry them up."""
        for number, register in self._each.items():
            register.update(self._outputs[number].condition)
        self._instrument.update(sum(1 << number for number, one in self._each.items() if one.summary))
        self._status.questionable.update(_ANY_OUTPUT if self._instrument.summary else 0)

    def commands(self, refresh: Callable[[], None]) -> dict[str, Handler]:
        """The :STATus subsystem; `refresh` brings every condition up to date."""
        node = ":STATus:QUEStionable:INSTrument"
        return {
            **register_commands(":STATus:OPERation", self._status.operation, refresh, show=_signed),
            **register_commands(":STATus:QUEStionable", self._status.questionable, refresh, show=_signed),
            **register_commands(node, self._instrument, refresh, show=_signed),
            f"{node}:ISUMmary<n>[:EVENt]?": self._query(refresh, EventRegister.read_event),
            f"{node}:ISUMmary<n>:CONDition?": self._query(refresh, lambda register: register.condition),
            f"{node}:ISUMmary<n>:ENABle?": self._query(refresh, lambda register: register.enable),
            f"{node}:ISUMmary<n>:ENABle": self._set_enable,
            ":STATus:PRESet": bare(self._preset),
        }

    def _one(self, request: Request) -> EventRegister:
        register = self._each.get(request.suffixes["n"])
        if register is None:
            raise ScpiError(HEADER_SUFFIX_OUT_OF_RANGE)
        return register

    def _query(self, refresh: Callable[[], None], value: Callable[[EventRegister], int]) -> Handler:
        def answer(request: Request) -> str:
            arguments(request, 0)
            register = self._one(request)
            refresh()
            return _signed(value(register))

        return answer

    def _set_enable(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._one(request).enable = integer(token, MASK)

    def _preset(self) -> None:
        for register in (
            self._status.operation,
            self._status.questionable,
            self._instrument,
            *self._each.values(),
        ):
            register.preset()


def _signed(value: float) -> str:
    return f"{round(value):+d}"
