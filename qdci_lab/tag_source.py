"""Time tags from whatever file holds them: recorded runs and their journals, segments, and files of other programs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import RecordError

TagBlock = tuple[NDArray[np.int64], NDArray[np.uint8]]

_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class TagSource:
    """A file of tags: `blocks` reads it anew from the beginning, `complaints` gives what was wrong and survived.

    `kind` is what the file is, `facts` what it says of itself, in words.
    """

    path: Path
    kind: str
    facts: str
    blocks: Callable[[], Iterator[TagBlock]]
    complaints: Callable[[], tuple[str, ...]]


def open_source(path: Path, *, stream: str = "tags", tag_format: str | None = None) -> TagSource:
    """Recognise a file by its first bytes; RecordError for one without time tags, OSError for one that is not there.

    `stream` is that of a recorded run, `tag_format` one of `qdci_lab.record.tag_files.TagFormat`.
    """
    from qdci_lab.record import journal, time_tags

    with path.open("rb") as file:
        head = file.read(16)
    if tag_format is None and head.startswith((_HDF5, journal.MAGIC)):
        return _run(path, stream)
    if tag_format is None and head.startswith(time_tags.MAGIC):
        segment = time_tags.TagSegmentReader(path)
        lost = (str(segment.tail),) if segment.tail.lost_bytes else ()
        return TagSource(path, "segment of a run", "", segment.blocks, lambda: lost)
    from qdci_lab.record import tag_files

    file = tag_files.open_tags(path, tag_format=tag_format, markers=False)
    facts = ", ".join(f"{name} {value}" for name, value in file.facts.items())
    return TagSource(path, str(file.format), facts, file.blocks, lambda: file.complaints)


def _run(path: Path, stream: str) -> TagSource:
    from qdci_lab.record.replay import Run

    run = Run(path)
    if stream not in run.streams:
        raise RecordError(f"{path} has no stream {stream!r}; it has {', '.join(run.streams) or 'none'}")
    kind = "recorded run" if run.finished else "journal of a run"
    words = {name: run.start.get(name) for name in ("plan_name", "source", "testbed", "seed")}
    facts = ", ".join(f"{name} {value}" for name, value in words.items() if value is not None)
    return TagSource(
        path, kind, facts, lambda: run.tags(stream=stream), lambda: (run.missing,) if run.missing else ()
    )
