"""A QuTag in bluesky plans: readings, and the tags that are recorded."""

from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine

from qdci_lab.errors import (
    AcquisitionError,
    RecordError,
)
from qdci_lab.record.tag_stream import path_of
from qdci_lab.record.time_tags import TagSegmentReader
from tests.unit.drivers.qutag.tdcbase import PS, Connected, Tdcbase


def test_trigger_measures_count_rates(connected: Connected) -> None:
    tagger = connected()
    tagger.acquisition_time.set(0.4).wait(5)
    tagger.trigger().wait(10)
    assert tagger.count_rates.last == pytest.approx([25_000.0] * 4)
    assert tagger.tag_count.last == 40_000
    assert tagger.first_tag.last == -1


def test_reading_does_no_io_and_gives_units(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()
    with pytest.raises(AcquisitionError, match="has not been measured yet"):
        tagger.read()
    tagger.trigger().wait(10)
    calls = len(library.calls)
    reading, keys = tagger.read(), tagger.describe()
    settings = tagger.describe_configuration()
    assert len(library.calls) == calls
    assert reading["tagger_data_lost"]["value"] == 0
    units = {
        key: entry.get("units") for key, entry in {**keys, **settings}.items() if entry["dtype"] != "string"
    }
    assert units == {
        "tagger_count_rates": "Hz", "tagger_tags_lost": "1", "tagger_data_lost": "1", "tagger_tag_count": "1",
        "tagger_first_tag": "1", "tagger_coincidence_window": "ps", "tagger_exposure_time": "s",
        "tagger_acquisition_time": "s", "tagger_channel_delays": "ps", "tagger_thresholds": "V",
        "tagger_channel_mask": "1", "tagger_buffer_size": "1",
    }  # fmt: skip
    assert keys["tagger_count_rates"]["shape"] == [4]


def test_plan_counts(connected: Connected) -> None:
    tagger = connected()
    rates: list[np.ndarray] = []
    engine = RunEngine({})
    engine.subscribe(
        lambda name, doc: rates.append(doc["data"]["tagger_count_rates"]) if name == "event" else None
    )
    engine(bp.count([tagger], num=3))
    assert len(rates) == 3
    assert rates[2] == pytest.approx([25_000.0] * 4)


def test_plan_records_tags(connected: Connected, library: Tdcbase, tmp_path: Path) -> None:
    tagger = connected()
    tagger.segment_directory = tmp_path
    documents: list[tuple[str, dict]] = []

    tags: Any = tagger.tags

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan() -> Any:
        yield from bps.declare_stream(tags, name="tags", collect=True)
        yield from bps.mv(tagger.acquisition_time, 0.05)
        yield from bps.trigger_and_read([tagger], name="aside")
        tagger.keep_tags = True
        for _ in range(2):
            yield from bps.trigger_and_read([tagger])
            yield from bps.collect(tags, name="tags")

    engine = RunEngine({})
    engine.subscribe(lambda name, document: documents.append((name, document)))
    engine(plan())
    events = [doc["data"] for name, doc in documents if name == "event"]
    assert [(event["tagger_first_tag"], event["tagger_tag_count"]) for event in events] == [
        (-1, 5000), (0, 5000), (5000, 5000),
    ]  # fmt: skip
    spans = [doc["indices"] for name, doc in documents if name == "stream_datum"]
    assert [(span["start"], span["stop"]) for span in spans] == [(0, 5000)] * 2 + [(5000, 10_000)] * 2
    resource = next(doc for name, doc in documents if name == "stream_resource")
    blocks = list(TagSegmentReader(path_of(resource["uri"])).blocks())
    times = np.concatenate([block[0] for block in blocks])
    expected, channels = library.tags_between(int(times[0]), int(times[0]) + PS // 10)
    np.testing.assert_array_equal(times, expected)
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), channels)


def test_nothing_is_recorded_unless_wanted(connected: Connected, tmp_path: Path) -> None:
    tagger = connected()
    tagger.keep_tags = True
    tagger.trigger().wait(10)
    with pytest.raises(RecordError, match="tagger_tags: no directory"):
        tagger.tags.describe_collect()
    tagger.keep_tags, tagger.segment_directory = False, tmp_path
    tagger.stage()
    tagger.trigger().wait(10)
    tagger.unstage()
    assert tagger.tags.get_index() == 0
    assert list(tmp_path.iterdir()) == []


def test_recording_needs_a_staged_tagger(connected: Connected, tmp_path: Path) -> None:
    tagger = connected()
    tagger.keep_tags, tagger.segment_directory = True, tmp_path
    with pytest.raises(RecordError, match="not staged"):
        tagger.trigger().wait(10)
