"""Byte layout of the quTAG's timestamp files (qutools tdcbase.h, TDC_writeTimestamps; header as found in real files).

BINARY: a header of 40 bytes, then records of 10 bytes: time int64 in ps, channel uint16, little-endian.
RAW: the records alone. COMPRESSED: the header, then records of 5 bytes: bits 0 to 36 time, 37 to 39 channel.
Header: magic, size of the file in bytes, a constant, feature flags of the device, 8 zero bytes, 16 bytes that differ
from file to file. Their meaning is not known; they are not checked.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC = 0xFA91B387
HEADER = struct.Struct("<IIII8x16s")
FORMAT_WORD = 0x800
RECORD = np.dtype([("time", "<i8"), ("channel", "<u2")])
COMPRESSED_BYTES = 5
TIME_BITS = 37
WRAP_TICKS = 1 << TIME_BITS
LAST_COMPRESSED_CHANNEL = 7
DISORDER_ALLOWANCE_TICKS = 1_000_000
"""Backward steps up to this are tags out of order, larger ones a wrapped time (real files show 86 000 ps)."""

FEATURES: Mapping[int, str] = {
    0x1: "HBT",
    0x2: "LIFETIME",
    0x4: "3CH",
    0x8: "4CH",
    0x10: "5CH",
    0x20: "MARKERS",
    0x40: "FILTERS",
    0x80: "EXTCLK",
    0x100: "DEVSYNC",
    0x200: "HIRES",
}
REAL_FEATURES = 0x73
"""The flags of the real files: HBT, lifetime, five channels, markers and filters."""


@dataclass(frozen=True)
class Header:
    """The words of a header that are understood."""

    size: int
    format_word: int
    features: int
    identity: bytes

    @classmethod
    def parse(cls, head: bytes) -> "Header | None":
        """The header of a BINARY or COMPRESSED file; None where the magic number is not there."""
        if len(head) < HEADER.size:
            return None
        magic, size, format_word, features, identity = HEADER.unpack_from(head)
        return cls(size, format_word, features, identity) if magic == MAGIC else None

    def pack(self) -> bytes:
        """Its 40 bytes; a size beyond 32 bits is written modulo 2**32 (assumed)."""
        return HEADER.pack(MAGIC, self.size % 2**32, self.format_word, self.features, self.identity)

    def feature_names(self) -> str:
        """The flags in words, separated by spaces."""
        return " ".join(name for bit, name in FEATURES.items() if self.features & bit)


def unpack_records(body: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Times and channels of whole 10-byte records."""
    records = np.frombuffer(body, RECORD, count=len(body) // RECORD.itemsize)
    return records["time"].astype(np.int64), records["channel"].astype(np.uint16)


def unpack_compressed(body: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Wrapped times in ticks and channels of whole 5-byte records."""
    packed = np.frombuffer(body, np.uint8, count=len(body) // COMPRESSED_BYTES * COMPRESSED_BYTES)
    words = np.zeros((len(packed) // COMPRESSED_BYTES, 8), np.uint8)
    words[:, :COMPRESSED_BYTES] = packed.reshape(-1, COMPRESSED_BYTES)
    values = words.view("<i8")[:, 0]
    return values & (WRAP_TICKS - 1), (values >> TIME_BITS).astype(np.uint8)


def pack_compressed(ticks: NDArray[np.int64], channels: NDArray[np.uint8]) -> bytes:
    """5-byte records; times lose what is beyond 37 bits."""
    values = (ticks & (WRAP_TICKS - 1)) | channels.astype(np.int64) << TIME_BITS
    return values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :COMPRESSED_BYTES].tobytes()


def steps_of(wrapped: NDArray[np.int64], allowance: int = DISORDER_ALLOWANCE_TICKS) -> NDArray[np.int64]:
    """Differences of wrapped times: forward by less than a wrap, or backward by no more than the allowance."""
    steps = np.diff(wrapped) % WRAP_TICKS
    return np.where(steps >= WRAP_TICKS - allowance, steps - WRAP_TICKS, steps)
