"""Waveform memory of the M8195A: numbered segments of 8-bit samples, per channel and per kind of memory.

Reference: Keysight M8195A Revision 2 User's Guide, section 6.21 ":TRACe Subsystem". Lengths are those of the maker's
IQtools: extended memory 16 GSa in steps of 256 from 1280 on, all three divided by the sample rate divider (for 4 by
extrapolation); internal memory 256 KiSa in steps of 128 from 128 on. A segment of extended memory exists on all
channels that are sourced from it. Assumed: a number that is taken can be defined again only with the same length; a
segment that is defined without an initial value holds what the segment of that number and length that was deleted
before held, or zeros; internal and extended memory keep their segments apart while a channel is switched between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.scpi_errors import (
    DATA_OUT_OF_RANGE,
    OUT_OF_MEMORY,
    TOO_MUCH_DATA,
    ScpiError,
)
from sim_devices.firmware.scpi_values import Limits, integer

HIGHEST_ID = 16_777_215
_SAMPLE = Limits(-128, 127, 0)


@dataclass
class Segment:
    """One waveform: samples, marker bits of the same length, and what the user wrote on it."""

    samples: NDArray[np.int8]
    markers: NDArray[np.uint8]
    name: str = ""
    comment: str = ""

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Room:
    """What a memory takes: capacity in samples, step and minimum of a segment's length, the highest number of one."""

    capacity: int
    granularity: int
    minimum: int
    highest_id: int = HIGHEST_ID


INTERNAL_ROOM = Room(262_144, 128, 128)


def extended_room(divider: int) -> Room:
    """Extended memory of one channel at a sample rate divider of 1, 2 or 4."""
    return Room(2**34 // divider, 256 // divider, 1280 // divider)


class SegmentMemory:
    """The segments of one channel in one kind of memory."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}
        self._deleted: dict[int, Segment] = {}

    @property
    def used(self) -> int:
        """Samples taken by the segments."""
        return sum(len(segment) for segment in self._segments.values())

    def catalogue(self) -> list[tuple[int, int]]:
        """Number and length of every segment, in ascending order."""
        return sorted((number, len(segment)) for number, segment in self._segments.items())

    def get(self, number: int) -> Segment | None:
        """A segment, or None if there is none of that number."""
        return self._segments.get(number)

    def need(self, number: int) -> Segment:
        """A segment; -222 if there is none of that number."""
        segment = self._segments.get(number)
        if segment is None:
            raise ScpiError(DATA_OUT_OF_RANGE)
        return segment

    def check_definition(self, number: int, length: int, initial: int | None, room: Room) -> None:
        """Raise -222 for a bad number, length or value or a taken number, -225 if there is no room."""
        present = self._segments.get(number)
        fits = length >= room.minimum and length % room.granularity == 0
        if not 1 <= number <= room.highest_id or not fits or not -128 <= (initial or 0) <= 127:
            raise ScpiError(DATA_OUT_OF_RANGE)
        if present is not None and len(present) != length:
            raise ScpiError(DATA_OUT_OF_RANGE)
        if present is None and self.used + length > room.capacity:
            raise ScpiError(OUT_OF_MEMORY)

    def define(self, number: int, length: int, initial: int | None) -> None:
        """Make a segment whose definition has been checked; -225 if the simulator's own memory is too small."""
        segment = self._segments.get(number) or self._deleted.pop(number, None)
        if segment is None or len(segment) != length:
            try:
                segment = Segment(np.zeros(length, np.int8), np.zeros(length, np.uint8))
            except MemoryError as error:
                raise ScpiError(OUT_OF_MEMORY) from error
        if initial is not None:
            segment.samples.fill(initial)
            segment.markers.fill(0)
        self._segments[number] = Segment(segment.samples, segment.markers)

    def delete(self, number: int) -> None:
        """Remove a segment; -222 if there is none of that number."""
        self._deleted[number] = self.need(number)
        del self._segments[number]

    def delete_all(self) -> None:
        """Remove every segment."""
        self._deleted.update(self._segments)
        self._segments.clear()

    def free_number(self, room: Room) -> int:
        """The lowest number that no segment has; -225 if all are taken."""
        free = next(
            (number for number in range(1, room.highest_id + 1) if number not in self._segments), None
        )
        if free is None:
            raise ScpiError(OUT_OF_MEMORY)
        return free


def write(segment: Segment, offset: int, data: NDArray[np.int8], *, interleaved: bool) -> None:
    """Copy samples into a segment from `offset` on; with `interleaved` every second byte holds marker bits.

    Raises -222 for a negative offset or half a sample, and -223 for data that reach beyond the segment's end.
    """
    if offset < 0 or (interleaved and len(data) % 2):
        raise ScpiError(DATA_OUT_OF_RANGE)
    samples = data[::2] if interleaved else data
    end = offset + len(samples)
    if end > len(segment):
        raise ScpiError(TOO_MUCH_DATA)
    segment.samples[offset:end] = samples
    if interleaved:
        segment.markers[offset:end] = data[1::2].view(np.uint8) & 3


def read(segment: Segment, offset: int, length: int, *, interleaved: bool) -> NDArray[np.int8]:
    """Samples, or samples and marker bytes in turn, of a part of a segment; -222 if it is not all there."""
    if offset < 0 or length < 1 or offset + length > len(segment):
        raise ScpiError(DATA_OUT_OF_RANGE)
    samples = segment.samples[offset : offset + length]
    if not interleaved:
        return samples
    markers = segment.markers[offset : offset + length].view(np.int8)
    return np.stack((samples, markers), axis=1).ravel()


def sample_values(tokens: Sequence[bytes]) -> NDArray[np.int8]:
    """A comma list of sample values as bytes; -222 for a value outside -128 to 127."""
    try:
        values = np.array([int(token) for token in tokens], np.int64)
    except ValueError:
        values = np.array([integer(token, _SAMPLE) for token in tokens], np.int64)
    if len(values) and (values.min() < -128 or values.max() > 127):
        raise ScpiError(DATA_OUT_OF_RANGE)
    return values.astype(np.int8)
