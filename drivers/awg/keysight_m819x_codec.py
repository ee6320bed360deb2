"""Messages that the Keysight M8195A and M8196A arbitrary waveform generators have in common.

Reference: Keysight M8195A Revision 2 Arbitrary Waveform Generator User's Guide, M8195-91040, edition 6 (March 2017),
chapter 6: 6.7 status, 6.8 arm and trigger, 6.13 output, 6.14 sampling frequency, 6.16 voltage, 6.21 trace. That the
M8196A understands these in the same way is as public drivers have it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import LocalProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import block, boolean, integer, number

CHANNELS = (1, 2, 3, 4)
SEGMENT = 1
CHUNK_SAMPLES = 1 << 20

CLEAR_STATUS = Command.text("*CLS")
ABORT = Command.text(":ABOR")
START = Command.text(":INIT:IMM")
CONTINUOUS = Command.text(":INIT:CONT 1;:INIT:GATE 0")


def checked_channel(channel: int) -> int:
    """A channel that there is; LocalProtocolError otherwise."""
    if channel not in CHANNELS:
        raise LocalProtocolError(f"channel {channel!r}: must be one of {CHANNELS}")
    return channel


@dataclass(frozen=True)
class SampleMemory:
    """What a segment's length in samples must be."""

    granularity: int
    min_length: int
    max_length: int | None = None

    def check(self, samples: Mapping[int, NDArray[np.int8]]) -> int:
        """The common length of the waveforms; LocalProtocolError, naming the channel, unless they can be loaded."""
        if not samples:
            raise LocalProtocolError("no waveforms: give the samples of at least one channel")
        lengths = {channel: self._checked_length(channel, codes) for channel, codes in samples.items()}
        first, length = next(iter(lengths.items()))
        for channel, other in lengths.items():
            if other != length:
                raise LocalProtocolError(
                    f"channel {channel} has {other} samples, but channel {first} has {length}"
                )
        return length

    def _checked_length(self, channel: int, codes: NDArray[np.int8]) -> int:
        checked_channel(channel)
        if codes.dtype != np.int8 or codes.ndim != 1:
            shape = f"{codes.dtype} of shape {codes.shape}"
            raise LocalProtocolError(
                f"channel {channel}: samples are {shape}, must be int8 of shape (length,)"
            )
        length = len(codes)
        if length < self.min_length or length % self.granularity or length > (self.max_length or length):
            at_most = f" and at most {self.max_length}" if self.max_length else ""
            raise LocalProtocolError(
                f"channel {channel}: {length} samples, must be a multiple of {self.granularity} "
                f"and at least {self.min_length}{at_most}"
            )
        return length


class RasterClock:
    """:FREQuency:RASTer: the DAC's sample clock in Hz, within the model's RANGE_HZ."""

    RANGE_HZ: ClassVar[tuple[float, float]]

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":FREQ:RAST?", number)

    @classmethod
    def set(cls, raster_hz: float) -> Command:
        low_hz, high_hz = cls.RANGE_HZ
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
    """:TRACe[n]:DELete:ALL, :DEFine, :SELect: where a channel's samples go."""

    @staticmethod
    def delete_all(channel: int) -> Command:
        return Command.text(f":TRAC{checked_channel(channel)}:DEL:ALL")

    @staticmethod
    def define(channel: int, length: int) -> Command:
        return Command.text(f":TRAC{checked_channel(channel)}:DEF {SEGMENT},{length},0")

    @staticmethod
    def select(channel: int) -> Command:
        return Command.text(f":TRAC{checked_channel(channel)}:SEL {SEGMENT}")


class Samples:
    """:TRACe[n][:DATA]: the samples of one channel in blocks, whose offsets are even numbers of memory vectors."""

    @staticmethod
    def write(channel: int, codes: NDArray[np.int8]) -> Iterator[Command]:
        header = f":TRAC{checked_channel(channel)}:DATA {SEGMENT}"
        for offset in range(0, len(codes), CHUNK_SAMPLES):
            data = codes[offset : offset + CHUNK_SAMPLES].tobytes()
            yield Command(f"{header},{offset},".encode("ascii") + block(data))
