"""A SCPI instrument: program messages in, response messages out (IEEE 488.2-1992 and SCPI-1999).

Units of a message are executed in order, each relative to the path of the one before; `:` returns to the root and
common commands leave the path alone. The answers of one message go out together, separated by `;`. A unit that fails
queues its error, answers nothing and does not stop the units after it.
"""

import threading
from collections.abc import Iterable

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.scpi_errors import ErrorEntry, ScpiError
from sim_devices.firmware.scpi_message import MessageFramer, parse_unit, split_units
from sim_devices.firmware.scpi_status import OPERATION_COMPLETE, StatusSystem
from sim_devices.firmware.scpi_tree import CommandTree, Handler, Request
from sim_devices.firmware.scpi_values import Limits, arguments, bare, definite_block, integer
from sim_devices.twin.lab_time import LabTime

POLL_PS = seconds_to_ps(5e-3)
BYTE = Limits(0, 255, 0)


class ScpiInstrument:
    """Base of every SCPI firmware: the common commands, the error queue, and the execution of messages.

    A subclass extends `commands`, `reset`, and, if anything takes time, `busy_until_ps`. Handlers run one at a time.
    """

    terminator: bytes = b"\n"
    """What ends every response message."""

    def __init__(self, lab_time: LabTime, identity: str, status: StatusSystem | None = None) -> None:
        self.lab_time = lab_time
        self.status = status or StatusSystem()
        self._identity = identity
        self._lock = threading.Lock()
        self._operation_complete_pending = False
        self._tree = CommandTree(self.commands())

    def session(self) -> "ScpiSession":
        """A new conversation with an empty input buffer."""
        return ScpiSession(self)

    def commands(self) -> dict[str, Handler]:
        """Command patterns (see `scpi_tree`) and their handlers; those of queries end in a question mark."""
        return {
            "*IDN?": bare(lambda: self._identity),
            "*OPT?": bare(self.options),
            "*TST?": bare(lambda: "0"),
            "*RST": bare(self._rst),
            "*CLS": bare(self._cls),
            "*OPC": bare(self._opc),
            "*OPC?": bare(self._opc_query),
            "*WAI": bare(self.wait),
            "*ESR?": bare(self._esr_query),
            "*ESE": self._ese,
            "*ESE?": bare(lambda: str(self.status.standard_enable)),
            "*SRE": self._sre,
            "*SRE?": bare(lambda: str(self.status.service_enable)),
            "*STB?": bare(self._stb_query),
            ":SYSTem:ERRor[:NEXT]?": bare(lambda: self.error_text(self.status.errors.pop())),
            ":SYSTem:HELP:HEADers?": bare(
                lambda: definite_block("\n".join(self._tree.headers()).encode("ascii"))
            ),
            ":SYSTem:VERSion?": bare(lambda: "1999.0"),
        }

    def execute(self, messages: Iterable[bytes]) -> bytes:
        """Execute complete program messages, one after another, and return their responses."""
        with self._lock:
            return b"".join(self._respond(message) for message in messages)

    def error_text(self, entry: ErrorEntry) -> str:
        """An entry of the error queue as this family prints it."""
        return f'{entry.code},"{entry.text}"'

    def options(self) -> str:
        """The answer to *OPT?."""
        return "0"

    def reset(self) -> None:
        """Bring every setting to its *RST value; the status system is not touched."""

    def clear_status(self) -> None:
        """What *CLS does to the error queue and the event registers."""
        self.status.clear()

    def refresh_status(self) -> None:
        """Bring the condition registers up to date; called after every unit and before the status byte is read."""

    def busy_until_ps(self) -> int:
        """Lab time at which everything that was started has ended."""
        return 0

    def wait(self) -> None:
        """Let lab time pass until nothing is under way."""
        self.lab_time.advance_to(self.busy_until_ps())

    def still_busy(self, until_ps: int) -> bool:
        """Whether something is under way until then; asking lets up to 5 ms pass, so that pollers come to an end."""
        if self.lab_time.now_ps() >= until_ps:
            return False
        return self.lab_time.advance_to(min(until_ps, self.lab_time.now_ps() + POLL_PS)) < until_ps

    def _respond(self, message: bytes) -> bytes:
        path: tuple[str, ...] = ()
        replies: list[bytes] = []
        for unit in split_units(message):
            self.status.message_available = bool(replies)
            try:
                header, parameters = parse_unit(unit)
                match = self._tree.find(header, path)
                path = match.path
                reply = match.handler(Request(header, match.suffixes, parameters))
            except ScpiError as refusal:
                self.status.report(refusal.entry)
                continue
            self.refresh_status()
            if reply is not None:
                replies.append(reply.encode("latin-1") if isinstance(reply, str) else reply)
        self.status.message_available = False
        return b";".join(replies) + self.terminator if replies else b""

    def _rst(self) -> None:
        self._operation_complete_pending = False
        self.reset()

    def _cls(self) -> None:
        self._operation_complete_pending = False
        self.clear_status()

    def _opc(self) -> None:
        self._operation_complete_pending = True
        self._settle_operation_complete()

    def _opc_query(self) -> str:
        self.wait()
        return "1"

    def _settle_operation_complete(self) -> None:
        if self._operation_complete_pending and self.lab_time.now_ps() >= self.busy_until_ps():
            self._operation_complete_pending = False
            self.status.standard_event |= OPERATION_COMPLETE

    def _poll_operation_complete(self) -> None:
        if self._operation_complete_pending:
            self.still_busy(self.busy_until_ps())
            self._settle_operation_complete()

    def _esr_query(self) -> str:
        self._poll_operation_complete()
        return str(self.status.read_standard_event())

    def _stb_query(self) -> str:
        self._poll_operation_complete()
        self.refresh_status()
        return str(self.status.status_byte())

    def _ese(self, request: Request) -> None:
        (value,) = arguments(request, 1)
        self.status.standard_enable = integer(value, BYTE)

    def _sre(self, request: Request) -> None:
        (value,) = arguments(request, 1)
        self.status.service_enable = integer(value, BYTE) & ~64


class ScpiSession:
    """One client's input buffer in front of an instrument."""

    def __init__(self, instrument: ScpiInstrument) -> None:
        self._instrument = instrument
        self._framer = MessageFramer()

    def feed(self, data: bytes) -> bytes:
        """Take bytes in any chunking, execute every message that is complete, return the responses."""
        return self._instrument.execute(self._framer.feed(data))
