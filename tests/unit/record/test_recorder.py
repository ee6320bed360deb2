"""The recorder under a real RunEngine: what it leaves on the disk when all goes well, and when it does not."""

import contextlib
import enum
import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator, RunEngineInterrupted
from event_model import DocumentNames, compose_run, schema_validators
from ophyd.sim import SynAxis, SynGauss
from pytest_mock import MockerFixture

from qdci_lab.errors import RecordError
from qdci_lab.record.encoding import encode
from qdci_lab.record.hdf5 import build
from qdci_lab.record.journal import Document, JournalReader
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.recovery import recover
from qdci_lab.record.replay import Run, documents, verify

Tagger = Any
"""The tagger of `make_tagger`."""


@pytest.fixture
def motor() -> Any:
    return SynAxis(name="motor", labels={"motors"})


@pytest.fixture
def detector(motor: Any) -> Any:
    return SynGauss("detector", motor, "motor", center=0, Imax=1, sigma=1)


def recorded(recorder: Recorder) -> Path:
    assert recorder.path is not None
    return recorder.path


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def test_a_scan_leaves_one_file_that_replays_exactly(
    engine: RunEngine,
    seen: list[Document],
    recorder: Recorder,
    tmp_path: Path,
    motor: Any,
    detector: Any,
) -> None:
    engine(bp.scan([detector], motor, -1, 1, 5), source="twin", seed=3, note=(1, "two"))
    path = recorded(recorder)
    assert list(tmp_path.iterdir()) == [path]
    assert re.fullmatch(rf"\d{{8}}-\d{{6}}_scan_{seen[0][1]['uid'][:8]}\.h5", path.name)
    assert encode(list(documents(path))) == encode(seen)
    assert len(seen) == 8
    for name, document in documents(path):
        schema_validators[DocumentNames[name]].validate(document)
    verify(path)


def test_tags_of_each_point_are_recorded_under_their_indices(
    engine: RunEngine, seen: list[Document], recorder: Recorder, tmp_path: Path,
    make_tagger: Callable[..., Tagger], tag_points: Callable[..., MsgGenerator], joined: Callable,
) -> None:  # fmt: skip
    tagger = make_tagger(1000, 0, 3000)
    engine(tag_points(tagger, 3))
    path = recorded(recorder)
    assert list(tmp_path.iterdir()) == [path]
    assert encode(list(documents(path))) == encode(seen)
    assert [name for name, _ in seen].count("stream_datum") == 4
    for name, document in documents(path):
        schema_validators[DocumentNames[name]].validate(document)
    table = Run(path).table()
    assert table["tagger_first"].tolist() == [0, 1000, 1000]
    assert table["tagger_count"].tolist() == [1000, 0, 3000]
    for point, (times, channels) in enumerate(tagger.delivered):
        found = joined(Run(path).tags(int(table["tagger_first"][point]), int(table["tagger_count"][point])))
        assert np.array_equal(found[0], times)
        assert np.array_equal(found[1], channels)
    verify(path)


def test_runs_one_after_the_other_have_their_own_tags(
    engine: RunEngine, recorder: Recorder, make_tagger: Callable[..., Tagger],
    tag_points: Callable[..., MsgGenerator], joined: Callable,
) -> None:  # fmt: skip
    tagger = make_tagger(10, 20, 30)
    for points, expected in ((1, [10]), (2, [20, 30])):
        engine(tag_points(tagger, points))
        table = Run(recorded(recorder)).table()
        assert table["tagger_count"].tolist() == expected
        assert table["tagger_first"][0] == 0
        assert len(joined(Run(recorded(recorder)).tags())[0]) == sum(expected)


def test_two_runs_within_one_staging_have_their_own_tags(
    engine: RunEngine,
    recorder: Recorder,
    tmp_path: Path,
    make_tagger: Callable[..., Tagger],
    joined: Callable,
) -> None:
    tagger = make_tagger(10, 20)

    @bpp.stage_decorator([tagger])
    def plan() -> MsgGenerator:
        for _ in range(2):
            yield from bps.open_run()
            yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
            yield from bps.trigger_and_read([tagger])
            yield from bps.collect(tagger.tags, name="tags")
            yield from bps.close_run()

    engine(plan())
    recorder.wait()
    files = sorted(tmp_path.glob("*.h5"), key=lambda path: Run(path).start["scan_id"])
    assert [len(joined(Run(path).tags())[0]) for path in files] == [10, 20]
    assert names(tmp_path) == [".h5", ".h5"]


def test_a_tagger_that_only_counts_leaves_no_stream(
    engine: RunEngine,
    recorder: Recorder,
    make_tagger: Callable[..., Tagger],
    tag_points: Callable[..., MsgGenerator],
) -> None:
    engine(tag_points(make_tagger(1000, kept=False), 2))
    run = Run(recorded(recorder))
    assert run.streams == ("primary",)
    assert run.table()["tagger_first"].tolist() == [0, 1000]


def test_a_run_of_tags_without_any_tag_is_whole(
    engine: RunEngine, recorder: Recorder, make_tagger: Callable[..., Tagger],
    tag_points: Callable[..., MsgGenerator], tmp_path: Path,
) -> None:  # fmt: skip
    engine(tag_points(make_tagger(0), 2))
    run = Run(recorded(recorder))
    assert run.streams == ("tags", "primary")
    assert run.missing == ""
    assert names(tmp_path) == [".h5"]


def test_an_aborted_run_has_a_readable_file_with_its_stop_document(
    engine: RunEngine, recorder: Recorder, make_tagger: Callable[..., Tagger], joined: Callable
) -> None:
    tagger = make_tagger(100)

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan() -> MsgGenerator:
        yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        yield from bps.trigger_and_read([tagger])
        yield from bps.collect(tagger.tags, name="tags")
        yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    assert recorder.path is None
    (journal,) = recorder.journals
    assert Run(journal).table()["tagger_count"].tolist() == [100]
    engine.abort()
    run = Run(recorded(recorder))
    assert run.stop is not None
    assert run.stop["exit_status"] == "abort"
    assert len(joined(run.tags())[0]) == 100
    assert run.missing == ""
    verify(run.path)


def test_a_point_taken_again_after_a_pause_counts_once(
    engine: RunEngine, recorder: Recorder, make_tagger: Callable[..., Tagger], joined: Callable
) -> None:
    tagger = make_tagger(10, 20, 30)
    pauses = iter([False, True])

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan() -> MsgGenerator:
        yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        for _ in range(2):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([tagger])
            yield from bps.collect(tagger.tags, name="tags")
            if next(pauses):
                yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    engine.resume()
    run = Run(recorded(recorder))
    table = run.table()
    assert table["seq_num"].tolist() == [1, 2]
    assert table["tagger_count"].tolist() == [10, 30]
    assert [event["data"]["tagger_count"] for event in run.events()] == [10, 20, 30]
    times, _ = joined(run.tags(int(table["tagger_first"][1]), 30))
    assert np.array_equal(times, tagger.delivered[2][0])
    assert run.missing == ""


def test_a_failed_point_ends_in_a_file_with_the_reason(
    engine: RunEngine, recorder: Recorder, motor: Any
) -> None:
    @bpp.run_decorator()
    def plan() -> MsgGenerator:
        yield from bps.trigger_and_read([motor])
        raise RuntimeError("the laser is out")

    with pytest.raises(RuntimeError, match="the laser is out"):
        engine(plan())
    stop = Run(recorded(recorder)).stop
    assert stop is not None
    assert (stop["exit_status"], stop["reason"]) == ("fail", "the laser is out")


class FullDisk:
    """Stands in for os.write: the disk is full from the n-th call on, or at that call only."""

    def __init__(self, fails_from: int, *, once: bool = False) -> None:
        self._really_write = os.write
        self._fails_from = fails_from
        self._once = once
        self.calls = 0

    def __call__(self, descriptor: int, data: Any) -> int:
        self.calls += 1
        if self.calls == self._fails_from or (self.calls > self._fails_from and not self._once):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._really_write(descriptor, data)


def test_a_full_disk_aborts_the_run_names_the_file_and_keeps_what_was_acknowledged(
    engine: RunEngine, seen: list[Document], recorder: Recorder, tmp_path: Path, mocker: MockerFixture,
    motor: Any, detector: Any,
) -> None:  # fmt: skip
    # calls: header, start, descriptor, two events, then nothing more
    mocker.patch("os.write", FullDisk(6))
    with pytest.raises(RecordError, match=r"cannot write .*_scan_.*\.journal: No space left on device"):
        engine(bp.scan([detector], motor, -1, 1, 5))
    mocker.stopall()
    assert [name for name, _ in seen] == ["start", "descriptor", "event", "event"]
    assert recorder.path is None
    assert recorder.journals == ()
    (journal,) = tmp_path.iterdir()
    assert list(JournalReader(journal).documents()) == seen
    recovered = recover(journal)
    assert recovered.missing == "the stop document"
    assert encode(list(documents(recovered.path))) == encode(seen)


def test_a_disk_that_is_full_for_a_moment_costs_one_event_and_says_so(
    engine: RunEngine,
    recorder: Recorder,
    tmp_path: Path,
    mocker: MockerFixture,
    motor: Any,
    detector: Any,
) -> None:
    mocker.patch("os.write", FullDisk(6, once=True))
    with pytest.raises(RecordError, match="No space left on device"):
        engine(bp.scan([detector], motor, -1, 1, 5))
    run = Run(recorded(recorder))
    assert run.stop is not None
    assert run.stop["exit_status"] == "fail"
    assert "No space left on device" in run.stop["reason"]
    assert run.missing == "1 of 3 events of stream 'primary'"
    assert names(tmp_path) == [".h5"]


def test_a_failed_sync_aborts_the_run_and_names_the_file(
    engine: RunEngine, recorder: Recorder, tmp_path: Path, mocker: MockerFixture, motor: Any
) -> None:
    really_sync = os.fsync
    calls = iter(range(100))

    def sync(descriptor: int) -> None:
        if next(calls) == 5:  # header, folder, start, descriptor, one event, this
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really_sync(descriptor)

    mocker.patch("os.fsync", sync)
    with pytest.raises(RecordError, match=r"cannot write .*\.journal: Input/output error"):
        engine(bp.count([motor], 5))
    mocker.stopall()
    assert recorder.path is None
    (journal,) = tmp_path.iterdir()
    assert [name for name, _ in JournalReader(journal).documents()][:3] == ["start", "descriptor", "event"]


def test_a_full_disk_in_the_tags_aborts_the_run(
    engine: RunEngine, recorder: Recorder, mocker: MockerFixture,
    make_tagger: Callable[..., Tagger], tag_points: Callable[..., MsgGenerator],
) -> None:  # fmt: skip
    # journal: header, start, descriptor; segment: header; journal: descriptor, event; segment: its only frame
    mocker.patch("os.write", FullDisk(7, once=True))
    with pytest.raises(RecordError, match=r"cannot write .*\.tags: No space left on device"):
        engine(tag_points(make_tagger(50), 2))
    run = Run(recorded(recorder))
    assert run.stop is not None
    assert run.stop["exit_status"] == "fail"
    assert [event["data"]["tagger_count"] for event in run.events()] == [50]


def test_a_run_that_cannot_be_begun_leaves_nothing_and_the_next_one_is_recorded(
    engine: RunEngine, recorder: Recorder, tmp_path: Path, mocker: MockerFixture, motor: Any
) -> None:
    mocker.patch("os.write", FullDisk(2))
    with pytest.raises(RecordError, match="No space left on device"):
        engine(bp.count([motor], 1))
    mocker.stopall()
    assert list(tmp_path.iterdir()) == []
    engine(bp.count([motor], 1))
    assert Run(recorded(recorder)).stop is not None


def test_a_run_stops_while_there_is_room_to_finish_its_file(tmp_path: Path, motor: Any) -> None:
    engine = RunEngine(context_managers=[])
    recorder = Recorder(tmp_path, reserve_bytes=1 << 62)
    engine.subscribe(recorder)
    with pytest.raises(RecordError, match=r"only \d+ MB are free for .*; 4611686018427 MB are kept"):
        engine(bp.count([motor], 1))
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_would_not_come_back_are_refused_before_the_first_point(
    engine: RunEngine, tmp_path: Path, motor: Any
) -> None:
    class Basis(enum.StrEnum):
        Z = "z"

    with pytest.raises(RecordError, match=r"cannot record start\.basis: no exact encoding for .*Basis"):
        engine(bp.count([motor], 1), basis=Basis.Z)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_finished_leaves_the_journal(
    engine: RunEngine,
    seen: list[Document],
    recorder: Recorder,
    tmp_path: Path,
    mocker: MockerFixture,
    motor: Any,
) -> None:
    mocker.patch("os.replace", side_effect=OSError(errno.EACCES, os.strerror(errno.EACCES)))
    engine(bp.count([motor], 2))
    with pytest.raises(RecordError, match=r"cannot build .*\.h5 from .*\.journal: .*Permission denied"):
        recorder.wait()
    mocker.stopall()
    (journal,) = tmp_path.iterdir()
    assert recorder.path is None
    recovered = recover(journal)
    assert recovered.missing == ""
    assert encode(list(documents(recovered.path))) == encode(seen)


def test_the_next_run_is_refused_when_the_file_of_the_last_could_not_be_built(
    engine: RunEngine, recorder: Recorder, mocker: MockerFixture, motor: Any
) -> None:
    mocker.patch("os.replace", side_effect=OSError(errno.EACCES, os.strerror(errno.EACCES)))
    engine(bp.count([motor], 1))
    with contextlib.suppress(RecordError):
        recorder._building[0].result()
    with pytest.raises(RecordError, match="cannot build"):
        engine(bp.count([motor], 1))
    mocker.stopall()
    engine(bp.count([motor], 1))
    assert len(Run(recorded(recorder)).table()["motor"]) == 1


def test_a_long_run_has_a_file_while_it_goes_on(
    tmp_path: Path, mocker: MockerFixture, make_tagger: Callable[..., Tagger], joined: Callable
) -> None:
    mocker.patch("qdci_lab.record.recorder._REST_AFTER_BUILD", 0.0)
    recorder, engine = Recorder(tmp_path, build_interval_s=0.0), RunEngine(context_managers=[])
    engine.subscribe(recorder)
    tagger, kept = make_tagger(100, 200), tmp_path / "kept.h5"

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan() -> MsgGenerator:
        yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        for _ in range(2):
            yield from bps.trigger_and_read([tagger])
            yield from bps.collect(tagger.tags, name="tags")
            recorder._builder.submit(lambda: None).result()
        shutil.copy(next(tmp_path.glob("*.h5")), kept)

    engine(plan())
    live = Run(kept)
    verify(kept)
    assert live.missing == "the stop document"
    assert live.table()["tagger_count"].tolist()[:1] == [100]
    assert Run(recorded(recorder)).missing == ""
    assert joined(Run(recorded(recorder)).tags())[0].size == 300


def test_room_for_the_file_grows_with_what_was_recorded(
    tmp_path: Path, mocker: MockerFixture, make_tagger: Callable[..., Tagger], tag_points: Callable
) -> None:
    recorder, engine = Recorder(tmp_path, reserve_bytes=1000), RunEngine(context_managers=[])
    engine.subscribe(recorder)
    usage = mocker.patch("shutil.disk_usage")
    usage.return_value.free = 20_000
    with pytest.raises(RecordError, match=r"only 0 MB are free for .*; 0 MB are kept for finishing the file"):
        engine(tag_points(make_tagger(10_000, reserve_bytes=0), 3))
    run = Run(recorded(recorder))
    assert len(run.table()["tagger_count"]) == 1


def test_tags_that_vanish_are_reported_and_the_journal_is_kept(
    engine: RunEngine, recorder: Recorder, tmp_path: Path, make_tagger: Callable[..., Tagger]
) -> None:
    tagger = make_tagger(100)

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan() -> MsgGenerator:
        yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        yield from bps.trigger_and_read([tagger])
        yield from bps.collect(tagger.tags, name="tags")
        next(tmp_path.glob("*.tags")).unlink()

    engine(plan())
    with pytest.raises(RecordError, match=r"\.h5 lacks 100 of 100 tags of stream 'tags'; its journal"):
        recorder.wait()
    assert names(tmp_path) == [".h5", ".journal"]
    file: Any = h5py.File(recorded(recorder))
    with file:
        assert bool(file["entry"].attrs["incomplete"]) is True


def test_runs_that_overlap_are_kept_apart(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    bundles = [compose_run(metadata={"plan_name": f"plan {number}"}) for number in range(2)]
    key = {"x": {"source": "s", "dtype": "number", "shape": []}}
    descriptors = []
    for bundle in bundles:
        recorder("start", bundle.start_doc)
    for bundle in bundles:
        descriptors.append(bundle.compose_descriptor("primary", key))
        recorder("descriptor", descriptors[-1].descriptor_doc)
    for value, descriptor in enumerate(descriptors):
        recorder("event", descriptor.compose_event({"x": float(value)}, {"x": 0.0}))
    assert [path.name.split("_", 1)[1][:6] for path in recorder.journals] == ["plan_0", "plan_1"]
    for value, bundle in enumerate(bundles):
        recorder("stop", bundle.compose_stop())
        assert Run(recorded(recorder)).table()["x"].tolist() == [value]
    assert names(tmp_path) == [".h5", ".h5"]


def test_documents_of_no_open_run_are_refused(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    with pytest.raises(RecordError, match="a document 'event' that belongs to no open run"):
        recorder("event", {"descriptor": "unknown"})


def test_a_finished_file_is_never_written_over(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    bundle = compose_run()
    recorder("start", bundle.start_doc)
    recorder("stop", bundle.compose_stop())
    recorder.wait()
    with pytest.raises(RecordError, match=r"_run_.*\.h5 exists already"):
        recorder("start", bundle.start_doc)


def test_equal_journals_give_equal_files(
    engine: RunEngine, tmp_path: Path, make_tagger: Callable[..., Tagger]
) -> None:
    tagger = make_tagger(5000)
    journals: list[Path] = []

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator(md={"plot": {"x": "tagger_first", "y": ["tagger_count"]}})
    def plan() -> MsgGenerator:
        yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        yield from bps.trigger_and_read([tagger])
        yield from bps.collect(tagger.tags, name="tags")
        journals.extend(tmp_path.glob("*.journal"))
        for target in ("a.h5", "b.h5"):
            build(journals[0], tmp_path / target)

    engine(plan())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert Run(tmp_path / "a.h5").missing == "the stop document"
