"""The quick look at tags: the same from a run, a segment and a file of another program; figures that are not empty."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from qdci_lab.cli import main
from qdci_lab.errors import RecordError
from qdci_lab.record.tag_files import write_tags
from qdci_lab.record.time_tags import TagSegmentWriter
from qdci_lab.tag_source import open_source
from qdci_lab.tag_view import Look, draw, look_at

LAG_PS = 2_500


@pytest.fixture(scope="module")
def tags():
    """2 ms of pairs 2.5 ns apart on channels 1 and 2, channel 4 in pulses of 10 ns, slightly out of order."""
    rng = np.random.default_rng(6)
    firsts = rng.integers(0, 2 * 10**9, 3_000)
    pulses = 10_000 * rng.integers(0, 200_000, 2_000)
    times = np.concatenate([firsts, firsts + LAG_PS, pulses])
    channels = np.repeat(np.array([1, 2, 4], np.uint8), [3_000, 3_000, 2_000])
    order = np.argsort(times + rng.integers(0, 400_000, times.size), kind="stable")
    return times[order], channels[order]


def segment_of(tags, path: Path) -> Path:
    writer = TagSegmentWriter(path)
    writer.append(*tags)
    writer.close()
    return path


def binary_of(tags, path: Path) -> Path:
    write_tags(path, [tags], "qutag-binary")
    return path


@pytest.mark.parametrize("write", [segment_of, binary_of])
def test_what_is_seen_is_what_was_written(tags, tmp_path, write):
    view = look_at(open_source(write(tags, tmp_path / "tags")), Look(pair=(1, 2), bin_ps=100, reach_ps=5_000))
    latest = np.maximum.accumulate(tags[0])
    assert view.census.counts[[1, 2, 4]].tolist() == [3_000, 3_000, 2_000]
    assert view.census.disorder_ps == (latest - tags[0]).max() > 0
    assert (view.census.first_ps, view.census.last_ps) == (tags[0].min(), tags[0].max())
    assert view.rates.counts.sum(axis=0).tolist() == [3_000, 3_000, 2_000]
    assert view.correlation.late == view.rates.outside == 0
    assert view.correlation.lags_ps[np.argmax(view.correlation.pairs)] == LAG_PS
    assert view.correlation.pairs.max() >= 3_000
    # Poisson: 1 - exp(-5) of the intervals of the busiest are within five of their means.
    found = view.intervals[1]
    assert found.counts.sum() + found.beyond == 2_999
    assert 0.98 < found.counts.sum() / 2_999 < 0.999


def test_arrivals_in_a_period_take_the_place_of_intervals(tags, tmp_path):
    view = look_at(open_source(segment_of(tags, tmp_path / "tags")), Look(period_ps=10_000.0))
    assert view.intervals == {}
    assert view.arrivals is not None
    by_channel = dict(zip(view.arrivals.channels, view.arrivals.counts, strict=True))
    assert by_channel[4].max() == 2_000
    assert by_channel[1].max() < 100


def test_a_recorded_run_is_looked_at_from_its_file(engine, recorder, make_tagger, tag_points):
    tagger = make_tagger(700, 1_300)
    engine(tag_points(tagger, 2))
    file = recorder.path
    assert file is not None
    source = open_source(file)
    view = look_at(source, Look())
    assert source.kind == "recorded run"
    assert "tag_points" in source.facts
    assert view.census.counts.tolist() == np.bincount(tagger.all_tags()[1], minlength=256).tolist()
    with pytest.raises(RecordError, match=r"no stream 'clicks'; it has .*tags"):
        open_source(file, stream="clicks")


def test_the_command_writes_a_figure_with_something_in_it(tags, tmp_path, capsys):
    paths = [binary_of(tags, tmp_path / "one.bin"), segment_of(tags, tmp_path / "two.tags")]
    words = ["tags", *map(str, paths), "--pair", "1,2", "--reach", "5000", "--bin", "100"]
    assert main([*words, "--out", str(tmp_path / "figures")]) == 0
    said = capsys.readouterr().out
    assert "3,000" in said
    assert "8,000 tags" in said
    for path in paths:
        image = imread(tmp_path / "figures" / f"{path.name}.tags.png")[..., :3]
        coloured = (image.max(axis=2) - image.min(axis=2) > 0.3).any(axis=1)
        thirds = [part.mean() for part in np.array_split(coloured, 3)]
        assert min(thirds) > 0.01, "a panel without a curve"


def test_the_same_file_gives_the_same_figure(tags, tmp_path):
    view = look_at(open_source(segment_of(tags, tmp_path / "tags")), Look())
    for name in ("a.png", "b.png"):
        draw(view, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_cannot_be_looked_at_is_said(tags, tmp_path, capsys):
    path = segment_of(tags, tmp_path / "tags")
    empty = segment_of((np.empty(0, np.int64), np.empty(0, np.uint8)), tmp_path / "empty")
    text = tmp_path / "notes.txt"
    text.write_text("nothing of the kind")
    for words, complaint in (
        ([str(path), "--pair", "1,3"], "no tags of channel 3"),
        ([str(path), "--pair", "1"], "two channels are written as 1,2"),
        ([str(empty)], "has no time tags"),
        ([str(text)], "not recognised"),
        ([str(tmp_path / "missing")], "No such file"),
    ):
        assert main(["tags", *words]) == 1
        assert complaint in " ".join(capsys.readouterr().err.split())


def test_one_tag_is_enough(tmp_path):
    one = np.array([5], np.int64), np.array([3], np.uint8)
    view = look_at(open_source(segment_of(one, tmp_path / "one")), Look())
    assert view.pair == (3, 3)
    assert view.correlation.pairs.sum() == 0
    draw(view, tmp_path / "one.png")
