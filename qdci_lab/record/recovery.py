"""Makes the recorded file of a run that was cut short, from its journal, and says what is missing in it."""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from qdci_lab.errors import RecordError
from qdci_lab.record.append_only import AppendOnlyFile
from qdci_lab.record.hdf5 import SUFFIX, build, survey_of
from qdci_lab.record.journal import MAGIC, VERSION, frame
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


def recover(journal: Path) -> Recovered:
    """Build the file of an interrupted run beside its journal, adding nothing to what was recorded.

    Journal and segments stay where they are. A whole file that is there already and holds the same documents is
    taken as the result (a crash after the renaming leaves one); any other is never replaced, but a RecordError.
    """
    target = journal.with_suffix(SUFFIX)
    if not target.exists():
        built = build(journal, target)
        return Recovered(target, built.documents, "; ".join(built.missing))
    verify(target)
    if any(ours != theirs for ours, theirs in zip_longest(payloads(journal), payloads(target))):
        raise RecordError(f"{target} exists and holds other documents than {journal}")
    return Recovered(target, survey_of(journal)[0].documents, Run(target).missing)


def restore_journal(recorded: Path, journal: Path) -> None:
    """Write the journal that a file was built from, byte by byte as it was, to a new file."""
    file = AppendOnlyFile(journal, MAGIC, VERSION)
    try:
        for payload in payloads(recorded):
            file.write(frame(payload))
        file.sync()
    finally:
        file.close()
