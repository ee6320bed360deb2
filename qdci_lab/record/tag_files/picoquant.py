"""Reads PicoQuant's unified files of time tags (PTU, modes T2 and T3), decoded by the library ptufile.

Records: PicoQuant, TTTR file format descriptions. T2 gives the time of each event in steps of the global resolution;
T3 the number of the sync period and the time since its beginning, of which this is the sum.
Channels are front-panel numbers: 0 the sync input, 1 and more the detector inputs. Marker n (1 to 4) is 99 + n, as a
quTAG numbers its marker inputs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import RecordError
from qdci_lab.record.tag_files.tag_file import Delivery, TagBlock, TagFile, TagFormat
from qdci_lab.units import PS_PER_S

MAGIC = b"PQTTTR\0\0"
_RECORD_BYTES = 4
_MARKER_BITS = 4
_FIRST_MARKER = 100
_PICOHARP_T2 = 0x00010203
_SYNC = 0x40
"""The upper seven bits of a sync event in T2 records, other than a PicoHarp's: special, channel 0."""


class PtuTags(TagFile):
    """One PTU file, decoded piece by piece, so that the number of its records does not matter."""

    def __init__(self, path: Path, delivery: Delivery) -> None:
        self._ptu, self._offset = _opened(path)
        tags = self._ptu.tags
        self._t3 = self._ptu.is_t3
        available, torn = divmod(path.stat().st_size - self._offset, _RECORD_BYTES)
        stated = int(tags.get("TTResult_NumberOfRecords", 0))
        count = min(available, stated) if stated > 0 else available
        super().__init__(path, TagFormat.PTU_T3 if self._t3 else TagFormat.PTU_T2, delivery, count=count)
        self._period_ps = self._ptu.global_resolution * PS_PER_S
        self._bin_ps = self._ptu.tcspc_resolution * PS_PER_S
        self.facts = {
            "record type": self._ptu.record_type.name,
            "global resolution in ps": self._period_ps,
            **({"bin width in ps": self._bin_ps} if self._t3 else {}),
        }
        if stated != available or torn:
            self.complaints = (
                f"{path}: the header says {stated} records, the file has {available}"
                f"{f' and {torn} bytes of another' if torn else ''}; {count} are read",
            )

    def _records(self, block_tags: int) -> Iterator[TagBlock]:
        left = self.count or 0
        overflow = np.uint64(0)
        with self.path.open("rb") as file:
            file.seek(self._offset)
            while left:
                records = np.fromfile(file, "<u4", count=min(block_tags, left))
                left -= len(records)
                # A record of zeros behind each piece is an event at time 0: it tells how far time has wrapped.
                decoded = self._ptu.decode_records(np.append(records, np.uint32(0)))
                yield self._tags(records, decoded[:-1], overflow)
                overflow += decoded["time"][-1]

    def _tags(self, records: NDArray[np.uint32], decoded: Any, overflow: np.uint64) -> TagBlock:
        steps = (decoded["time"] + overflow).astype(np.int64)
        times = _times_ps(steps, self._period_ps)
        if self._t3:
            times = times + _times_ps(np.maximum(decoded["dtime"], 0).astype(np.int64), self._bin_ps)
        channels = self._channels(records, decoded)
        events = np.where(decoded["channel"] >= 0, 1, np.bitwise_count(decoded["marker"])).astype(np.int64)
        if not np.any(decoded["marker"]):
            kept = events > 0
            return times[kept], channels[kept]
        return np.repeat(times, events), _with_markers(channels, decoded["marker"], events)

    def _channels(self, records: NDArray[np.uint32], decoded: Any) -> NDArray[np.uint8]:
        """Input numbers; the library counts detector inputs from 0, and gives the sync input 0 as well."""
        channels = decoded["channel"].astype(np.uint8)
        if self._ptu.record_type == _PICOHARP_T2:
            return channels
        channels = channels + np.uint8(1)
        return channels if self._t3 else np.where(records >> 25 == _SYNC, 0, channels).astype(np.uint8)


def _opened(path: Path) -> tuple[Any, int]:
    import ptufile

    try:
        with ptufile.PtuFile(path) as file:
            missing = {
                "TTResultFormat_TTTRRecType",
                "Measurement_Mode",
                "MeasDesc_GlobalResolution",
            } - file.tags.keys()
            if missing:
                raise RecordError(f"{path}: a PTU header without {', '.join(sorted(missing))}")
            _ = file.record_type
            return file, file.record_offset
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error


def _times_ps(steps: NDArray[np.int64], step_ps: float) -> NDArray[np.int64]:
    """Times in ps, exact where a step is a whole number of them."""
    whole = round(step_ps)
    if abs(step_ps - whole) < 1e-9 * max(step_ps, 1.0):
        return steps * whole
    return np.rint(steps * step_ps).astype(np.int64)


def _with_markers(
    channels: NDArray[np.uint8], markers: NDArray[np.uint8], events: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Channels with each marker of a record as an event of its own."""
    repeated = np.repeat(channels, events)
    owner = np.repeat(np.arange(len(events)), events)
    first = np.cumsum(events) - events
    is_marker = markers[owner] > 0
    place = np.arange(len(owner)) - first[owner]
    table = np.array([_nth_bit(mask) for mask in range(1 << _MARKER_BITS)], np.uint8)
    repeated[is_marker] = _FIRST_MARKER + table[markers[owner[is_marker]], place[is_marker]]
    return repeated


def _nth_bit(mask: int) -> list[int]:
    bits = [bit for bit in range(_MARKER_BITS) if mask >> bit & 1]
    return [*bits, *[0] * (_MARKER_BITS - len(bits))]
