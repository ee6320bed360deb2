"""A crash between the first tags of a run and the document that names them leaves a segment that nobody would find."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator

from qdci_lab.cli import main
from qdci_lab.record.catalogue import Catalogue
from qdci_lab.record.orphans import orphans_in
from qdci_lab.record.recovery import recover_folder
from qdci_lab.record.tag_stream import TagStream
from qdci_lab.record.time_tags import TagSegmentReader, TagSegmentWriter


@pytest.fixture
def crashed(tmp_path: Path, engine: RunEngine, make_tagger: Callable[..., Any]) -> Path:
    """A folder as a crash would leave it after the first trigger, before the tags were collected."""
    tagger, left = make_tagger(100, 200), tmp_path / "left"
    left.mkdir()

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan() -> MsgGenerator:
        yield from bps.declare_stream(tagger.tags, name="tags", collect=True)
        yield from bps.trigger_and_read([tagger])
        tagger.tags.stream._segment.sync()
        for path in (*tmp_path.glob("*.journal"), *tmp_path.glob("*.tags")):
            shutil.copy(path, left)
        yield from bps.collect(tagger.tags, name="tags")

    engine(plan())
    return left


def test_recovery_says_what_no_run_names_and_keeps_it(crashed: Path) -> None:
    (segment,) = crashed.glob("*.tags")
    recovered, orphan = recover_folder(crashed)
    assert recovered.startswith("recovered")
    assert "missing: the stop document" in recovered
    assert orphan.startswith(f"left behind: {segment}: 100 time tags that no run names, kept")
    assert TagSegmentReader(segment).count == 100
    assert recover_folder(crashed) == [orphan]


def test_the_list_of_runs_ends_with_it(crashed: Path, capsys: Any) -> None:
    (segment,) = crashed.glob("*.tags")
    assert repr(Catalogue(crashed)).splitlines()[-1].startswith(f"left behind: {segment}: 100 time tags")
    assert main(["runs", str(crashed), "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["file"], last["status"]) == (str(segment), "orphan")
    assert len(Catalogue(crashed)) == 1
    assert Catalogue(crashed).search("nothing").orphans() == []


def test_a_run_that_goes_on_may_still_name_its_tags(tmp_path: Path) -> None:
    stream = TagStream("tags", tmp_path)
    stream.stage()
    stream.data_keys()
    stream.append(np.arange(3), np.ones(3, np.uint8))
    assert orphans_in(tmp_path) == []
    stream.unstage()
    assert [orphan.content for orphan in orphans_in(tmp_path)] == ["3 time tags"]


def test_a_segment_that_cannot_be_read_is_reported_too(tmp_path: Path) -> None:
    (tmp_path / "a.tags").write_bytes(b"no header")
    TagSegmentWriter(tmp_path / "b.tags").close()
    contents = [orphan.content for orphan in orphans_in(tmp_path)]
    assert contents[0].startswith("9 bytes (")
    assert "is not a qdci-time-tags file" in contents[0]
    assert contents[1] == "0 time tags"
