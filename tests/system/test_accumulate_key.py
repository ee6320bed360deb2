"""Two links of a trusted node on two benches: the one relays with what the other has written, or is still writing."""

import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ophyd.utils import LimitError
from rich.console import Console

from plans import recorded_key
from plans.accumulate_key import accumulate_key
from plans.published import clason_runs, newest_runs
from plans.published.clason_runs import recorded_rows
from plans.recorded_key import RecordedKey, find_run, key_history
from qdci_lab.errors import RecordError
from qdci_lab.experiment import replay_file, resume_experiment, run_experiment
from qdci_lab.record.journal import JournalWriter
from qdci_lab.record.parts import NUMBER, JoinedRun
from qdci_lab.record.replay import Run, documents
from qdci_lab.rehearsal import rehearse
from qdci_lab.session import open_session

CONFIGS = Path(__file__).parents[2] / "configs"
SHORT = {"blocks": 2, "block_detections": 4.1e5, "currents_ma": [0.0]}


def run(testbed: str, directory: Path, **arguments):
    console = Console(file=io.StringIO(), width=160)
    return run_experiment(
        CONFIGS / testbed, "accumulate_key", {**SHORT, **arguments},
        addresses="sim.toml", directory=directory, console=console, seed=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stockholm(tmp_path_factory):
    return run("clason_nyk_kth", tmp_path_factory.mktemp("stockholm"), duration_h=0.35)


@pytest.fixture(scope="module")
def linkoeping(stockholm, tmp_path_factory):
    directory = tmp_path_factory.mktemp("linkoeping")
    relay_with = str(stockholm.file.parent)
    return run("clason_trusted_node", directory, duration_h=0.3, cores=[1], relay_with=relay_with)


def relayed(outcome):
    return [event["data"] for event in Run(outcome.file).events("relay")]


def test_one_link_alone_banks_its_blocks_and_relays_nothing(stockholm):
    rows = relayed(stockholm)
    blocks = [event["data"] for event in Run(stockholm.file).events("blocks")]
    assert len(rows) == len(blocks) >= 4
    assert rows[-1]["relay_own"] == sum(int(block["link_key_length_rusca_2018"]) for block in blocks) > 0
    assert {row["relay_end_to_end"] for row in rows} == {0.0}
    assert stockholm.points[-1]["own_surplus_bits"] == rows[-1]["relay_own"]


def test_the_relay_goes_as_far_as_both_links_and_conserves_key(stockholm, linkoeping):
    rows, theirs = relayed(linkoeping), key_history(stockholm.file).deposits
    end_s = rows[-1]["relay_time"]
    assert rows[-1]["relay_other"] == theirs.until(end_s).total > 0
    own = np.array([row["relay_own"] for row in rows])
    other = np.array([row["relay_other"] for row in rows])
    both = np.array([row["relay_end_to_end"] for row in rows])
    assert np.array_equal(both, np.minimum(own, other) // 256 * 256)
    assert both[-1] > 0
    assert np.array_equal(own - both, [row["relay_own_surplus"] for row in rows])
    assert (np.diff([row["relay_time"] for row in rows]) > 0).all()
    last = linkoeping.points[-1]
    assert (last["own_bits"], last["other_bits"], last["end_to_end_bits"]) == (own[-1], other[-1], both[-1])
    assert Run(linkoeping.file).start["relayed_with"].startswith("clason_nyk_kth, ")


def test_a_replay_gives_the_same_figure(linkoeping, tmp_path, console):
    replayed = replay_file(Path(shutil.copy(linkoeping.file, tmp_path / "copy.h5")), console=console)
    assert replayed.points == linkoeping.points
    assert replayed.figure.read_bytes() == linkoeping.figure.read_bytes()


def test_a_long_run_stands_in_the_table_of_published_values_a_short_one_does_not(linkoeping, monkeypatch):
    runs = newest_runs(linkoeping.file.parent)
    assert recorded_rows(runs) == []
    monkeypatch.setattr(clason_runs, "LEAST_H", 0.1)
    own, other = recorded_rows(runs)
    assert (own.published, other.published) == (28.9, 8.15)
    last = linkoeping.points[-1]
    assert own.obtained == pytest.approx(1e-6 * last["own_bits"] * 92 * 3600 / last["relayed_until_s"])


def killed(outcome, folder: Path, steps: int) -> Path:
    """The journal as it stood when so many steps were complete, and the next had relayed but was not complete."""
    folder.mkdir()
    journal = folder / f"{outcome.file.stem}.journal"
    writer, complete = JournalWriter(journal), 0
    for name, document in documents(outcome.file):
        data = document["data"] if name == "event" else {}
        if complete == steps and "relay_time" in data and "step_core" in data:
            break
        writer.append(name, document)
        complete += "sweep_label" in data
    writer.close()
    return journal


def test_a_killed_run_goes_on_with_what_it_had_banked(stockholm, linkoeping, tmp_path, console):
    journal = killed(linkoeping, tmp_path / "killed", steps=1)
    begun = list(Run(journal).events("relay"))
    outcome = resume_experiment(journal, addresses="sim.toml", console=console, seed=7)
    assert outcome.points[0] == linkoeping.points[0]
    assert max(event["data"][NUMBER] for event in begun) == 2  # relayed, but its step was not complete
    joined = JoinedRun(outcome.file)
    table, blocks, relays = (joined.table(stream) for stream in ("primary", "blocks", "relay"))
    assert table[NUMBER].tolist() == list(range(1, len(table[NUMBER]) + 1))
    assert len(table[NUMBER]) > 2
    own = np.cumsum(np.floor(np.maximum(blocks["link_key_length_rusca_2018"], 0.0)))
    times = blocks["campaign_elapsed"]
    assert (np.diff(times) > 0.0).all()
    theirs = key_history(stockholm.file).deposits
    other = np.array([theirs.until(time_s).total for time_s in relays["relay_time"]])
    assert relays["relay_time"].tolist() == sorted({*times, *theirs.until(times[-1]).times_s})
    known = own[np.searchsorted(times, relays["relay_time"], side="right") - 1]
    known[relays["relay_time"] < times[0]] = 0.0
    assert np.array_equal(relays["relay_own"], known)
    assert np.array_equal(relays["relay_other"], other)
    assert np.array_equal(relays["relay_end_to_end"], np.minimum(known, other) // 256 * 256)
    last = outcome.points[-1]
    assert (last["own_bits"], last["other_bits"]) == (own[-1], theirs.until(times[-1]).total)
    assert last["longest_gap_s"] == np.diff(times).max()
    assert replay_file(outcome.file, console=console).points == outcome.points
    assert key_history(outcome.file).deposits.total == own[-1]
    assert (
        key_history(journal.with_suffix(".h5")).deposits.total > own[1]
    )  # alone, a run keeps what it has begun


WRITER = """
import sys, time
from pathlib import Path
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.replay import documents
recorder = Recorder(Path(sys.argv[2]))
for name, document in documents(Path(sys.argv[1])):
    if name == "stop":
        print("all but the end", flush=True)
        sys.stdin.readline()
    recorder(name, document)
recorder.wait()
"""


@pytest.fixture
def written(stockholm, tmp_path):
    """The run of the other town, written again by a program that waits for a line before it ends the run."""
    folder = tmp_path / "written"
    folder.mkdir()
    command = [sys.executable, "-c", WRITER, str(stockholm.file), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "all but the end\n"
        yield folder, program
        program.kill()


def test_a_run_that_is_being_written_is_read_and_waited_for(stockholm, written):
    folder, program = written
    other = RecordedKey(str(folder))
    assert other.history.goes_on
    assert other.deposits.total == key_history(stockholm.file).deposits.total
    known_s = other.until_s
    other.wanted_s = known_s
    other.trigger().wait(timeout=10)  # known that far: no need to wait
    other.wanted_s = known_s + 1.0
    status = other.trigger()
    assert not status.done
    program.stdin.write("\n")
    program.stdin.flush()
    status.wait(timeout=30)  # the journal has become a file meanwhile
    assert not other.history.goes_on
    assert other.until_s == float("inf")


def test_a_run_that_stands_still_is_given_up_and_a_pause_ends_the_waiting(written, monkeypatch):
    folder, _ = written
    other = RecordedKey(str(folder))
    other.wanted_s = other.until_s + 1.0
    status = other.trigger()
    assert not status.done
    other.pause()
    status.wait(timeout=10)
    monkeypatch.setattr(recorded_key, "PATIENCE_S", 0.2)
    monkeypatch.setattr(recorded_key, "POLL_S", 0.05)
    began_s = time.monotonic()
    other.trigger().wait(timeout=10)
    assert time.monotonic() - began_s >= 0.2
    assert other.history.goes_on


def test_where_no_key_can_be_read_is_said(tmp_path, linkoeping):
    with pytest.raises(ValueError, match="there is no run and no folder"):
        find_run(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="start the other link first"):
        find_run(str(tmp_path))
    (tmp_path / "other.h5").write_bytes(b"no run")
    with pytest.raises(RecordError):
        key_history(tmp_path / "other.h5")
    assert find_run(str(linkoeping.file.parent)) == linkoeping.file


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    session = open_session(
        CONFIGS / "clason_trusted_node", addresses="sim.toml", directory=tmp_path_factory.mktemp("link")
    )
    session.connect()
    yield session.link
    session.close()


def test_a_dry_run_of_the_defaults_goes_through_all_currents_in_both_cores(link):
    rehearsal = rehearse(accumulate_key(link, blocks=2, block_detections=2e4, duration_h=0.06))
    assert rehearsal.points >= 11
    assert rehearsal.lab_time_s >= 0.06 * 3600.0


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"relay_with": "/nowhere/at/all"}, ValueError, "no run and no folder"),
        ({"key_bits": 0}, ValueError, "at least one bit"),
        ({"duration_h": 0.0}, ValueError, "must be positive"),
        ({"cores": [3]}, LimitError, "core 3 carries"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_moves(link, arguments, error, told):
    with pytest.raises(error, match=told):
        rehearse(accumulate_key(link, **arguments))
