"""A run in a process of its own: killed, recovered, replayed into a bluesky callback, read by a bare h5py script."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.callbacks import LiveTable
from bluesky.utils import MsgGenerator
from event_model import DocumentNames, DocumentRouter, schema_validators
from ophyd.sim import SynAxis, SynGauss

from qdci_lab.record.encoding import encode
from qdci_lab.record.journal import Document
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.recovery import recover
from qdci_lab.record.replay import Run, documents, open_tags, verify
from qdci_lab.record.tag_stream import TagStream

ROOT = Path(__file__).parents[2]

# Runs until it is killed, and says on a line of its own which event has been acknowledged, and with which tags.
ENDLESS_RUN = """
import itertools, sys
from pathlib import Path
import bluesky.plan_stubs as bps, bluesky.preprocessors as bpp, numpy as np
from bluesky import RunEngine
from ophyd.sim import SynAxis
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.tag_stream import TagStream

folder = Path(sys.argv[1])
motor = SynAxis(name="motor")

class Tags:
    name, parent = "tags", None
    stream = TagStream("tags", folder)
    describe_collect = stream.data_keys
    collect_asset_docs = stream.asset_docs
    def get_index(self):
        return self.stream.count

tags = Tags()

@bpp.run_decorator(md={"plan_name": "endless"})
def plan():
    tags.stream.stage()
    yield from bps.declare_stream(tags, name="tags", collect=True)
    for point in itertools.count():
        tags.stream.append(np.arange(1000) + 1000 * point, np.full(1000, 1 + point % 4, np.uint8))
        yield from bps.collect(tags, name="tags")
        yield from bps.mv(motor, point)
        yield from bps.trigger_and_read([motor])

engine = RunEngine(context_managers=[])
recorder = Recorder(folder)
engine.subscribe(recorder)
engine.subscribe(lambda name, document: print(document["seq_num"], flush=True) if name == "event" else None)
engine(plan())
"""

BARE_SCRIPT = """
import json, sys
import h5py, hdf5plugin

with h5py.File(sys.argv[1]) as file:
    tags = file["entry/tags"]
    first, count = tags["point_first"][1], tags["point_count"][1]
    print(json.dumps({
        "source": file["entry"].attrs["source"],
        "y": file["entry/primary/detector"][:].tolist(),
        "times": tags["time"][first : first + count].tolist(),
        "channels": tags["channel"][first : first + count].tolist(),
        "units": tags["time"].attrs["units"],
    }))
"""


class Tags:
    """Collects tags that the plan appends."""

    parent = None
    name = "tags"

    def __init__(self, directory: Path) -> None:
        self.stream = TagStream("tags", directory)

    def describe_collect(self) -> dict[str, Any]:
        return self.stream.data_keys()

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        return self.stream.asset_docs(index)

    def get_index(self) -> int:
        return self.stream.count


def test_what_a_killed_run_acknowledged_is_recovered(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split()]
    finally:
        process.kill()
        process.communicate()
    (journal,) = tmp_path.glob("*.journal")
    before = list(documents(journal))
    recovered = recover(journal)
    assert "the stop document" in recovered.missing
    assert "tags of stream" not in recovered.missing
    assert encode(list(documents(recovered.path))) == encode(before)
    table = Run(recovered.path).table()
    assert set(acknowledged) <= set(table["seq_num"].tolist())
    assert table["motor"].tolist() == list(range(len(table["motor"])))
    times = np.concatenate([times for times, _ in open_tags(recovered.path)])
    assert len(times) >= 1000 * len(acknowledged)
    assert np.array_equal(times, np.arange(len(times)))
    verify(recovered.path)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Document], list[str]]:
    """A file of a run with a baseline, tags and a change of configuration; the documents; the table seen live."""
    folder = tmp_path_factory.mktemp("recorded")
    engine, recorder, seen = RunEngine(context_managers=[]), Recorder(folder), []
    motor: Any = SynAxis(name="motor", labels={"motors"})
    detector: Any = SynGauss("detector", motor, "motor", center=0, Imax=1, sigma=1)
    tags: Any = Tags(folder)
    lines: list[str] = []

    @bpp.baseline_decorator([SynAxis(name="stage")])
    @bpp.run_decorator(md={"plan_name": "sweep", "source": "twin", "seed": 5, "shape": (3,)})
    def plan() -> MsgGenerator:
        tags.stream.stage()
        yield from bps.declare_stream(tags, name="tags", collect=True)
        for point in range(3):
            if point == 2:
                yield from bps.configure(detector, {"Imax": 2})
            yield from bps.mv(motor, point)
            tags.stream.append(np.arange(10) + 100 * point, np.full(10, point + 1, np.uint8))
            yield from bps.trigger_and_read([motor, detector])
            yield from bps.collect(tags, name="tags")

    engine.subscribe(recorder)
    engine.subscribe(lambda name, document: seen.append((name, document)))
    engine.subscribe(LiveTable(["motor", "detector"], out=lines.append))
    engine(plan())
    tags.stream.unstage()
    assert recorder.path is not None
    return recorder.path, seen, lines


def test_replay_gives_every_document_in_order_and_valid(recorded: tuple) -> None:
    path, seen, _ = recorded
    replayed = list(documents(path))
    assert encode(replayed) == encode(seen)
    for name, document in replayed:
        schema_validators[DocumentNames[name]].validate(document)
    assert [document["name"] for name, document in replayed if name == "descriptor"].count("primary") == 2


def test_a_callback_cannot_tell_replay_from_the_run(recorded: tuple) -> None:
    path, _, live = recorded
    lines: list[str] = []
    table = LiveTable(["motor", "detector"], out=lines.append)
    router = DocumentRouter()
    for name, document in documents(path):
        router(name, document)
        table(name, document)
    assert lines == live
    assert any("detector" in line for line in lines)


def test_a_run_replayed_into_a_recorder_is_the_same_run(recorded: tuple, tmp_path: Path) -> None:
    """Tags are taken in by reference, so a second recording of the same documents says that they are elsewhere."""
    path, _, _ = recorded
    without_tags = [
        (name, document)
        for name, document in documents(path)
        if name not in ("stream_resource", "stream_datum")
    ]
    again = Recorder(tmp_path)
    for name, document in without_tags:
        again(name, document)
    assert again.path is not None
    assert again.path.name == path.name
    assert encode(list(documents(again.path))) == encode(without_tags)
    first, second = Run(path).table(), Run(again.path).table()
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_a_bare_h5py_script_reads_the_file(recorded: tuple) -> None:
    path, _, _ = recorded
    done = subprocess.run(
        [sys.executable, "-c", BARE_SCRIPT, str(path)], capture_output=True, text=True, check=True
    )
    read = json.loads(done.stdout)
    assert read["source"] == "twin"
    assert read["units"] == "ps"
    assert read["times"] == [100 + n for n in range(10)]
    assert read["channels"] == [2] * 10
    assert read["y"] == Run(path).table()["detector"].tolist()
