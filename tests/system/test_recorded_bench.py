"""A plan run again on recorded data: the same tags give the same key rate, and what was not measured is refused."""

import io
import json

import pytest
from rich.console import Console

from qdci_lab.cli import main
from qdci_lab.errors import RecordError
from qdci_lab.experiment import compare_with_raw_data, run_experiment
from qdci_lab.record.replay import Run

POWERS_DBM = [-10.0, 12.0]


def run(folder, directory, recorded=None, **arguments):
    return run_experiment(
        folder, "skr_vs_launch_power",
        {"launch_powers_dbm": POWERS_DBM, "detections": 5e4, "align": False, **arguments},
        addresses="sim.toml", directory=directory, console=Console(file=io.StringIO()), recorded=recorded,
        seed=None if recorded else 3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(testbed_folder, tmp_path_factory):
    return run(testbed_folder, tmp_path_factory.mktemp("recorded"))


def test_the_same_plan_gives_the_same_numbers(recorded, testbed_folder, tmp_path, console):
    again = run(testbed_folder, tmp_path, recorded.file)
    assert again.points == recorded.points
    first, second = Run(recorded.file), Run(again.file)
    assert second.start["source"] == "replay"
    assert second.start["replayed_from"]["uid"] == first.start["uid"]
    assert "seed" not in second.start
    assert compare_with_raw_data(again.file, console) == []
    for key in ("power_meter_power", "launch_voa_attenuation", "link_launch_power"):
        name = next((known for known in first.table() if known.endswith(key)), key)
        assert second.table()[name].tolist() == first.table()[name].tolist()


def test_points_are_found_by_what_the_plan_sets(recorded, testbed_folder, tmp_path, capsys):
    code = main(
        ["run", str(testbed_folder), "skr_vs_launch_power", "--from", str(recorded.file), "--out", str(tmp_path),
         "--set", "launch_powers_dbm=[12, -10]", "--set", "align=false", "--json"]
    )  # fmt: skip
    assert code == 0
    points = json.loads(capsys.readouterr().out.splitlines()[-1])["points"]
    assert points == recorded.points[::-1]


def test_what_was_not_recorded_is_refused(recorded, testbed_folder, tmp_path):
    with pytest.raises(RecordError, match=r"no further one, with .*launch_power = 5"):
        run(testbed_folder, tmp_path, recorded.file, launch_powers_dbm=[5.0])
    with pytest.raises(RecordError, match=r"with switch_connections = "):
        run(testbed_folder, tmp_path, recorded.file, core=2)


def test_without_tags_the_recorded_results_are_given(recorded, testbed_folder, tmp_path):
    bare = run(testbed_folder, tmp_path / "bare", recorded.file, keep_tags=False)
    again = run(testbed_folder, tmp_path / "again", bare.file, keep_tags=False)
    assert again.points == bare.points
    assert bare.points == recorded.points
