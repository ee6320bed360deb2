"""Sync pulses on the twin: a run killed between a trace and its row goes on, and a trace that is cut off is refused."""

import io
import shutil

import numpy as np
import pytest
from rich.console import Console

from plans.published import families_of, newest_runs
from plans.sync_pulses import CABLE, OPTICAL, widths_ps
from qdci_lab.errors import AcquisitionError
from qdci_lab.experiment import replay_file, resume_experiment, run_experiment
from qdci_lab.record.journal import JournalWriter
from qdci_lab.record.replay import Run, documents

ARGUMENTS = {"records": 2, "pulses": 40}


def run_in(folder, directory):
    return run_experiment(
        folder, "sync_pulse_width", ARGUMENTS,
        addresses="sim.toml", directory=directory, console=Console(file=io.StringIO(), width=160), seed=5,
    )  # fmt: skip


def cut_short(file, journal):
    """The journal as it stood when two points were complete, and the third had its trace but no row."""
    writer, complete, streams = JournalWriter(journal), 0, {}
    for name, document in documents(file):
        writer.append(name, document)
        if name == "descriptor":
            streams[document["uid"]] = document["name"]
        if name == "event":
            complete += "sweep_label" in document["data"]
            if complete == 2 and streams[document["descriptor"]] == "traces":
                break
    writer.close()


def test_a_killed_run_goes_on_and_its_figure_takes_each_row_s_own_trace(testbed_folder, tmp_path, console):
    whole = run_in(testbed_folder, tmp_path)
    (tmp_path / "killed").mkdir()
    journal = tmp_path / "killed" / f"{whole.file.stem}.journal"
    cut_short(whole.file, journal)
    outcome = resume_experiment(journal, folder=testbed_folder, addresses="sim.toml", console=console, seed=6)
    assert [(point["source"], point["record"]) for point in outcome.points] == [
        (CABLE, 1), (CABLE, 2), (OPTICAL, 1), (OPTICAL, 2),
    ]  # fmt: skip
    assert outcome.points[:2] == whole.points[:2]
    assert len(list(Run(outcome.file).events("primary"))) == 2
    assert replay_file(outcome.file, console=console).points == outcome.points
    rows = [event["data"] for event in Run(whole.file).events("primary")]
    for source, expected_ps in ((CABLE, 1230.0), (OPTICAL, 970.0)):
        width_ps, error_ps = widths_ps(rows)[source]
        assert abs(width_ps - expected_ps) < 4.0 * error_ps + 0.5  # false-alarm rate 6e-5 each
    published = dict(families_of(newest_runs(tmp_path)))
    found = [row for rows in published.values() for row in rows if "sync pulse" in row.quantity]
    assert [row.how for row in found] == [whole.file.name] * 2
    assert [row.obtained for row in found] == pytest.approx(
        np.array([widths_ps(rows)[source][0] for source in (CABLE, OPTICAL)]) / 1e3
    )


def test_pulses_that_the_range_cuts_off_are_refused(testbed_folder, tmp_path):
    folder = tmp_path / "ji_mcf"
    shutil.copytree(testbed_folder, folder)
    lab = folder / "lab.toml"
    text = lab.read_text(encoding="utf-8")
    assert "range_v = 0.7" in text
    lab.write_text(
        text.replace("range_v = 0.7", "range_v = 0.6").replace("offset_v = 0.25", "offset_v = -0.15")
    )
    with pytest.raises(
        AcquisitionError, match=r"channel 1: the pulses reach the edge of the range of 0\.6 V"
    ):
        run_in(folder, tmp_path)
