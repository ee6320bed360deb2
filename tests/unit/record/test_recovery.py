"""A run that was cut short: what was acknowledged comes back, and what is missing is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from event_model import compose_run

from qdci_lab.errors import RecordError
from qdci_lab.record.encoding import encode
from qdci_lab.record.hdf5 import build
from qdci_lab.record.journal import Document, JournalReader, JournalWriter
from qdci_lab.record.recovery import recover, restore_journal
from qdci_lab.record.replay import Run, documents, open_tags, verify

KEY = {"x": {"source": "s", "dtype": "number", "shape": []}}


def write_run(path: Path, events: int, *, stop: bool = True) -> list[Document]:
    bundle: Any = compose_run(metadata={"plan_name": "count"})
    descriptor: Any = bundle.compose_descriptor("primary", KEY)
    run = [("start", bundle.start_doc), ("descriptor", descriptor.descriptor_doc)]
    run += [("event", descriptor.compose_event({"x": float(n)}, {"x": 0.0})) for n in range(events)]
    if stop:
        run.append(("stop", bundle.compose_stop()))
    writer = JournalWriter(path)
    for name, document in run:
        writer.append(name, document)
    writer.close()
    return run


def test_a_journal_cut_anywhere_gives_a_file_with_every_whole_document(tmp_path: Path) -> None:
    run = write_run(tmp_path / "whole.journal", 3)
    whole = (tmp_path / "whole.journal").read_bytes()
    reader = JournalReader(tmp_path / "whole.journal")
    ends = []
    for _ in reader.payloads():
        ends.append(reader.tail.good_bytes)
    for size in range(ends[0], len(whole), 61):
        cut = tmp_path / f"cut{size}.journal"
        cut.write_bytes(whole[:size])
        frames = sum(end <= size for end in ends)
        recovered = recover(cut)
        assert recovered.documents == frames
        assert encode(list(documents(recovered.path))) == encode(run[:frames])
        lost = size - ends[frames - 1]
        assert recovered.missing.startswith("the stop document")
        assert (f"the end of the journal: {lost} bytes lost after frame {frames}" in recovered.missing) == (
            lost > 0
        )
        assert Run(recovered.path).missing == recovered.missing
        verify(recovered.path)


def test_nothing_is_invented_for_what_is_missing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run.journal", 2, stop=False)
    recovered = recover(tmp_path / "run.journal")
    assert str(recovered) == f"{tmp_path / 'run.h5'}: 4 documents; missing: the stop document"
    assert encode(list(documents(recovered.path))) == encode(run)
    file: Any = h5py.File(recovered.path)
    with file:
        assert bool(file["entry"].attrs["incomplete"]) is True
        assert "stop" not in file["entry"]
        assert "end_time" not in file["entry"]
        assert file["entry/primary/x"][:].tolist() == [0.0, 1.0]


def test_the_sources_stay_and_a_second_recovery_finds_the_first(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    write_run(journal, 2, stop=False)
    first = recover(journal)
    content = first.path.read_bytes()
    assert recover(journal) == first
    assert first.path.read_bytes() == content
    assert journal.exists()


def test_a_file_of_other_documents_is_never_replaced(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    write_run(tmp_path / "other.journal", 5)
    build(tmp_path / "other.journal", tmp_path / "run.h5")
    write_run(journal, 2)
    with pytest.raises(RecordError, match=r"run\.h5 exists and holds other documents than .*run\.journal"):
        recover(journal)
    assert len(Run(tmp_path / "run.h5").table()["x"]) == 5


def test_a_journal_without_a_start_document_gives_no_file(tmp_path: Path) -> None:
    JournalWriter(tmp_path / "run.journal").close()
    with pytest.raises(RecordError, match=r"run\.journal holds no start document"):
        recover(tmp_path / "run.journal")
    assert [path.name for path in tmp_path.iterdir()] == ["run.journal"]


def test_what_is_left_of_an_unfinished_file_is_in_nobodys_way(tmp_path: Path) -> None:
    write_run(tmp_path / "run.journal", 2)
    (tmp_path / "run.h5.partial").write_bytes(b"half a file")
    assert recover(tmp_path / "run.journal").missing == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.h5", "run.journal"]


def test_the_journal_can_be_restored_byte_by_byte(tmp_path: Path) -> None:
    write_run(tmp_path / "run.journal", 3)
    recovered = recover(tmp_path / "run.journal")
    restore_journal(recovered.path, tmp_path / "again.journal")
    assert (tmp_path / "again.journal").read_bytes() == (tmp_path / "run.journal").read_bytes()


@pytest.fixture
def interrupted(
    tmp_path: Path, engine: RunEngine, make_tagger: Callable[..., Any]
) -> tuple[Path, list[np.ndarray]]:
    """Journal and segment as they stood after the third point, in a folder of their own; the times of each point."""
    tagger = make_tagger(100, 200, 300)
    kept = tmp_path / "kept"
    kept.mkdir()

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan() -> MsgGenerator:
        yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        for _ in range(3):
            yield from bps.trigger_and_read([tagger])
            yield from bps.collect(tagger.tags, name="tags")
        for path in (*tmp_path.glob("*.journal"), *tmp_path.glob("*.tags")):
            (kept / path.name).write_bytes(path.read_bytes())

    engine(plan())
    return next(kept.glob("*.journal")), [times for times, _ in tagger.delivered]


def test_tags_are_recovered_from_a_folder_that_was_moved(interrupted: tuple, joined: Callable) -> None:
    journal, times = interrupted
    assert np.array_equal(joined(open_tags(journal))[0], np.concatenate(times))
    recovered = recover(journal)
    assert recovered.missing == "the stop document"
    assert np.array_equal(joined(open_tags(recovered.path))[0], np.concatenate(times))


def test_a_torn_segment_gives_its_whole_frames_and_says_what_is_lost(
    interrupted: tuple, joined: Callable
) -> None:
    journal, times = interrupted
    segment = next(journal.parent.glob("*.tags"))
    segment.write_bytes(segment.read_bytes()[:-10])
    recovered = recover(journal)
    assert recovered.missing == "the stop document; 300 of 600 tags of stream 'tags'"
    assert np.array_equal(joined(open_tags(recovered.path))[0], np.concatenate(times[:2]))
    assert joined(open_tags(recovered.path, first=250))[0].tolist() == times[1][150:].tolist()
    verify(recovered.path)


def test_a_destroyed_segment_is_named(interrupted: tuple, joined: Callable) -> None:
    journal, _ = interrupted
    segment = next(journal.parent.glob("*.tags"))
    segment.write_bytes(b"")
    recovered = recover(journal)
    assert f"{segment} is not a qdci-time-tags file" in recovered.missing
    assert "600 of 600 tags" in recovered.missing
    assert joined(open_tags(recovered.path))[0].size == 0
    assert Run(recovered.path).table()["tagger_count"].tolist() == [100, 200, 300]
