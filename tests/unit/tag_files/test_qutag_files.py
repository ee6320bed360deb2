"""quTAG files built byte by byte with struct alone, as real ones look, and read; written, and taken apart again."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.errors import RecordError
from qdci_lab.record.tag_files import TagFormat, open_tags, recognise, write_tags

IDENTITY = bytes.fromhex("8e00b5d2c1404f6e9a3377f01c2d3e4f")


def header(body_bytes: int, *, size: int | None = None) -> bytes:
    """The 40 bytes of real files: magic, size, 0x800, features 0x73, 8 zeros, 16 that differ from file to file."""
    words = struct.pack("<I", 0xFA91B387), struct.pack("<I", 40 + body_bytes if size is None else size)
    return b"".join([*words, b"\x00\x08\x00\x00", b"\x73\x00\x00\x00", bytes(8), IDENTITY])


def records(events) -> bytes:
    return b"".join(struct.pack("<qH", time, channel) for time, channel in events)


def compressed(events) -> bytes:
    return b"".join((time % 2**37 | channel << 37).to_bytes(5, "little") for time, channel in events)


def real_like(seed: int = 7):
    """As the real file of an 80 MHz source: 267801 tags of channels 1, 2, 5; 173 inversions down to -86 ns."""
    random = np.random.default_rng(seed)
    times = 10**12 + np.cumsum(random.integers(200_000, 900_000, 267_801))
    places = 10 + 1500 * np.arange(173)
    times[places] = times[places - 1] - random.integers(1, 86_000, 173)
    times[places[0]] = times[places[0] - 1] - 86_000
    channels = random.choice(np.array([1, 2, 5], np.uint8), len(times))
    return times, channels


def packed(times, channels) -> bytes:
    table = np.zeros(len(times), [("time", "<i8"), ("channel", "<u2")])
    table["time"], table["channel"] = times, channels
    return table.tobytes()


def read(tags, block_tags: int = 1 << 20):
    blocks = list(tags.blocks(block_tags))
    assert all(len(times) == len(channels) <= block_tags for times, channels in blocks)
    return [
        (t, c) for times, channels in blocks for t, c in zip(times.tolist(), channels.tolist(), strict=True)
    ]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


EVENTS = [(1_000, 1), (5_000_000, 2), (4_914_000, 5), (6_000_000, 104), (7_000_000, 200), (8_000_000, 2)]


def test_header_and_records_of_a_real_file(tmp_path):
    tags = open_tags(write(tmp_path / "any.name", header(60) + records(EVENTS)))
    assert (tags.format, tags.count, tags.complaints) == (TagFormat.QUTAG_BINARY, 6, ())
    assert tags.facts == {"features": "HBT LIFETIME 5CH MARKERS FILTERS", "identity": IDENTITY.hex()}
    assert read(tags) == EVENTS
    times, channels = next(tags.blocks())
    assert (times.dtype, channels.dtype) == (np.int64, np.uint8)


def test_tags_out_of_order_come_as_they_are_and_are_counted(tmp_path):
    times, channels = real_like()
    tags = open_tags(write(tmp_path / "real.qutag", header(10 * len(times)) + packed(times, channels)))
    delivered = [np.concatenate(column) for column in zip(*tags.blocks(10_000), strict=True)]
    np.testing.assert_array_equal(delivered[0], times)
    np.testing.assert_array_equal(delivered[1], channels)
    summary = tags.summary()
    assert (summary.count, summary.inversions, summary.largest_inversion_ps) == (267_801, 173, 86_000)
    assert summary.inputs == {channel: int((channels == channel).sum()) for channel in (1, 2, 5)}
    assert summary.duration_ps == times.max() - times.min()


@pytest.mark.parametrize("block_tags", [97, 100_000, 1 << 20])
def test_tags_are_sorted_within_a_stated_disorder(tmp_path, block_tags):
    times, channels = real_like()
    path = write(tmp_path / "real.qutag", header(10 * len(times)) + packed(times, channels))
    blocks = list(open_tags(path, max_disorder_ps=86_000).blocks(block_tags))
    order = np.argsort(times, kind="stable")
    np.testing.assert_array_equal(np.concatenate([block[0] for block in blocks]), times[order])
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), channels[order])
    with pytest.raises(RecordError, match="86000 ps late, more than the 85999 ps"):
        list(open_tags(path, max_disorder_ps=85_999).blocks(block_tags))


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 8)), max_size=50),
    st.integers(1, 9),
    st.integers(0, 2000),
)
def test_sorting_is_sorting(tmp_path_factory, events, block_tags, disorder):
    path = write(tmp_path_factory.mktemp("sort") / "x", header(10 * len(events)) + records(events))
    latest, late = -1, 0
    for time, _ in events:
        latest = max(latest, time)
        late = max(late, latest - time)
    tags = open_tags(path, tag_format="qutag-binary", max_disorder_ps=disorder)
    if late <= disorder:
        assert [
            event for block in tags.blocks(block_tags) for event in zip(*map(list, block), strict=True)
        ] == (sorted(events, key=lambda event: event[0]))
    else:
        with pytest.raises(RecordError, match=f"more than the {disorder} ps stated"):
            list(tags.blocks(block_tags))


@pytest.mark.parametrize(("torn", "whole"), [(9, 5), (1, 5), (10, 5), (3, 5)])
def test_a_torn_last_record_is_left_out_and_reported(tmp_path, torn, whole):
    content = header(60) + records(EVENTS)
    tags = open_tags(write(tmp_path / "torn", content[: len(content) - torn]))
    assert read(tags) == EVENTS[:whole]
    said = " ".join(tags.complaints)
    assert f"the header says 100 bytes, the file has {100 - torn}" in said
    assert (f"incomplete, {10 - torn} of 10 bytes" in said) == (torn != 10)


def test_a_size_that_was_never_written_is_reported(tmp_path):
    tags = open_tags(write(tmp_path / "growing", header(60, size=40) + records(EVENTS)))
    assert read(tags) == EVENTS
    assert tags.complaints == (
        f"{tmp_path / 'growing'}: the header says 40 bytes, the file has 100: its writing did not end in order, or "
        "it was cut",
    )


def test_a_file_without_tags(tmp_path):
    tags = open_tags(write(tmp_path / "none", header(0)))
    assert (read(tags), tags.count, tags.complaints) == ([], 0, ())
    assert (tags.summary().duration_ps, tags.summary().first_ps) == (0, None)


def test_channel_base_moves_inputs_and_leaves_markers(tmp_path):
    path = write(tmp_path / "x", header(40) + records([(1, 0), (2, 3), (3, 100), (4, 203)]))
    assert [channel for _, channel in read(open_tags(path))] == [0, 3, 100, 203]
    assert [channel for _, channel in read(open_tags(path, channel_base=1))] == [0, 3, 100, 203]
    assert [channel for _, channel in read(open_tags(path, channel_base=0))] == [1, 4, 100, 203]
    assert [channel for _, channel in read(open_tags(path, channel_base=0, markers=False))] == [1, 4]


def test_markers_and_ticks_are_told_from_inputs(tmp_path):
    channels = [0, 1, 32, 33, 34, 99, 100, 104, 108, 109, 199, 200, 203, 204]
    path = write(tmp_path / "x", records(enumerate(channels)))
    summary = open_tags(path, tag_format="qutag-raw").summary()
    assert list(summary.inputs) == [0, 1, 32, 33]
    assert list(summary.markers) == [100, 104, 108, 200, 203]
    assert list(summary.unknown) == [34, 99, 109, 199, 204]


def test_a_damaged_record_is_named(tmp_path):
    body = records([(time, 1) for time in range(9_000)])
    damaged = body[:70_008] + b"\x01\x07" + body[70_010:]
    tags = open_tags(write(tmp_path / "x", header(len(body)) + damaged))
    with pytest.raises(RecordError, match="record 7000 is of channel 1793"):
        list(tags.blocks(512))


def test_raw_has_no_header(tmp_path):
    tags = open_tags(write(tmp_path / "x.bin", records(EVENTS) + b"\x01"))
    assert (tags.format, read(tags)) == (TagFormat.QUTAG_RAW, EVENTS)
    assert "1 of 10 bytes" in tags.complaints[0]


@pytest.mark.parametrize("block_tags", [1, 7, 1 << 20])
@pytest.mark.parametrize("tick_ps", [1, 81])
def test_compressed_times_unwrap_and_may_be_out_of_order(tmp_path, block_tags, tick_ps):
    random = np.random.default_rng(3)
    ticks = 2**37 - 10**9 + np.cumsum(random.integers(10**7, 2**36, 60))
    ticks[30] = ticks[29] - 86_000
    events = list(zip(ticks.tolist(), random.integers(0, 8, 60).tolist(), strict=True))
    path = write(tmp_path / "c", header(300) + compressed(events))
    tags = open_tags(path, compressed_tick_ps=tick_ps, tag_format="qutag-compressed")
    first = ticks[0] % 2**37
    assert read(tags, block_tags) == [((t - ticks[0] + first) * tick_ps, c) for t, c in events]


def test_compressed_is_recognised(tmp_path):
    random = np.random.default_rng(4)
    times = np.cumsum(random.integers(10**5, 10**6, 3000))
    events = list(zip(times.tolist(), random.choice([1, 2, 5], 3000).tolist(), strict=True))
    assert recognise(write(tmp_path / "c", header(15_000) + compressed(events))) == TagFormat.QUTAG_COMPRESSED
    assert recognise(write(tmp_path / "b", header(30_000) + records(events))) == TagFormat.QUTAG_BINARY


def test_text(tmp_path):
    tags = open_tags(write(tmp_path / "x", b"1000,1\r\n5000000, 2\n-3;104\n\n4914000\t5\n"))
    assert (tags.format, tags.count, tags.complaints) == (TagFormat.QUTAG_ASCII, None, ())
    for block_tags in (1, 2, 100):
        assert read(tags, block_tags) == [(1000, 1), (5_000_000, 2), (-3, 104), (4_914_000, 5)]


def test_text_with_a_heading_and_a_last_line_that_was_cut(tmp_path):
    tags = open_tags(write(tmp_path / "x", b"# time, channel\nfrom the lab\n9223372036854775807,1\n12345"))
    assert read(tags) == [(2**63 - 1, 1)]
    assert "b'12345', is not ended; it is left out" in tags.complaints[0]
    tags = open_tags(write(tmp_path / "y", b"1,1\n2,2"))
    assert read(tags) == [(1, 1), (2, 2)]
    assert "taken as it is" in tags.complaints[0]


@pytest.mark.parametrize(
    ("line", "said"), [(b"4,x", "tag 3 reads"), (b"4", "tag 3 reads"), (b"4,256", "tag 3 is of channel 256")]
)
def test_text_that_is_none(tmp_path, line, said):
    tags = open_tags(write(tmp_path / "x", b"1,1\n2,1\n3,1\n" + line + b"\n5,1\n"))
    with pytest.raises(RecordError, match=said):
        list(tags.blocks(2))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"hello\n", b"\x00\x01\x02", b"12 apples\n", IDENTITY * 40],
)
def test_what_is_no_file_of_tags_is_refused(tmp_path, content):
    with pytest.raises(RecordError, match=r"not recognised as time tags.*qutag-binary"):
        open_tags(write(tmp_path / "x", content))


def test_a_header_before_nonsense_is_damage(tmp_path):
    noise = np.random.default_rng(5).bytes(20_000)
    with pytest.raises(RecordError, match="neither BINARY nor COMPRESSED"):
        open_tags(write(tmp_path / "x", header(20_000) + noise))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"channel_base": 2}, "channel_base 2"),
        ({"max_disorder_ps": -1}, "max_disorder_ps -1"),
        ({"compressed_tick_ps": 0}, "compressed_tick_ps 0"),
        ({"tag_format": "qutag"}, "no format of tags 'qutag'"),
        ({"tag_format": "qutag-ascii"}, "no line `time,channel`"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, said):
    with pytest.raises(RecordError, match=said):
        open_tags(write(tmp_path / "x", header(10) + records([(1, 1)])), **options)


def test_blocks_are_read_as_they_are_asked_for(tmp_path):
    """Bounded memory: the first blocks of a file come though its end is damaged."""
    body = records([(time, 1) for time in range(5000)]) + struct.pack("<qH", 5000, 999)
    blocks = open_tags(write(tmp_path / "x", header(len(body)) + body)).blocks(1000)
    assert [len(next(blocks)[0]) for _ in range(5)] == [1000] * 5
    with pytest.raises(RecordError, match="record 5000"):
        next(blocks)


# Writing


def pieces(events, size: int = 2):
    for start in range(0, len(events), size):
        times, channels = zip(*events[start : start + size], strict=True)
        yield np.array(times, np.int64), np.array(channels, np.uint8)


def test_written_bytes(tmp_path):
    small = [event for event in EVENTS if event[1] < 8]
    write_tags(tmp_path / "b", pieces(EVENTS))
    content = (tmp_path / "b").read_bytes()
    assert content[:24] == header(60)[:24]
    assert content[40:] == records(EVENTS)
    write_tags(tmp_path / "r", pieces(EVENTS), "qutag-raw")
    assert (tmp_path / "r").read_bytes() == records(EVENTS)
    write_tags(tmp_path / "c", pieces(small), "qutag-compressed")
    assert (tmp_path / "c").read_bytes()[40:] == compressed(small)
    write_tags(tmp_path / "a", pieces(EVENTS), "qutag-ascii")
    assert (tmp_path / "a").read_text() == "".join(f"{time},{channel}\n" for time, channel in EVENTS)


def test_equal_tags_make_equal_files_and_others_differ(tmp_path):
    for name, size in (("a", 2), ("b", 5)):
        write_tags(tmp_path / name, pieces(EVENTS, size))
    write_tags(tmp_path / "c", pieces([*EVENTS[:-1], (9_000_000, 2)]))
    contents = [(tmp_path / name).read_bytes() for name in "abc"]
    assert contents[0] == contents[1]
    assert contents[0][24:40] != contents[2][24:40]


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 7)), min_size=1, max_size=40),
    st.sampled_from(["qutag-binary", "qutag-raw", "qutag-compressed", "qutag-ascii"]),
    st.sampled_from([0, 1]),
    st.integers(1, 7),
)
def test_what_is_written_is_read(tmp_path_factory, events, tag_format, base, size):
    path = tmp_path_factory.mktemp("round") / "x"
    assert write_tags(path, pieces(events, size), tag_format, channel_base=base) == len(events)
    assert read(open_tags(path, tag_format=tag_format, channel_base=base), size) == events
    assert not list(path.parent.glob("*.part"))


@pytest.mark.parametrize(
    ("events", "tag_format", "options", "said"),
    [
        ([(1, 104)], "qutag-compressed", {}, "channel 104 does not fit"),
        ([(1, 1), (2**37, 1)], "qutag-compressed", {}, "wrap after 137438953472 ps"),
        ([(2_000_000, 1), (0, 1)], "qutag-compressed", {}, "a step of -2000000 ps"),
        ([(1, 0)], "qutag-binary", {"channel_base": 0}, "input 0 has no number"),
        ([(1, 1)], "ptu-t2", {}, "not written as 'ptu-t2'"),
    ],
)
def test_tags_that_a_format_cannot_hold(tmp_path, events, tag_format, options, said):
    with pytest.raises(RecordError, match=said):
        write_tags(tmp_path / "x", pieces(events), tag_format, **options)
    assert not list(tmp_path.iterdir())
