"""Where things stand in a recorded file, and the NeXus words for them.

/                           NXroot, default = entry
/entry                      NXentry; attributes source, seed, incomplete, missing
    data                    NXdata: the default plot, links into a stream
    <stream>                NXcollection: one dataset a data key, one row an event, units where declared
        event               NXcollection: seq_num, time, descriptor (which of the stream's descriptors held)
        timestamps          NXcollection: when each data key was read
    <stream of tags>        NXevent_data: time (int64 ps), channel (uint8), point_first, point_count
    instrument              NXinstrument: configuration of each device
    start, stop             NXcollection: the metadata, to look things up in
    record                  NXcollection: documents (the journal's bytes), configuration (files as text), digests
/photon_data, /setup, /identity  the tags under the names of Photon-HDF5, as links (see photon_hdf5)
"""

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from qdci_lab.errors import RecordError
from qdci_lab.record.columns import TEXT, Column, storable

ENTRY = "entry"
PLOT = "data"
RECORD = "record"
DOCUMENTS = "documents"
DIGESTS = "digests"
BLOCK_CRC = "block_crc32"
RESERVED = frozenset(
    {PLOT, RECORD, "instrument", "start", "stop", "title", "start_time", "end_time"}
) | frozenset({"entry_identifier_uuid", "program_name", "duration"})
"""Names in the entry that a stream cannot have; such a stream gets `_stream` behind its name."""

TAG_BLOCK = 1 << 20
"""Tags in a chunk of the file, and in a block of its checksums."""

TEXT_TYPE = h5py.string_dtype()
_CONTIGUOUS_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20


def stream_node(stream: str) -> str:
    """Name of a stream's group in the entry."""
    return node_name(f"{stream}_stream" if stream in RESERVED else stream)


def node_name(key: object, taken: Iterable[str] = ()) -> str:
    """A key as the name of a node: HDF5 takes neither a slash nor a lone dot, and each name once."""
    name = storable(str(key)).replace("/", "|") or "_"
    name = name.replace(".", "_") if name in {".", ".."} else name
    while name in taken:
        name += "_"
    return name


def group_at(parent: h5py.Group, path: str) -> h5py.Group:
    """The group at `path`; raises RecordError if there is none."""
    item = parent.get(path)
    if not isinstance(item, h5py.Group):
        raise RecordError(f"{parent.file.filename} has no group {path!r}: not a recorded run")
    return item


def dataset_at(parent: h5py.Group, path: str) -> h5py.Dataset:
    """The dataset at `path`; raises RecordError if there is none."""
    item = parent.get(path)
    if not isinstance(item, h5py.Dataset):
        raise RecordError(f"{parent.file.filename} has no dataset {path!r}: not a recorded run")
    return item


def new_group(parent: h5py.Group, name: str, nexus_class: str) -> h5py.Group:
    """A group with its NeXus class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = nexus_class
    return group


def new_column(group: h5py.Group, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> h5py.Dataset:
    """A dataset for a column of known length: small ones in one piece, large ones in compressed chunks (gzip)."""
    if dtype == TEXT:
        return group.create_dataset(name, shape, TEXT_TYPE)
    row_bytes = max(1, dtype.itemsize * int(np.prod(shape[1:])))
    if shape[0] * row_bytes <= _CONTIGUOUS_BYTES:
        return group.create_dataset(name, shape, dtype)
    chunks = (min(shape[0], max(1, _CHUNK_BYTES // row_bytes)), *shape[1:])
    return group.create_dataset(
        name, shape, dtype, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True
    )


def events_group(entry: h5py.Group, stream: str) -> h5py.Group:
    """The group of a stream's events: under its name, or beside its tags if it has those too."""
    node = stream_node(stream)
    beside = node in entry and group_at(entry, node).attrs["NX_class"] == "NXevent_data"
    return group_at(entry, f"{node}_events" if beside else node)


def one_value(value: Any) -> Any:
    """A value, of whatever type, as HDF5 can hold it."""
    column = Column({"dtype": "string"})
    column.include(value)
    return column.type(1).array([value])[0]


def put(
    group: h5py.Group, key: object, value: Any, declared: Mapping[str, Any] | None = None
) -> h5py.Dataset:
    """One value, of whatever type, as a dataset with the unit that its data key declares."""
    row = one_value(value)
    dtype = TEXT_TYPE if isinstance(row, str) else row.dtype
    dataset = group.create_dataset(node_name(key, group), data=row, dtype=dtype)
    describe(dataset, key, declared or {})
    return dataset


def put_mapping(group: h5py.Group, mapping: Mapping[Any, Any]) -> None:
    """A mapping as groups in groups."""
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            put_mapping(new_group(group, node_name(key, group), "NXcollection"), value)
        else:
            put(group, key, value)


def describe(dataset: h5py.Dataset, key: object, declared: Mapping[str, Any]) -> None:
    """Attributes that a data key gives its column: units, source, and the key where the name had to differ."""
    if declared.get("units") is not None:
        dataset.attrs["units"] = storable(str(declared["units"]))
    if declared.get("source"):
        dataset.attrs["source"] = storable(str(declared["source"]))
    if dataset.name is None or dataset.name.rpartition("/")[2] != key:
        dataset.attrs["data_key"] = storable(str(key))
