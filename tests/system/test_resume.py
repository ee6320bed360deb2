"""A killed sweep on the twin is continued: what is recorded is not measured again, and the parts are shown as one."""

import io
import json
import re

import pytest
from rich.console import Console

from qdci_lab.cli import main
from qdci_lab.errors import RecordError
from qdci_lab.experiment import replay_file, resume_experiment, run_experiment
from qdci_lab.reanalysis import reanalyse_part
from qdci_lab.record.journal import JournalWriter
from qdci_lab.record.replay import Run, documents, open_tags
from qdci_lab.record.tag_stream import path_of
from qdci_lab.record.time_tags import TagSegmentWriter

POWERS_DBM = [-10.0, 0.0, 12.0]


@pytest.fixture(scope="module")
def killed(testbed_folder, tmp_path_factory):
    """The journal of a run as it stood when the second point had been measured, and the points of the whole run."""
    folder = tmp_path_factory.mktemp("whole")
    arguments = {"launch_powers_dbm": POWERS_DBM, "detections": 2e4, "align": False}
    outcome = run_experiment(
        testbed_folder, "skr_vs_launch_power", arguments,
        addresses="sim.toml", directory=folder, console=Console(file=io.StringIO()), seed=3,
    )  # fmt: skip
    journal = tmp_path_factory.mktemp("killed") / f"{outcome.file.stem}.journal"
    writer = JournalWriter(journal)
    complete = 0
    for name, document in documents(outcome.file):
        writer.append(name, document)
        complete += name == "event" and "sweep_label" in document["data"]
        if complete == 2:
            break
    writer.close()
    _write_segment(outcome.file, journal.parent)
    return journal, outcome.points


def _write_segment(file, folder):
    """The segment that the file has taken in, as it was beside the journal."""
    uri = next(document["uri"] for name, document in documents(file) if name == "stream_resource")
    segment = TagSegmentWriter(folder / path_of(uri).name)
    for block in open_tags(file):
        segment.append(*block)
    segment.close()


def test_a_killed_sweep_goes_on_with_the_points_that_are_left(killed, testbed_folder, console, capsys):
    journal, points = killed
    code = main(["run", str(testbed_folder), "--sim", "--resume", str(journal), "--seed", "4", "--json"])
    assert code == 0
    outcome = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert outcome["points"][:2] == points[:2]
    assert [round(point["launch_power_dbm"]) for point in outcome["points"]] == POWERS_DBM
    (second,) = (path for path in journal.parent.glob("*.h5") if path.stem != journal.stem)
    run = Run(second)
    assert len(run.table()["link_skr_rusca_2018"]) == 1
    assert run.start["resumes"]["uid"] == Run(journal).start["uid"]
    assert replay_file(second, console=console).points == outcome["points"]
    with pytest.raises(RecordError, match="all 3 points are recorded"):
        resume_experiment(second, console=console)
    _check_reanalysis(second, journal.with_suffix(".h5"), outcome["points"], capsys)


def _check_reanalysis(second, first, points, capsys):
    """Every point of both parts is computed anew, as if each part were alone."""
    assert main(["replay", str(second), "--reanalyse"]) == 0
    compared = int(re.search(r"(\d+) numbers compared, all are the same", capsys.readouterr().out).group(1))
    alone = [reanalyse_part(Run(path)) for path in (first, second)]
    assert [count for count, _ in alone] == [compared * share // len(points) for share in (2, 1)]


def test_what_a_sweep_was_begun_with_cannot_be_changed(killed, capsys):
    journal, _ = killed
    assert main(["run", "--resume", str(journal), "--set", "core=2"]) == 1
    assert "cannot go with --resume" in capsys.readouterr().err
