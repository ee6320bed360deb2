"""Time tags on their way to the recorded file: an append-only segment of compressed, CRC-protected frames.

Tags are packed as differences of as few bits as they need (see `tag_packing`). Any int64 and uint8 comes back, sorted
or not. File: header (magic "qdci-time-tags", version, CRC-32), then frames. Frame: header with its own CRC-32, the
widths of the groups of tags (padded with zeros to whole words), the words that hold the tags.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import RecordError
from qdci_lab.record import tag_packing
from qdci_lab.record.append_only import HEADER_BYTES, AppendOnlyFile, Tail, check_header

MAGIC = b"qdci-time-tags"
VERSION = 2
FRAME_TAGS = 1 << 17
"""Tags in a full frame: its 1 MiB of times stays in a processor's second-level cache."""

TagBlock = tuple[NDArray[np.int64], NDArray[np.uint8]]
_FRAME = struct.Struct("<4sBBxxQqIII")
"""Marker, bits a channel, lowest channel, index of the first tag, its time, tags, bytes of the payload, its CRC."""
_CHECKSUM = struct.Struct("<I")
_MARKER = b"TAGS"
_HEAD_BYTES = _FRAME.size + _CHECKSUM.size
_WORD_BYTES = 8


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
        if len(times) == FRAME_TAGS:
            self._file.start_writing_out()
        self._written += len(times)


@dataclass(frozen=True)
class _Frame:
    """Header of a frame, and where its payload begins in the file."""

    channel_bits: int
    lowest_channel: int
    first: int
    base_ps: int
    count: int
    payload_bytes: int
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
        size = _padded(tag_packing.widths_of(FRAME_TAGS)) + _WORD_BYTES * tag_packing.words_for(FRAME_TAGS)
        self._frame = np.empty(_HEAD_BYTES + size, np.uint8)
        self._numbers = np.empty(FRAME_TAGS + tag_packing.GROUP, np.uint64)

    def encode(self, times: NDArray[np.int64], channels: NDArray[np.uint8], first: int) -> memoryview:
        """The bytes of a frame, valid until the next one is made."""
        lowest, highest = int(channels.min()), int(channels.max())
        channel_bits = (highest - lowest).bit_length()
        payload_bytes = self._pack(times, channels, lowest, channel_bits)
        frame = self._frame.data[: _HEAD_BYTES + payload_bytes]
        head = _FRAME.pack(
            _MARKER, channel_bits, lowest, first, times[0], len(times), payload_bytes,
            zlib.crc32(frame[_HEAD_BYTES:]),
        )  # fmt: skip
        frame[:_HEAD_BYTES] = head + _CHECKSUM.pack(zlib.crc32(head))
        return frame

    def _pack(
        self, times: NDArray[np.int64], channels: NDArray[np.uint8], lowest: int, channel_bits: int
    ) -> int:
        """Widths and words behind the place of the head; how many bytes they take."""
        groups = tag_packing.widths_of(len(times))
        widths_bytes = _padded(groups)
        payload = self._frame[_HEAD_BYTES:]
        payload[groups:widths_bytes] = 0
        # Arrays of another layout, or that must not be written to, would each have the loops compiled for them.
        times = np.require(times, requirements=["C", "W"])
        channels = np.require(channels, requirements=["C", "W"])
        words = tag_packing.pack(
            times, channels, lowest, channel_bits,
            self._numbers, payload[:groups], payload[widths_bytes:].view(np.uint64),
        )  # fmt: skip
        return widths_bytes + _WORD_BYTES * words


def _padded(size: int) -> int:
    return -(-size // _WORD_BYTES) * _WORD_BYTES


def _scan(stream: BinaryIO, size: int) -> tuple[tuple[_Frame, ...], Tail]:
    frames: list[_Frame] = []
    offset = HEADER_BYTES
    while (frame := _read_header(stream, offset, frames[-1] if frames else None)) is not None:
        payload = stream.read(frame.payload_bytes)
        if zlib.crc32(payload) != frame.payload_crc:
            break
        frames.append(frame)
        offset = frame.offset + len(payload)
    return tuple(frames), Tail(len(frames), offset, max(0, size - offset))


def _read_header(stream: BinaryIO, offset: int, before: _Frame | None) -> _Frame | None:
    stream.seek(offset)
    data = stream.read(_HEAD_BYTES)
    if len(data) < _HEAD_BYTES or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        return None
    marker, *fields = _FRAME.unpack(data[:-4])
    frame = _Frame(*fields, offset=offset + len(data))
    follows = before is None or frame.first == before.first + before.count
    return frame if marker == _MARKER and follows else None


def _decode_frame(stream: BinaryIO, frame: _Frame) -> TagBlock:
    stream.seek(frame.offset)
    payload = np.zeros(frame.payload_bytes // _WORD_BYTES + 1, np.uint64)
    payload.view(np.uint8)[: frame.payload_bytes] = np.frombuffer(stream.read(frame.payload_bytes), np.uint8)
    groups = tag_packing.widths_of(frame.count)
    words = payload[_padded(groups) // _WORD_BYTES :]
    times, channels = np.empty(frame.count, np.int64), np.empty(frame.count, np.uint8)
    widths = payload.view(np.uint8)[:groups]
    tag_packing.unpack(
        words, widths, frame.lowest_channel, frame.channel_bits, frame.base_ps, times, channels
    )
    return times, channels
