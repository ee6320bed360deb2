"""The :STATus subsystem of the N77xx family: one register pair per slot under a summary with one bit per slot.

Reference: Keysight N77xx Series Programming Guide, chapter 3, "Status Reporting". Bit n of a summary register stands
for slot n. The transition filters belong to the attenuators and lasers; the multiport meters have them at default.
"""

from collections.abc import Callable

from sim_devices.firmware.keysight_n77xx_values import SLOT_INVALID
from sim_devices.firmware.scpi_errors import ScpiError
from sim_devices.firmware.scpi_status import EventRegister, StatusSystem
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import Limits, arguments, bare, integer

_MASK = Limits(0, 0x7FFF, 0)
_SUBSYSTEMS = ("OPERation", "QUEStionable")


class SlotRegisters:
    """Operation and questionable registers of every slot, summarised into those of the instrument.

    `conditions` gives both conditions of a slot; with `preset_clears`, :STATus:PRESet does what *CLS does.
    """

    def __init__(
        self,
        status: StatusSystem,
        slots: int,
        conditions: Callable[[int], tuple[int, int]],
        *,
        preset_clears: bool,
    ) -> None:
        self._status = status
        self._conditions = conditions
        self._preset_clears = preset_clears
        self._slots = {
            subsystem: {slot: EventRegister() for slot in range(1, slots + 1)} for subsystem in _SUBSYSTEMS
        }
        self._summaries = {"OPERation": status.operation, "QUEStionable": status.questionable}

    def clear(self) -> None:
        """Empty every event register, as *CLS does; the conditions stay."""
        for registers in self._slots.values():
            for register in registers.values():
                register.event = 0
        self._status.clear()

    def refresh(self) -> None:
        """Take the slots' present conditions, latch what changed, and carry it up into the summaries."""
        for slot in self._slots["OPERation"]:
            for subsystem, condition in zip(_SUBSYSTEMS, self._conditions(slot), strict=True):
                self._slots[subsystem][slot].update(condition)
        for subsystem, summary in self._summaries.items():
            summary.update(sum(1 << slot for slot, one in self._slots[subsystem].items() if one.summary))

    def commands(self) -> dict[str, Handler]:
        """The commands of the subsystem."""
        table: dict[str, Handler] = {
            ":STATus:PRESet": bare(self.clear if self._preset_clears else self._preset)
        }
        for subsystem in _SUBSYSTEMS:
            table |= self._summary_commands(subsystem) | self._slot_commands(subsystem)
        return table

    def _summary_commands(self, subsystem: str) -> dict[str, Handler]:
        root, summary = f":STATus:{subsystem}", self._summaries[subsystem]
        table: dict[str, Handler] = {
            f"{root}[:EVENt][:LEVel[l]]?": bare(lambda: self._read(summary)),
            f"{root}:CONDition[:LEVel[l]]?": bare(lambda: self._condition(summary)),
            f"{root}:ENABle[:LEVel[l]]?": bare(lambda: f"{summary.enable:+d}"),
            f"{root}:ENABle[:LEVel[l]]": lambda request: setattr(summary, "enable", _mask(request)),
            f"{root}:NTRansition?": bare(lambda: f"{summary.negative:+d}"),
            f"{root}:NTRansition": lambda request: setattr(summary, "negative", _mask(request)),
            f"{root}:PTRansition?": bare(lambda: f"{summary.positive:+d}"),
            f"{root}:PTRansition": lambda request: setattr(summary, "positive", _mask(request)),
        }
        return table

    def _slot_commands(self, subsystem: str) -> dict[str, Handler]:
        root = f":STATus<n>:{subsystem}"

        def one(request: Request) -> EventRegister:
            register = self._slots[subsystem].get(request.suffixes["n"])
            if register is None:
                raise ScpiError(SLOT_INVALID)
            return register

        return {
            f"{root}[:EVENt]?": lambda request: self._read(one(request)),
            f"{root}:CONDition?": lambda request: self._condition(one(request)),
            f"{root}:ENABle?": lambda request: f"{one(request).enable:+d}",
            f"{root}:ENABle": lambda request: setattr(one(request), "enable", _mask(request)),
        }

    def _read(self, register: EventRegister) -> str:
        self.refresh()
        return f"{register.read_event():+d}"

    def _condition(self, register: EventRegister) -> str:
        self.refresh()
        return f"{register.condition:+d}"

    def _preset(self) -> None:
        for register in (*self._slots["OPERation"].values(), *self._slots["QUEStionable"].values()):
            register.preset()
        self._status.operation.preset()
        self._status.questionable.preset()


def _mask(request: Request) -> int:
    (token,) = arguments(request, 1)
    return integer(token, _MASK)
