"""The :TRACe subsystem of the M8195A: defining, filling, reading, naming, selecting and deleting segments.

Reference: Keysight M8195A Revision 2 User's Guide, section 6.21.
"""

from collections.abc import Callable

import numpy as np

from sim_devices.firmware.keysight_m8195a_memory import (
    Room,
    Segment,
    SegmentMemory,
    extended_room,
    read,
    sample_values,
    write,
)
from sim_devices.firmware.keysight_m8195a_playback import CHANNELS, has_markers, sourced_channels
from sim_devices.firmware.keysight_m8195a_setup import (
    Setup,
    bit,
    channel_command,
    channel_of,
    channel_query,
)
from sim_devices.firmware.scpi_errors import SETTINGS_CONFLICT, ScpiError
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    Limits,
    arguments,
    block,
    boolean,
    choice,
    definite_block,
    integer,
    is_block,
    string,
)

_ADVANCES = ("AUTO", "CONDitional", "REPeat", "SINGle")
_LOOPS = Limits(1, 2**32 - 1, 1)
_NONE = "NONE"


class TraceSubsystem:
    """Waveform memory and its commands.

    `setup` gives the present settings, `running` whether signals are generated; `changed` is told when what is played
    may have changed. `internal` is what the internal memory of a channel takes.
    """

    def __init__(
        self,
        setup: Callable[[], Setup],
        running: Callable[[], bool],
        changed: Callable[[], None],
        internal: Room,
    ) -> None:
        self._internal = internal
        self._setup = setup
        self._running = running
        self._changed = changed
        self.clear()

    def clear(self) -> None:
        """Forget every segment in every memory."""
        self._memories = {(channel, kind): SegmentMemory() for channel in CHANNELS for kind in ("INT", "EXT")}

    def selected(self, channel: int) -> Segment | None:
        """The segment that a channel plays, if it exists."""
        return self._memory(channel).get(self._setup().channels[channel].selected)

    def commands(self) -> dict[str, Handler]:
        """The commands of the subsystem."""
        node = ":TRACe[n]"
        return {
            f"{node}:MMODe": channel_command(self._set_memory_mode),
            f"{node}:MMODe?": channel_query(self._memory_mode),
            f"{node}:DEFine": self._define,
            f"{node}:DEFine:NEW?": self._define_new,
            f"{node}:DEFine:WONLy": self._define,
            f"{node}:DEFine:WONLy:NEW?": self._define_new,
            f"{node}[:DATA]": self._write,
            f"{node}[:DATA]?": self._read_list,
            f"{node}:DATA:BLOCk?": self._read_block,
            f"{node}:DELete": self._delete,
            f"{node}:DELete:ALL": self._delete_all,
            f"{node}:CATalog?": channel_query(self._catalogue),
            f"{node}:FREE?": channel_query(self._free),
            **self._text_commands(f"{node}:NAME", "name"),
            **self._text_commands(f"{node}:COMMent", "comment"),
            f"{node}:SELect": channel_command(self._select),
            f"{node}:SELect?": channel_query(lambda channel: str(self._setup().channels[channel].selected)),
            f"{node}:ADVance": channel_command(self._set_advance),
            f"{node}:ADVance?": channel_query(lambda channel: self._setup().channels[channel].advance),
            f"{node}:COUNt": channel_command(self._set_loops),
            f"{node}:COUNt?": channel_query(lambda channel: str(self._setup().channels[channel].loops)),
            f"{node}:MARKer": channel_command(self._set_marker),
            f"{node}:MARKer?": channel_query(lambda channel: bit(self._setup().channels[channel].marker)),
        }

    def _memory(self, channel: int) -> SegmentMemory:
        return self._memories[channel, self._setup().channels[channel].memory]

    def _sharing(self, channel: int) -> list[SegmentMemory]:
        """The memories in which a channel's segments are defined and deleted together, its own first."""
        setup = self._setup()
        if setup.channels[channel].memory == "INT":
            return [self._memory(channel)]
        others = [
            other
            for other in sourced_channels(setup.dac_mode)
            if other != channel and setup.channels[other].memory == "EXT"
        ]
        return [self._memory(one) for one in (channel, *others)]

    def _room(self, channel: int) -> Room:
        setup = self._setup()
        return self._internal if setup.channels[channel].memory == "INT" else extended_room(setup.divider)

    def _interleaved(self, channel: int) -> bool:
        return has_markers(self._setup().dac_mode, channel)

    def _set_memory_mode(self, channel: int, token: bytes) -> None:
        setup = self._setup()
        setup.channels[channel].memory = choice(token, "INTernal", "EXTended")
        raise_divider(setup)
        self._changed()

    def _memory_mode(self, channel: int) -> str:
        setup = self._setup()
        return setup.channels[channel].memory if channel in sourced_channels(setup.dac_mode) else _NONE

    def _define(self, request: Request) -> None:
        number, *rest = arguments(request, 2, 3)
        self._add(channel_of(request), integer(number), rest)

    def _define_new(self, request: Request) -> str:
        rest = list(arguments(request, 1, 2))
        channel = channel_of(request)
        number = self._memory(channel).free_number(self._room(channel))
        self._add(channel, number, rest)
        return str(number)

    def _add(self, channel: int, number: int, rest: list[bytes]) -> None:
        self._must_be_stopped()
        length = integer(rest[0])
        initial = integer(rest[1]) if len(rest) > 1 else None
        memories = self._sharing(channel)
        for memory in memories:
            memory.check_definition(number, length, initial, self._room(channel))
        for memory in memories:
            memory.define(number, length, initial)

    def _write(self, request: Request) -> None:
        arguments(request, 3, len(request.parameters))
        number, offset, *data = request.parameters
        channel = channel_of(request)
        segment = self._memory(channel).need(integer(number))
        if len(data) == 1 and is_block(data[0]):
            samples = np.frombuffer(block(data[0]), np.int8)
        else:
            samples = sample_values(data)
        write(segment, integer(offset), samples, interleaved=self._interleaved(channel))
        if segment is self.selected(channel):
            self._changed()

    def _read(self, request: Request) -> np.ndarray:
        number, offset, length = (integer(token) for token in arguments(request, 3))
        channel = channel_of(request)
        segment = self._memory(channel).need(number)
        return read(segment, offset, length, interleaved=self._interleaved(channel))

    def _read_list(self, request: Request) -> str:
        return ",".join(map(str, self._read(request).tolist()))

    def _read_block(self, request: Request) -> bytes:
        return definite_block(self._read(request).tobytes())

    def _delete(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._must_be_stopped()
        number = integer(token)
        own, *others = self._sharing(channel_of(request))
        own.delete(number)
        for memory in others:
            if memory.get(number) is not None:
                memory.delete(number)

    def _delete_all(self, request: Request) -> None:
        arguments(request, 0)
        self._must_be_stopped()
        for memory in self._sharing(channel_of(request)):
            memory.delete_all()

    def _catalogue(self, channel: int) -> str:
        entries = self._memory(channel).catalogue() or [(0, 0)]
        return ",".join(f"{number},{length}" for number, length in entries)

    def _free(self, channel: int) -> str:
        used = self._memory(channel).used
        free = self._room(channel).capacity - used
        return f"{free},{used},{free}"

    def _text_commands(self, pattern: str, field: str) -> dict[str, Handler]:
        def store(request: Request) -> None:
            number, text = arguments(request, 2)
            setattr(self._memory(channel_of(request)).need(integer(number)), field, string(text))

        def answer(request: Request) -> str:
            (number,) = arguments(request, 1)
            text: str = getattr(self._memory(channel_of(request)).need(integer(number)), field)
            return '"' + text.replace('"', '""') + '"'

        return {pattern: store, pattern + "?": answer}

    def _select(self, channel: int, token: bytes) -> None:
        number = integer(token, Limits(1, self._room(channel).highest_id, 1))
        self._memory(channel).need(number)
        self._setup().channels[channel].selected = number
        self._changed()

    def _set_advance(self, channel: int, token: bytes) -> None:
        self._setup().channels[channel].advance = choice(token, *_ADVANCES)

    def _set_loops(self, channel: int, token: bytes) -> None:
        self._setup().channels[channel].loops = integer(token, _LOOPS)

    def _set_marker(self, channel: int, token: bytes) -> None:
        self._setup().channels[channel].marker = boolean(token)

    def _must_be_stopped(self) -> None:
        if self._running():
            raise ScpiError(SETTINGS_CONFLICT)


def extended_channels(setup: Setup) -> int:
    """How many of the channels in use are sourced from extended memory."""
    return sum(setup.channels[channel].memory == "EXT" for channel in sourced_channels(setup.dac_mode))


def raise_divider(setup: Setup) -> None:
    """Let the sample rate divider be at least what the channels on extended memory need."""
    needed = next(divider for divider in (1, 2, 4) if divider >= extended_channels(setup))
    setup.divider = max(setup.divider, needed)
