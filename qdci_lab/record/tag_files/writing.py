"""Writes tags as the quTAG's library does, for programs that read its files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import RecordError
from qdci_lab.record.tag_files.qutag_layout import (
    DISORDER_ALLOWANCE_TICKS,
    FORMAT_WORD,
    HEADER,
    LAST_COMPRESSED_CHANNEL,
    REAL_FEATURES,
    RECORD,
    WRAP_TICKS,
    Header,
    pack_compressed,
)
from qdci_lab.record.tag_files.tag_file import LAST_INPUT, TagBlock, TagFormat

_IDENTITY_BYTES = 16


def write_tags(
    path: str | Path,
    blocks: Iterable[TagBlock],
    tag_format: TagFormat | str = TagFormat.QUTAG_BINARY,
    *,
    channel_base: int = 1,
    compressed_tick_ps: int = 1,
) -> int:
    """Write tags (times int64 ps, channels uint8 as on the front panel) in a format of the quTAG; returns their number.

    `channel_base` is the number that front-panel input 1 gets, `compressed_tick_ps` the unit of COMPRESSED times. The
    file is there whole or not at all. The 16 bytes of the header that differ from file to file are a digest of the
    tags. RecordError for tags that the format cannot hold.
    """
    path = Path(path)
    writer = _Writer(path, _writable(tag_format), 1 - channel_base, compressed_tick_ps)
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as file:
            writer.write(file, blocks)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return writer.count


class _Writer:
    """Packs blocks one after another, and the header when all are there."""

    def __init__(self, path: Path, tag_format: TagFormat, shift: int, tick_ps: int) -> None:
        self.count = 0
        self._path = path
        self._format = tag_format
        self._shift = shift
        self._tick_ps = tick_ps
        self._last_tick: NDArray[np.int64] = np.empty(0, np.int64)
        self._digest = hashlib.blake2b(digest_size=_IDENTITY_BYTES)

    def write(self, file: BinaryIO, blocks: Iterable[TagBlock]) -> None:
        has_header = self._format in (TagFormat.QUTAG_BINARY, TagFormat.QUTAG_COMPRESSED)
        if has_header:
            file.write(bytes(HEADER.size))
        for times, channels in blocks:
            body = self._pack(np.asarray(times, np.int64), self._numbered(np.asarray(channels, np.uint8)))
            self._digest.update(body)
            file.write(body)
            self.count += len(times)
        if has_header:
            size = file.tell()
            file.seek(0)
            file.write(Header(size, FORMAT_WORD, REAL_FEATURES, self._digest.digest()).pack())

    def _numbered(self, channels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        inputs = channels <= LAST_INPUT
        if self._shift and np.any(channels[inputs] < self._shift):
            raise RecordError(
                f"{self._path}: input 0 has no number where input 1 is called {1 - self._shift}"
            )
        return np.where(inputs, channels - np.uint8(self._shift), channels).astype(np.uint8)

    def _pack(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> bytes:
        if self._format is TagFormat.QUTAG_ASCII:
            pairs = zip(times.tolist(), channels.tolist(), strict=True)
            return "".join(f"{time},{channel}\n" for time, channel in pairs).encode()
        if self._format is TagFormat.QUTAG_COMPRESSED:
            return self._compressed(times, channels)
        records = np.empty(len(times), RECORD)
        records["time"], records["channel"] = times, channels
        return records.tobytes()

    def _compressed(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> bytes:
        if channels.max(initial=0) > LAST_COMPRESSED_CHANNEL:
            raise RecordError(
                f"{self._path}: channel {channels.max()} does not fit into COMPRESSED, whose largest is "
                f"{LAST_COMPRESSED_CHANNEL}; use BINARY"
            )
        ticks = times // self._tick_ps
        steps = np.diff(np.concatenate([self._last_tick, ticks]))
        if np.any((steps < -DISORDER_ALLOWANCE_TICKS) | (steps >= WRAP_TICKS - DISORDER_ALLOWANCE_TICKS)):
            raise RecordError(
                f"{self._path}: a step of {int(steps[np.argmax(np.abs(steps))]) * self._tick_ps} ps cannot be told "
                f"in COMPRESSED, whose times wrap after {WRAP_TICKS * self._tick_ps} ps; use BINARY"
            )
        self._last_tick = ticks[-1:] if len(ticks) else self._last_tick
        return pack_compressed(ticks, channels)


def _writable(tag_format: TagFormat | str) -> TagFormat:
    formats = [each for each in TagFormat if each.startswith("qutag")]
    if tag_format not in formats:
        raise RecordError(f"tags are not written as {tag_format!r}; there are {', '.join(formats)}")
    return TagFormat(tag_format)
