"""PicoQuant PTU files built byte by byte from the format's description, and read."""

import struct
from pathlib import Path

import numpy as np
import pytest

from qdci_lab.errors import RecordError
from qdci_lab.record.tag_files import TagFormat, open_tags

PICOHARP_T2, HYDRAHARP2_T2, MULTIHARP_T2 = 0x00010203, 0x01010204, 0x00010207
PICOHARP_T3, HYDRAHARP2_T3, TIMEHARP260P_T3 = 0x00010303, 0x01010304, 0x00010306
T2_WRAP, T3_WRAP, PICOHARP_T2_WRAP = 33_554_432, 1024, 210_698_240


def tag(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<32siI", name.encode(), -1, kind) + value


def ptu(
    path: Path, record_type: int, records, *, step_s: float, bin_s: float = 0.0, count: int | None = None
) -> Path:
    def whole(name: str, value: int) -> bytes:
        return tag(name, 0x10000008, struct.pack("<q", value))

    head = [
        b"PQTTTR\0\0" + b"1.0.00\0\0",
        whole("Measurement_Mode", 3 if record_type >> 8 & 0xF == 3 else 2),
        whole("Measurement_SubMode", 0),
        whole("TTResultFormat_TTTRRecType", record_type),
        whole("TTResultFormat_BitsPerRecord", 32),
        tag("MeasDesc_GlobalResolution", 0x20000008, struct.pack("<d", step_s)),
        tag("MeasDesc_Resolution", 0x20000008, struct.pack("<d", bin_s)),
        whole("TTResult_NumberOfRecords", len(records) if count is None else count),
        tag("Header_End", 0xFFFF0008, bytes(8)),
    ]
    path.write_bytes(b"".join(head) + struct.pack(f"<{len(records)}I", *records))
    return path


def t2(special: int, channel: int, time: int) -> int:
    return special << 31 | channel << 25 | time


def t3(special: int, channel: int, delay: int, sync: int) -> int:
    return special << 31 | channel << 25 | delay << 10 | sync


def picoharp(channel: int, rest: int) -> int:
    return channel << 28 | rest


def read(tags, block_tags: int):
    return [
        event
        for block in tags.blocks(block_tags)
        for event in zip(*map(np.ndarray.tolist, block), strict=True)
    ]


@pytest.mark.parametrize("block_tags", [1, 2, 100])
@pytest.mark.parametrize("record_type", [HYDRAHARP2_T2, MULTIHARP_T2])
def test_t2(tmp_path, record_type, block_tags):
    records = [
        t2(1, 0, 90),  # sync
        t2(0, 0, 100),  # input 1
        t2(0, 7, 200),  # input 8
        t2(1, 0x3F, 3),  # three wraps
        t2(1, 0b0101, 400),  # markers 1 and 3 at once
        t2(0, 1, 7),
        t2(1, 0x3F, 1),
        t2(0, 1, 8),
    ]
    tags = open_tags(ptu(tmp_path / "x", record_type, records, step_s=5e-12))
    assert (tags.format, tags.count, tags.complaints) == (TagFormat.PTU_T2, 8, ())
    wrap_ps = 5 * T2_WRAP
    assert read(tags, block_tags) == [
        (450, 0),
        (500, 1),
        (1000, 8),
        (3 * wrap_ps + 2000, 100),
        (3 * wrap_ps + 2000, 102),
        (3 * wrap_ps + 35, 2),
        (4 * wrap_ps + 40, 2),
    ]


@pytest.mark.parametrize("block_tags", [1, 3, 100])
def test_picoharp_t2(tmp_path, block_tags):
    records = [picoharp(0, 100), picoharp(1, 200), picoharp(15, 0), picoharp(4, 7), picoharp(15, 0x32)]
    tags = open_tags(ptu(tmp_path / "x", PICOHARP_T2, records, step_s=4e-12))
    assert read(tags, block_tags) == [
        (400, 0),
        (800, 1),
        (4 * (PICOHARP_T2_WRAP + 7), 4),
        (4 * (PICOHARP_T2_WRAP + 0x32), 101),
    ]


@pytest.mark.parametrize("block_tags", [1, 2, 100])
@pytest.mark.parametrize("record_type", [HYDRAHARP2_T3, TIMEHARP260P_T3])
def test_t3_adds_the_delay_to_the_sync_period(tmp_path, record_type, block_tags):
    records = [t3(0, 0, 100, 5), t3(0, 3, 32_767, 6), t3(1, 0x3F, 0, 2), t3(1, 4, 0, 9), t3(0, 1, 7, 1023)]
    tags = open_tags(ptu(tmp_path / "x", record_type, records, step_s=12.5e-9, bin_s=16e-12))
    assert tags.format is TagFormat.PTU_T3
    assert read(tags, block_tags) == [
        (5 * 12_500 + 1600, 1),
        (6 * 12_500 + 32_767 * 16, 4),
        ((2 * T3_WRAP + 9) * 12_500, 102),
        ((2 * T3_WRAP + 1023) * 12_500 + 112, 2),
    ]
    assert tags.facts["global resolution in ps"] == pytest.approx(12_500.0)


def test_picoharp_t3_with_a_sync_period_of_no_whole_picoseconds(tmp_path):
    period_ps = 1e12 / 79_999_357
    records = [picoharp(1, 100 << 16 | 65_535), *[picoharp(15, 0)] * 200_000, picoharp(4, 50 << 16 | 40_000)]
    tags = open_tags(ptu(tmp_path / "x", PICOHARP_T3, records, step_s=1 / 79_999_357, bin_s=4e-12))
    first, last = read(tags, 50_000)
    assert first == (round(65_535 * period_ps) + 400, 1)
    exact_ps = (200_000 * 65_536 + 40_000) * 10**12 // 79_999_357  # 163.8 s in whole numbers
    assert last[1] == 4
    assert abs(last[0] - 200 - exact_ps) <= 1


def test_a_count_that_does_not_fit_is_reported(tmp_path):
    records = [t2(0, 0, time) for time in range(10)]
    cut = open_tags(ptu(tmp_path / "cut", HYDRAHARP2_T2, records, step_s=1e-12, count=12))
    assert len(read(cut, 4)) == 10
    assert "says 12 records, the file has 10; 10 are read" in cut.complaints[0]
    more = open_tags(ptu(tmp_path / "more", HYDRAHARP2_T2, records, step_s=1e-12, count=7))
    assert len(read(more, 4)) == 7
    unknown = ptu(tmp_path / "unknown", HYDRAHARP2_T2, records, step_s=1e-12, count=0)
    with unknown.open("ab") as file:
        file.write(b"\x01\x02")
    tags = open_tags(unknown)
    assert len(read(tags, 4)) == 10
    assert "says 0 records, the file has 10 and 2 bytes of another; 10 are read" in tags.complaints[0]


def test_sorted_and_without_markers(tmp_path):
    records = [t2(0, 0, 500), t2(1, 1, 450), t2(0, 1, 400)]
    path = ptu(tmp_path / "x", HYDRAHARP2_T2, records, step_s=1e-12)
    assert read(open_tags(path, markers=False, max_disorder_ps=100), 2) == [(400, 2), (500, 1)]


def test_what_makes_no_sense(tmp_path):
    path = ptu(tmp_path / "x", HYDRAHARP2_T2, [t2(0, 0, 1)], step_s=1e-12)
    with pytest.raises(RecordError, match="leave channel_base out"):
        open_tags(path, channel_base=1)
    content = path.read_bytes()
    (tmp_path / "short").write_bytes(content[:100])
    with pytest.raises(RecordError, match="short"):
        open_tags(tmp_path / "short")
    (tmp_path / "poor").write_bytes(
        content.replace(b"MeasDesc_GlobalResolution", b"MeasDesc_GlobalResolutioX")
    )
    with pytest.raises(RecordError, match="without MeasDesc_GlobalResolution"):
        open_tags(tmp_path / "poor")
    with pytest.raises(RecordError, match="odd: 68091"):
        open_tags(ptu(tmp_path / "odd", 0x000109FB, [], step_s=1e-12))
