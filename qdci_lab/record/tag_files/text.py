"""Reads tags written as text, one `time,channel` in a line (qutools tdcbase.h, format ASCII), times in ps.

Between the two a comma, a semicolon or blanks; lines in front of the first one that begin with no digit are a heading.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import RecordError
from qdci_lab.record.tag_files.tag_file import Delivery, TagBlock, TagFile, TagFormat

_LINE = re.compile(rb"\s*[+-]?\d{1,19}\s*[,;\s]\s*\d{1,3}\s*")
_BYTES_PER_LINE = 12
_LONGEST_LINE = 200
_SEPARATORS = bytes.maketrans(b";\t", b",,")


def first_tag_line(head: bytes) -> int | None:
    """Where the first line that is a tag begins in the first bytes of a file; None where it is no text of tags."""
    offset = 0
    for line in head.split(b"\n"):
        if _LINE.fullmatch(line):
            return offset
        if not line.isascii() or b"\0" in line or line[:1].isdigit() or len(line) > _LONGEST_LINE:
            return None
        offset += len(line) + 1
    return None


class AsciiFile(TagFile):
    """Text, parsed a piece of about `block_tags` lines at a time."""

    def __init__(self, path: Path, delivery: Delivery, *, begin: int) -> None:
        super().__init__(path, TagFormat.QUTAG_ASCII, delivery)
        self._begin = begin
        self._check_end()

    def _check_end(self) -> None:
        with self.path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LONGEST_LINE))
            last = file.read().rpartition(b"\n")[2]
        if last.strip():
            fate = "taken as it is" if _LINE.fullmatch(last) else "left out"
            self.complaints = (f"{self.path}: the last line, {last[:40]!r}, is not ended; it is {fate}",)

    def _records(self, block_tags: int) -> Iterator[TagBlock]:
        rest = b""
        lines = 0
        with self.path.open("rb") as file:
            file.seek(self._begin)
            while piece := file.read(block_tags * _BYTES_PER_LINE):
                whole, _, rest = (rest + piece).rpartition(b"\n")
                for block in self._pieces(whole, lines, block_tags):
                    lines += len(block[0])
                    yield block
        if _LINE.fullmatch(rest):
            yield self._parse([rest], lines)

    def _pieces(self, text: bytes, lines_before: int, block_tags: int) -> Iterator[TagBlock]:
        lines = [line for line in text.split(b"\n") if line.strip()]
        for start in range(0, len(lines), block_tags):
            yield self._parse(lines[start : start + block_tags], lines_before + start)

    def _parse(self, lines: list[bytes], lines_before: int) -> TagBlock:
        columns = _columns(lines)
        if columns is None:
            number = next(i for i, line in enumerate(lines) if not _LINE.fullmatch(line))
            raise RecordError(
                f"{self.path}: tag {lines_before + number} reads {lines[number][:40]!r}, not `time,channel`"
            )
        times, channels = columns[:, 0], columns[:, 1]
        wrong = np.flatnonzero((channels < 0) | (channels > np.iinfo(np.uint8).max))
        if len(wrong):
            raise RecordError(
                f"{self.path}: tag {lines_before + int(wrong[0])} is of channel {channels[wrong[0]]}, not 0 to 255"
            )
        return np.ascontiguousarray(times), channels.astype(np.uint8)


def _columns(lines: list[bytes]) -> NDArray[np.int64] | None:
    """Two columns of whole numbers, or None where a line is something else."""
    if not all(map(_LINE.fullmatch, lines)):
        return None
    text = b"\n".join(lines).translate(_SEPARATORS).replace(b",", b" ")
    return np.array(text.split(), dtype=np.int64).reshape(-1, 2)
