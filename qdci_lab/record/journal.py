"""The journal of a run: an append-only file of documents, each in a frame with its CRC, that outlives a crash.

File: header (magic "qdci-journal", version, CRC-32), then frames. Frame: length of the payload (uint32, little
endian), CRC-32 of length and payload, payload = encoded [name, document]. No frame is empty, so that a tail of
zeros, which some file systems leave after a power loss, is not taken for frames.
"""

import functools
import io
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from qdci_lab.errors import RecordError
from qdci_lab.record.append_only import HEADER_BYTES, AppendOnlyFile, Tail, check_header
from qdci_lab.record.encoding import decode, decode_each, encode_document

MAGIC = b"qdci-journal"
VERSION = 1
JOURNAL_SUFFIX = ".journal"
_READ_BYTES = 1 << 20
_FRAME = struct.Struct("<II")
_LENGTH = struct.Struct("<I")

Document = tuple[str, dict[str, Any]]


def frame(payload: bytes) -> bytes:
    """A payload as it stands in the journal."""
    length = _LENGTH.pack(len(payload))
    return length + _LENGTH.pack(zlib.crc32(payload, zlib.crc32(length))) + payload


class JournalWriter:
    """Appends documents; `append` returns when the document is on the disk.

    `sync_interval_s` > 0 lets documents be up to that old before they are synced: faster, and a power loss (not a
    crash of the program) may then take the documents of the last interval.
    """

    def __init__(self, path: Path, *, sync_interval_s: float = 0.0) -> None:
        self.path = path
        self.frames = 0
        self._file = AppendOnlyFile(path, MAGIC, VERSION)
        self._sync_interval_s = sync_interval_s
        self._synced_at_s = time.monotonic()

    @property
    def size(self) -> int:
        """Bytes in the file so far."""
        return self._file.size

    def append(self, name: str, document: Mapping[str, Any]) -> None:
        """Raises RecordError for a document that cannot be encoded exactly, and for a disk that takes no more."""
        self._file.write(frame(encode_document(name, document)))
        self.frames += 1
        if time.monotonic() - self._synced_at_s >= self._sync_interval_s:
            self.sync()

    def sync(self) -> None:
        """Bring all that was appended to the disk, whatever the policy."""
        self._file.sync()
        self._synced_at_s = time.monotonic()

    def close(self) -> None:
        """Leave the file as it is; sync first where the policy is an interval."""
        self._file.close()


class FrameReader:
    """The whole frames of a stream of journal bytes (a journal file, or the bytes kept in a recorded file)."""

    def __init__(self, stream: BinaryIO, name: object) -> None:
        self._stream = stream
        self._size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        check_header(stream.read(HEADER_BYTES), MAGIC, VERSION, name)
        self.frames = 0
        self.good_bytes = HEADER_BYTES

    def skip(self, tail: Tail) -> None:
        """Go on where another reader of the same stream stopped."""
        self.frames, self.good_bytes = tail.frames, tail.good_bytes
        self._stream.seek(tail.good_bytes)

    def __iter__(self) -> Iterator[bytes]:
        """Payloads, one by one; `tail` goes ahead of them."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[bytes]]:
        """Payloads by the megabyte: to ask the stream for each of them would take as long as decoding it."""
        waiting = b""
        while more := self._stream.read(max(_READ_BYTES, self._wanted(waiting))):
            data = waiting + more
            batch, stop = _whole_frames(data)
            self.frames += len(batch)
            self.good_bytes += stop
            if batch:
                yield batch
            waiting = data[stop:]
            if self._is_bad(waiting):
                return

    @property
    def tail(self) -> Tail:
        """What lies behind the last whole frame that was read."""
        return Tail(self.frames, self.good_bytes, max(0, self._size - self.good_bytes))

    def _wanted(self, waiting: bytes) -> int:
        """Bytes that the frame which has begun still lacks."""
        if len(waiting) < _FRAME.size:
            return 0
        return _FRAME.size + _FRAME.unpack_from(waiting)[0] - len(waiting)

    def _is_bad(self, waiting: bytes) -> bool:
        """Whether what follows the last frame can become none, however much is read."""
        if len(waiting) < _FRAME.size:
            return False
        length, _ = _FRAME.unpack_from(waiting)
        return (
            length == 0 or length > self._size - self.good_bytes - _FRAME.size or self._wanted(waiting) <= 0
        )


def _whole_frames(data: bytes) -> tuple[list[bytes], int]:
    """Payloads of the frames that the data begin with, and where the last of them ends.

    Written out, because calls for each frame would take as long as decoding it.
    """
    payloads: list[bytes] = []
    start, size, head, unpack, crc32 = 0, len(data), _FRAME.size, _FRAME.unpack_from, zlib.crc32
    while (begin := start + head) <= size:
        length, checksum = unpack(data, start)
        payload = data[begin : begin + length]
        if not 0 < length == len(payload) or crc32(payload, _length_crc(length)) != checksum:
            break
        start = begin + length
        payloads.append(payload)
    return payloads, start


@functools.lru_cache(1 << 12)
def _length_crc(length: int) -> int:
    """Where the CRC of a frame starts; most frames of a run are of few lengths."""
    return zlib.crc32(_LENGTH.pack(length))


class JournalReader:
    """Reads a journal that may still be written to: each call of `documents` goes on behind the last whole one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail = Tail(0, HEADER_BYTES, 0)
        with self._open() as stream:
            FrameReader(stream, path)

    def payloads(self) -> Iterator[bytes]:
        """Encoded [name, document] of each new frame, to the last whole one; `tail` then says what follows it."""
        with self._open() as stream:
            reader = FrameReader(stream, self.path)
            reader.skip(self.tail)
            frames, good_bytes = reader.frames, reader.good_bytes
            for payload in reader:
                frames, good_bytes = frames + 1, good_bytes + _FRAME.size + len(payload)
                self.tail = Tail(frames, good_bytes, 0)
                yield payload
            self.tail = reader.tail

    def batches(self) -> Iterator[list[bytes]]:
        """The same payloads, many at a time."""
        with self._open() as stream:
            reader = FrameReader(stream, self.path)
            reader.skip(self.tail)
            for batch in reader.batches():
                self.tail = reader.tail
                yield batch
            self.tail = reader.tail

    def documents(self) -> Iterator[Document]:
        """(name, document) of each new frame."""
        return map(document_of, self.payloads())

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise RecordError(f"cannot read {self.path}: {error.strerror}") from error


def document_of(payload: bytes) -> Document:
    """(name, document) of a frame's payload."""
    name, document = decode(payload)
    return name, document


def documents_of(payloads: Sequence[bytes]) -> Iterator[Document]:
    """(name, document) of each payload, faster than one by one."""
    return cast(Iterator[Document], map(tuple, decode_each(payloads)))
