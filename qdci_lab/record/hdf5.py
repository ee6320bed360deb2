"""Builds the recorded file of a run from its journal and its segments of time tags.

The file is written beside its final name, closed, read back and compared with what it was made from, and only then
renamed. Equal journals give equal bytes: nothing of the time or place of the building enters.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from qdci_lab.errors import LabError, RecordError
from qdci_lab.record.append_only import Tail, sync_directory
from qdci_lab.record.digest import check_digests, write_digests
from qdci_lab.record.events import write_streams
from qdci_lab.record.journal import Document, JournalReader
from qdci_lab.record.layout import (
    DOCUMENTS,
    ENTRY,
    PLOT,
    RECORD,
    dataset_at,
    events_group,
    new_group,
    node_name,
    one_value,
    put,
    put_mapping,
)
from qdci_lab.record.plot import Plot, default_plot
from qdci_lab.record.steady_file import SteadyFile
from qdci_lab.record.survey import Survey
from qdci_lab.record.tags import segments_of, write_tags

SUFFIX = ".h5"
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Built:
    """A finished file, its `sources` (the journal, then the segments), and what was found missing, in words.

    `lost_tags` is the part of `missing` that the documents promise and the segments do not hold; `torn_bytes` are those
    behind the journal's last whole document.
    """

    path: Path
    documents: int
    missing: tuple[str, ...]
    lost_tags: tuple[str, ...]
    torn_bytes: int
    sources: tuple[Path, ...]

    @property
    def holds_all(self) -> bool:
        """Whether the sources hold nothing that the file does not."""
        return not self.lost_tags and not self.torn_bytes

    def remove_sources(self) -> None:
        """Remove what the file was built from; the journal last, because it names the rest."""
        journal, *segments = self.sources
        for path in (*segments, journal):
            path.unlink(missing_ok=True)
        sync_directory(journal.parent)


def build(journal: Path, target: Path | None = None) -> Built:
    """Write the recorded file of a journal, complete or torn, to `target` (by default beside it).

    Raises RecordError if there is no start document or the file does not read back as written; no file then remains.
    """
    target = target or journal.with_suffix(SUFFIX)
    survey, tail = survey_of(journal)
    if not survey.start:
        raise RecordError(f"{journal} holds no start document ({tail})")
    partial = target.with_name(f"{target.name}.partial")
    try:
        missing, lost_tags = _write_and_read_back(partial, journal, survey, tail)
        os.replace(partial, target)
        sync_directory(target.parent)
    except (OSError, RuntimeError, LabError) as error:
        raise RecordError(f"cannot build {target} from {journal}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    segments = [path for stream in survey.streams.values() for path in segments_of(stream, journal.parent)]
    return Built(
        target,
        survey.documents,
        (*missing, *lost_tags),
        tuple(lost_tags),
        tail.lost_bytes,
        (journal, *segments),
    )


def survey_of(journal: Path) -> tuple[Survey, Tail]:
    """What a journal holds up to its last whole frame, and what lies behind that."""
    reader = JournalReader(journal)
    return survey_of_documents(reader.documents()), reader.tail


def survey_of_documents(documents: Iterable[Document]) -> Survey:
    """What there is in these documents."""
    survey = Survey()
    for name, document in documents:
        survey.include(name, document)
    return survey


def _write_and_read_back(
    partial: Path, journal: Path, survey: Survey, tail: Tail
) -> tuple[list[str], list[str]]:
    missing = survey.missing()
    if tail.lost_bytes:
        missing.append(f"the end of the journal: {tail}")
    with closing(SteadyFile(partial)) as steady:
        lost_tags = _write(steady, journal, survey, tail, missing)
        steady.sync()
    with h5py.File(partial, "r") as file:
        check_digests(file)
        _compare_documents(file, journal)
    return missing, lost_tags


def _write(steady: SteadyFile, journal: Path, survey: Survey, tail: Tail, missing: list[str]) -> list[str]:
    """Write all of the file; what tags are lost, in words."""
    with h5py.File(steady, "w") as file:
        entry = _write_head(file, survey)
        _write_documents(new_group(entry, RECORD, "NXcollection"), journal, survey, tail)
        steady.check()
        documents = itertools.islice(JournalReader(journal).documents(), survey.documents)
        write_streams(entry, survey, documents)
        lost_tags = write_tags(entry, survey, journal.parent, steady.check)
        _write_plot(entry, default_plot(survey))
        entry.attrs["incomplete"] = bool(missing or lost_tags)
        if missing or lost_tags:
            entry.attrs["missing"] = "; ".join(missing + lost_tags)
        write_digests(file)
    return lost_tags


def _write_head(file: h5py.File, survey: Survey) -> h5py.Group:
    file.attrs["NX_class"] = "NXroot"
    file.attrs["default"] = ENTRY
    file.attrs["creator"] = "qdci_lab"
    file.attrs["HDF5_Version"] = h5py.version.hdf5_version
    file.attrs["h5py_version"] = h5py.version.version
    entry = new_group(file, ENTRY, "NXentry")
    start = dict(survey.start)
    for key in ("source", "seed"):
        if key in start:
            entry.attrs[key] = one_value(start[key])
    words = [str(start[key]) for key in ("plan_name", "scan_id") if key in start]
    put(entry, "title", " ".join(words) or "run")
    put(entry, "entry_identifier_uuid", start["uid"])
    put(entry, "start_time", _iso(start["time"]))
    if survey.stop:
        put(entry, "end_time", _iso(survey.stop["time"]))
        put_mapping(new_group(entry, "stop", "NXcollection"), survey.stop)
    start.pop("configuration_files", None)
    put_mapping(new_group(entry, "start", "NXcollection"), start)
    return entry


def _write_documents(record: h5py.Group, journal: Path, survey: Survey, tail: Tail) -> None:
    size = tail.good_bytes
    dataset = record.create_dataset(
        DOCUMENTS, (size,), np.uint8, chunks=(min(size, _COPY_BYTES),), **hdf5plugin.Zstd(1)
    )
    dataset.attrs["count"] = survey.documents
    dataset.attrs["description"] = "the bytes of the run's journal: header and frames, each with its CRC"
    for start, data in _pieces(journal, size):
        dataset[start : start + len(data)] = np.frombuffer(data, np.uint8)
    files = survey.start.get("configuration_files")
    if isinstance(files, dict):
        put_mapping(new_group(record, "configuration", "NXcollection"), files)


def _compare_documents(file: h5py.File, journal: Path) -> None:
    dataset = dataset_at(file, f"{ENTRY}/{RECORD}/{DOCUMENTS}")
    for start, data in _pieces(journal, len(dataset)):
        if dataset[start : start + len(data)].tobytes() != data:
            raise RecordError(f"the documents in {file.filename} differ from those in {journal}")


def _pieces(journal: Path, size: int) -> Iterator[tuple[int, bytes]]:
    with journal.open("rb") as stream:
        for start in range(0, size, _COPY_BYTES):
            yield start, stream.read(min(_COPY_BYTES, size - start))


def _write_plot(entry: h5py.Group, plot: Plot | None) -> None:
    """NXdata of soft links into the stream; without a column to plot against, the time of the event."""
    if plot is None:
        return
    stream = events_group(entry, plot.stream)
    columns = {dataset.attrs.get("data_key", name): name for name, dataset in stream.items()}
    data = new_group(entry, PLOT, "NXdata")
    for key in plot.y:
        data[columns[key]] = h5py.SoftLink(f"{stream.name}/{columns[key]}")
    for key, error in plot.errors.items():
        data[f"{columns[key]}_errors"] = h5py.SoftLink(f"{stream.name}/{columns[error]}")
    axis = columns[plot.x] if plot.x else node_name("time", data)
    if axis not in data:
        data[axis] = h5py.SoftLink(f"{stream.name}/{axis}" if plot.x else f"{stream.name}/event/time")
    data.attrs["signal"] = columns[plot.y[0]]
    data.attrs["axes"] = [axis]
    if len(plot.y) > 1:
        data.attrs["auxiliary_signals"] = [columns[key] for key in plot.y[1:]]
    entry.attrs["default"] = PLOT


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat()
