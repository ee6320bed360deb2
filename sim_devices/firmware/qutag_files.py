"""Timestamp files of the quTAG library.

Reference: qutools tdcbase.h, TDC_writeTimestamps and TDC_readTimestamps: records of 8 bytes of time and 2
of channel, little-endian; COMPRESSED has 37 bits of time and 3 of channel in 5 bytes, and no markers; ASCII has
`time,channel` lines. Header fields as found in files of real devices. Channels carry the front-panel numbers in all
formats, as in those files. Assumed: the 16 bytes that differ from file to file are random, a file longer than 4 GiB
has its size modulo 2**32 in the header, and a header is followed by COMPRESSED records if that is the format given.
"""

import os
import secrets
import struct
from enum import IntEnum
from pathlib import Path

import numpy as np

from sim_devices.firmware.qutag_stream import Channels, Times

HEADER_BYTES = 40
_MAGIC = 0xFA91B387
_FORMAT_WORD = 0x800
_HEADER = struct.Struct("<IIII8x16s")
_RECORD = np.dtype([("time", "<i8"), ("channel", "<u2")])
_PACKED_BYTES = 5
_PACKED_TIME = (1 << 37) - 1
_PACKED_CHANNELS = 8


class FileFormat(IntEnum):
    """TDC_FileFormat."""

    ASCII = 0
    BINARY = 1
    COMPRESSED = 2
    RAW = 3
    NONE = 4


class TagFile:
    """A file that grows with every batch of events. Raises OSError when it cannot be opened."""

    def __init__(self, path: Path, file_format: FileFormat, features: int) -> None:
        self._format = file_format
        self._features = features
        self._identity = secrets.token_bytes(16)
        self._file = path.open("wb")
        self._write_header()

    def append(self, times: Times, channels: Channels) -> None:
        """Write events behind those that are there."""
        if self._format is FileFormat.ASCII:
            lines = (
                f"{time},{channel}\n" for time, channel in zip(times.tolist(), channels.tolist(), strict=True)
            )
            self._file.write("".join(lines).encode())
            return
        if self._format is FileFormat.COMPRESSED:
            self._append_packed(times, channels)
            return
        records = np.empty(times.size, dtype=_RECORD)
        records["time"], records["channel"] = times, channels
        self._file.write(records.view(np.uint8).data)

    def _append_packed(self, times: Times, channels: Channels) -> None:
        stored = channels < _PACKED_CHANNELS
        words = (times[stored] & _PACKED_TIME) | channels[stored].astype(np.int64) << 37
        rows = words.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :_PACKED_BYTES]
        self._file.write(rows.tobytes())

    def close(self) -> None:
        """Bring the size in the header up to date and close."""
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        if self._format not in (FileFormat.BINARY, FileFormat.COMPRESSED):
            return
        size = max(HEADER_BYTES, self._file.seek(0, os.SEEK_END))
        self._file.seek(0)
        self._file.write(_HEADER.pack(_MAGIC, size % 2**32, _FORMAT_WORD, self._features, self._identity))
        self._file.seek(0, os.SEEK_END)


def read_tags(path: Path, file_format: FileFormat = FileFormat.BINARY) -> tuple[Times, Channels]:
    """All events of a binary file; a header is recognised. Raises OSError when it cannot be read."""
    content = path.read_bytes()
    body = memoryview(content)[HEADER_BYTES if features_of(path) is not None else 0 :]
    if file_format is FileFormat.COMPRESSED:
        return _unpacked(body)
    records = np.frombuffer(body[: len(body) // _RECORD.itemsize * _RECORD.itemsize], dtype=_RECORD)
    return records["time"].astype(np.int64), records["channel"].astype(np.uint8)


def features_of(path: Path) -> int | None:
    """Feature flags of the device that wrote a file, from its header; None without one."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES or struct.unpack_from("<I", head)[0] != _MAGIC:
        return None
    return struct.unpack_from("<I", head, 12)[0]


def _unpacked(body: memoryview) -> tuple[Times, Channels]:
    """Times as they were from the first one on, as long as no pause was longer than their 37 bits."""
    count = len(body) // _PACKED_BYTES
    rows = np.zeros((count, 8), np.uint8)
    rows[:, :_PACKED_BYTES] = np.frombuffer(body[: count * _PACKED_BYTES], np.uint8).reshape(
        -1, _PACKED_BYTES
    )
    words = rows.view("<i8")[:, 0]
    times = words & _PACKED_TIME
    if count:
        times[1:] = times[0] + np.cumsum(np.diff(times) & _PACKED_TIME)
    return times.astype(np.int64), (words >> 37).astype(np.uint8)
