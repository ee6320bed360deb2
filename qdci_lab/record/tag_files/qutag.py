"""Reads the quTAG's BINARY, RAW and COMPRESSED timestamp files (qutag_layout), whatever real ones show."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from qdci_lab.errors import RecordError
from qdci_lab.record.tag_files.qutag_layout import (
    COMPRESSED_BYTES,
    DISORDER_ALLOWANCE_TICKS,
    HEADER,
    RECORD,
    Header,
    steps_of,
    unpack_compressed,
    unpack_records,
)
from qdci_lab.record.tag_files.tag_file import Delivery, TagBlock, TagFile, TagFormat

_RECORD_BYTES = {
    TagFormat.QUTAG_BINARY: RECORD.itemsize,
    TagFormat.QUTAG_RAW: RECORD.itemsize,
    TagFormat.QUTAG_COMPRESSED: COMPRESSED_BYTES,
}


class QutagFile(TagFile):
    """What the binary formats share: a header that may be there, and records of one size."""

    def __init__(self, path: Path, tag_format: TagFormat, delivery: Delivery) -> None:
        self._record_bytes = _RECORD_BYTES[tag_format]
        self._header_bytes = 0 if tag_format is TagFormat.QUTAG_RAW else HEADER.size
        size = path.stat().st_size
        body_bytes = max(0, size - self._header_bytes)
        super().__init__(path, tag_format, delivery, count=body_bytes // self._record_bytes)
        complaints = []
        if self._header_bytes:
            complaints += self._check_header(size)
        torn = body_bytes % self._record_bytes
        if torn:
            complaints.append(
                f"{path}: the last record is incomplete, {torn} of {self._record_bytes} bytes; it is left out, "
                f"{self.count} records are whole"
            )
        self.complaints = tuple(complaints)

    def _check_header(self, size: int) -> list[str]:
        with self.path.open("rb") as file:
            header = Header.parse(file.read(HEADER.size))
        if header is None:
            raise RecordError(f"{self.path}: no quTAG header; without one it could be RAW")
        self.facts = {"features": header.feature_names(), "identity": header.identity.hex()}
        if header.size == size % 2**32:
            return []
        return [
            f"{self.path}: the header says {header.size} bytes, the file has {size}: its writing did not end in "
            "order, or it was cut"
        ]

    def _bodies(self, block_tags: int) -> Iterator[bytes]:
        """Whole records, `block_tags` at a time."""
        with self.path.open("rb") as file:
            file.seek(self._header_bytes)
            while body := file.read(block_tags * self._record_bytes):
                yield body[: len(body) // self._record_bytes * self._record_bytes]


class QutagRecords(QutagFile):
    """BINARY or RAW."""

    def _records(self, block_tags: int) -> Iterator[TagBlock]:
        index = 0
        for body in self._bodies(block_tags):
            times, channels = unpack_records(body)
            if channels.max(initial=0) > np.iinfo(np.uint8).max:
                wrong = int(np.argmax(channels > np.iinfo(np.uint8).max))
                raise RecordError(
                    f"{self.path}: record {index + wrong} is of channel {channels[wrong]}, beyond 255: the file is "
                    f"damaged there, or is not {self.format}"
                )
            yield times, channels.astype(np.uint8)
            index += len(times)


class QutagCompressed(QutagFile):
    """COMPRESSED: times wrap after 2**37 ticks, and are put together again from their differences.

    What a tick is, is not settled: 2**37 ps are 0.137 s, the maker's header speaks of 11 s, which would be ticks of
    81 ps. `tick_ps` says it. A pause longer than a wrap is lost, which no reader can notice.
    """

    def __init__(self, path: Path, delivery: Delivery, *, tick_ps: int) -> None:
        super().__init__(path, TagFormat.QUTAG_COMPRESSED, delivery)
        self._tick_ps = tick_ps
        stated_ps = delivery.max_disorder_ps or 0
        self._allowance = max(DISORDER_ALLOWANCE_TICKS, -(-stated_ps // tick_ps))

    def _records(self, block_tags: int) -> Iterator[TagBlock]:
        last_wrapped: int | None = None
        last = 0
        for body in self._bodies(block_tags):
            wrapped, channels = unpack_compressed(body)
            if not len(wrapped):
                return
            if last_wrapped is None:
                last_wrapped = last = int(wrapped[0])
            ticks = last + np.cumsum(steps_of(np.concatenate([[last_wrapped], wrapped]), self._allowance))
            last_wrapped, last = int(wrapped[-1]), int(ticks[-1])
            yield ticks * self._tick_ps, channels
