"""Reading back: documents exactly, tables equal from journal and file, alterations noticed, foreign readers served."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import nexusformat.nexus as nx
import numpy as np
import pytest
from bluesky import RunEngine
from event_model import DocumentNames, compose_run, pack_event_page, schema_validators
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qdci_lab.errors import RecordError
from qdci_lab.record.encoding import encode
from qdci_lab.record.hdf5 import build
from qdci_lab.record.journal import Document, JournalWriter
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.replay import Run, documents, open_tags, verify

Opened = Any
"""An h5py file; h5py's own types know only that an item may be anything."""


def opened(path: Path, mode: Any = "r") -> Opened:
    return h5py.File(path, mode)


CONFIGURATION = {"lab": 'title = "Labor Ü"\n', "twin": "seed = 1\n"}


def data_key(dtype: str, units: str | None = None) -> dict[str, Any]:
    return {"source": "test", "dtype": dtype, "shape": [], **({"units": units} if units else {})}


def configuration(gain_db: float) -> dict[str, Any]:
    return {
        "amplifier": {
            "data": {"amplifier_gain": gain_db, "amplifier_label": "front"},
            "timestamps": {"amplifier_gain": 1.0, "amplifier_label": 1.0},
            "data_keys": {"amplifier_gain": data_key("number", "dB"), "amplifier_label": data_key("string")},
        }
    }


def run_documents(
    *, events: int = 4, metadata: dict[str, Any] | None = None, stop: bool = True
) -> list[Document]:
    """A run with two streams, a page of events, a change of configuration and columns of several types."""
    bundle: Any = compose_run(
        metadata={
            "plan_name": "sweep",
            "source": "twin",
            "seed": 7,
            "configuration_files": CONFIGURATION,
            **(metadata or {}),
        }
    )
    found: list[Document] = [("start", bundle.start_doc)]
    keys = {
        "power": data_key("number", "dBm"),
        "counts": data_key("integer"),
        "counts_error": data_key("number"),
        "state": data_key("string"),
        "trace": {**data_key("array", "V"), "shape": [3]},
        "event": data_key("number"),
    }
    hints = {"detector": {"fields": ["counts"]}}
    descriptor: Any = None
    for number in range(events):
        if number in (0, events // 2):
            descriptor = bundle.compose_descriptor(
                "primary",
                keys,
                configuration=configuration(float(number)),
                hints=hints,
                object_keys={"detector": [*keys]},
            )
            found.append(("descriptor", descriptor.descriptor_doc))
        values = {
            "power": np.float64(number), "counts": number * 3, "counts_error": 0.5, "state": f"n{number}",
            "trace": np.arange(3.0) + number, "event": float("nan"),
        }  # fmt: skip
        found.append(
            (
                "event",
                descriptor.compose_event(values, dict.fromkeys(keys, 10.0 + number), time=100.0 + number),
            )
        )
    found += _baseline(bundle)
    if stop:
        found.append(("stop", bundle.compose_stop()))
    return found


def _baseline(bundle: Any) -> Iterator[tuple[str, Any]]:
    descriptor = bundle.compose_descriptor("baseline", {"temperature": data_key("number", "K")})
    yield "descriptor", descriptor.descriptor_doc
    pages = [
        descriptor.compose_event({"temperature": t}, {"temperature": 1.0}, time=1.0) for t in (290.0, 291.0)
    ]
    yield "event_page", pack_event_page(*pages)


def write_journal(path: Path, run: list[Document]) -> Path:
    writer = JournalWriter(path)
    for name, document in run:
        writer.append(name, document)
    writer.close()
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write_journal(tmp_path / "run.journal", run_documents())


@pytest.fixture
def file(journal: Path) -> Path:
    return build(journal).path


@pytest.fixture
def tag_file(
    engine: RunEngine, recorder: Recorder, make_tagger: Callable[..., Any], tag_points: Callable[..., Any]
) -> tuple[Path, Any]:
    tagger = make_tagger(20_000, 1_500_000, 0, 300)
    engine(tag_points(tagger, 4))
    assert recorder.path is not None
    return recorder.path, tagger


texts = st.text(st.characters(exclude_categories=()), max_size=5)
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.binary(max_size=5),
    st.tuples(st.integers(), st.text(max_size=2)), st.floats().map(np.float64), st.integers(0, 255).map(np.uint8),
    st.lists(st.integers(0, 9), max_size=3).map(np.array),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip
streams = st.dictionaries(
    st.sampled_from(["primary", "baseline", "data", "start", "a/b"]),
    st.lists(
        st.dictionaries(st.sampled_from(["x", "y/z", "event", "timestamps", "time"]), values, min_size=1),
        max_size=4,
    ),
    max_size=3,
)


dimensions = st.lists(
    st.one_of(values, st.tuples(st.lists(st.sampled_from(["x", "time"])), st.just("primary"))), max_size=2
)
plots = st.fixed_dictionaries(
    {}, optional={"x": st.sampled_from(["x", "time", 3]),
                  "y": st.one_of(values, st.lists(st.sampled_from(["x", "event", 5]))),
                  "errors": st.one_of(values, st.just({"x": "y/z", "event": 3}))}
)  # fmt: skip
metadata = st.builds(
    lambda note, known: {"note": note, **known},
    st.dictionaries(texts, values, max_size=4),
    st.fixed_dictionaries({}, optional={
        "plot": st.one_of(values, plots),
        "hints": st.one_of(values, st.fixed_dictionaries({"dimensions": st.one_of(values, dimensions)})),
        **dict.fromkeys(["source", "seed", "configuration_files", "plan_name", "scan_id"], values),
    }),
)  # fmt: skip


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(streams, metadata)
@example({}, {"note": {"\0": "\0", "\udc80": ("\udc80", {(1, 2): 3}), "": None, ".": b"\0", "a/b": 2**70}})
def test_any_run_comes_back_exactly_from_journal_and_file(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, list], metadata: dict[str, Any]
) -> None:
    bundle: Any = compose_run(metadata={"note": metadata}, validate=False)
    run: list[Document] = [("start", bundle.start_doc)]
    for stream, events in content.items():
        for data in events:
            keys = {key: data_key("number") for key in data}
            descriptor = bundle.compose_descriptor(stream, keys, validate=False)
            event = descriptor.compose_event(data, dict.fromkeys(data, 1.0), validate=False)
            run += [("descriptor", descriptor.descriptor_doc), ("event", event)]
    run.append(("stop", bundle.compose_stop()))
    path = write_journal(tmp_path_factory.mktemp("run") / "run.journal", run)
    built = build(path)
    assert encode(list(documents(path))) == encode(run)
    assert encode(list(documents(built.path))) == encode(run)
    for stream in Run(path).streams:
        journal_table, file_table = Run(path).table(stream), Run(built.path).table(stream)
        assert journal_table.keys() == file_table.keys()
        for key, column in journal_table.items():
            assert column.dtype == file_table[key].dtype
            np.testing.assert_array_equal(column, file_table[key])
    verify(built.path)


def test_every_replayed_document_is_valid(file: Path) -> None:
    found = list(documents(file))
    for name, document in found:
        schema_validators[DocumentNames[name]].validate(document)
    assert [name for name, _ in found] == (
        [
            "start",
            "descriptor",
            "event",
            "event",
            "descriptor",
            "event",
            "event",
            "descriptor",
            "event_page",
            "stop",
        ]
    )


def test_types_that_json_would_lose_come_back(tmp_path: Path) -> None:
    path = write_journal(
        tmp_path / "run.journal", run_documents(metadata={"hints": {"dimensions": [(("power",), "primary")]}})
    )
    run = Run(build(path).path)
    assert run.start["hints"] == {"dimensions": [(("power",), "primary")]}
    first = next(run.events())
    assert type(first["data"]["power"]) is np.float64
    assert first["data"]["trace"].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_is_read_by_name(journal: Path, file: Path, *, finished: bool) -> None:
    run = Run(file if finished else journal)
    assert run.finished is finished
    assert run.start["plan_name"] == "sweep"
    assert run.stop is not None
    assert run.stop["num_events"] == {"primary": 4, "baseline": 2}
    assert run.streams == ("primary", "baseline")
    assert len(run.descriptors) == 3
    assert [event["seq_num"] for event in run.events()] == [1, 2, 3, 4]
    assert [event["data"]["temperature"] for event in run.events("baseline")] == [290.0, 291.0]
    table = run.table()
    assert table["seq_num"].tolist() == [1, 2, 3, 4]
    assert table["time"].tolist() == [100.0, 101.0, 102.0, 103.0]
    assert (table["counts"].dtype, table["counts"].tolist()) == (np.int64, [0, 3, 6, 9])
    assert table["power"].dtype == np.float64
    assert table["state"].tolist() == ["n0", "n1", "n2", "n3"]
    assert table["trace"].shape == (4, 3)
    assert np.isnan(table["event"]).all()
    assert run.configuration("amplifier") == {"amplifier_gain": 2.0, "amplifier_label": "front"}
    assert run.missing == ""


def test_what_is_not_there_is_named(file: Path, tmp_path: Path) -> None:
    run = Run(file)
    with pytest.raises(RecordError, match="has no stream 'tags'; it has primary, baseline"):
        run.table("tags")
    with pytest.raises(RecordError, match="has no stream 'tags'"):
        list(run.events("tags"))
    with pytest.raises(RecordError, match="has no device 'laser'; it has amplifier"):
        run.configuration("laser")
    with pytest.raises(RecordError, match=r"there is no file .*absent"):
        Run(tmp_path / "absent")
    with pytest.raises(RecordError, match="has no group 'entry/tags'"):
        list(run.tags())


def test_a_growing_journal_shows_every_acknowledged_event(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.journal")
    events = 0
    for name, document in run_documents():
        writer.append(name, document)
        events += name == "event"
        if events:
            assert len(Run(writer.path).table()["seq_num"]) == events
    writer.close()


def test_tags_are_read_in_any_slice(tag_file: tuple[Path, Any], joined: Callable) -> None:
    path, tagger = tag_file
    times, channels = tagger.all_tags()
    for first, count in [
        (0, None),
        (5, 10),
        (19_990, 20),
        ((1 << 20) - 3, 6),
        (1_520_299, 10),
        (2_000_000, 5),
        (7, 0),
    ]:
        stop = None if count is None else first + count
        found = joined(open_tags(path, "tags", first, count))
        assert np.array_equal(found[0], times[first:stop])
        assert np.array_equal(found[1], channels[first:stop])


def test_plain_h5py_reads_tags_columns_and_units(tag_file: tuple[Path, Any]) -> None:
    path, tagger = tag_file
    times, channels = tagger.all_tags()
    with opened(path) as file:
        tags = file["entry/tags"]
        assert tags.attrs["NX_class"] == "NXevent_data"
        assert tags["time"].dtype == np.int64
        assert tags["time"].chunks == (1 << 20,)
        assert tags["time"].attrs["units"] == "ps"
        assert np.array_equal(tags["time"][:], times)
        assert np.array_equal(tags["channel"][:], channels)
        assert np.array_equal(tags["event_time_offset"][:5], times[:5])
        assert tags["point_first"][:].tolist() == [0, 20_000, 1_520_000]
        assert tags["point_count"][:].tolist() == [20_000, 1_500_000, 300]
        assert tags["time"].id.get_storage_size() + tags["channel"].id.get_storage_size() < 4.5 * len(times)


def test_the_layout_is_as_documented(file: Path) -> None:
    with opened(file) as content:
        entry = content["entry"]
        assert (entry.attrs["source"], entry.attrs["seed"]) == ("twin", 7)
        assert bool(entry.attrs["incomplete"]) is False
        assert entry["title"].asstr()[()] == "sweep"
        assert entry["primary/power"].attrs["units"] == "dBm"
        assert entry["primary/trace"].attrs["units"] == "V"
        assert entry["primary/event_"].attrs["data_key"] == "event"
        assert entry["primary/event/time"].attrs["units"] == "s"
        assert entry["primary/event/descriptor"][:].tolist() == [0, 0, 1, 1]
        assert entry["primary/timestamps/power"][:].tolist() == [10.0, 11.0, 12.0, 13.0]
        assert entry["baseline/temperature"].attrs["units"] == "K"
        gain = entry["instrument/amplifier/amplifier_gain"]
        assert (gain[:].tolist(), gain.attrs["units"], bool(gain.attrs["changed"])) == (
            [0.0, 2.0],
            "dB",
            True,
        )
        assert entry["instrument/amplifier/amplifier_label"].asstr()[()] == "front"
        files = entry["record/configuration"]
        assert {key: files[key].asstr()[()] for key in files} == CONFIGURATION
        assert entry["start/seed"][()] == 7
        assert entry["stop/num_events/primary"][()] == 4


@pytest.mark.parametrize(
    ("metadata", "signal", "axis", "error"),
    [
        (
            {"plot": {"x": "power", "y": ["counts"], "errors": {"counts": "counts_error"}}},
            "counts",
            "power",
            0.5,
        ),
        ({"hints": {"dimensions": [(("power",), "primary")]}}, "counts", "power", None),
        ({"hints": {"dimensions": [(("time",), "primary")]}}, "counts", "time", None),
        ({"plot": {"x": "absent", "y": ["power"]}}, "counts", "time", None),
    ],
)
def test_nexusformat_opens_the_file_at_its_default_plot(
    tmp_path: Path, metadata: dict, signal: str, axis: str, error: float | None
) -> None:
    path = build(write_journal(tmp_path / "run.journal", run_documents(metadata=metadata))).path
    data: Any = nx.nxload(str(path)).plottable_data
    assert data.nxname == "data"
    assert data.nxsignal.nxname == signal
    assert data.nxsignal.nxdata.tolist() == [0, 3, 6, 9]
    assert [found.nxname for found in data.nxaxes] == [axis]
    assert len(data.nxaxes[0].nxdata) == 4
    errors = data.nxerrors
    assert (errors.nxdata[0] if errors is not None else None) == error


def test_a_run_without_events_has_a_file_without_a_plot(tmp_path: Path) -> None:
    bundle: Any = compose_run()
    run = [("start", bundle.start_doc), ("stop", bundle.compose_stop())]
    path = build(write_journal(tmp_path / "run.journal", run)).path
    assert encode(list(documents(path))) == encode(run)
    with opened(path) as file:
        assert "data" not in file["entry"]
    tree: Any = nx.nxload(str(path))
    assert tree.entry.title.nxvalue == "run"


def stored_bytes(path: Path) -> dict[str, int]:
    """A byte of the stored data of each dataset whose data have a place of their own in the file."""
    places: dict[str, int] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset) or item.size == 0:
            return
        if item.chunks:
            chunk = item.id.get_chunk_info(0)
            places[f"/{name}"] = chunk.byte_offset + chunk.size // 2
        elif item.id.get_offset() is not None and not h5py.check_string_dtype(item.dtype):
            places[f"/{name}"] = item.id.get_offset()

    with opened(path) as file:
        file.visititems(note)
    return places


def test_a_changed_byte_in_any_column_is_noticed_and_named(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    places = stored_bytes(file)
    assert {"/entry/record/documents", "/entry/primary/power", "/entry/baseline/event/time"} <= places.keys()
    altered = tmp_path / "altered.h5"
    for name, position in places.items():
        data = bytearray(whole)
        data[position] ^= 0x01
        altered.write_bytes(data)
        with pytest.raises(RecordError, match=rf"altered\.h5 is not as it was recorded: .*{name}"):
            Run(altered).verify()


@pytest.mark.parametrize(
    ("alter", "name"),
    [
        (lambda file: file["entry"].attrs.modify("source", "bench"), "/entry"),
        (lambda file: file["entry/primary/power"].attrs.modify("units", "dB"), "/entry/primary/power"),
        (lambda file: file["entry/primary/state"].__setitem__(1, "n9"), "/entry/primary/state"),
        (lambda file: file.__delitem__("entry/primary/counts"), "/entry/primary"),
        (lambda file: file.create_dataset("entry/note", data=1), "/entry/note"),
        (lambda file: file["entry/record/configuration/lab"].__setitem__((), "x"), "configuration/lab"),
    ],
)
def test_an_edited_file_is_noticed(file: Path, alter: Callable[[Opened], Any], name: str) -> None:
    verify(file)
    with opened(file, "r+") as content:
        alter(content)
    with pytest.raises(RecordError, match=rf"is not as it was recorded: .*{name}"):
        verify(file)


def test_altered_documents_are_never_given_out(file: Path) -> None:
    with opened(file, "r+") as content:
        dataset = content["entry/record/documents"]
        dataset[len(dataset) // 2] ^= 0x01
    with pytest.raises(RecordError, match=r"the documents are damaged: .* bytes lost after frame"):
        list(documents(file))


def test_altered_tags_are_never_given_out(tag_file: tuple[Path, Any], joined: Callable) -> None:
    path, tagger = tag_file
    with opened(path, "r+") as content:
        content["entry/tags/time"][1_400_000] += 1
    assert np.array_equal(joined(open_tags(path, count=1000))[0], tagger.all_tags()[0][:1000])
    with pytest.raises(RecordError, match="the tags from row 1048576 of /entry/tags are damaged"):
        joined(open_tags(path))
    with pytest.raises(RecordError, match=r"is not as it was recorded: /entry/tags$"):
        verify(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    with pytest.raises(RecordError, match="not a recorded run"):
        list(documents(foreign))
    with pytest.raises(RecordError, match="not a recorded run"):
        verify(foreign)
    text = tmp_path / "notes.txt"
    text.write_text("nothing")
    with pytest.raises(RecordError, match="is not a qdci-journal file"):
        list(documents(text))
    with pytest.raises(RecordError, match="cannot read"):
        verify(text)
