"""Messages of the Keysight Infiniium real-time oscilloscopes (90000, S, V, Z and UXR series).

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide, chapters System, Acquire, Channel, Timebase, Trigger,
Waveform and Root Level commands, as public drivers use it. Assumed: that keywords come back short or long.
"""

import re
from collections.abc import Sequence
from typing import SupportsFloat

from drivers.oscilloscope.keysight_infiniium_waveform import WordFormat, preamble
from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import BlockQuery, Command, Query
from qdci_lab.wire.scpi import boolean, error_report, finite, integer, number, on_off, text

CHANNELS = (1, 2, 3, 4)
SLOPES = ("POS", "NEG", "EITH")
SWEEPS = ("AUTO", "TRIG", "SING")
SOURCES = tuple(f"CHAN{channel}" for channel in CHANNELS)

CLEAR_STATUS = Command.text("*CLS")
WITHOUT_HEADERS = Command.text(":SYST:HEAD OFF")
STOP = Command.text(":STOP")
REAL_TIME = (Command.text(":ACQ:MODE RTIM"), Command.text(":ACQ:INT OFF"), Command.text(":ACQ:AVER OFF"))
EDGE_TRIGGER = Command.text(":TRIG:MODE EDGE")
# Without STRing the reply is the error's number alone.
NEXT_ERROR = Query.text(":SYST:ERR? STR", error_report)

_RANGE = re.compile(r"\s*<\w+>\s*([^<>:]+):([^<>:]+)")


def checked_channel(channel: int) -> int:
    """A channel that there is; LocalProtocolError otherwise."""
    if isinstance(channel, bool) or channel not in CHANNELS:
        raise LocalProtocolError(f"channel {channel!r}: must be one of {CHANNELS}")
    return channel


def checked_channels(channels: Sequence[int]) -> tuple[int, ...]:
    """One or more channels, none of them twice; LocalProtocolError otherwise."""
    chosen = tuple(checked_channel(channel) for channel in channels)
    if not chosen or len(set(chosen)) != len(chosen):
        raise LocalProtocolError(f"channels {list(channels)}: must be one or more of {CHANNELS}, each once")
    return chosen


def limits(reply: bytes) -> tuple[float, float]:
    """Lowest and highest value of a reply to TESTLIMITS?, such as `1,<numeric>1.0E+09:6.3E+10`."""
    count, *ranges = text(reply).split(",")
    found = [match.groups() for match in map(_RANGE.fullmatch, ranges) if match]
    if not found or integer(count.encode()) != len(found):
        raise RemoteProtocolError(f"not the limits of a number: {reply!r}")
    lows, highs = zip(*((number(low.encode()), number(high.encode())) for low, high in found), strict=True)
    return min(lows), max(highs)


def keyword(choices: Sequence[str], reply: bytes) -> str:
    """Which of some short keywords a reply is, be it short or long."""
    word = text(reply).upper()
    for choice in choices:
        if word.startswith(choice):
            return choice
    raise RemoteProtocolError(f"none of {', '.join(choices)}: {reply!r}")


def source(reply: bytes) -> str:
    """A channel's name, `CHAN1` or `CHANNEL1`, in its short form; other sources as they are called."""
    return text(reply).upper().replace("CHANNEL", "CHAN")


def checked_keyword(choices: Sequence[str], word: str) -> str:
    """A keyword among those that may be set; LocalProtocolError otherwise."""
    if word not in choices:
        raise LocalProtocolError(f"{word!r}: must be one of {', '.join(choices)}")
    return word


class AcquisitionPoints:
    """:ACQuire:POINts[:ANALog]: samples of each channel."""

    @staticmethod
    def get() -> Query[int]:
        return Query.text(":ACQ:POIN?", integer)

    @staticmethod
    def set(points: float) -> Command:
        if not float(points).is_integer():
            raise LocalProtocolError(f"{points} points: must be a whole number")
        return Command.text(f":ACQ:POIN {int(points)}")

    @staticmethod
    def limits() -> Query[tuple[float, float]]:
        return Query.text(":ACQ:POIN:TESTLIMITS?", limits)


class SampleRate:
    """:ACQuire:SRATe[:ANALog] in samples a second."""

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":ACQ:SRAT?", number)

    @staticmethod
    def set(sample_rate_hz: float) -> Command:
        return Command.text(f":ACQ:SRAT {_printed(sample_rate_hz)}")

    @staticmethod
    def limits() -> Query[tuple[float, float]]:
        return Query.text(":ACQ:SRAT:TESTLIMITS?", limits)


class Bandwidth:
    """:ACQuire:BANDwidth in Hz."""

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":ACQ:BAND?", number)

    @staticmethod
    def set(bandwidth_hz: float) -> Command:
        return Command.text(f":ACQ:BAND {_printed(bandwidth_hz)}")

    @staticmethod
    def limits() -> Query[tuple[float, float]]:
        return Query.text(":ACQ:BAND:TESTLIMITS?", limits)


class ChannelDisplay:
    """:CHANnel<n>:DISPlay: whether a channel is on."""

    @staticmethod
    def get(channel: int) -> Query[bool]:
        return Query.text(f":CHAN{checked_channel(channel)}:DISP?", boolean)

    @staticmethod
    def set(channel: int, state: SupportsFloat) -> Command:
        return Command.text(f":CHAN{checked_channel(channel)}:DISP {'ON' if on_off(state) else 'OFF'}")


class ChannelRange:
    """:CHANnel<n>:RANGe: V from the bottom to the top of the screen."""

    @staticmethod
    def get(channel: int) -> Query[float]:
        return Query.text(f":CHAN{checked_channel(channel)}:RANG?", number)

    @staticmethod
    def set(channel: int, range_v: float) -> Command:
        return Command.text(f":CHAN{checked_channel(channel)}:RANG {_printed(range_v)}")


class ChannelOffset:
    """:CHANnel<n>:OFFSet: V at the centre of the screen."""

    @staticmethod
    def get(channel: int) -> Query[float]:
        return Query.text(f":CHAN{checked_channel(channel)}:OFFS?", number)

    @staticmethod
    def set(channel: int, offset_v: float) -> Command:
        return Command.text(f":CHAN{checked_channel(channel)}:OFFS {_printed(offset_v)}")


class TimeRange:
    """:TIMebase:RANGe: seconds from the left to the right of the screen."""

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":TIM:RANG?", number)

    @staticmethod
    def set(range_s: float) -> Command:
        return Command.text(f":TIM:RANG {_printed(range_s)}")


class TimePosition:
    """:TIMebase:POSition: seconds from the trigger to the reference point of the screen."""

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":TIM:POS?", number)

    @staticmethod
    def set(position_s: float) -> Command:
        return Command.text(f":TIM:POS {_printed(position_s)}")


class TriggerSource:
    """:TRIGger:EDGE:SOURce; its level is a channel's own."""

    @staticmethod
    def get() -> Query[str]:
        return Query.text(":TRIG:EDGE:SOUR?", source)

    @staticmethod
    def set(word: str) -> Command:
        return Command.text(f":TRIG:EDGE:SOUR {checked_keyword(SOURCES, word)}")


class TriggerLevel:
    """:TRIGger:LEVel <source>,<level>: V, one for each source."""

    @staticmethod
    def get(word: str) -> Query[float]:
        return Query.text(f":TRIG:LEV? {checked_keyword(SOURCES, word)}", number)

    @staticmethod
    def set(word: str, level_v: float) -> Command:
        return Command.text(f":TRIG:LEV {checked_keyword(SOURCES, word)},{_printed(level_v)}")


class TriggerSlope:
    """:TRIGger:EDGE:SLOPe."""

    @staticmethod
    def get() -> Query[str]:
        return Query.text(":TRIG:EDGE:SLOP?", lambda reply: keyword(SLOPES, reply))

    @staticmethod
    def set(word: str) -> Command:
        return Command.text(f":TRIG:EDGE:SLOP {checked_keyword(SLOPES, word)}")


class TriggerSweep:
    """:TRIGger:SWEep: AUTO acquires without a trigger where none comes, TRIGgered waits for it."""

    @staticmethod
    def get() -> Query[str]:
        return Query.text(":TRIG:SWE?", lambda reply: keyword(SWEEPS, reply))

    @staticmethod
    def set(word: str) -> Command:
        return Command.text(f":TRIG:SWE {checked_keyword(SWEEPS, word)}")


class Waveform:
    """:WAVeform:FORMat, :BYTeorder, :STReaming, :SOURce, :PREamble?, :DATA?.

    With streaming, :DATA? is answered with a block of indefinite length, otherwise of definite length, of which the
    instrument can send less than 10^9 bytes.
    """

    DATA = BlockQuery.text(":WAV:DATA?")
    PREAMBLE = Query.text(":WAV:PRE?", preamble)

    @staticmethod
    def set_up(form: WordFormat, byte_order: str, streaming: bool) -> tuple[Command, ...]:
        form.dtype(byte_order)
        return (
            Command.text(f":WAV:FORM {form.name}"),
            Command.text(f":WAV:BYT {byte_order}"),
            Command.text(f":WAV:STR {'ON' if streaming else 'OFF'}"),
        )

    @staticmethod
    def select(channel: int) -> Command:
        return Command.text(f":WAV:SOUR CHAN{checked_channel(channel)}")


def digitize(channels: Sequence[int]) -> Query[bool]:
    """:DIGitize, one acquisition of some channels; it is answered with 1 when all samples are there."""
    names = ",".join(f"CHAN{channel}" for channel in checked_channels(channels))
    return Query.text(f":DIG {names};*OPC?", boolean)


def _printed(value: float) -> str:
    return f"{finite(value):.12g}"
