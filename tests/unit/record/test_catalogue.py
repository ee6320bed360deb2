"""The catalogue: every run of a folder in a line, finished, running, interrupted or damaged; search by metadata."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from event_model import compose_run

from qdci_lab.cli import main
from qdci_lab.errors import RecordError
from qdci_lab.record.catalogue import Catalogue
from qdci_lab.record.recorder import Recorder

KEY = {"rate": {"source": "s", "dtype": "number", "shape": [], "units": "kb/s"}}


def record(
    recorder: Recorder, time_s: float, values: list[float], *, stop: str | None = "success", **metadata: Any
) -> str:
    bundle: Any = compose_run(
        metadata={"hints": {"dimensions": [(["time"], "primary")]}, **metadata}, time=time_s
    )
    descriptor: Any = bundle.compose_descriptor(
        "primary", KEY, hints={"link": {"fields": ["rate"]}}, object_keys={"link": ["rate"]}
    )
    recorder("start", bundle.start_doc)
    recorder("descriptor", descriptor.descriptor_doc)
    for value in values:
        recorder("event", descriptor.compose_event({"rate": value}, {"rate": 0.0}))
    if stop is not None:
        recorder("stop", bundle.compose_stop(exit_status=stop))
    return bundle.start_doc["uid"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run, a failed one, one that is being written, one whose program is gone, a damaged file."""
    recorder = Recorder(tmp_path)
    record(recorder, 1e9, [1.0, 3.0], plan_name="count", testbed="ji_mcf", plan_args={"core": 1})
    record(recorder, 1.1e9, [2.0], stop="fail", plan_name="sweep", testbed="ji_mcf", plan_args={"core": 2})
    recorder.wait()
    (tmp_path / "20200101-000000_bad_00000000.h5").write_bytes(b"no file")
    return tmp_path


def test_each_run_has_a_line_with_plan_testbed_result_and_status(folder: Path) -> None:
    recorder = Recorder(folder)
    record(recorder, 1.7e9, [5.0], stop=None, plan_name="long", testbed="other")
    lines = repr(Catalogue(folder)).splitlines()
    assert lines[0] == f"4 runs in {folder}"
    assert [word in lines[1] for word in ("count", "ji_mcf", "success", "2 points, rate 1 to 3 kb/s")] == [
        True
    ] * 4
    assert "fail" in lines[2]
    assert "unreadable" in lines[3]
    assert "running" in lines[4]
    assert "1 point, rate 5 kb/s" in lines[4]


def test_a_run_that_is_being_written_is_seen_event_by_event(folder: Path) -> None:
    recorder = Recorder(folder)
    uid = record(recorder, 1.7e9, [5.0, 6.0], stop=None, plan_name="long")
    assert Catalogue(folder)[uid[:8]].table()["rate"].tolist() == [5.0, 6.0]
    assert Catalogue(folder)[-1].start["uid"] == uid
    with pytest.raises(RecordError, match="no run in"):
        Catalogue(folder)["nothing"]


def test_a_run_whose_program_is_gone_is_interrupted(tmp_path: Path) -> None:
    script = f"""
import os, sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from event_model import compose_run
from qdci_lab.record.recorder import Recorder
Recorder(Path({str(tmp_path)!r}))("start", compose_run(metadata={{"plan_name": "killed"}}).start_doc)
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    (summary,) = Catalogue(tmp_path).summaries()
    assert "interrupted" in str(summary)


@pytest.mark.parametrize(
    ("terms", "plans"),
    [
        (["JI"], ["count", "sweep"]),
        (["plan_args.core=2"], ["sweep"]),
        (["plan_name=count", "ji"], ["count"]),
        (["plan_name=coun"], []),
    ],
)
def test_runs_are_searched_by_metadata(folder: Path, capsys: Any, terms: list[str], plans: list[str]) -> None:
    assert [run.start["plan_name"] for run in Catalogue(folder).search(*terms)] == plans
    words = [word for term in terms for word in ("--search", term)]
    assert main(["runs", str(folder), "--json", *words]) == 0
    assert [json.loads(line)["plan_name"] for line in capsys.readouterr().out.splitlines()] == plans


def test_a_search_can_name_keys_as_arguments(folder: Path) -> None:
    assert len(Catalogue(folder).search(plan_args__core=1)) == 1
    assert len(Catalogue(folder).search("ji", plan_name="sweep")) == 1


def test_what_was_left_behind_is_recovered_by_one_command(tmp_path: Path, capsys: Any) -> None:
    recorder = Recorder(tmp_path)
    record(recorder, 1.7e9, [5.0], stop=None, plan_name="long")
    (journal,) = tmp_path.glob("*.journal")
    assert main(["recover", str(journal)]) == 1
    assert "is still being written" in capsys.readouterr().err
    left = tmp_path / "left"
    left.mkdir()
    (left / journal.name).write_bytes(journal.read_bytes())
    assert main(["recover", str(left), "--out", str(tmp_path / "left")]) == 0
    assert [path.suffix for path in sorted(left.iterdir())] == [".h5", ".journal"]
    next(left.glob("*.h5")).unlink()
    assert main(["recover", str(left)]) == 0
    assert "3 documents; missing: the stop document" in capsys.readouterr().out
    assert [path.suffix for path in left.iterdir()] == [".h5"]
    assert main(["recover", str(left)]) == 0
    assert "nothing was left behind" in capsys.readouterr().out
