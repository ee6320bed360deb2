"""What the M8195A remembers outside its waveform memory, with the values that *RST gives (all assumed).

Reference for the ranges: Keysight M8195A Revision 2 User's Guide, sections 1.5 and 6.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sim_devices.firmware.keysight_m8195a_playback import CHANNELS
from sim_devices.firmware.scpi_errors import (
    HEADER_SUFFIX_OUT_OF_RANGE,
    ILLEGAL_PARAMETER_VALUE,
    PARAMETER_NOT_ALLOWED,
    ScpiError,
)
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import Limits, arguments, exact_nr3

RASTER_HZ = Limits(53.76e9, 65e9, 64e9)
AMPLITUDE_V = Limits(0.075, 1.0, 0.5)
LEVEL_V = Limits(-1.0, 3.3, 0.0)  # assumed from the data sheet's output window
DIFFERENTIAL_OFFSET = Limits(-32_768, 32_767, 0)  # assumed
REFERENCE_HZ = Limits(10e6, 17e9, 100e6)  # assumed


@dataclass
class ChannelSetup:
    """One channel: levels, output switch, where its samples come from and how they are played."""

    amplitude_v: float = AMPLITUDE_V.default
    offset_v: float = 0.0
    termination_v: float = 0.0
    differential_offset: float = 0.0
    on: bool = False
    memory: str = "INT"
    selected: int = 1
    advance: str = "AUTO"
    loops: int = 1
    marker: bool = False


@dataclass
class Setup:
    """The instrument as a whole."""

    dac_mode: str = "SING"
    divider: int = 1
    raster_hz: float = RASTER_HZ.default
    continuous: bool = True
    gated: bool = False
    arm_mode: str = "SELF"
    reference: str = "INT"
    reference_hz: float = REFERENCE_HZ.default
    reference_range: str = "RANG1"
    clock_output: str = "INT"
    sample_clock_divider: int = 32
    reference_dividers: list[int] = field(default_factory=lambda: [1, 1])
    channels: dict[int, ChannelSetup] = field(
        default_factory=lambda: {channel: ChannelSetup() for channel in CHANNELS}
    )


def channel_of(request: Request) -> int:
    """The channel that a header's suffix names; -114 unless it is 1 to 4."""
    channel = request.suffixes.get("n", 1)
    if channel not in CHANNELS:
        raise ScpiError(HEADER_SUFFIX_OUT_OF_RANGE)
    return channel


def bit(value: bool) -> str:
    """A boolean as the instrument prints it."""
    return "1" if value else "0"


def number_query(present: Callable[[int], float], limits: Limits) -> Handler:
    """A query of a channel's number that also answers for MINimum and MAXimum."""

    def handle(request: Request) -> str:
        channel = channel_of(request)
        parameters = arguments(request, 0, 1)
        if not parameters:
            return exact_nr3(present(channel))
        named = limits.named(plain_text(parameters[0]))
        if named is None:
            raise ScpiError(ILLEGAL_PARAMETER_VALUE)
        return exact_nr3(named)

    return handle


def channel_query(answer: Callable[[int], str]) -> Handler:
    """A query about a channel that has no parameters."""

    def handle(request: Request) -> str:
        if request.parameters:
            raise ScpiError(PARAMETER_NOT_ALLOWED)
        return answer(channel_of(request))

    return handle


def channel_command(action: Callable[[int, bytes], None]) -> Handler:
    """A command about a channel with one parameter."""

    def handle(request: Request) -> None:
        (token,) = arguments(request, 1)
        action(channel_of(request), token)

    return handle
