"""Moves time tags from their segments into the recorded file, as plain columns that any h5py with hdf5plugin reads.

A row is a tag. As long as nothing was lost, the row of a tag is its index in the run; where a part of a segment was
lost, `piece_first_index` and `piece_first_row` say which indices the rows of each piece have.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import blosc2
import h5py
import hdf5plugin
import numpy as np

from qdci_lab.errors import RecordError
from qdci_lab.record.layout import BLOCK_CRC, TAG_BLOCK, dataset_at, new_group, stream_node
from qdci_lab.record.photon_hdf5 import TagTotals, write_photon_links
from qdci_lab.record.survey import Stream, Survey
from qdci_lab.record.tag_stream import path_of
from qdci_lab.record.time_tags import TagBlock, TagSegmentReader, in_blocks_of, tags_crc

PIECE_INDEX = "piece_first_index"
PIECE_ROW = "piece_first_row"


@dataclass(frozen=True)
class _Packing:
    """Blosc2 settings of a column: the filters that are applied, and the one that the HDF5 pipeline declares."""

    parameters: blosc2.CParams
    declared: int


def _packing(itemsize: int, declared: int, *filters: blosc2.Filter) -> _Packing:
    parameters = blosc2.CParams(
        codec=blosc2.Codec.ZSTD, clevel=1, typesize=itemsize, nthreads=1, blocksize=_BLOCK_BYTES,
        filters=list(filters), filters_meta=[0] * len(filters),
    )  # fmt: skip
    return _Packing(parameters, declared)


_BLOCK_BYTES = 1 << 17
# Of times that follow each other the upper bytes hardly change: each byte as its difference from the same byte of the
# time before takes what the differences of the times would, and any reader still gets the times.
_PACKINGS = {
    8: _packing(8, hdf5plugin.Blosc2.SHUFFLE, blosc2.Filter.SHUFFLE, blosc2.Filter.BYTEDELTA),
    1: _packing(1, hdf5plugin.Blosc2.BITSHUFFLE, blosc2.Filter.BITSHUFFLE),
}


@dataclass(frozen=True)
class Piece:
    """Tags that follow each other without a gap: `count` of them, from index `first_index` and row `first_row` on."""

    first_index: int
    first_row: int
    count: int


def segments_of(stream: Stream, beside: Path) -> list[Path]:
    """Files with the tags of a stream, in order; one that was moved together with the journal is found beside it."""
    if stream.tags is None:
        return []
    uris = sorted(stream.tags.segments, key=stream.tags.segments.__getitem__)
    return [found for found in (_locate(uri, beside) for uri in uris) if found.exists()]


def write_tags(entry: h5py.Group, survey: Survey, beside: Path, check: Callable[[], object]) -> list[str]:
    """NXevent_data for each stream of tags, and links to them; what is missing, in words.

    `check` is asked before every block.
    """
    missing: list[str] = []
    totals: list[TagTotals] = []
    for stream in survey.streams.values():
        if stream.tags is None:
            continue
        readers = list(_open_segments(segments_of(stream, beside), missing))
        pieces = _pieces(readers)
        group = new_group(entry, stream_node(stream.name), "NXevent_data")
        totals.append(TagTotals(group))
        _write_stream(totals[-1], stream, readers, pieces, check)
        lost = stream.tags.stop - sum(_below(piece, stream.tags.stop) for piece in pieces)
        if lost:
            missing.append(f"{lost} of {stream.tags.stop} tags of stream {stream.name!r}")
    write_photon_links(entry.file, survey, totals)
    return missing


def pieces_of(group: h5py.Group) -> list[Piece]:
    """The pieces of a stream of tags in a recorded file."""
    indices, rows = (
        [int(value) for value in np.asarray(group.attrs[name])] for name in (PIECE_INDEX, PIECE_ROW)
    )
    stops = [*rows, len(dataset_at(group, "time"))][1:]
    return [Piece(index, row, stop - row) for index, row, stop in zip(indices, rows, stops, strict=True)]


def _write_stream(
    totals: TagTotals,
    stream: Stream,
    readers: list[TagSegmentReader],
    pieces: list[Piece],
    check: Callable[[], object],
) -> None:
    group, count = totals.group, sum(piece.count for piece in pieces)
    times = _tag_column(group, "time", np.dtype(np.int64), count)
    channels = _tag_column(group, "channel", np.dtype(np.uint8), count)
    times.attrs["units"] = "ps"
    checksums = group.create_dataset(BLOCK_CRC, (-(-count // TAG_BLOCK),), np.uint32)
    checksums.attrs["description"] = f"CRC-32 of each {TAG_BLOCK} tags: the times, then the channels"
    blocks: Iterator[TagBlock] = (block for reader in readers for block in reader.blocks())
    for number, (block_times, block_channels) in enumerate(in_blocks_of(TAG_BLOCK, blocks)):
        check()
        row = number * TAG_BLOCK
        totals.add((block_times, block_channels))
        _write_chunk(times, row, block_times)
        _write_chunk(channels, row, block_channels)
        checksums[number] = tags_crc(block_times, block_channels)
    group.attrs[PIECE_INDEX] = np.array([piece.first_index for piece in pieces], np.int64)
    group.attrs[PIECE_ROW] = np.array([piece.first_row for piece in pieces], np.int64)
    _write_points(group, stream)


def _write_points(group: h5py.Group, stream: Stream) -> None:
    """Range of each point, and NeXus's own names for what is there."""
    ranges = np.array(stream.tags.ranges if stream.tags else [], np.int64).reshape(-1, 2)
    group.create_dataset("point_first", data=ranges[:, 0])
    group.create_dataset("point_count", data=ranges[:, 1] - ranges[:, 0])
    for name, target in (
        ("event_time_offset", "time"),
        ("event_id", "channel"),
        ("event_index", "point_first"),
    ):
        group[name] = h5py.SoftLink(f"{group.name}/{target}")


def _tag_column(group: h5py.Group, name: str, dtype: np.dtype, count: int) -> h5py.Dataset:
    compression: Mapping[str, object] = hdf5plugin.Blosc2("zstd", 1, _PACKINGS[dtype.itemsize].declared)
    chunks = (min(max(count, 1), TAG_BLOCK),)
    return group.create_dataset(name, (count,), dtype, maxshape=(None,), chunks=chunks, **compression)


def _write_chunk(dataset: h5py.Dataset, row: int, values: np.ndarray) -> None:
    """Store a chunk compressed by us in a way that HDF5's Blosc2 filter can undo, but not do."""
    chunk = (
        np.zeros(dataset.chunks or (), dataset.dtype) if len(values) < (dataset.chunks or (0,))[0] else values
    )
    chunk[: len(values)] = values
    packed = blosc2.SChunk(
        chunksize=chunk.nbytes, data=np.ascontiguousarray(chunk), cparams=_PACKINGS[chunk.itemsize].parameters
    )
    dataset.id.write_direct_chunk((row,), packed.to_cframe())


def _open_segments(paths: list[Path], missing: list[str]) -> Iterator[TagSegmentReader]:
    for path in paths:
        try:
            yield TagSegmentReader(path)
        except RecordError as error:
            missing.append(str(error))


def _pieces(readers: list[TagSegmentReader]) -> list[Piece]:
    pieces: list[Piece] = []
    row = 0
    for reader in readers:
        if reader.count:
            pieces.append(Piece(reader.first_index, row, reader.count))
            row += reader.count
    return pieces


def _below(piece: Piece, stop: int) -> int:
    return max(0, min(piece.count, stop - piece.first_index))


def _locate(uri: str, beside: Path) -> Path:
    named = path_of(uri)
    moved = beside / named.name
    return moved if moved.exists() else named
