"""A file that only grows: each write is whole or is taken back, and a failing disk is reported with the file's name."""

import contextlib
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from qdci_lab.errors import RecordError

try:
    import fcntl
except ImportError:  # Windows has no advisory locks
    fcntl = None

_HEADER = struct.Struct("<16sHHI")
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True)
class Tail:
    """Where a file stops being whole: `frames` good frames in `good_bytes`, and `lost_bytes` behind them."""

    frames: int
    good_bytes: int
    lost_bytes: int

    def __str__(self) -> str:
        return f"{self.lost_bytes} bytes lost after frame {self.frames} (byte {self.good_bytes})"


class AppendOnlyFile:
    """Created new with a header of `magic` and `version`; raises RecordError, naming the file, when the disk refuses.

    After a failed write the file ends where it ended before. After a failed sync nothing is known about what the
    disk holds, so that nothing more is taken.
    """

    def __init__(self, path: Path, magic: bytes, version: int) -> None:
        self.path = path
        self.size = 0
        self._begun = 0
        self._broken: OSError | None = None
        try:
            self._descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666
            )
        except OSError as error:
            raise RecordError(f"cannot create {path}: {error.strerror}") from error
        self._open = True
        _lock(self._descriptor)
        try:
            self.write(header(magic, version))
            self.sync()
            sync_directory(path.parent)
        except (RecordError, OSError):
            self.close()
            path.unlink()
            raise

    def write(self, data: bytes | memoryview) -> None:
        """Append `data` in one write (the rest in further ones, should the system take only a part)."""
        self._refuse_if_broken()
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._take_back(error)
            raise self._failure(error) from error
        self.size += len(data)

    def start_writing_out(self) -> None:
        """Let the disk begin with what was written since the last call; only `sync` waits, and hears of failures.

        Linux does so for advice that the written pages will not be needed; they stay in its memory until they are out.
        """
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, self._begun, self.size - self._begun, os.POSIX_FADV_DONTNEED)
        self._begun = self.size

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        self._refuse_if_broken()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._broken = error
            raise self._failure(error) from error

    def close(self) -> None:
        """Give the file back to the system without a further sync; a second call does nothing."""
        if self._open:
            self._open = False
            os.close(self._descriptor)

    def _take_back(self, error: OSError) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self._broken = error

    def _refuse_if_broken(self) -> None:
        if not self._open:
            raise RecordError(f"{self.path} is closed")
        if self._broken is not None:
            raise self._failure(self._broken) from self._broken

    def _failure(self, error: OSError) -> RecordError:
        further = "; it takes nothing more" if self._broken else ""
        return RecordError(f"cannot write {self.path}: {error.strerror}{further}")


def header(magic: bytes, version: int) -> bytes:
    """First bytes of a file: magic (16 bytes), version, CRC-32 of both."""
    start = struct.pack("<16sHH", magic, version, 0)
    return start + struct.pack("<I", zlib.crc32(start))


def check_header(data: bytes, magic: bytes, version: int, name: object) -> None:
    """Raise RecordError unless `data` begins with the header of this kind and version of file."""
    if len(data) < HEADER_BYTES or data[:16] != magic.ljust(16, b"\0"):
        raise RecordError(f"{name} is not a {magic.decode()} file")
    _, found, _, checksum = _HEADER.unpack(data[:HEADER_BYTES])
    if zlib.crc32(data[: HEADER_BYTES - 4]) != checksum:
        raise RecordError(f"{name}: the header is damaged")
    if found != version:
        raise RecordError(f"{name} has version {found} of its format, this program reads version {version}")


def is_being_written(path: Path) -> bool:
    """Whether a program that still runs has this file open as an AppendOnlyFile; never known where no lock is kept."""
    if fcntl is None:
        return False
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _lock(descriptor: int) -> None:
    """Hold the file until it is closed or the program ends, however it ends; a file system without locks has none."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def sync_directory(path: Path) -> None:
    """Make a file that was created, renamed or removed in this folder stay so after a power loss (POSIX only)."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
