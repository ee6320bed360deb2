"""A recorded run replayed into programs that know nothing of us: Tiled, bluesky's own callbacks, a script with h5py."""

import json
import re
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
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.utils import MsgGenerator
from event_model import compose_run
from ophyd.sim import SynAxis, SynGauss

from qdci_lab.errors import RecordError
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.replay import documents, open_tags, portable_documents
from qdci_lab.record.tag_stream import TagStream

ROOT = Path(__file__).parents[2]
POINTS = 3

# A server of Tiled in this process, reached over its HTTP interface; prints what a client reads from it.
INTO_TILED = """
import json, sys
from pathlib import Path
from tiled.catalog import in_memory
from tiled.client import Context, from_context
from tiled.server.app import build_app
from bluesky.callbacks.tiled_writer import TiledWriter
from qdci_lab.record.replay import portable_documents

path, storage = Path(sys.argv[1]), Path(sys.argv[2])
catalog = in_memory(
    writable_storage=[f"file://localhost{storage}", f"duckdb:///{storage}/events.db"],
    readable_storage=[str(path.parent)],
)
with Context.from_app(build_app(catalog)) as context:
    client = from_context(context)
    writer = TiledWriter(client)
    for name, document in portable_documents(path):
        writer(name, document)
    run = client[sys.argv[3]]
    print(json.dumps({
        "plan": run.metadata["start"]["plan_name"],
        "detector": run["primary"]["detector"].read().tolist(),
        "times": run["tags"]["tags_time"][:].tolist(),
        "channels": run["tags"]["tags_channel"][:].tolist(),
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


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with three points and ten tags at each."""
    folder = tmp_path_factory.mktemp("recorded")
    engine, recorder = RunEngine(context_managers=[]), Recorder(folder)
    motor: Any = SynAxis(name="motor", labels={"motors"})
    detector: Any = SynGauss("detector", motor, "motor", center=0, Imax=1, sigma=1)
    tags: Any = Tags(folder)

    @bpp.run_decorator(md={"plan_name": "sweep", "hints": {"dimensions": [(["motor"], "primary")]}})
    def plan() -> MsgGenerator:
        tags.stream.stage()
        yield from bps.declare_stream(tags, name="tags", collect=True)
        for point in range(POINTS):
            yield from bps.mv(motor, point)
            tags.stream.append(np.arange(10) + 100 * point, np.full(10, point + 1, np.uint8))
            yield from bps.trigger_and_read([motor, detector])
            yield from bps.collect(tags, name="tags")

    engine.subscribe(recorder)
    engine(plan())
    tags.stream.unstage()
    assert recorder.path is not None
    return recorder.path


def test_tiled_serves_the_rows_and_the_tags_of_a_replayed_run(recorded: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="tiled's server is not installed")
    pytest.importorskip("pyarrow", reason="bluesky's writer for Tiled needs it")
    uid = next(documents(recorded))[1]["uid"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INTO_TILED, str(recorded), str(tmp_path), uid],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["plan"] == "sweep"
    assert read["detector"] == pytest.approx([1.0, np.exp(-0.5), np.exp(-2.0)])
    times, channels = (np.concatenate(column).tolist() for column in zip(*open_tags(recorded), strict=True))
    assert read["times"] == times
    assert read["channels"] == channels


def test_the_best_effort_callback_prints_the_run(recorded: Path, capsys: Any) -> None:
    callback = BestEffortCallback()
    callback.disable_plots()
    for name, document in documents(recorded):
        callback(name, document)
    printed = capsys.readouterr().out
    assert re.search(r"\|\s+2 \|.*\|\s+1\.000 \|\s+0\.607 \|", printed)


def test_portable_documents_name_columns_of_the_file(recorded: Path) -> None:
    resources = [document for name, document in portable_documents(recorded) if name == "stream_resource"]
    assert [resource["parameters"]["dataset"] for resource in resources] == [
        "/entry/tags/time", "/entry/tags/channel",
    ]  # fmt: skip
    assert all(resource["uri"] == f"file://localhost{recorded}" for resource in resources)
    unchanged = [name for name, _ in documents(recorded)]
    assert [name for name, _ in portable_documents(recorded)] == unchanged


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_a_paced_replay_waits_as_long_as_the_run_took(tmp_path: Path, speed: float) -> None:
    bundle: Any = compose_run(metadata={"plan_name": "slow"}, time=1e9)
    key = {"x": {"source": "s", "dtype": "number", "shape": []}}
    descriptor: Any = bundle.compose_descriptor("primary", key, time=1e9)
    recorder, waits = Recorder(tmp_path), []
    recorder("start", bundle.start_doc)
    recorder("descriptor", descriptor.descriptor_doc)
    for time_s in (1e9 + 4000, 1e9 + 12_000):
        recorder("event", descriptor.compose_event({"x": 1.0}, {"x": 0.0}, time=time_s))
    recorder("stop", bundle.compose_stop(time=1e9 + 12_000))
    assert recorder.path is not None
    replayed = list(documents(recorder.path, speed=speed, wait=waits.append))
    assert len(replayed) == 5
    # The clock goes on while the test does not really wait, so each wait is the time since the beginning.
    assert waits == pytest.approx([4000 / speed, 12_000 / speed, 12_000 / speed], abs=100)
    with pytest.raises(RecordError, match="speed 0: must be greater than zero"):
        next(documents(recorder.path, speed=0))


def test_the_script_of_the_documentation_reads_the_file(recorded: Path) -> None:
    text = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    scripts = [
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "import h5py" in block
    ]
    assert len(scripts) == 1
    script = scripts[0].replace("link_skr_rusca_2018", "detector").replace("link_launch_power", "motor")
    done = subprocess.run(
        [sys.executable, "-c", script, str(recorded)], capture_output=True, text=True, check=True
    )
    assert f"{POINTS} points" in done.stdout
    assert "10 tags" in done.stdout
