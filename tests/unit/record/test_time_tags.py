import errno
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pytest_mock import MockerFixture

from qdci_lab.errors import RecordError
from qdci_lab.record.time_tags import FRAME_TAGS, TagSegmentReader, TagSegmentWriter, in_blocks_of


def tags(count: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Clicks on one in a hundred pulses of a 100 MHz train with 50 ps jitter, on four channels."""
    rng = np.random.default_rng(seed)
    slots = np.cumsum(rng.geometric(0.01, count))
    times = slots * 10_000 + np.rint(rng.normal(0, 50, count)).astype(np.int64)
    return np.sort(times), rng.integers(1, 5, count).astype(np.uint8)


def write(
    path: Path, blocks: list[tuple[np.ndarray, np.ndarray]], *, first_index: int = 0, sync: bool = False
) -> Path:
    writer = TagSegmentWriter(path, first_index=first_index)
    for times, channels in blocks:
        writer.append(times, channels)
        if sync:
            writer.sync()
    writer.close()
    return path


def read(
    reader: TagSegmentReader, first: int | None = None, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(reader.blocks(first, count))
    times = np.concatenate([np.empty(0, np.int64), *(times for times, _ in blocks)])
    return times, np.concatenate([np.empty(0, np.uint8), *(channels for _, channels in blocks)])


blocks_of_any_numbers = st.lists(
    st.integers(0, 40).flatmap(
        lambda count: st.tuples(npst.arrays(np.int64, count), npst.arrays(np.uint8, count))
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=60)
@given(blocks_of_any_numbers, st.booleans(), st.integers(0, 80), st.integers(0, 80))
def test_any_times_and_channels_come_back_whole_and_in_slices(
    tmp_path_factory: pytest.TempPathFactory, blocks: list, sync: bool, first: int, count: int
) -> None:
    path = write(tmp_path_factory.mktemp("tags") / "a.tags", blocks, sync=sync)
    reader = TagSegmentReader(path)
    times = np.concatenate([np.empty(0, np.int64), *(times for times, _ in blocks)])
    channels = np.concatenate([np.empty(0, np.uint8), *(channels for _, channels in blocks)])
    assert reader.count == len(times)
    whole = read(reader)
    assert whole[0].tolist() == times.tolist()
    assert whole[1].tolist() == channels.tolist()
    part = read(reader, first, count)
    assert part[0].tolist() == times[first : first + count].tolist()
    assert part[1].tolist() == channels[first : first + count].tolist()


@pytest.mark.parametrize("size", [1, FRAME_TAGS - 1, FRAME_TAGS, FRAME_TAGS + 1, 2 * FRAME_TAGS + 7])
def test_blocks_of_all_sizes_come_back(tmp_path: Path, size: int) -> None:
    times, channels = tags(size + 10)
    parts = [(times[:10], channels[:10]), (times[10:], channels[10:])]
    reader = TagSegmentReader(write(tmp_path / "a.tags", parts))
    back_times, back_channels = read(reader)
    assert np.array_equal(back_times, times)
    assert np.array_equal(back_channels, channels)
    assert reader.tail.lost_bytes == 0


def test_typical_tags_take_little_more_than_three_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tags", [tags(4 * FRAME_TAGS)])
    assert path.stat().st_size / (4 * FRAME_TAGS) < 3.1


@pytest.mark.parametrize(
    ("step_ps", "bits"), [(0, 0), (1, 1), (1000, 10), (1 << 31, 32), (1 << 40, 41), (1 << 62, 72), (-1, 72)]
)
def test_tags_take_the_bits_that_the_longest_step_needs(tmp_path: Path, step_ps: int, bits: int) -> None:
    """64 tags are two groups: the first has one step less. Channels 3 and 4 take a bit, which 64 + 8 include."""
    times = (
        (np.arange(64) * step_ps) if abs(step_ps) < 1 << 50 else np.tile([0, step_ps], 32).astype(np.int64)
    )
    channels = np.tile([3, 4], 32).astype(np.uint8)
    empty = write(tmp_path / "empty.tags", []).stat().st_size
    size = write(tmp_path / "a.tags", [(times, channels)]).stat().st_size - empty
    assert size == 40 + 8 + 64 * (bits if bits == 72 else bits + 1) // 8
    assert np.array_equal(read(TagSegmentReader(tmp_path / "a.tags"))[0], times)


def test_columns_that_are_slices_or_read_only_come_back(tmp_path: Path) -> None:
    times, channels = tags(200)
    times.flags.writeable = False
    path = write(tmp_path / "a.tags", [(times[::2], channels[::2]), (times[:10], channels[:10])])
    assert read(TagSegmentReader(path))[0].tolist() == [*times[::2], *times[:10]]


def test_indices_are_those_of_the_run(tmp_path: Path) -> None:
    times, channels = tags(100)
    reader = TagSegmentReader(write(tmp_path / "a.tags", [(times, channels)], first_index=1000))
    assert (reader.first_index, reader.count) == (1000, 100)
    assert np.array_equal(read(reader, 1010, 5)[0], times[10:15])
    assert read(reader, 0, 1000)[0].size == 0


def test_a_torn_segment_gives_the_frames_before_the_tear(tmp_path: Path) -> None:
    blocks = [tags(50, seed) for seed in range(3)]
    whole = write(tmp_path / "a.tags", blocks, sync=True).read_bytes()
    ends = [write(tmp_path / f"{n}.tags", blocks[:n], sync=True).stat().st_size for n in range(4)]
    torn = tmp_path / "torn.tags"
    for size in range(ends[0], len(whole)):
        torn.write_bytes(whole[:size])
        reader = TagSegmentReader(torn)
        frames = sum(end <= size for end in ends[1:])
        assert (reader.tail.frames, reader.count, reader.tail.lost_bytes) == (
            frames,
            50 * frames,
            size - ends[frames],
        )
        assert np.array_equal(
            read(reader)[0], np.concatenate([np.empty(0, np.int64), *(b[0] for b in blocks[:frames])])
        )


def test_a_flipped_bit_is_never_taken_for_tags(tmp_path: Path) -> None:
    blocks = [tags(50, seed) for seed in range(2)]
    whole = write(tmp_path / "a.tags", blocks, sync=True).read_bytes()
    first_end = write(tmp_path / "1.tags", blocks[:1], sync=True).stat().st_size
    damaged = tmp_path / "damaged.tags"
    for position in range(first_end, len(whole)):
        data = bytearray(whole)
        data[position] ^= 0x04
        damaged.write_bytes(data)
        assert TagSegmentReader(damaged).count == 50


def test_a_reader_sees_what_was_synced_while_the_segment_is_written(tmp_path: Path) -> None:
    times, channels = tags(300)
    writer = TagSegmentWriter(tmp_path / "a.tags")
    writer.append(times[:100], channels[:100])
    writer.sync()
    writer.append(times[100:], channels[100:])
    assert TagSegmentReader(writer.path).count == 100
    writer.sync()
    assert np.array_equal(read(TagSegmentReader(writer.path))[0], times)
    writer.close()


@pytest.mark.parametrize(
    ("times", "channels", "reason"),
    [
        (np.zeros(2), np.zeros(2, np.uint8), "not float64 and uint8"),
        (np.zeros(2, np.int64), np.zeros(2, np.int64), "not int64 and int64"),
        (np.zeros(2, np.int64), np.zeros(3, np.uint8), r"shape \(2,\) do not fit channels of shape \(3,\)"),
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8), "do not fit"),
    ],
)
def test_other_columns_are_refused(
    tmp_path: Path, times: np.ndarray, channels: np.ndarray, reason: str
) -> None:
    writer = TagSegmentWriter(tmp_path / "a.tags")
    with pytest.raises(RecordError, match=reason):
        writer.append(times, channels)
    writer.close()


def test_a_full_disk_is_named_and_loses_nothing_that_was_synced(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    times, channels = tags(200)
    writer = TagSegmentWriter(tmp_path / "a.tags")
    writer.append(times[:100], channels[:100])
    writer.sync()
    writer.append(times[100:], channels[100:])
    mocker.patch("os.write", side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(RecordError, match=r"cannot write .*a\.tags: No space left"):
        writer.sync()
    mocker.stopall()
    assert TagSegmentReader(writer.path).count == 100
    writer.close()
    assert np.array_equal(read(TagSegmentReader(writer.path))[0], times)


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot read .*absent\.tags"):
        TagSegmentReader(tmp_path / "absent.tags")


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 7))
def test_tags_are_cut_into_equal_blocks(sizes: list[int], tags_a_block: int) -> None:
    edges = np.cumsum([0, *sizes])
    times, channels = np.arange(edges[-1]), np.arange(edges[-1]).astype(np.uint8)
    parts = [(times[low:high], channels[low:high]) for low, high in itertools.pairwise(edges)]
    cut = [
        (block.tolist(), block_channels.tolist())
        for block, block_channels in in_blocks_of(tags_a_block, parts)
    ]
    assert [len(block) for block, _ in cut[:-1]] == [tags_a_block] * max(0, len(cut) - 1)
    assert [time for block, _ in cut for time in block] == times.tolist()
    assert [channel for _, block in cut for channel in block] == channels.tolist()
