"""Writes the events of a run as columns, a few thousand rows at a time, and the configuration of its devices."""

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from qdci_lab.record.columns import Column, ColumnType
from qdci_lab.record.journal import Document
from qdci_lab.record.layout import describe, new_column, new_group, node_name, put, stream_node
from qdci_lab.record.survey import Row, RowReader, Stream, Survey

_BUFFER_ROWS = 4096
_BUFFER_BYTES = 1 << 22
_FLOAT = ColumnType(np.dtype(np.float64))
_INTEGER = ColumnType(np.dtype(np.int64))


def write_streams(entry: h5py.Group, survey: Survey, documents: Iterable[Document]) -> None:
    """Groups for the streams that have columns, filled in one pass over the documents, and `instrument`."""
    _write_instrument(entry, survey)
    writers = {
        stream.name: _StreamWriter(entry, stream)
        for stream in survey.streams.values()
        if stream.columns or stream.tags is None
    }
    reader = RowReader()
    for name, document in documents:
        for row in reader.rows(name, document):
            writers[row.stream].add(row)
    for writer in writers.values():
        writer.flush()


class _ColumnBuffer:
    """Rows of one column on their way into its dataset."""

    def __init__(self, dataset: h5py.Dataset, kind: ColumnType) -> None:
        self._dataset = dataset
        self._kind = kind
        self._values: list[Any] = []
        self._written = 0

    def add(self, value: Any) -> None:
        self._values.append(value)

    def flush(self) -> None:
        if self._values:
            stop = self._written + len(self._values)
            self._dataset[self._written : stop] = self._kind.array(self._values)
            self._written = stop
            self._values.clear()


class _StreamWriter:
    """A stream's group; its rows are the last event of each sequence number, in the order they were made."""

    def __init__(self, entry: h5py.Group, stream: Stream) -> None:
        name = stream_node(stream.name)
        group = new_group(entry, f"{name}_events" if stream.tags else name, "NXcollection")
        self._kept = stream.kept()
        self._rows = 0
        event, timestamps = (new_group(group, part, "NXcollection") for part in ("event", "timestamps"))
        self._event = {
            "seq_num": self._buffer(event, "seq_num", _INTEGER, {}),
            "time": self._buffer(event, "time", _FLOAT, {"units": "s"}),
            "descriptor": self._buffer(event, "descriptor", _INTEGER, {}),
        }
        types = {key: column.type(len(self._kept)) for key, column in stream.columns.items()}
        self._data = {
            key: self._buffer(group, key, kind, stream.data_key(key)) for key, kind in types.items()
        }
        self._timestamps = {key: self._buffer(timestamps, key, _FLOAT, {"units": "s"}) for key in types}
        row_bytes = sum(kind.dtype.itemsize * int(np.prod(kind.shape)) for kind in types.values())
        self._flush_rows = max(1, min(_BUFFER_ROWS, _BUFFER_BYTES // max(1, row_bytes)))

    def add(self, row: Row) -> None:
        if row.ordinal not in self._kept:
            return
        event = row.event
        self._event["seq_num"].add(event["seq_num"])
        self._event["time"].add(event["time"])
        self._event["descriptor"].add(row.descriptor)
        for buffers, part in ((self._data, event["data"]), (self._timestamps, event["timestamps"])):
            for key, buffer in buffers.items():
                buffer.add(part.get(key))
        self._rows += 1
        if self._rows % self._flush_rows == 0:
            self.flush()

    def flush(self) -> None:
        for buffers in (self._event, self._data, self._timestamps):
            for buffer in buffers.values():
                buffer.flush()

    def _buffer(
        self, group: h5py.Group, key: str, kind: ColumnType, declared: Mapping[str, Any]
    ) -> _ColumnBuffer:
        dataset = new_column(group, node_name(key, group), kind.dtype, (len(self._kept), *kind.shape))
        describe(dataset, key, declared)
        return _ColumnBuffer(dataset, kind)


def _write_instrument(entry: h5py.Group, survey: Survey) -> None:
    """Configuration of each device: one value a key, or a row for each descriptor of its stream if it changed."""
    instrument = new_group(entry, "instrument", "NXinstrument")
    for stream in survey.streams.values():
        for device in dict.fromkeys(
            name for item in stream.descriptors for name in item.get("configuration", {})
        ):
            states = [
                item["configuration"][device]
                for item in stream.descriptors
                if device in item["configuration"]
            ]
            if node_name(device) not in instrument:
                _write_device(new_group(instrument, node_name(device), "NXcollection"), states)


def _write_device(group: h5py.Group, states: list[dict[str, Any]]) -> None:
    for key, declared in states[0].get("data_keys", {}).items():
        values = [state.get("data", {}).get(key) for state in states]
        if all(_equal(value, values[0]) for value in values):
            put(group, key, values[0], declared)
            continue
        column = Column(declared)
        for value in values:
            column.include(value)
        kind = column.type(len(values))
        dataset = new_column(group, node_name(key, group), kind.dtype, (len(values), *kind.shape))
        dataset[...] = kind.array(values)
        dataset.attrs["changed"] = True
        describe(dataset, key, declared)


def _equal(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(np.array_equal(left, right))
