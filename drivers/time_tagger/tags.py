"""The recorded tags of a tagger as bluesky collects them: declared once a run, collected after each acquisition."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import RecordError
from qdci_lab.record.tag_stream import TagStream


class RecordedTags:
    """What a plan gives to `declare_stream(..., collect=True)` and `collect`; nothing is written without a directory.

    Two columns, `<name>_time` (int64 ps) and `<name>_channel` (uint8, inputs as on the front panel). It is staged with
    its tagger.
    """

    parent = None

    def __init__(self, name: str, *, source: str) -> None:
        self.name = name
        self._source = source
        self._stream: TagStream | None = None

    @property
    def directory(self) -> Path | None:
        """Where segments are written."""
        return None if self._stream is None else self._stream.directory

    @directory.setter
    def directory(self, directory: Path | None) -> None:
        if directory is None:
            self._stream = None
        elif self._stream is None:
            self._stream = TagStream(self.name, directory, source=self._source)
        else:
            self._stream.directory = directory

    def append(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Record tags, times in ps (RecordError unless the tagger is staged)."""
        if self._stream is not None:
            self._stream.append(times, channels)

    @property
    def count(self) -> int:
        """Tags recorded in this run: the index of the next."""
        return 0 if self._stream is None else self._stream.count

    def get_index(self) -> int:
        """The same, as bluesky asks for it."""
        return self.count

    def describe_collect(self) -> dict[str, Any]:
        """Data keys of the two columns; a run's count begins here (RecordError without a directory)."""
        if self._stream is None:
            raise RecordError(f"{self.name}: no directory to record time tags in")
        return self._stream.data_keys()

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Stream resources and datums of what was recorded since the last time, up to `index`."""
        return iter(()) if self._stream is None else self._stream.asset_docs(index)

    def stage(self) -> list[object]:
        """Begin to take tags."""
        if self._stream is not None:
            self._stream.stage()
        return [self]

    def unstage(self) -> list[object]:
        """Close the segment."""
        if self._stream is not None:
            self._stream.unstage()
        return [self]
