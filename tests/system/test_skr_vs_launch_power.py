"""The main experiment on the twin, from the configuration to the file and back."""

import io
import json
import shutil

import numpy as np
import pytest
from ophyd.utils import LimitError
from rich.console import Console

from qdci_lab.experiment import compare_with_raw_data, replay_file, run_experiment
from qdci_lab.record.replay import Run, documents
from tests.physics import closed_form

POWERS_DBM = [-10.0, 12.0]
PLAN = "skr_vs_launch_power"


def run(folder, directory, seed=None, **arguments):
    console = Console(file=io.StringIO(), width=160)
    outcome = run_experiment(
        folder, PLAN, {"launch_powers_dbm": POWERS_DBM, "detections": 1e6, **arguments},
        addresses="sim.toml", directory=directory, console=console, seed=seed,
    )  # fmt: skip
    return outcome, console.file.getvalue()


@pytest.fixture(scope="module")
def recorded(testbed_folder, tmp_path_factory):
    return run(testbed_folder, tmp_path_factory.mktemp("recorded"))


def test_it_ends_with_a_table_a_figure_and_a_file(recorded):
    outcome, printed = recorded
    assert outcome.file.exists()
    assert outcome.figure.read_bytes().startswith(b"\x89PNG")
    assert f"{outcome.file}" in printed
    assert "simulated, seed" in printed
    assert [round(point["launch_power_dbm"]) for point in outcome.points] == POWERS_DBM
    assert all(point["n_z"] >= 1e6 for point in outcome.points)


def test_the_launch_power_is_closed_on_the_tap_to_a_twentieth_of_a_decibel(recorded):
    outcome, _ = recorded
    for point, wanted in zip(outcome.points, POWERS_DBM, strict=True):
        assert abs(point["launch_power_dbm"] - wanted) <= 0.05


def test_more_light_in_the_other_cores_means_more_errors_and_less_key(recorded):
    low, high = recorded[0].points
    assert high["qber_z"] > low["qber_z"] + 0.005
    assert high["skr_bps"] < low["skr_bps"]
    assert low["skr_wiesemann_bps"] < low["skr_bps"]


def test_a_replay_gives_the_same_points_and_every_number_bit_for_bit(recorded, tmp_path, console):
    outcome, _ = recorded
    copy = shutil.copy(outcome.file, tmp_path / "copy.h5")
    replayed = replay_file(copy, console=console)
    assert replayed.points == outcome.points
    assert replayed.figure.read_bytes() == outcome.figure.read_bytes()
    assert compare_with_raw_data(copy, console) == []
    assert "bit for bit" in console.file.getvalue()


def test_a_changed_number_is_noticed_by_the_reanalysis(recorded, console, mocker):
    outcome, _ = recorded
    events = list(Run(outcome.file).events("primary"))
    events[0]["data"]["link_n_z"] += 1
    mocker.patch.object(Run, "events", return_value=iter(events))
    assert [difference.key for difference in compare_with_raw_data(outcome.file, console)] == ["n_z"]


@pytest.mark.parametrize("power_dbm", [-10.0, 12.0])
def test_ten_million_detections_agree_with_a_closed_form_of_another_hand(testbed_folder, tmp_path, power_dbm):
    """Three standard errors for the key rate, which a right program exceeds once in 370 times; the seed is fixed."""
    outcome, _ = run(testbed_folder, tmp_path, launch_powers_dbm=[power_dbm], detections=1e7, keep_tags=False)
    (point,) = outcome.points
    protocol = closed_form.Protocol()
    bench = closed_form.read_bench(testbed_folder / "twin.toml")
    prediction = closed_form.predict(bench, protocol, point["launch_power_dbm"])
    expected_bps = closed_form.key_rate_hz(prediction, protocol, point["n_z"])
    assert abs(point["skr_bps"] - expected_bps) < 3 * point["skr_error_bps"]
    # The alignment leaves up to 0.05 percentage points, and 0.02 are the counting error.
    assert abs(point["qber_z"] - prediction.qber("Z")) < 7e-4
    assert point["n_z"] / point["duration_s"] == pytest.approx(
        closed_form.sifted_hz(prediction, protocol), rel=2e-3
    )


def essence(path):
    """The documents without what may differ between equal runs: times and identifiers."""

    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in DIFFERS}
        if isinstance(value, list | tuple):
            return [strip(item) for item in value]
        return value.tolist() if isinstance(value, np.ndarray) else value

    return [(name, strip(doc)) for name, doc in documents(path)]


DIFFERS = {"uid", "time", "timestamps", "run_start", "descriptor", "uri", "stream_resource", "datum_id"}


def test_the_same_seed_gives_the_same_file_and_another_one_other_tags(testbed_folder, recorded, tmp_path):
    first = recorded[0]
    again, _ = run(testbed_folder, tmp_path / "again")
    assert json.dumps(essence(again.file), default=str) == json.dumps(essence(first.file), default=str)
    assert again.points == first.points
    for mine, theirs in zip(Run(again.file).tags(), Run(first.file).tags(), strict=True):
        assert all(np.array_equal(ours, yours) for ours, yours in zip(mine, theirs, strict=True))
    other, _ = run(testbed_folder, tmp_path / "other", seed=77, launch_powers_dbm=[-10.0])
    assert other.points[0] != first.points[0]
    assert abs(other.points[0]["qber_z"] - first.points[0]["qber_z"]) < 0.003


def test_a_launch_power_out_of_bounds_is_refused_before_anything_moves(testbed_folder, tmp_path):
    with pytest.raises(LimitError, match=r"launch_power.*60 dBm.*bound of 15 dBm"):
        run(testbed_folder, tmp_path, launch_powers_dbm=[-10.0, 60.0])
    assert list(tmp_path.glob("*.h5")) == []


@pytest.mark.parametrize(
    ("arguments", "told"), [({"core": 9}, "core 9"), ({"detections": 0.0}, "detections: 0")]
)
def test_no_argument_that_cannot_be_carried_out_moves_anything(testbed_folder, tmp_path, arguments, told):
    with pytest.raises(LimitError, match=told):
        run(testbed_folder, tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_only_counts_are_kept_on_request(testbed_folder, tmp_path):
    outcome, _ = run(testbed_folder, tmp_path, keep_tags=False, launch_powers_dbm=[-10.0])
    assert outcome.file.stat().st_size < 2_000_000
    assert (
        list(tmp_path.iterdir()) == sorted([outcome.file, outcome.figure])
        or len(list(tmp_path.iterdir())) == 2
    )
