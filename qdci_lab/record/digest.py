"""Checksums of everything in a recorded file, object by object, so that an alteration is noticed and named."""

import hashlib
from collections.abc import Iterator

import h5py
import numpy as np

from qdci_lab.errors import RecordError
from qdci_lab.record.encoding import encode
from qdci_lab.record.layout import BLOCK_CRC, DIGESTS, ENTRY, RECORD, TAG_BLOCK, dataset_at, group_at
from qdci_lab.record.time_tags import TagBlock, tags_crc

DIGESTS_PATH = f"/{ENTRY}/{RECORD}/{DIGESTS}"
_BLOCK_BYTES = 1 << 23


def digests(file: h5py.File) -> dict[str, str]:
    """SHA-256 of each object by path: members, attributes and data; of tag columns the data stand in their CRCs."""
    return {item.name or "/": _digest(item) for item in _objects(file) if item.name != DIGESTS_PATH}


def write_digests(file: h5py.File) -> None:
    """Put the digests of a finished file into it."""
    rows = [f"{digest} {path}" for path, digest in sorted(digests(file).items())]
    file.create_dataset(DIGESTS_PATH, data=np.array(rows, object), dtype=h5py.string_dtype())


def check_digests(file: h5py.File) -> None:
    """Raise RecordError that names every object which is not what was recorded."""
    rows = [str(row).partition(" ") for row in dataset_at(file, DIGESTS_PATH).asstr()[:]]
    stored = {path: digest for digest, _, path in rows}
    found = digests(file)
    altered = sorted(path for path in stored.keys() | found.keys() if stored.get(path) != found.get(path))
    altered += [path for path, group in tag_groups(file) if not _tags_are_whole(group)]
    if altered:
        raise RecordError(f"{file.filename} is not as it was recorded: {', '.join(dict.fromkeys(altered))}")


def tag_groups(file: h5py.File) -> Iterator[tuple[str, h5py.Group]]:
    """(path, group) of each stream of tags."""
    for name, item in group_at(file, ENTRY).items():
        if isinstance(item, h5py.Group) and BLOCK_CRC in item:
            yield f"/{ENTRY}/{name}", item


def checked_tag_blocks(group: h5py.Group, first_row: int, stop_row: int) -> Iterator[TagBlock]:
    """Tags in rows [first_row, stop_row), read by whole chunks; raises RecordError if one does not fit its CRC."""
    for block in range(first_row // TAG_BLOCK, -(-stop_row // TAG_BLOCK)):
        start = block * TAG_BLOCK
        times, channels = _checked_block(
            group, block, np.empty(TAG_BLOCK, np.int64), np.empty(TAG_BLOCK, np.uint8)
        )
        low, high = max(0, first_row - start), min(len(times), stop_row - start)
        yield times[low:high], channels[low:high]


def _checked_block(group: h5py.Group, block: int, times: np.ndarray, channels: np.ndarray) -> TagBlock:
    """The tags of a chunk, read into the given memory."""
    columns = [(dataset_at(group, "time"), times), (dataset_at(group, "channel"), channels)]
    start, stop = block * TAG_BLOCK, min((block + 1) * TAG_BLOCK, len(columns[0][0]))
    try:
        for dataset, values in columns:
            dataset.read_direct(values, np.s_[start:stop], np.s_[: stop - start])
    except OSError as error:
        raise RecordError(
            f"{group.file.filename}: the tags from row {start} of {group.name} are damaged"
        ) from error
    times, channels = times[: stop - start], channels[: stop - start]
    if tags_crc(times, channels) != dataset_at(group, BLOCK_CRC)[block]:
        raise RecordError(f"{group.file.filename}: the tags from row {start} of {group.name} are damaged")
    return times, channels


def _tags_are_whole(group: h5py.Group) -> bool:
    times, channels = np.empty(TAG_BLOCK, np.int64), np.empty(TAG_BLOCK, np.uint8)
    try:
        for block in range(len(dataset_at(group, BLOCK_CRC))):
            _checked_block(group, block, times, channels)
    except (RecordError, OSError):
        return False
    return True


def _objects(item: h5py.Group | h5py.Dataset) -> Iterator[h5py.Group | h5py.Dataset]:
    yield item
    if isinstance(item, h5py.Group):
        for name in sorted(item):
            member = item[name] if isinstance(item.get(name, getlink=True), h5py.HardLink) else None
            if isinstance(member, h5py.Group | h5py.Dataset):
                yield from _objects(member)


def _digest(item: h5py.Group | h5py.Dataset) -> str:
    checksum = hashlib.sha256()
    for name in sorted(item.attrs):
        checksum.update(encode([name, item.attrs[name]]))
    if isinstance(item, h5py.Group):
        for name in sorted(item):
            link = item.get(name, getlink=True)
            target = link.path if isinstance(link, h5py.SoftLink) else ""
            if f"{item.name}/{name}" != DIGESTS_PATH:
                checksum.update(encode([name, target]))
    else:
        for piece in _data(item):
            checksum.update(piece)
    return checksum.hexdigest()


def _data(dataset: h5py.Dataset) -> Iterator[bytes]:
    yield encode([dataset.dtype.str, list(dataset.shape)])
    if (column := _tag_column(dataset)) is not None:
        yield encode(column)
        return
    folder, _, name = (dataset.name or "").rpartition("/")
    if name in {"time", "channel"} and BLOCK_CRC in group_at(dataset.file, folder or "/"):
        return
    try:
        for block in _blocks(dataset):
            yield encode(block.tolist()) if block.dtype == object else block.tobytes()
    except OSError:
        yield b"cannot be read"


def _tag_column(dataset: h5py.Dataset) -> str | None:
    """Path of the column of tags that this is another name of, if it is one."""
    if not (dataset.name or "").startswith("/photon_data"):
        return None
    columns = (group[name] for _, group in tag_groups(dataset.file) for name in ("time", "channel"))
    return next((str(column.name) for column in columns if column == dataset), None)


def _blocks(dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    if not dataset.shape:
        yield np.asarray(dataset[()])
        return
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:])))
    rows = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, dataset.shape[0], rows):
        yield dataset[start : start + rows]
