"""Sweeps: each row carries its point, a part goes on where another ended, and no pause loses or doubles a row."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import Msg, MsgGenerator, RunEngineInterrupted
from ophyd.sim import SynAxis

from qdci_lab.errors import RecordError
from qdci_lab.record.parts import JoinedRun, complete_points, parts_of
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.recovery import recover
from qdci_lab.record.replay import Run
from qdci_lab.sweep import resumed, sweep

POINTS = [3.0, 1.0, 4.0, 1.5]


def sweep_plan(
    motor: Any,
    tagger: Any,
    points: list[float],
    *,
    fail_at: float | None = None,
) -> MsgGenerator:
    def measure(point: float) -> MsgGenerator:
        yield from bps.mv(motor, point)
        yield from bps.trigger_and_read([motor, tagger])
        if point == fail_at:
            raise RuntimeError("the light went out")
        yield from bps.collect(tagger.tags, name="tags")

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator(md={"plan_name": "sweep_plan", "num_points": len(points)})
    def run() -> MsgGenerator:
        yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        yield from sweep(points, measure)

    return (yield from run())


@pytest.fixture
def motor() -> Any:
    return SynAxis(name="motor")


@pytest.fixture
def tagger(make_tagger: Callable[..., Any]) -> Any:
    return make_tagger(10, 20, 30, 40, 50, 60)


def finished(recorder: Recorder) -> Run:
    assert recorder.path is not None
    return Run(recorder.path)


def test_every_row_carries_the_number_of_its_point(
    engine: RunEngine, recorder: Recorder, motor: Any, tagger: Any
) -> None:
    engine(sweep_plan(motor, tagger, POINTS))
    run = finished(recorder)
    table = run.table()
    assert table["sweep_point"].tolist() == [1, 2, 3, 4]
    assert table["motor"].tolist() == POINTS
    assert complete_points(run) == {1: "3.0", 2: "1.0", 3: "4.0", 4: "1.5"}


def test_a_sweep_that_failed_goes_on_behind_its_last_complete_point(
    engine: RunEngine, recorder: Recorder, motor: Any, tagger: Any
) -> None:
    with pytest.raises(RuntimeError):
        engine(sweep_plan(motor, tagger, POINTS, fail_at=4.0))
    first = finished(recorder)
    assert first.table()["sweep_point"].tolist() == [1, 2, 3]
    assert sorted(complete_points(first)) == [1, 2]
    engine(resumed(sweep_plan(motor, tagger, POINTS), first))
    second = finished(recorder)
    assert second.table()["motor"].tolist() == [4.0, 1.5]
    assert second.start["num_points"] == 2
    assert second.start["resumes"]["uid"] == first.start["uid"]
    assert sorted(complete_points(second)) == [1, 2, 3, 4]
    joined = JoinedRun(second.path)
    assert joined.table()["motor"].tolist() == POINTS
    assert joined.table()["sweep_point"].tolist() == [1, 2, 3, 4]
    assert [event["data"]["motor"] for event in joined.events()] == POINTS


def test_a_third_part_knows_the_points_of_both_before(
    engine: RunEngine, recorder: Recorder, motor: Any, tagger: Any
) -> None:
    runs: list[Run] = []
    for fail_at in (1.0, 4.0, None):
        plan = sweep_plan(motor, tagger, POINTS, fail_at=fail_at)
        if runs:
            plan = resumed(plan, runs[-1])
        if fail_at is None:
            engine(plan)
        else:
            with pytest.raises(RuntimeError):
                engine(plan)
        runs.append(finished(recorder))
    assert [part.path for part in parts_of(runs[-1])] == [run.path for run in runs]
    assert JoinedRun(runs[-1].path).table()["motor"].tolist() == POINTS
    runs[0].path.unlink()
    with pytest.raises(RecordError, match="which this run continues, is not there"):
        JoinedRun(runs[-1].path)


def test_another_sweep_is_not_taken_for_the_recorded_one(
    engine: RunEngine, recorder: Recorder, motor: Any, tagger: Any
) -> None:
    engine(sweep_plan(motor, tagger, POINTS[:2]))
    first = finished(recorder)
    with pytest.raises(RecordError, match=r"point 2 of this sweep is 7\.0, of the recorded one 1\.0"):
        engine(resumed(sweep_plan(motor, tagger, [3.0, 7.0]), first))


def test_a_journal_that_was_left_behind_gives_the_points_to_go_on_from(
    engine: RunEngine, motor: Any, tagger: Any, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()

    engine(_forwarding(sweep_plan(motor, tagger, POINTS), motor, tmp_path, kept))
    (journal,) = kept.glob("*.journal")
    run = Run(recover(journal).path)
    assert complete_points(run) == {1: "3.0", 2: "1.0"}


def _forwarding(plan: MsgGenerator, motor: Any, live: Path, kept: Path) -> MsgGenerator:
    """The plan; journal and segments are copied when the third point begins."""

    def copied(message: Msg) -> Msg:
        if message.command == "checkpoint" and motor.position == 1.0:
            for path in (*live.glob("*.journal"), *live.glob("*.tags")):
                (kept / path.name).write_bytes(path.read_bytes())
        return message

    return (yield from bpp.msg_mutator(plan, copied))


def messages_of(plan: MsgGenerator) -> int:
    """How many messages a run of the plan has, by running it."""
    seen: list[Msg] = []
    engine = RunEngine(context_managers=[])
    engine.msg_hook = seen.append
    engine(plan)
    return len(seen)


def pausing_before(plan: MsgGenerator, number: int) -> MsgGenerator:
    """The plan, with a pause in front of its message of that number."""
    count = iter(range(10_000))

    def paused(message: Msg) -> tuple[MsgGenerator | None, None]:
        return (_paused(message), None) if next(count) == number else (None, None)

    return (yield from bpp.plan_mutator(plan, paused))


def _paused(message: Msg) -> Iterator[Msg]:
    yield Msg("pause", None, defer=False)
    return (yield message)


def test_a_run_paused_at_each_message_in_turn_never_loses_doubles_or_mislabels_a_row(
    tmp_path: Path, motor: Any, make_tagger: Callable[..., Any], joined: Callable
) -> None:
    points = POINTS[:2]
    total = messages_of(sweep_plan(motor, make_tagger(5), points))
    interrupted = 0
    for number in range(total):
        tagger = make_tagger(10, 20, 30, 40, 50, 60)
        recorder = Recorder(tmp_path)
        engine = RunEngine(context_managers=[])
        engine.subscribe(recorder)
        try:
            engine(pausing_before(sweep_plan(motor, tagger, points), number))
        except RunEngineInterrupted:
            interrupted += 1
            engine.resume()
        run = finished(recorder)
        table = run.table()
        assert table["sweep_point"].tolist() == [1, 2], number
        assert table["motor"].tolist() == points, number
        assert table["seq_num"].tolist() == [1, 2], number
        assert sorted(complete_points(run)) == [1, 2], number
        for first, count in zip(table["tagger_first"], table["tagger_count"], strict=True):
            times, _ = joined(run.tags(int(first), int(count)))
            assert any(np.array_equal(times, delivered) for delivered, _ in tagger.delivered), number
        assert run.missing == "", number
    assert interrupted > total // 2
