"""Reads recorded runs: documents as they were, in order, and tables, configuration and time tags by name.

Everything takes a finished file, or the journal of a run that is still being measured or was interrupted; the
documents are equal either way. A damaged document is never given out: every frame's CRC is checked.
"""

import io
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qdci_lab.errors import RecordError
from qdci_lab.record.columns import ColumnType
from qdci_lab.record.digest import check_digests, checked_tag_blocks
from qdci_lab.record.encoding import decode_name
from qdci_lab.record.hdf5 import survey_of, survey_of_documents
from qdci_lab.record.journal import Document, FrameReader, JournalReader, document_of, documents_of
from qdci_lab.record.layout import (
    DOCUMENTS,
    ENTRY,
    RECORD,
    TAG_BLOCK,
    dataset_at,
    events_group,
    group_at,
    stream_node,
)
from qdci_lab.record.survey import RowReader
from qdci_lab.record.tag_stream import MIMETYPE, uri_of
from qdci_lab.record.tags import pieces_of, segments_of
from qdci_lab.record.time_tags import TagBlock, TagSegmentReader

_READ_BYTES = 1 << 20
_TIMED = frozenset({"start", "descriptor", "event", "stop"})


def documents(
    path: Path, *, speed: float | None = None, wait: Callable[[float], object] = time.sleep
) -> Iterator[Document]:
    """(name, document) of a recorded file or a journal, as they were recorded, types included.

    Of a journal, those up to the last whole one. With `speed` they come at that multiple of the pace at which they were
    made (`wait(seconds)` is what passes the time), without it as fast as they are taken. Stream resources keep the
    uri of the segment they were recorded with, which a finished file has taken in: `open_tags` reads the tags from
    wherever they are, when they are asked for; `portable_documents` names the file instead.
    """
    if speed is not None and not speed > 0.0:
        raise RecordError(f"speed {speed}: must be greater than zero")
    made = chain.from_iterable(map(documents_of, _batches(path)))
    return made if speed is None else _paced(made, speed, wait)


def portable_documents(path: Path) -> Iterator[Document]:
    """The documents of a recorded file, with stream resources that name columns in it, for other programs (Tiled).

    RecordError if tags are missing in the file, whose rows then are not what the documents count.
    """
    streams = _tag_streams(path)
    for name, document in documents(path):
        if name == "stream_resource" and document["mimetype"] == MIMETYPE:
            yield name, _in_file(document, path, streams[document["data_key"]])
        else:
            yield name, document


def payloads(path: Path) -> Iterator[bytes]:
    """The encoded [name, document] of each frame of a recorded file or a journal, in order."""
    for batch in _batches(path):
        yield from batch


def _batches(path: Path) -> Iterator[list[bytes]]:
    """The payloads, many at a time."""
    if not _is_file(path):
        yield from JournalReader(path).batches()
        return
    with _open(path) as file:
        dataset = dataset_at(file, f"{ENTRY}/{RECORD}/{DOCUMENTS}")
        reader = FrameReader(io.BufferedReader(_DatasetStream(dataset), _READ_BYTES), path)
        try:
            yield from reader.batches()
        except OSError as error:
            raise RecordError(f"{path}: the documents are damaged: {error}") from error
        if reader.frames != dataset.attrs["count"]:
            raise RecordError(f"{path}: the documents are damaged: {reader.tail}")


def open_tags(
    path: Path, stream: str = "tags", first: int = 0, count: int | None = None
) -> Iterator[TagBlock]:
    """(times int64 ps, channels uint8) of tags [first, first + count) by their index in the run, block by block."""
    stop = None if count is None else first + count
    return (
        _tags_of_file(path, stream, first, stop)
        if _is_file(path)
        else _tags_of_journal(path, stream, first, stop)
    )


def verify(path: Path) -> None:
    """Raise RecordError, naming what differs, unless every part of a recorded file is as it was recorded."""
    with _open(path) as file:
        check_digests(file)
    for _ in documents(path):
        pass


class Run:
    """One recorded run; of a journal that still grows, what it held when a question was first asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = _is_file(path)
        """Whether this is a file; False for a journal."""

    @property
    def start(self) -> dict[str, Any]:
        """The start document; raises RecordError if there is none yet."""
        if not self._frame["start"]:
            raise RecordError(f"{self.path} holds no start document")
        return self._frame["start"][0]

    @property
    def stop(self) -> dict[str, Any] | None:
        """The stop document, or None for a run that was interrupted or goes on."""
        return next(iter(self._frame["stop"]), None)

    @property
    def descriptors(self) -> list[dict[str, Any]]:
        """All descriptors, in order: a stream has a new one after each change of configuration."""
        return self._frame["descriptor"]

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in the order of their first descriptors."""
        return tuple(dict.fromkeys(descriptor["name"] for descriptor in self.descriptors))

    @property
    def missing(self) -> str:
        """What was found missing when the file was built, in words; empty for a whole run."""
        if not self.finished:
            survey, tail = survey_of(self.path)
            return "; ".join([*survey.missing(), *([str(tail)] if tail.lost_bytes else [])])
        with _open(self.path) as file:
            return str(group_at(file, ENTRY).attrs.get("missing", ""))

    def events(self, stream: str = "primary") -> Iterator[dict[str, Any]]:
        """Every event of a stream as it was recorded, those that a later one replaced included; pages come apart."""
        self._require(stream)
        reader = RowReader()
        for name, document in documents(self.path):
            for row in reader.rows(name, document):
                if row.stream == stream:
                    yield dict(row.event)

    def table(self, stream: str = "primary") -> dict[str, np.ndarray]:
        """Columns of a stream: `seq_num`, `time` (s since 1970) and each data key; text as arrays of str.

        A point that was taken again after a pause appears once, as it was taken last.
        """
        self._require(stream)
        return _table_of_file(self.path, stream) if self.finished else _table_of_journal(self.path, stream)

    def configuration(self, device: str) -> dict[str, Any]:
        """Configuration of a device as {key: value}, the last of the run; raises RecordError for an unknown device."""
        states = [
            item["configuration"][device]
            for item in self.descriptors
            if device in item.get("configuration", {})
        ]
        if not states:
            known = sorted({name for item in self.descriptors for name in item.get("configuration", {})})
            raise RecordError(f"{self.path} has no device {device!r}; it has {', '.join(known) or 'none'}")
        return dict(states[-1]["data"])

    def tags(self, first: int = 0, count: int | None = None, *, stream: str = "tags") -> Iterator[TagBlock]:
        """Time tags by index, block by block: see `open_tags`."""
        return open_tags(self.path, stream, first, count)

    def verify(self) -> None:
        """Raise RecordError unless the file is as it was recorded: see `verify`."""
        verify(self.path)

    @cached_property
    def _frame(self) -> dict[str, list[dict[str, Any]]]:
        """The documents of the run as a whole; events are passed over undecoded."""
        found: dict[str, list[dict[str, Any]]] = {"start": [], "descriptor": [], "stop": []}
        for payload in payloads(self.path):
            name = decode_name(payload)
            if name in found:
                found[name].append(document_of(payload)[1])
        return found

    def _require(self, stream: str) -> None:
        if stream not in self.streams:
            raise RecordError(
                f"{self.path} has no stream {stream!r}; it has {', '.join(self.streams) or 'none'}"
            )


def _paced(made: Iterator[Document], speed: float, wait: Callable[[float], object]) -> Iterator[Document]:
    """Each document no sooner than its time after the first one's, divided by the speed; those without one at once."""
    began_s, first_s = time.monotonic(), None
    for name, document in made:
        made_s = float(document["time"]) if name in _TIMED else first_s
        if made_s is not None:
            first_s = made_s if first_s is None else first_s
            early_s = (made_s - first_s) / speed - (time.monotonic() - began_s)
            if early_s > 0.0:
                wait(early_s)
        yield name, document


def _tag_streams(path: Path) -> dict[str, str]:
    """Path in the file of each data key of tags."""
    found = {}
    survey = survey_of_documents(documents(path))
    with _open(path) as file:
        for stream in survey.streams.values():
            if stream.tags is None:
                continue
            node = f"{ENTRY}/{stream_node(stream.name)}"
            pieces = pieces_of(group_at(file, node))
            if any(piece.first_index != piece.first_row for piece in pieces):
                raise RecordError(
                    f"{path}: tags of stream {stream.name!r} are missing, rows do not count them"
                )
            for key in stream.external_keys():
                found[key] = f"/{node}/{'time' if key.endswith('_time') else 'channel'}"
    return found


def _in_file(resource: Mapping[str, Any], path: Path, dataset: str) -> dict[str, Any]:
    """A stream resource for a column of a recorded file."""
    parameters = {"dataset": dataset, "chunk_shape": [TAG_BLOCK], "join_method": "concat"}
    uri = uri_of(path.resolve())
    return {**resource, "mimetype": "application/x-hdf5", "uri": uri, "parameters": parameters}


class _DatasetStream(io.RawIOBase):
    """The bytes in a dataset as a stream, so that one reader of frames serves journals and recorded files."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._dataset)}[whence]
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self._dataset[self._position : self._position + len(buffer)].tobytes()
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _is_file(path: Path) -> bool:
    if not path.is_file():
        raise RecordError(f"there is no file {path}")
    return bool(h5py.is_hdf5(path))


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error}") from error


def _table_of_file(path: Path, stream: str) -> dict[str, np.ndarray]:
    with _open(path) as file:
        entry = group_at(file, ENTRY)
        group = events_group(entry, stream)
        event = group_at(group, "event")
        table = {name: dataset_at(event, name)[:] for name in ("seq_num", "time")}
        for name, dataset in group.items():
            if isinstance(dataset, h5py.Dataset):
                text = h5py.check_string_dtype(dataset.dtype) is not None
                table[dataset.attrs.get("data_key", name)] = dataset.asstr()[:] if text else dataset[:]
        return table


def _table_of_journal(path: Path, stream: str) -> dict[str, np.ndarray]:
    survey, _ = survey_of(path)
    found = survey.streams[stream]
    kept = found.kept()
    reader = RowReader()
    rows = [row for name, document in documents(path) for row in reader.rows(name, document)]
    events = [row.event for row in rows if row.stream == stream and row.ordinal in kept]
    table = {
        "seq_num": ColumnType(np.dtype(np.int64)).array([event["seq_num"] for event in events]),
        "time": ColumnType(np.dtype(np.float64)).array([event["time"] for event in events]),
    }
    for key, column in found.columns.items():
        table[key] = column.type(len(events)).array([event["data"].get(key) for event in events])
    return table


def _tags_of_file(path: Path, stream: str, first: int, stop: int | None) -> Iterator[TagBlock]:
    with _open(path) as file:
        group = group_at(file, f"{ENTRY}/{stream_node(stream)}")
        for piece in pieces_of(group):
            shift = piece.first_row - piece.first_index
            low = max(first, piece.first_index)
            high = piece.first_index + piece.count
            high = high if stop is None else min(stop, high)
            if low < high:
                yield from checked_tag_blocks(group, low + shift, high + shift)


def _tags_of_journal(path: Path, stream: str, first: int, stop: int | None) -> Iterator[TagBlock]:
    survey, _ = survey_of(path)
    if stream not in survey.streams:
        raise RecordError(f"{path} has no stream {stream!r}")
    for segment in segments_of(survey.streams[stream], path.parent):
        yield from TagSegmentReader(segment).blocks(first, None if stop is None else stop - first)
