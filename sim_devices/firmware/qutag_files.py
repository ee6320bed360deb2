"""Timestamp files of the quTAG library.

Reference: qutools tdcbase.h, TDC_writeTimestamps and TDC_readTimestamps: records of 8 bytes of time and 2
of channel, little-endian; ASCII has `time,channel` lines. Header fields as found in files of real devices.
Channels carry the front-panel numbers in all formats, as in those files. Assumed: the 16 bytes that differ
from file to file are random, and a file longer than 4 GiB has its size modulo 2**32 in the header.
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
        records = np.empty(times.size, dtype=_RECORD)
        records["time"], records["channel"] = times, channels
        self._file.write(records.view(np.uint8).data)

    def close(self) -> None:
        """Bring the size in the header up to date and close."""
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        if self._format is not FileFormat.BINARY:
            return
        size = max(HEADER_BYTES, self._file.seek(0, os.SEEK_END))
        self._file.seek(0)
        self._file.write(_HEADER.pack(_MAGIC, size % 2**32, _FORMAT_WORD, self._features, self._identity))
        self._file.seek(0, os.SEEK_END)


def read_tags(path: Path) -> tuple[Times, Channels]:
    """All events of a BINARY or RAW file; a header is recognised. Raises OSError when it cannot be read."""
    content = path.read_bytes()
    has_header = len(content) >= HEADER_BYTES and struct.unpack_from("<I", content)[0] == _MAGIC
    body = memoryview(content)[HEADER_BYTES if has_header else 0 :]
    records = np.frombuffer(body[: len(body) // _RECORD.itemsize * _RECORD.itemsize], dtype=_RECORD)
    return records["time"].astype(np.int64), records["channel"].astype(np.uint8)
