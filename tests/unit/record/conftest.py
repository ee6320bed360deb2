"""A tagger as bluesky sees one: a readable detector, and beside it the collectable stream of its tags."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from ophyd import Component, Device, Signal
from ophyd.status import Status

from qdci_lab.record.journal import Document
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.tag_stream import TagStream
from qdci_lab.record.time_tags import TagBlock


class FakeTags:
    """The collectable half: everything it answers comes from its `TagStream`."""

    def __init__(self, name: str, directory: Path, **options: Any) -> None:
        self.name = name
        self.parent = None
        self.stream = TagStream(name, directory, source="fake tagger", **options)

    def describe_collect(self) -> dict[str, Any]:
        return self.stream.data_keys()

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        return self.stream.asset_docs(index)

    def get_index(self) -> int:
        return self.stream.count


class FakeTagger(Device):
    """Each trigger delivers the next of the prepared acquisitions (the last one again when they run out)."""

    first = Component(Signal, value=0, kind="normal")
    count = Component(Signal, value=0, kind="hinted")

    def __init__(self, directory: Path, acquisitions: Sequence[int], **options: Any) -> None:
        super().__init__(name="tagger")
        self.tags = FakeTags("tagger_tags", directory, **options)
        self.acquisitions = list(acquisitions)
        self.triggers = 0
        self.delivered: list[tuple[np.ndarray, np.ndarray]] = []
        self._rng = np.random.default_rng(7)
        self._last_ps = 0

    def stage(self) -> list[object]:
        self.tags.stream.stage()
        return super().stage()

    def unstage(self) -> list[object]:
        self.tags.stream.unstage()
        return super().unstage()

    def trigger(self) -> Status:
        count = self.acquisitions[min(self.triggers, len(self.acquisitions) - 1)]
        self.triggers += 1
        times = self._last_ps + np.cumsum(self._rng.integers(1, 2_000_000, count))
        channels = self._rng.integers(1, 5, count).astype(np.uint8)
        self._last_ps = int(times[-1]) if count else self._last_ps
        self.first.put(self.tags.stream.append(times, channels))
        self.count.put(count)
        self.delivered.append((times, channels))
        status = Status(timeout=5)
        status.set_finished()
        return status

    def all_tags(self) -> TagBlock:
        return _joined(self.delivered)


def tag_points(tagger: Any, points: int, md: dict[str, Any] | None = None) -> MsgGenerator:
    """Declare the stream once, then trigger, read and collect at each point."""

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator(md={"plan_name": "tag_points", **(md or {})})
    def run() -> MsgGenerator:
        if tagger.tags.stream.kept:
            yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        for _ in range(points):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([tagger])
            if tagger.tags.stream.kept:
                yield from bps.collect(tagger.tags, name="tags")

    return (yield from run())


@pytest.fixture
def make_tagger(tmp_path: Path) -> Callable[..., FakeTagger]:
    """Builds a tagger that delivers so many tags at each trigger."""
    return lambda *acquisitions, **options: FakeTagger(tmp_path, acquisitions, **options)


@pytest.fixture(name="tag_points")
def tag_points_plan() -> Callable[..., MsgGenerator]:
    """The plan `tag_points(tagger, points, md)`."""
    return tag_points


@pytest.fixture
def joined() -> Callable[[Iterable[TagBlock]], TagBlock]:
    """Joins blocks of tags into one."""
    return _joined


@pytest.fixture
def engine(recorder: Recorder) -> RunEngine:
    """A RunEngine with the recorder as its first subscriber."""
    engine = RunEngine(context_managers=[])
    engine.subscribe(recorder)
    return engine


@pytest.fixture
def seen(engine: RunEngine) -> list[Document]:
    """Deep copies of the documents that callbacks behind the recorder get."""
    collected: list[Document] = []
    engine.subscribe(lambda name, document: collected.append((name, copy.deepcopy(document))))
    return collected


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Records into the test's folder."""
    return Recorder(tmp_path)


def _joined(blocks: Iterable[TagBlock]) -> TagBlock:
    parts = list(blocks)
    times = np.concatenate([np.empty(0, np.int64), *(times for times, _ in parts)])
    return times, np.concatenate([np.empty(0, np.uint8), *(channels for _, channels in parts)])
