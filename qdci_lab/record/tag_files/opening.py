"""Recognises a file of time tags by its content, never by its name, and opens it."""

from pathlib import Path

import numpy as np

from qdci_lab.errors import RecordError
from qdci_lab.record.tag_files import picoquant
from qdci_lab.record.tag_files.qutag import QutagCompressed, QutagRecords
from qdci_lab.record.tag_files.qutag_layout import (
    COMPRESSED_BYTES,
    HEADER,
    RECORD,
    Header,
    steps_of,
    unpack_compressed,
    unpack_records,
)
from qdci_lab.record.tag_files.tag_file import LAST_INPUT, MARKERS, Delivery, TagFile, TagFormat
from qdci_lab.record.tag_files.text import AsciiFile, first_tag_line

_HEAD_BYTES = HEADER.size + 4096 * RECORD.itemsize
_LONGEST_PAUSE_PS = 10**16
_LARGEST_STEP_BACK_PS = 10**9
_ORDERLY = 0.9
_ENOUGH_TO_JUDGE = 16
_KNOWN = np.array(sorted({*range(LAST_INPUT + 1), *MARKERS}), np.uint16)


def open_tags(
    path: str | Path,
    *,
    channel_base: int | None = None,
    tag_format: TagFormat | str | None = None,
    max_disorder_ps: int | None = None,
    markers: bool = True,
    compressed_tick_ps: int = 1,
) -> TagFile:
    """Open a file of tags; its format is found by what is in it, unless `tag_format` says it.

    `channel_base` is the number by which the file calls front-panel input 1, 0 or 1 (1, as real quTAG files do, when
    not given); PTU files leave no choice. `max_disorder_ps` sorts tags that are out of order by no more than that;
    without it they come as they are. `markers` false leaves marker and tick tags out. `compressed_tick_ps` is the
    unit of COMPRESSED times. RecordError for a file that is none, OSError for one that cannot be read.
    """
    path = Path(path)
    _check_options(channel_base, max_disorder_ps, compressed_tick_ps)
    found = recognise(path) if tag_format is None else _named(tag_format)
    base = 1 if channel_base is None else channel_base
    delivery = Delivery(shift=1 - base, markers=markers, max_disorder_ps=max_disorder_ps)
    if found in (TagFormat.PTU_T2, TagFormat.PTU_T3):
        if channel_base is not None:
            raise RecordError(f"{path}: a PTU file numbers its inputs itself; leave channel_base out")
        return picoquant.PtuTags(path, delivery)
    if found is TagFormat.QUTAG_ASCII:
        begin = first_tag_line(_head(path))
        if begin is None:
            raise RecordError(f"{path}: no line `time,channel` at its beginning")
        return AsciiFile(path, delivery, begin=begin)
    if found is TagFormat.QUTAG_COMPRESSED:
        return QutagCompressed(path, delivery, tick_ps=compressed_tick_ps)
    return QutagRecords(path, found, delivery)


def recognise(path: Path) -> TagFormat:
    """The format of a file by its first 40 kB (RecordError for none that is known)."""
    head = _head(path)
    if head.startswith(picoquant.MAGIC):
        return picoquant.PtuTags(path, Delivery()).format
    if Header.parse(head) is not None:
        return _with_header(path, head[HEADER.size :])
    if first_tag_line(head) is not None:
        return TagFormat.QUTAG_ASCII
    if len(head) >= RECORD.itemsize and _plausible_records(head):
        return TagFormat.QUTAG_RAW
    raise RecordError(
        f"{path}: not recognised as time tags, its first bytes are {head[:16].hex(' ') or 'none'}; known are "
        f"{', '.join(TagFormat)}; a format that is known from elsewhere can be given"
    )


def _with_header(path: Path, body: bytes) -> TagFormat:
    if len(body) < COMPRESSED_BYTES or _plausible_records(body):
        return TagFormat.QUTAG_BINARY
    if _plausible_compressed(body):
        return TagFormat.QUTAG_COMPRESSED
    raise RecordError(
        f"{path}: a quTAG header, but what follows is neither BINARY nor COMPRESSED records: the file is damaged"
    )


def _plausible_records(body: bytes) -> bool:
    times, channels = unpack_records(body)
    steps = np.diff(times.astype(np.float64))
    return bool(
        len(times)
        and np.isin(channels, _KNOWN).all()
        and np.all((steps > -_LARGEST_STEP_BACK_PS) & (steps < _LONGEST_PAUSE_PS))
    )


def _plausible_compressed(body: bytes) -> bool:
    """Steps of events fill a small part of the wrap, those of noise all of it."""
    steps = steps_of(unpack_compressed(body)[0])
    return len(steps) < _ENOUGH_TO_JUDGE or float(np.mean(steps < 1 << 36)) > _ORDERLY


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _named(tag_format: TagFormat | str) -> TagFormat:
    try:
        return TagFormat(tag_format)
    except ValueError as error:
        raise RecordError(f"no format of tags {tag_format!r}; there are {', '.join(TagFormat)}") from error


def _check_options(channel_base: int | None, max_disorder_ps: int | None, compressed_tick_ps: int) -> None:
    if channel_base not in (None, 0, 1):
        raise RecordError(f"channel_base {channel_base} is neither 0 nor 1")
    if max_disorder_ps is not None and max_disorder_ps < 0:
        raise RecordError(f"max_disorder_ps {max_disorder_ps} is negative")
    if compressed_tick_ps < 1:
        raise RecordError(f"compressed_tick_ps {compressed_tick_ps} is not at least 1")
