"""Time tags on their way to the recorded file: an append-only segment of compressed, CRC-protected frames.

Times are stored as differences (uint32 where they fit, which they do below 4.29 ms), channels as differences from
the lowest, both bit-shuffled and LZ4-compressed by Blosc. Any int64 and uint8 comes back, sorted or not.
File: header (magic "qdci-time-tags", version, CRC-32), then frames. Frame: header with its own CRC-32, times, channels.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from qdci_lab.errors import RecordError
from qdci_lab.record.append_only import HEADER_BYTES, AppendOnlyFile, Tail, check_header

MAGIC = b"qdci-time-tags"
VERSION = 1
FRAME_TAGS = 1 << 17
"""Tags in a full frame: its 1 MiB of times stays in a processor's second-level cache."""

TagBlock = tuple[NDArray[np.int64], NDArray[np.uint8]]
CODEC = Blosc("lz4", 1, Blosc.BITSHUFFLE)
import_module("numcodecs.blosc").set_nthreads(
    1
)  # more would make the bytes depend on which thread is done first
_FRAME = struct.Struct(
    "<4sBBxxQqIIII"
)  # marker, bytes a difference, lowest channel, first, base, count, lengths, CRC
_CHECKSUM = struct.Struct("<I")
_MARKER = b"TAGS"


class TagSegmentWriter:
    """Appends tags to a new file; `first_index` is the index in the run of the first of them."""

    def __init__(self, path: Path, *, first_index: int = 0) -> None:
        self.path = path
        self.first_index = first_index
        self.count = 0
        self._file = AppendOnlyFile(path, MAGIC, VERSION)
        self._written = 0
        self._encoder = _FrameEncoder()
        self._times = np.empty(FRAME_TAGS, np.int64)
        self._channels = np.empty(FRAME_TAGS, np.uint8)

    @property
    def size(self) -> int:
        """Bytes in the file so far."""
        return self._file.size

    def append(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Take tags, times int64 ps and channels uint8 of the same length; they are safe after the next `sync`."""
        _check_columns(times, channels)
        start = 0
        while start < len(times):
            waiting = self.count - self._written
            stop = min(len(times), start + FRAME_TAGS - waiting)
            if stop - start == FRAME_TAGS:
                self._write(times[start:stop], channels[start:stop])
            else:
                self._keep(waiting, times[start:stop], channels[start:stop])
            start = stop

    def sync(self) -> None:
        """Return when every tag that was appended is on the disk."""
        waiting = self.count - self._written
        if waiting:
            self._write_frame(self._times[:waiting], self._channels[:waiting])
        self._file.sync()

    def close(self) -> None:
        """Sync and give the file back."""
        try:
            self.sync()
        finally:
            self._file.close()

    def _keep(self, waiting: int, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        full = waiting + len(times)
        self._times[waiting:full] = times
        self._channels[waiting:full] = channels
        self.count += len(times)
        if full == FRAME_TAGS:
            self._write_frame(self._times, self._channels)

    def _write(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        self._write_frame(times, channels)
        self.count += len(times)

    def _write_frame(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        self._file.write(self._encoder.encode(times, channels, self.first_index + self._written))
        self._written += len(times)


@dataclass(frozen=True)
class _Frame:
    """Header of a frame, and where its payload begins in the file."""

    difference_bytes: int
    lowest_channel: int
    first: int
    base_ps: int
    count: int
    times_bytes: int
    channels_bytes: int
    payload_crc: int
    offset: int


class TagSegmentReader:
    """The whole frames of a segment, torn or still being written; opening it checks every CRC.

    Indices are those in the run: the segment holds [first_index, first_index + count).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as stream:
                check_header(stream.read(HEADER_BYTES), MAGIC, VERSION, path)
                self._frames, self.tail = _scan(stream, path.stat().st_size)
        except OSError as error:
            raise RecordError(f"cannot read {path}: {error.strerror}") from error
        self.first_index = self._frames[0].first if self._frames else 0
        self.count = sum(frame.count for frame in self._frames)

    def blocks(self, first: int | None = None, count: int | None = None) -> Iterator[TagBlock]:
        """(times int64 ps, channels uint8) of tags [first, first + count), at most FRAME_TAGS at a time."""
        first = self.first_index if first is None else first
        stop = self.first_index + self.count if count is None else first + count
        with self.path.open("rb") as stream:
            for frame in self._frames:
                low, high = max(first - frame.first, 0), min(stop - frame.first, frame.count)
                if low < high:
                    times, channels = _decode_frame(stream, frame)
                    yield times[low:high], channels[low:high]


def in_blocks_of(tags: int, blocks: Iterable[TagBlock]) -> Iterator[TagBlock]:
    """The same tags in blocks of exactly `tags` (the last may be shorter); a block is overwritten by the next."""
    times, channels = np.empty(tags, np.int64), np.empty(tags, np.uint8)
    filled = 0
    for block_times, block_channels in blocks:
        start = 0
        while start < len(block_times):
            taken = min(len(block_times) - start, tags - filled)
            times[filled : filled + taken] = block_times[start : start + taken]
            channels[filled : filled + taken] = block_channels[start : start + taken]
            start, filled = start + taken, filled + taken
            if filled == tags:
                yield times, channels
                filled = 0
    if filled:
        yield times[:filled], channels[:filled]


def tags_crc(times: NDArray[np.int64], channels: NDArray[np.uint8]) -> int:
    """CRC-32 of a block: its times as little-endian int64, then its channels."""
    times_bytes = np.ascontiguousarray(times, "<i8").view(np.uint8)
    return zlib.crc32(np.ascontiguousarray(channels).data, zlib.crc32(times_bytes.data))


def _check_columns(times: np.ndarray, channels: np.ndarray) -> None:
    if times.dtype != np.int64 or channels.dtype != np.uint8:
        raise RecordError(f"tags are int64 ps and uint8 channels, not {times.dtype} and {channels.dtype}")
    if times.ndim != 1 or times.shape != channels.shape:
        raise RecordError(f"times of shape {times.shape} do not fit channels of shape {channels.shape}")


class _FrameEncoder:
    """Frames of up to FRAME_TAGS tags; keeps its working memory, which costs more to get than to fill."""

    def __init__(self) -> None:
        self._steps = np.empty(FRAME_TAGS, np.int64)
        self._short_steps = np.empty(FRAME_TAGS, np.uint32)
        self._channels = np.empty(FRAME_TAGS, np.uint8)

    def encode(self, times: NDArray[np.int64], channels: NDArray[np.uint8], first: int) -> bytes:
        steps = self._differences(times)
        lowest = channels.min()
        packed_times = CODEC.encode(steps)
        packed_channels = CODEC.encode(np.subtract(channels, lowest, out=self._channels[: len(channels)]))
        head = _FRAME.pack(
            _MARKER, steps.itemsize, lowest, first, times[0], len(times),
            len(packed_times), len(packed_channels), zlib.crc32(packed_channels, zlib.crc32(packed_times)),
        )  # fmt: skip
        return b"".join((head, _CHECKSUM.pack(zlib.crc32(head)), packed_times, packed_channels))

    def _differences(self, times: NDArray[np.int64]) -> np.ndarray:
        """Steps from tag to tag, the first zero: uint32 if none is negative or too long, else int64 modulo 2**64."""
        steps = self._steps[: len(times)]
        steps[0] = 0
        np.subtract(times[1:], times[:-1], out=steps[1:])
        if int(steps.view(np.uint64).max()) >= 1 << 32:
            return steps
        short_steps = self._short_steps[: len(times)]
        np.copyto(short_steps, steps, casting="unsafe")
        return short_steps


def _scan(stream: BinaryIO, size: int) -> tuple[tuple[_Frame, ...], Tail]:
    frames: list[_Frame] = []
    offset = HEADER_BYTES
    while (frame := _read_header(stream, offset, frames[-1] if frames else None)) is not None:
        payload = stream.read(frame.times_bytes + frame.channels_bytes)
        if zlib.crc32(payload) != frame.payload_crc:
            break
        frames.append(frame)
        offset = frame.offset + len(payload)
    return tuple(frames), Tail(len(frames), offset, max(0, size - offset))


def _read_header(stream: BinaryIO, offset: int, before: _Frame | None) -> _Frame | None:
    stream.seek(offset)
    data = stream.read(_FRAME.size + 4)
    if len(data) < _FRAME.size + 4 or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        return None
    marker, *fields = _FRAME.unpack(data[:-4])
    frame = _Frame(*fields, offset=offset + len(data))
    follows = before is None or frame.first == before.first + before.count
    return frame if marker == _MARKER and follows else None


def _decode_frame(stream: BinaryIO, frame: _Frame) -> TagBlock:
    stream.seek(frame.offset)
    payload = memoryview(stream.read(frame.times_bytes + frame.channels_bytes))
    steps = np.empty(frame.count, np.uint32 if frame.difference_bytes == 4 else np.int64)
    channels = np.empty(frame.count, np.uint8)
    CODEC.decode(payload[: frame.times_bytes], out=steps)
    CODEC.decode(payload[frame.times_bytes :], out=channels)
    channels += np.uint8(frame.lowest_channel)
    times = steps.astype(np.int64)
    times[:1] = frame.base_ps
    np.cumsum(times, out=times)
    return times, channels
