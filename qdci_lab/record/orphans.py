"""Segments of time tags that no run names: a crash came between the first tags of a run and the document about them."""

from dataclasses import dataclass
from pathlib import Path

from qdci_lab.errors import RecordError
from qdci_lab.record.append_only import is_being_written
from qdci_lab.record.hdf5 import survey_of
from qdci_lab.record.journal import JOURNAL_SUFFIX
from qdci_lab.record.tag_stream import SEGMENT_SUFFIX
from qdci_lab.record.tags import segments_of
from qdci_lab.record.time_tags import TagSegmentReader


@dataclass(frozen=True)
class Orphan:
    """A segment, and what is in it, in words."""

    path: Path
    content: str

    def to_dict(self) -> dict[str, str]:
        """For printing as JSON."""
        return {"file": str(self.path), "status": "orphan", "reason": str(self)}

    def __str__(self) -> str:
        return f"left behind: {self.path}: {self.content} that no run names, kept (`qdci tags` looks at it)"


def orphans_in(directory: Path) -> list[Orphan]:
    """Segments in a folder that no journal there names; none while a run is being written, which may name them yet."""
    segments = sorted(directory.glob(f"*{SEGMENT_SUFFIX}"))
    journals = sorted(directory.glob(f"*{JOURNAL_SUFFIX}")) if segments else []
    if any(is_being_written(path) for path in (*journals, *segments)):
        return []
    named = {path.resolve() for journal in journals for path in _named_by(journal)}
    return [Orphan(path, _content(path)) for path in segments if path.resolve() not in named]


def _named_by(journal: Path) -> list[Path]:
    try:
        survey, _ = survey_of(journal)
    except RecordError:  # it is reported as a run that cannot be read
        return []
    return [path for stream in survey.streams.values() for path in segments_of(stream, journal.parent)]


def _content(segment: Path) -> str:
    try:
        return f"{TagSegmentReader(segment).count} time tags"
    except RecordError as error:
        return f"{segment.stat().st_size} bytes ({error})"
