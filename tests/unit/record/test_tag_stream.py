from pathlib import Path

import numpy as np
import pytest
from event_model import DocumentNames, schema_validators
from pytest_mock import MockerFixture

from qdci_lab.errors import RecordError
from qdci_lab.record.disk_space import RESERVE_BYTES
from qdci_lab.record.tag_stream import MIMETYPE, TagStream, path_of, uri_of
from qdci_lab.record.time_tags import TagSegmentReader


def some(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(count, dtype=np.int64), np.ones(count, np.uint8)


@pytest.fixture
def stream(tmp_path: Path) -> TagStream:
    stream = TagStream("bob", tmp_path)
    stream.stage()
    stream.data_keys()
    return stream


def test_keys_are_long_form_with_units(stream: TagStream) -> None:
    keys = stream.data_keys()
    assert list(keys) == ["bob_time", "bob_channel"]
    assert [key["dtype_numpy"] for key in keys.values()] == ["<i8", "|u1"]
    assert keys["bob_time"]["units"] == "ps"
    assert {key["external"] for key in keys.values()} == {"STREAM:"}
    assert all(None not in key["shape"] for key in keys.values())


def test_a_point_gives_its_range_in_both_keys(stream: TagStream) -> None:
    assert stream.append(*some(3)) == 0
    first = list(stream.asset_docs())
    assert [name for name, _ in first] == [
        "stream_resource",
        "stream_resource",
        "stream_datum",
        "stream_datum",
    ]
    resources = [document for _, document in first[:2]]
    assert [resource["data_key"] for resource in resources] == ["bob_time", "bob_channel"]
    assert {resource["mimetype"] for resource in resources} == {MIMETYPE}
    assert {resource["uri"] for resource in resources} == {uri_of(path_of(resources[0]["uri"]))}
    assert stream.append(*some(2)) == 3
    second = list(stream.asset_docs())
    assert [document["indices"] for _, document in second] == [{"start": 3, "stop": 5}] * 2
    for name, document in first + second:
        schema_validators[DocumentNames[name]].validate(document)


def test_tags_are_on_the_disk_before_a_document_names_them(stream: TagStream) -> None:
    stream.append(*some(7))
    resource = next(document for _, document in stream.asset_docs())
    assert TagSegmentReader(path_of(resource["uri"])).count == 7


def test_no_tags_no_documents_and_no_file(stream: TagStream, tmp_path: Path) -> None:
    assert stream.append(*some(0)) == 0
    assert list(stream.asset_docs()) == []
    stream.unstage()
    assert list(tmp_path.iterdir()) == []


def test_documents_stop_at_the_index_asked_for(stream: TagStream) -> None:
    stream.append(*some(10))
    assert list(stream.asset_docs(4))[-1][1]["indices"] == {"start": 0, "stop": 4}
    assert list(stream.asset_docs(4)) == []
    assert list(stream.asset_docs())[-1][1]["indices"] == {"start": 4, "stop": 10}


def test_counting_only_writes_nothing(tmp_path: Path) -> None:
    stream = TagStream("bob", tmp_path, kept=False)
    stream.stage()
    stream.append(*some(5))
    assert stream.append(*some(5)) == 5
    assert stream.count == 10
    assert list(stream.asset_docs()) == []
    stream.unstage()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecordError, match="only counted"):
        stream.data_keys()


def test_each_run_starts_from_zero_in_a_segment_of_its_own(stream: TagStream, tmp_path: Path) -> None:
    stream.append(*some(3))
    first = list(stream.asset_docs())
    stream.data_keys()
    assert stream.append(*some(4)) == 0
    second = list(stream.asset_docs())
    assert len(second) == 4
    assert second[-1][1]["indices"] == {"start": 0, "stop": 4}
    assert first[0][1]["uri"] != second[0][1]["uri"]
    assert len(list(tmp_path.iterdir())) == 2


def test_staging_again_within_a_run_is_noticed_where_tags_are_collected(stream: TagStream) -> None:
    stream.append(*some(3))
    list(stream.asset_docs())
    stream.unstage()
    stream.stage()
    stream.append(*some(4))
    with pytest.raises(RecordError, match="4 tags of bob_time came while its stream was not declared"):
        list(stream.asset_docs())


def test_a_plan_that_declares_no_stream_writes_nothing(stream: TagStream, tmp_path: Path) -> None:
    stream.unstage()
    for _ in range(2):
        stream.stage()
        stream.append(*some(4))
        stream.unstage()
    assert list(tmp_path.iterdir()) == []
    stream.stage()
    stream.data_keys()
    assert stream.append(*some(2)) == 0
    assert list(stream.asset_docs())[-1][1]["indices"] == {"start": 0, "stop": 2}


def test_tags_can_be_collected_after_unstaging(stream: TagStream) -> None:
    stream.append(*some(3))
    stream.unstage()
    assert list(stream.asset_docs())[-1][1]["indices"] == {"start": 0, "stop": 3}


def test_a_segment_that_no_document_names_goes_with_the_next_run(stream: TagStream, tmp_path: Path) -> None:
    stream.append(*some(3))
    stream.unstage()
    assert len(list(tmp_path.iterdir())) == 1
    stream.data_keys()
    assert list(tmp_path.iterdir()) == []


def test_tags_are_taken_only_while_staged(tmp_path: Path) -> None:
    stream = TagStream("bob", tmp_path)
    with pytest.raises(RecordError, match="bob_time, which is not staged"):
        stream.append(*some(1))
    stream.stage()
    with pytest.raises(RecordError, match="staged already"):
        stream.stage()
    stream.unstage()
    stream.unstage()
    with pytest.raises(RecordError, match="not staged"):
        stream.append(*some(1))


@pytest.mark.parametrize("name", ["plain", "with space", "per%cent", "ünï#?"])
def test_a_uri_names_its_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert uri_of(path).startswith("file://localhost/")
    assert path_of(uri_of(path)) == path


def test_a_long_acquisition_stops_while_there_is_room_to_finish_the_file(
    stream: TagStream, tmp_path: Path, mocker: MockerFixture
) -> None:
    """The system says how much is free: first enough, then less than the reserve and what the segment has grown to."""
    usage = mocker.patch("shutil.disk_usage")
    usage.return_value.free = RESERVE_BYTES
    stream.append(*some(1 << 18))
    segment = next(tmp_path.glob("*.tags"))
    usage.return_value.free = RESERVE_BYTES + segment.stat().st_size
    stream.append(*some(1000))
    usage.return_value.free -= 1
    with pytest.raises(
        RecordError, match=rf"only 268 MB are free for {tmp_path}; 268 MB are kept for finishing"
    ):
        stream.append(*some(1000))
    assert stream.count == (1 << 18) + 1000
    stream.unstage()
    assert TagSegmentReader(segment).count == stream.count
