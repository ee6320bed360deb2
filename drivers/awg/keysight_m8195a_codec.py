"""Messages of the Keysight M8195A arbitrary waveform generator with four channels played from extended memory.

Reference: Keysight M8195A Revision 2 Arbitrary Waveform Generator User's Guide, M8195-91040, edition 6 (March 2017),
chapter 6: 6.7 status, 6.8 arm and trigger, 6.11 instrument, 6.13 output, 6.14 sampling frequency, 6.16 voltage,
6.21 trace. Segments are from 1280 samples on, in steps of 256; the sample clock is 53.76 to 65 GHz.
"""

from collections.abc import Iterator, Mapping
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import block, boolean, integer, number, text

CHANNELS = (1, 2, 3, 4)
RASTER_RANGE_HZ = (53.76e9, 65e9)
MEMORY_DIVIDER = 4
GRANULARITY = 256
MIN_LENGTH = 1280
SEGMENT = 1
CHUNK_SAMPLES = 1 << 20

CLEAR_STATUS = Command.text("*CLS")
ABORT = Command.text(":ABOR")
START = Command.text(":INIT:IMM")
CONTINUOUS = Command.text(":INIT:CONT 1;:INIT:GATE 0")
ARBITRARY = Command.text(":FUNC:MODE ARB")


def check_samples(samples: Mapping[int, NDArray[np.int8]]) -> int:
    """The common length of the waveforms; LocalProtocolError, naming the channel, unless they can be loaded."""
    if not samples:
        raise LocalProtocolError("no waveforms: give the samples of at least one channel")
    lengths = {channel: _checked_length(channel, codes) for channel, codes in samples.items()}
    first, length = next(iter(lengths.items()))
    for channel, other in lengths.items():
        if other != length:
            raise LocalProtocolError(
                f"channel {channel} has {other} samples, but channel {first} has {length}"
            )
    return length


def _checked_length(channel: int, codes: NDArray[np.int8]) -> int:
    checked_channel(channel)
    if codes.dtype != np.int8 or codes.ndim != 1:
        shape = f"{codes.dtype} of shape {codes.shape}"
        raise LocalProtocolError(f"channel {channel}: samples are {shape}, must be int8 of shape (length,)")
    if len(codes) < MIN_LENGTH or len(codes) % GRANULARITY:
        raise LocalProtocolError(
            f"channel {channel}: {len(codes)} samples, must be a multiple of {GRANULARITY} and at least {MIN_LENGTH}"
        )
    return len(codes)


def checked_channel(channel: int) -> int:
    """A channel that there is; LocalProtocolError otherwise."""
    if channel not in CHANNELS:
        raise LocalProtocolError(f"channel {channel!r}: must be one of {CHANNELS}")
    return channel


def divider(reply: bytes) -> int:
    """The number in a divider's reply, DIV1, DIV2 or DIV4."""
    word = text(reply).upper()
    if word not in ("DIV1", "DIV2", "DIV4"):
        raise RemoteProtocolError(f"not a divider: {reply!r}")
    return int(word[-1])


class FourChannels:
    """:INSTrument:DACMode, :TRACe[n]:MMODe, :INSTrument:MEMory:EXTended:RDIVider.

    The modes depend on each other, so that the guide wants them in one message.
    """

    @staticmethod
    def set() -> Command:
        memory = ";".join(f":TRAC{channel}:MMOD EXT" for channel in CHANNELS)
        return Command.text(f":INST:DACM FOUR;{memory};:INST:MEM:EXT:RDIV DIV{MEMORY_DIVIDER}")

    @staticmethod
    def get_divider() -> Query[int]:
        return Query.text(":INST:MEM:EXT:RDIV?", divider)


class Raster:
    """:FREQuency:RASTer: the DAC's sample clock in Hz; from extended memory a channel plays at a fraction of it."""

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":FREQ:RAST?", number)

    @staticmethod
    def set(raster_hz: float) -> Command:
        low_hz, high_hz = RASTER_RANGE_HZ
        if not low_hz <= raster_hz <= high_hz:
            raise LocalProtocolError(f"raster of {raster_hz:g} Hz: must be {low_hz:g} to {high_hz:g} Hz")
        return Command.text(f":FREQ:RAST {raster_hz:.15g}")


class Amplitude:
    """:VOLTage[n][:LEVel][:IMMediate][:AMPLitude]: peak to peak, in V."""

    @staticmethod
    def get(channel: int) -> Query[float]:
        return Query.text(f":VOLT{checked_channel(channel)}?", number)

    @staticmethod
    def set(channel: int, amplitude_v: float) -> Command:
        return Command.text(f":VOLT{checked_channel(channel)} {amplitude_v:.6g}")


class Offset:
    """:VOLTage[n][:LEVel][:IMMediate]:OFFSet in V."""

    @staticmethod
    def get(channel: int) -> Query[float]:
        return Query.text(f":VOLT{checked_channel(channel)}:OFFS?", number)

    @staticmethod
    def set(channel: int, offset_v: float) -> Command:
        return Command.text(f":VOLT{checked_channel(channel)}:OFFS {offset_v:.6g}")


class OutputState:
    """:OUTPut[n][:STATe]: the amplifier behind the DAC."""

    @staticmethod
    def get(channel: int) -> Query[bool]:
        return Query.text(f":OUTP{checked_channel(channel)}?", boolean)

    @staticmethod
    def set(channel: int, state: SupportsFloat) -> Command:
        return Command.text(f":OUTP{checked_channel(channel)} {'ON' if float(state) else 'OFF'}")


class RunState:
    """:STATus:OPERation:RUN:CONDition?: one bit for each channel that generates its signal."""

    @staticmethod
    def get() -> Query[bool]:
        return Query.text(":STAT:OPER:RUN:COND?", lambda reply: integer(reply) != 0)


class Segment:
    """:TRACe[n]:DELete:ALL, :DEFine, :SELect: in extended memory, what is said to one channel holds for all."""

    @staticmethod
    def delete_all() -> Command:
        return Command.text(":TRAC1:DEL:ALL")

    @staticmethod
    def define(length: int) -> Command:
        return Command.text(f":TRAC1:DEF {SEGMENT},{length},0")

    @staticmethod
    def select() -> Command:
        return Command.text(f":TRAC1:SEL {SEGMENT}")


class Samples:
    """:TRACe[n][:DATA]: the samples of one channel in blocks, whose offsets are even numbers of memory vectors."""

    @staticmethod
    def write(channel: int, codes: NDArray[np.int8]) -> Iterator[Command]:
        header = f":TRAC{checked_channel(channel)}:DATA {SEGMENT}"
        for offset in range(0, len(codes), CHUNK_SAMPLES):
            data = codes[offset : offset + CHUNK_SAMPLES].tobytes()
            yield Command(f"{header},{offset},".encode("ascii") + block(data))
