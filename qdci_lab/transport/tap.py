"""A transport that writes what passes through another one to a wire log."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from qdci_lab.errors import LabError, RecordError, TransportTimeout
from qdci_lab.transport.pipe import Transport
from qdci_lab.wire.wire_log import Entry, Header, Mark, format_entry, format_header


class TapTransport:
    """The transport below as it is, with each thing that happens on it written down at once.

    The file is begun when the link is first opened, and never in the place of another one (RecordError). `conceal`
    gives what may be written of a message that is sent.
    """

    def __init__(
        self,
        below: Transport,
        path: Path,
        *,
        model: str = "",
        conceal: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.address = below.address
        self.path = path
        self._below = below
        self._model = model
        self._conceal = conceal
        self._file: TextIO | None = None
        self._begun_ns: int | None = None

    @property
    def left_over(self) -> bytes | None:
        """As of the transport below."""
        return self._below.left_over

    @property
    def is_open(self) -> bool:
        """Whether the transport below is open."""
        return self._below.is_open

    def open(self) -> None:
        """Open the transport below."""
        self._open_file()
        try:
            self._below.open()
        except LabError as error:
            self._note_failure(error)
            self._close_file()
            raise
        self._note(Mark.OPENED)

    def close(self) -> None:
        """Close the transport below."""
        try:
            self._below.close()
        finally:
            if self._file is not None:
                self._note(Mark.CLOSED)
            self._close_file()

    def write(self, data: bytes) -> None:
        """Send all the bytes."""
        with self._noting_failures():
            self._below.write(data)
        self._note(Mark.SENT, data if self._conceal is None else self._conceal(data))

    def read(self, timeout_s: float) -> bytes:
        """At least one byte, and whatever else has arrived."""
        with self._noting_failures():
            data = self._below.read(timeout_s)
        self._note(Mark.RECEIVED, data)
        return data

    def read_into(self, buffer: memoryview, timeout_s: float) -> int:
        """At least one byte, and no more than fit into the buffer; how many came."""
        with self._noting_failures():
            count = self._below.read_into(buffer, timeout_s)
        self._note(Mark.RECEIVED, bytes(buffer[:count]))
        return count

    @contextlib.contextmanager
    def _noting_failures(self) -> Iterator[None]:
        try:
            yield
        except TransportTimeout:
            self._note(Mark.SILENCE)
            raise
        except LabError as error:
            self._note_failure(error)
            raise

    def _note_failure(self, error: LabError) -> None:
        self._note(Mark.FAILURE, str(error).removeprefix(f"{self.address}: ").encode())

    def _note(self, mark: Mark, data: bytes = b"") -> None:
        if self._file is None or self._begun_ns is None:
            return
        entry = Entry((time.monotonic_ns() - self._begun_ns) // 1000, mark, data)
        try:
            self._file.write(format_entry(entry))
        except OSError as error:
            raise RecordError(f"{self.path}: {error.strerror}") from error

    def _open_file(self) -> None:
        is_first = self._begun_ns is None
        try:
            if self._file is None:
                mode = "x" if is_first else "a"
                self._file = self.path.open(mode, buffering=1, encoding="ascii", newline="\n")
            if is_first:
                self._begun_ns = time.monotonic_ns()
                header = Header(self.address, datetime.now(UTC).replace(microsecond=0), self._model)
                self._file.write(format_header(header))
        except FileExistsError as error:
            raise RecordError(f"{self.path}: is there already, and no recording is overwritten") from error
        except OSError as error:
            raise RecordError(f"{self.path}: {error.strerror}") from error

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
