import errno
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from qdci_lab.errors import RecordError
from qdci_lab.record.append_only import HEADER_BYTES, header
from qdci_lab.record.journal import MAGIC, VERSION, JournalReader, JournalWriter, frame

DOCUMENTS = [
    ("start", {"uid": "a", "shape": (1, 2)}),
    ("event", {"x": float("inf")}),
    ("stop", {"reason": "n" * 50}),
]


def write(path: Path, documents: list = DOCUMENTS) -> Path:
    writer = JournalWriter(path)
    for name, document in documents:
        writer.append(name, document)
    writer.close()
    return path


def test_documents_come_back_in_order(tmp_path: Path) -> None:
    reader = JournalReader(write(tmp_path / "run.journal"))
    assert list(reader.documents()) == DOCUMENTS
    assert (reader.tail.frames, reader.tail.lost_bytes) == (3, 0)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.text(max_size=8), st.dictionaries(st.text(max_size=3), st.binary(max_size=300))))
)
def test_any_documents_come_back(tmp_path_factory: pytest.TempPathFactory, documents: list) -> None:
    path = write(tmp_path_factory.mktemp("journal") / "run.journal", documents)
    assert list(JournalReader(path).documents()) == documents


def test_a_journal_torn_at_any_byte_of_its_last_frame_gives_all_frames_before(tmp_path: Path) -> None:
    whole = write(tmp_path / "run.journal").read_bytes()
    before = len(write(tmp_path / "shorter.journal", DOCUMENTS[:-1]).read_bytes())
    torn = tmp_path / "torn.journal"
    for size in range(before, len(whole)):
        torn.write_bytes(whole[:size])
        reader = JournalReader(torn)
        assert list(reader.documents()) == DOCUMENTS[:-1]
        assert (reader.tail.frames, reader.tail.good_bytes, reader.tail.lost_bytes) == (
            2,
            before,
            size - before,
        )


def test_a_flipped_bit_anywhere_in_the_last_frame_is_noticed(tmp_path: Path) -> None:
    whole = write(tmp_path / "run.journal").read_bytes()
    before = len(write(tmp_path / "shorter.journal", DOCUMENTS[:-1]).read_bytes())
    damaged = tmp_path / "damaged.journal"
    for position in range(before, len(whole)):
        data = bytearray(whole)
        data[position] ^= 0x10
        damaged.write_bytes(data)
        reader = JournalReader(damaged)
        assert list(reader.documents()) == DOCUMENTS[:-1]
        assert reader.tail.lost_bytes == len(whole) - before


def test_zeros_behind_the_last_frame_are_no_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "run.journal")
    with path.open("ab") as stream:
        stream.write(bytes(4096))
    reader = JournalReader(path)
    assert list(reader.documents()) == DOCUMENTS
    assert str(reader.tail) == f"4096 bytes lost after frame 3 (byte {reader.tail.good_bytes})"


def test_a_reader_follows_a_journal_that_grows(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.journal")
    reader = JournalReader(writer.path)
    assert list(reader.documents()) == []
    for expected in DOCUMENTS:
        writer.append(*expected)
        assert list(reader.documents()) == [expected]
    assert list(reader.documents()) == []
    writer.close()


def test_a_reader_that_saw_half_a_frame_sees_it_whole_later(tmp_path: Path) -> None:
    whole = write(tmp_path / "run.journal").read_bytes()
    growing = tmp_path / "growing.journal"
    growing.write_bytes(whole[:-5])
    reader = JournalReader(growing)
    assert list(reader.documents()) == DOCUMENTS[:-1]
    growing.write_bytes(whole)
    assert list(reader.documents()) == DOCUMENTS[-1:]


@pytest.mark.parametrize(("interval_s", "expected"), [(0.0, 4), (3600.0, 1)])
def test_each_document_is_synced_unless_the_policy_is_an_interval(
    tmp_path: Path, mocker: MockerFixture, interval_s: float, expected: int
) -> None:
    writer = JournalWriter(tmp_path / "run.journal", sync_interval_s=interval_s)
    spy = mocker.spy(os, "fsync")
    for name, document in DOCUMENTS:
        writer.append(name, document)
    writer.sync()
    writer.close()
    assert spy.call_count == expected


def test_each_document_is_one_write(tmp_path: Path, mocker: MockerFixture) -> None:
    writer = JournalWriter(tmp_path / "run.journal")
    spy = mocker.spy(os, "write")
    writer.append("event", {"x": list(range(1000))})
    writer.close()
    assert spy.call_count == 1


def test_a_full_disk_is_named_and_leaves_whole_frames(tmp_path: Path, mocker: MockerFixture) -> None:
    writer = JournalWriter(tmp_path / "run.journal")
    writer.append(*DOCUMENTS[0])
    really_write = os.write

    def write_a_part_then_fail(descriptor: int, data: memoryview) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really_write(descriptor, data[: len(data) - 10])

    full = mocker.patch("os.write", side_effect=write_a_part_then_fail)
    with pytest.raises(RecordError, match=r"cannot write .*run\.journal: No space left on device"):
        writer.append(*DOCUMENTS[1])
    assert full.call_count == 2
    mocker.stopall()
    assert writer.path.read_bytes() == write(tmp_path / "one.journal", DOCUMENTS[:1]).read_bytes()
    writer.append(*DOCUMENTS[2])
    assert list(JournalReader(writer.path).documents()) == [DOCUMENTS[0], DOCUMENTS[2]]
    writer.close()


def test_a_disk_that_cannot_take_back_half_a_frame_gets_nothing_more(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    writer = JournalWriter(tmp_path / "run.journal")
    mocker.patch("os.write", side_effect=OSError(errno.EIO, os.strerror(errno.EIO)))
    mocker.patch("os.ftruncate", side_effect=OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(RecordError, match="Input/output error"):
        writer.append(*DOCUMENTS[0])
    mocker.stopall()
    with pytest.raises(RecordError, match="Input/output error; it takes nothing more"):
        writer.append(*DOCUMENTS[0])
    writer.close()


def test_after_a_failed_sync_nothing_more_is_taken(tmp_path: Path, mocker: MockerFixture) -> None:
    writer = JournalWriter(tmp_path / "run.journal")
    mocker.patch("os.fsync", side_effect=OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(RecordError, match=r"cannot write .*run\.journal: Input/output error"):
        writer.append(*DOCUMENTS[0])
    mocker.stopall()
    with pytest.raises(RecordError, match="takes nothing more"):
        writer.append(*DOCUMENTS[1])
    writer.close()


def test_a_journal_that_cannot_be_begun_leaves_no_file(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("os.write", side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(RecordError, match="No space left"):
        JournalWriter(tmp_path / "run.journal")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_journal_is_never_written_over(tmp_path: Path) -> None:
    path = write(tmp_path / "run.journal")
    with pytest.raises(RecordError, match="File exists"):
        JournalWriter(path)
    assert list(JournalReader(path).documents()) == DOCUMENTS


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.journal")
    writer.close()
    writer.close()
    with pytest.raises(RecordError, match=r"run\.journal is closed"):
        writer.append(*DOCUMENTS[0])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not a qdci-journal file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(30), "is not a qdci-journal file"),
        (header(MAGIC, VERSION)[:-1], "is not a qdci-journal file"),
        (header(MAGIC, VERSION)[:-1] + b"\0", "the header is damaged"),
        (
            header(MAGIC, VERSION + 1),
            f"has version {VERSION + 1} of its format, this program reads version {VERSION}",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(RecordError, match=reason):
        JournalReader(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot read .*absent"):
        JournalReader(tmp_path / "absent")


def test_the_format_is_as_documented(tmp_path: Path) -> None:
    data = write(tmp_path / "run.journal", DOCUMENTS[:1]).read_bytes()
    assert data[:12] == b"qdci-journal"
    length, checksum = struct.unpack("<II", data[HEADER_BYTES : HEADER_BYTES + 8])
    payload = data[HEADER_BYTES + 8 :]
    assert length == len(payload)
    assert checksum == zlib.crc32(struct.pack("<I", length) + payload)
    assert frame(payload) == data[HEADER_BYTES:]
