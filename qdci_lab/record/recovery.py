"""Makes the recorded file of a run that was cut short, from its journal, and says what is missing in it."""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from qdci_lab.errors import RecordError
from qdci_lab.record.append_only import AppendOnlyFile, is_being_written
from qdci_lab.record.hdf5 import SUFFIX, build, survey_of
from qdci_lab.record.journal import JOURNAL_SUFFIX, MAGIC, VERSION, frame
from qdci_lab.record.orphans import orphans_in
from qdci_lab.record.replay import Run, payloads, verify


@dataclass(frozen=True)
class Recovered:
    """The file, how many documents it holds, and what is missing, in words (empty for a whole run)."""

    path: Path
    documents: int
    missing: str

    def __str__(self) -> str:
        lacks = f"missing: {self.missing}" if self.missing else "nothing is missing"
        return f"{self.path}: {self.documents} documents; {lacks}"


def recover(journal: Path, directory: Path | None = None, *, tidy: bool = False) -> Recovered:
    """Build the file of an interrupted run, beside its journal or in `directory`, adding nothing to what was recorded.

    A whole file that is there already and holds the same documents is taken as the result (a crash after the renaming
    leaves one), and one that was built while the run went on is replaced; any other never is, but a RecordError.
    Journal and segments stay where they are, unless `tidy` is given and they hold nothing that the file does not.
    """
    if is_being_written(journal):
        raise RecordError(f"{journal} is still being written")
    target = (directory or journal.parent) / journal.with_suffix(SUFFIX).name
    if target.exists() and not _is_beginning(target, journal):
        return Recovered(target, survey_of(journal)[0].documents, Run(target).missing)
    built = build(journal, target)
    if tidy and built.holds_all:
        built.remove_sources()
    return Recovered(target, built.documents, "; ".join(built.missing))


def recover_folder(directory: Path) -> list[str]:
    """Recover, tidily, every run in a folder that was left behind; a line for each says what came of it.

    So does one for each segment of time tags that belongs to no run.
    """
    lines = []
    for journal in sorted(directory.glob(f"*{JOURNAL_SUFFIX}")):
        if is_being_written(journal):
            continue
        try:
            lines.append(f"recovered {recover(journal, tidy=True)}")
        except RecordError as error:
            lines.append(f"not recovered: {error}")
    return lines + [str(orphan) for orphan in orphans_in(directory)]


def _is_beginning(target: Path, journal: Path) -> bool:
    """Whether a file holds the journal's first documents only; RecordError if it holds others than the journal."""
    verify(target)
    for ours, theirs in zip_longest(payloads(journal), payloads(target)):
        if theirs is None:
            return True
        if ours != theirs:
            raise RecordError(f"{target} exists and holds other documents than {journal}")
    return False


def restore_journal(recorded: Path, journal: Path) -> None:
    """Write the journal that a file was built from, byte by byte as it was, to a new file."""
    file = AppendOnlyFile(journal, MAGIC, VERSION)
    try:
        for payload in payloads(recorded):
            file.write(frame(payload))
        file.sync()
    finally:
        file.close()
