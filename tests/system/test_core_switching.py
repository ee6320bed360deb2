"""The core-switching experiment on the twin, shortened: a few blocks instead of 92 hours of them."""

import io
import re
import shutil
from pathlib import Path

import pytest
from ophyd.utils import LimitError
from rich.console import Console

from drivers.key_distribution.three_state_settings import NOWHERE
from plans.core_switching import core_switching
from qdci_lab.analysis.bb84 import analyse
from qdci_lab.experiment import replay_file, run_experiment
from qdci_lab.reanalysis import link_settings
from qdci_lab.record.replay import Run
from qdci_lab.rehearsal import rehearse
from qdci_lab.session import open_session
from qdci_lab.units import seconds_to_ps

CONFIGS = Path(__file__).parents[2] / "configs"
SHORT = {
    "currents_ma": [0.0, 45.0],
    "blocks": 2,
    "block_detections": 1e5,
    "max_block_s": 60.0,
    "duration_h": 0.15,
}


def run(folder: Path, directory: Path, **arguments):
    console = Console(file=io.StringIO(), width=160)
    return run_experiment(
        folder, "core_switching", {**SHORT, **arguments},
        addresses="sim.toml", directory=directory, console=console, seed=1,
    )  # fmt: skip


def edited(name: str, folder: Path, changes: dict[str, dict[str, str]]) -> Path:
    """A copy of a testbed with patterns replaced in its files, each exactly once."""
    copy = Path(shutil.copytree(CONFIGS / name, folder / name))
    for file, replacements in changes.items():
        text = (copy / file).read_text(encoding="utf-8")
        for pattern, new in replacements.items():
            text, count = re.subn(pattern, new, text)
            assert count == 1, pattern
        (copy / file).write_text(text, encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return run(CONFIGS / "clason_trusted_node", tmp_path_factory.mktemp("recorded"), keep_tags=True)


def interruptions(outcome) -> list[tuple[str, int, float]]:
    entries = (event["data"] for event in Run(outcome.file).events("interruptions"))
    return [(entry["step_reason"], int(entry["step_held_core"]), entry["step_held_for"]) for entry in entries]


def test_cores_take_turns_and_currents_rise_in_each(recorded):
    steps = [(point["core"], point["current_ma"]) for point in recorded.points]
    assert steps[:3] == [(1, 0.0), (1, 45.0), (6, 0.0)]
    assert [point["blocks"] for point in recorded.points[:2]] == [2, 2]
    assert recorded.figure.read_bytes().startswith(b"\x89PNG")


def test_after_each_swap_the_link_is_synchronised_and_aligned_anew_within_minutes(recorded):
    events = interruptions(recorded)
    assert [entry[:2] for entry in events[:2]] == [("synchronisation", 1), ("alignment", 1)]
    assert {entry[:2] for entry in events} >= {("synchronisation", 6), ("alignment", 6)}
    assert all(1.0 < held_for_s < 600.0 for _, _, held_for_s in events)


def test_the_diode_raises_the_errors(recorded):
    dark, lit = recorded.points[:2]
    assert lit["qber_z"] > dark["qber_z"] + 0.002
    # aligned, the errors are those of the decoder and of the darks; 1e5 detections count 0.03 % of them
    assert dark["qber_z"] == pytest.approx(0.0077, abs=0.0012)


def test_the_power_meter_shows_the_diode_at_the_tap(recorded):
    table = Run(recorded.file).table("primary")
    # -24.6 dBm, 1 % of it tapped, 0.1 dB of calibration error
    assert table["noise_power_meter_power"][1] == pytest.approx(-24.6 - 20.0 + 0.1, abs=0.01)


def test_a_replay_gives_the_same_points_and_the_same_figure(recorded, tmp_path, console):
    replayed = replay_file(Path(shutil.copy(recorded.file, tmp_path / "copy.h5")), console=console)
    assert replayed.points == recorded.points
    assert replayed.figure.read_bytes() == recorded.figure.read_bytes()


def test_a_block_comes_out_of_its_recorded_tags_again(recorded):
    """With a lock of its own the analysis may place a tag at the edge of the gate differently."""
    file = Run(recorded.file)
    data = next(iter(file.events("blocks")))["data"]
    blocks = file.tags(int(data["link_first_tag"]), int(data["link_tag_count"]))
    again = analyse(blocks, link_settings(file), seconds_to_ps(data["link_duration"]))
    assert again.counts.n_z == pytest.approx(data["link_n_z"], rel=1e-4)
    assert again.qber_z.value == pytest.approx(data["link_qber_z"], rel=0.01)


def test_condensing_helium_is_waited_out_on_a_switch_of_another_make(tmp_path):
    """The same plan with the matrix spoken to in TL1, and a cryostat that is warm from minute six to minute nine."""
    folder = edited(
        "clason_trusted_node", tmp_path,
        {
            "twin.toml": {
                r"first_condensation_h = 52\.0": "first_condensation_h = 0.1",
                r"\ncondensation_h = 1\.0": "\ncondensation_h = 0.05",
                r'firmware = "polatis_6000"': 'firmware = "polatis_6000_tl1"',
            },
            "lab.toml": {r"polatis_6000:Polatis6000": "polatis_6000_tl1:Polatis6000Tl1"},
        },
    )  # fmt: skip
    outcome = run(folder, tmp_path, currents_ma=[0.0], blocks=8, cores=[6])
    condensation = [
        held_for_s for reason, _, held_for_s in interruptions(outcome) if reason == "condensation"
    ]
    assert len(condensation) == 1
    # noticed up to a minute late, when a block is not filled, and over up to a minute late, when it is looked at
    assert 120.0 <= condensation[0] <= 300.0
    reasons = [reason for reason, _, _ in interruptions(outcome)]
    after = reasons[reasons.index("condensation") + 1 :]
    assert after[:2] == ["synchronisation", "alignment"]
    assert sum(point["blocks"] for point in outcome.points) >= 5
    assert all(point["qber_z"] < 0.015 for point in outcome.points)


def test_the_stockholm_end_has_neither_cores_nor_noise(tmp_path):
    outcome = run(
        CONFIGS / "clason_nyk_kth", tmp_path, cores=[0], currents_ma=[0.0], block_detections=5e4, blocks=1,
        duration_h=0.01,
    )  # fmt: skip
    (point,) = outcome.points
    # 36 dB, a block of 5e4: no key, as the printed block length would have it
    assert (point["core"], point["skr_bps"]) == (0, 0.0)
    assert point["qber_z"] == pytest.approx(0.0175, abs=0.003)


def test_what_cannot_be_set_is_refused_before_anything_moves(tmp_path):
    session = open_session(CONFIGS / "clason_trusted_node", addresses="sim.toml", directory=tmp_path, seed=1)
    try:
        session.connect()
        for arguments, told in (
            ({"cores": [1, 3]}, "core 3 carries the noise"),
            ({"cores": [8]}, "8 is above the bound of 7"),
            ({"currents_ma": [60.0]}, "0.06 A is above the bound"),
            ({"block_detections": 0.0}, "detections: 0"),
            ({"max_block_s": 0.0}, "max_duration: 0"),
        ):
            with pytest.raises(LimitError, match=told):
                next(core_switching(session.link, **{**SHORT, **arguments}))
        rehearsal = rehearse(core_switching(session.link))
        # 92 hours of blocks at the rate that the configuration expects, and a percent for alignment; 50 blocks a point
        assert rehearsal.lab_time_s == pytest.approx(92 * 3600, rel=0.02)
        assert rehearsal.points == pytest.approx(92 * 3600 / (50 * 4.1e5 / 4.4e3), abs=1)
        with pytest.raises(ValueError, match="at least one"):
            next(core_switching(session.link, currents_ma=[]))
        assert session.link.find_core() == NOWHERE
    finally:
        session.close()
