"""A figure grows while its run goes on, and never stops the run; a long run's table is thinned."""

import io
import logging
import sys
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis
from rich.console import Console

from qdci_lab.live_figure import LiveFigure
from qdci_lab.progress import MOST_ROWS, Column, LiveTable, table_of
from qdci_lab.record.recorder import Recorder
from qdci_lab.report import Report

PLAN = "drawn_in_a_test"


@pytest.fixture
def drawn(monkeypatch):
    """How many rows each drawing had; a plan whose report refuses fewer than two is installed."""
    rows = []
    monkeypatch.setattr("qdci_lab.live_figure.REST", 0.0)

    def draw(run, path):
        rows.append(len(list(run.events("primary"))))
        if rows[-1] < 2:
            raise ValueError("too few points")
        path.write_bytes(f"{rows[-1]} rows".encode())

    module = SimpleNamespace(REPORT=Report(columns=(), points={}, draw=draw))
    monkeypatch.setitem(sys.modules, f"plans.{PLAN}", module)
    return rows


@bpp.run_decorator(md={"plan_name": PLAN})
def plan(motor, figure, points):
    for number in range(points):
        yield from bps.mv(motor, number)
        yield from bps.create()
        yield from bps.read(motor)
        yield from bps.save()
        figure.wait()


def run(tmp_path, points, **options):
    engine = RunEngine({})
    recorder = Recorder(tmp_path)
    figure = LiveFigure(recorder, interval_s=0.0, **options)
    engine.subscribe(recorder)
    engine.subscribe(figure)
    engine(plan(SynAxis(name="motor"), figure, points))
    figure.wait()
    return recorder


def test_the_figure_grows_with_the_run_and_a_figure_that_cannot_be_drawn_yet_is_left(tmp_path, drawn):
    recorder = run(tmp_path, 4)
    assert drawn == [1, 2, 3, 4]
    assert recorder.path.with_suffix(".png").read_text() == "4 rows"
    assert not list(tmp_path.glob("*.live.png"))


@pytest.mark.usefixtures("drawn")
def test_at_the_prompt_the_figure_is_finished_from_the_file(tmp_path):
    told = []
    recorder = run(tmp_path, 2, finish=told.append)
    assert told == [recorder.path.with_suffix(".png")]
    assert told[0].read_text() == "2 rows"


@pytest.mark.usefixtures("drawn")
def test_a_final_figure_that_fails_is_told_and_harms_nothing(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "qdci_lab"):
        recorder = run(tmp_path, 1, finish=print)
    assert "too few points" in caplog.text
    assert recorder.path.exists()


def test_a_long_table_shows_one_row_in_so_many_and_says_so():
    columns = (Column("x", "x", "{:.0f}"),)
    console = Console(file=io.StringIO(), width=100)
    table = LiveTable(console, columns)
    points = 12 * MOST_ROWS
    table("start", {"num_points": points})
    table("descriptor", {"name": "primary", "uid": "d"})
    for number in range(1, points + 1):
        table("event", {"descriptor": "d", "seq_num": number, "data": {"x": number}})
    lines = console.file.getvalue().splitlines()
    assert "one of 12 points of 720" in lines[0]
    assert [int(line) for line in lines[1:3]] == [1, 13]
    assert len(lines) == 1 + MOST_ROWS
    assert table_of(columns, [{"x": 1.0}] * points, "t").row_count == MOST_ROWS
    assert table_of(columns, [{"x": 1.0}] * MOST_ROWS, "t").row_count == MOST_ROWS
