"""A file for the HDF5 library to write to that never fails under it.

HDF5 2.0 ends the whole program (a segmentation fault) when the disk fills while it writes or closes a file, and when it
reads back something else than it wrote. So a failure is kept here, and what the library writes from then on stays in
memory; who opened the file asks `check` often, stops writing, and lets the library close in peace.
"""

import io
import os
from pathlib import Path
from typing import Any


class SteadyFile(io.RawIOBase):
    """Created anew, to read and write; `failure` is the first error of the disk, after which nothing reaches it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._position = 0
        self.failure: OSError | None = None
        self._unwritten: list[tuple[int, bytes]] = []
        self._end = 0
        self._valid_end = 0  # what lies behind on the disk was cut off since

    def check(self) -> None:
        """OSError if the disk has failed."""
        if self.failure is not None:
            raise self.failure

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is, or seems so."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new position in bytes."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end}[whence]
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes."""
        start = self._position
        os.lseek(self._descriptor, start, os.SEEK_SET)
        data = bytearray(os.read(self._descriptor, len(buffer)))
        if self.failure is not None:
            del data[max(0, self._valid_end - start) :]
            data.extend(bytes(max(0, min(len(buffer), self._end - start) - len(data))))
            for offset, piece in self._unwritten:
                _overlay(data, start, offset, piece)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        """All of `data`: on the disk, or in memory after a failure."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.failure is None:
                os.lseek(self._descriptor, self._position + size - len(rest), os.SEEK_SET)
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.failure = error
        if rest:
            self._unwritten.append((self._position + size - len(rest), bytes(rest)))
        self._position += size
        self._end = max(self._end, self._position)
        if len(rest) < size:
            self._valid_end = max(self._valid_end, self._position - len(rest))
        return size

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file to `size` bytes, or to the position."""
        size = self._position if size is None else size
        try:
            if self.failure is None:
                os.ftruncate(self._descriptor, size)
        except OSError as error:
            self.failure = error
        self._end = size
        self._valid_end = size if self.failure is None else min(self._valid_end, size)
        self._unwritten = [
            (offset, piece[: size - offset]) for offset, piece in self._unwritten if offset < size
        ]
        return size

    def sync(self) -> None:
        """Return when all is on the disk; OSError if anything was not written."""
        self.check()
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Give the file back; a second call does nothing."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _overlay(data: bytearray, start: int, offset: int, piece: bytes) -> None:
    """Put the part of a piece that lies within the data, which begin at `start`, into them."""
    low, high = max(start, offset), min(start + len(data), offset + len(piece))
    if low < high:
        data[low - start : high - start] = piece[low - offset : high - offset]
