"""Status reporting of IEEE 488.2 (chapter 11) and SCPI-1999 (volume 1 chapter 9): error queue and registers."""

from collections import deque
from dataclasses import dataclass, field

from sim_devices.firmware.scpi_errors import NO_ERROR, QUEUE_OVERFLOW, ErrorEntry

OPERATION_COMPLETE = 1
QUERY_ERROR = 4
DEVICE_ERROR = 8
EXECUTION_ERROR = 16
COMMAND_ERROR = 32
POWER_ON = 128


class ErrorQueue:
    """First in, first out; what comes when it is full leaves "Queue overflow" as the last entry.

    `room` is how many errors are kept before that; with room = depth - 1 the overflow has a place of its own.
    """

    def __init__(self, depth: int = 30, room: int | None = None) -> None:
        self._depth = depth
        self._room = depth if room is None else room
        self._entries: deque[ErrorEntry] = deque()

    def push(self, entry: ErrorEntry) -> None:
        """Add an error at the end."""
        if len(self._entries) < self._room:
            self._entries.append(entry)
        elif len(self._entries) < self._depth:
            self._entries.append(QUEUE_OVERFLOW)
        else:
            self._entries[-1] = QUEUE_OVERFLOW

    def pop(self) -> ErrorEntry:
        """Take the oldest error; 0, "No error" if there is none."""
        return self._entries.popleft() if self._entries else NO_ERROR

    def clear(self) -> None:
        """Forget every error."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


@dataclass
class EventRegister:
    """A condition with its transition filters, the latched events and the mask that makes a summary bit of them."""

    condition: int = 0
    event: int = 0
    enable: int = 0
    positive: int = 0x7FFF
    negative: int = 0

    def update(self, condition: int) -> None:
        """Set the condition; bits that rise or fall and pass their filter are latched as events."""
        rising, falling = condition & ~self.condition, self.condition & ~condition
        self.event |= (rising & self.positive) | (falling & self.negative)
        self.condition = condition

    def read_event(self) -> int:
        """The latched events; reading clears them."""
        event, self.event = self.event, 0
        return event

    def preset(self) -> None:
        """Enable mask and filters as after :STATus:PRESet."""
        self.enable, self.positive, self.negative = 0, 0x7FFF, 0

    @property
    def summary(self) -> bool:
        """Whether an enabled event is latched."""
        return bool(self.event & self.enable)


@dataclass
class StatusSystem:
    """Standard event register, status byte, error queue and the two SCPI registers of an instrument."""

    errors: ErrorQueue = field(default_factory=ErrorQueue)
    operation: EventRegister = field(default_factory=EventRegister)
    questionable: EventRegister = field(default_factory=EventRegister)
    standard_event: int = POWER_ON
    standard_enable: int = 0
    service_enable: int = 0
    has_master_summary: bool = True
    message_available: bool = False

    def report(self, entry: ErrorEntry) -> None:
        """Queue an error and set the bit of its class in the standard event register."""
        self.errors.push(entry)
        self.standard_event |= _class_bit(entry.code)

    def read_standard_event(self) -> int:
        """The standard event register; reading clears it."""
        event, self.standard_event = self.standard_event, 0
        return event

    def status_byte(self) -> int:
        """The byte that *STB? answers: summary bits of everything below it."""
        byte = (
            (4 if len(self.errors) else 0)
            | (8 if self.questionable.summary else 0)
            | (16 if self.message_available else 0)
            | (32 if self.standard_event & self.standard_enable else 0)
            | (128 if self.operation.summary else 0)
        )
        master = self.has_master_summary and byte & self.service_enable & ~64
        return byte | (64 if master else 0)

    def clear(self) -> None:
        """What *CLS does: queue and event registers are emptied, masks and conditions stay."""
        self.errors.clear()
        self.standard_event = 0
        self.operation.event = 0
        self.questionable.event = 0


def _class_bit(code: int) -> int:
    if -200 < code <= -100:
        return COMMAND_ERROR
    if -300 < code <= -200:
        return EXECUTION_ERROR
    if -500 < code <= -400:
        return QUERY_ERROR
    return DEVICE_ERROR
