"""The documents' side of a time tagger: tags go into a segment, bluesky gets stream resources and stream datums.

Long form: one row a tag, two data keys (`<prefix>_time`, int64 ps, and `<prefix>_channel`, uint8) with the same
indices. An index counts the tags of the run from zero, so that an event that carries the index of its first tag and
their number stays right whatever is paused, aborted or repeated.
"""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import numpy as np
from event_model import ComposeStreamResourceBundle, StreamRange, compose_stream_resource
from numpy.typing import NDArray

from qdci_lab.errors import RecordError
from qdci_lab.record.disk_space import RESERVE_BYTES, check_space
from qdci_lab.record.tag_packing import prepare
from qdci_lab.record.time_tags import TagSegmentWriter

MIMETYPE = "application/x-qdci-tags"
SEGMENT_SUFFIX = ".tags"


class TagStream:
    """What a tagger's collectable object owns: `append` where tags arrive, the rest where bluesky asks.

    Tags are written from the moment the stream is declared until it is unstaged; a plan that declares no stream only
    has them counted. With `kept=False` they are only counted in any plan, and the stream cannot be declared.
    `append` may be called from another thread than the rest.
    """

    def __init__(
        self,
        prefix: str,
        directory: Path,
        *,
        kept: bool = True,
        source: str = "time tagger",
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self.kept = kept
        self.directory = directory
        self.time_key = f"{prefix}_time"
        self.channel_key = f"{prefix}_channel"
        self._source = source
        self._reserve_bytes = reserve_bytes
        self._lock = threading.Lock()
        self._staged = False
        self._declared = False
        self._count = 0
        self._announced = 0
        self._unwritten = 0
        self._segment: TagSegmentWriter | None = None
        self._closed = False
        self._bundles: tuple[ComposeStreamResourceBundle, ...] = ()

    @property
    def count(self) -> int:
        """Tags appended in this run: the index of the next."""
        return self._count

    def stage(self) -> None:
        """Take tags from now on; the segment's file appears with the first of them."""
        with self._lock:
            if self._staged:
                raise RecordError(f"the tag stream of {self.time_key} is staged already")
            self._staged = True

    def unstage(self) -> None:
        """Take no more tags and close the segment, which can still be collected; harmless when nothing is staged."""
        with self._lock:
            self._staged = self._declared = False
            self._close_segment()

    def data_keys(self) -> dict[str, Any]:
        """For `describe_collect`, which bluesky calls once a run: the two keys, and the count starts from zero.

        A segment of an earlier run that no document names is removed: nobody could find it.
        """
        if not self.kept:
            raise RecordError(f"{self.time_key}: tags are only counted, there is no stream to declare")
        prepare()
        with self._lock:
            self._forget_segment()
            self._declared = True
            self._count = self._announced = self._unwritten = 0
        key = {"source": self._source, "dtype": "integer", "shape": [], "external": "STREAM:"}
        return {
            self.time_key: {**key, "dtype_numpy": "<i8", "units": "ps"},
            self.channel_key: {**key, "dtype_numpy": "|u1", "units": "1"},
        }

    def append(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> int:
        """Take tags (int64 ps, uint8); the index of the first of them.

        Raises RecordError if nothing is staged, and as soon as the disk has no more room than finishing the file takes:
        one acquisition can fill it.
        """
        with self._lock:
            if not self._staged:
                raise RecordError(f"tags for {self.time_key}, which is not staged")
            first = self._count
            if not self._declared:
                self._unwritten += len(times)
            elif len(times):
                self._append(times, channels)
            self._count += len(times)
            return first

    def asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """For `collect_asset_docs`: the documents that name the tags below `index` (all of them without it).

        The tags are on the disk before a document names them. No new tags, no documents. Raises RecordError for tags
        that were not written, because they came after the tagger was unstaged and staged again within the run.
        """
        with self._lock:
            if not self.kept:
                return
            if self._unwritten:
                raise RecordError(
                    f"{self._unwritten} tags of {self.time_key} came while its stream was not declared"
                )
            stop = self._count if index is None else min(index, self._count)
            if stop <= self._announced:
                return
            if self._segment is not None and not self._closed:
                self._segment.sync()
            documents = [*self._resources(), *self._datums(stop)]
            self._announced = stop
        yield from documents

    def _append(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        size = 0 if self._segment is None else self._segment.size
        check_space(self.directory, reserve_bytes=self._reserve_bytes, unfinished_bytes=size)
        self._writer().append(times, channels)

    def _writer(self) -> TagSegmentWriter:
        if self._segment is None:
            path = self.directory.resolve() / f"{uuid.uuid4()}{SEGMENT_SUFFIX}"
            self._segment = TagSegmentWriter(path, first_index=self._count)
        return self._segment

    def _resources(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self._bundles or self._segment is None:
            return
        uri = uri_of(self._segment.path)
        parameters = {"first_tag": self._segment.first_index}
        self._bundles = tuple(
            compose_stream_resource(mimetype=MIMETYPE, uri=uri, data_key=key, parameters=dict(parameters))
            for key in (self.time_key, self.channel_key)
        )
        for bundle in self._bundles:
            yield "stream_resource", {**bundle.stream_resource_doc}

    def _datums(self, stop: int) -> Iterator[tuple[str, dict[str, Any]]]:
        for bundle in self._bundles:
            indices = StreamRange(start=self._announced, stop=stop)
            yield "stream_datum", {**bundle.compose_stream_datum(indices)}

    def _close_segment(self) -> None:
        if self._segment is not None and not self._closed:
            self._closed = True
            self._segment.close()

    def _forget_segment(self) -> None:
        self._close_segment()
        if self._segment is not None and not self._bundles:
            self._segment.path.unlink(missing_ok=True)
        self._segment = None
        self._closed = False
        self._bundles = ()


def uri_of(path: Path) -> str:
    """A local file as `file://localhost/...`."""
    return f"file://localhost{quote(path.as_posix())}"


def path_of(uri: str) -> Path:
    """The local file that a `file://localhost/...` names."""
    return Path(unquote(urlsplit(uri).path))
