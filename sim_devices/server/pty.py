"""Serial lines: a pseudo-terminal in raw mode whose far end a client opens like any serial port.

A terminal hangs up on its clients only when its near end is closed, and then its number (the 7 of /dev/pts/7) is any
other program's. So clients are given a name of our own for it, as they have `/dev/serial/by-id` for a real adapter:
a link that points to the terminal of the moment, is gone while the line is off, and stays the same when it comes back.
Where the system has no /dev/shm, the terminal's own name must do, and may be another one after a stop.
"""

import contextlib
import os
import selectors
import tempfile
import threading
import tty
from collections.abc import Callable
from pathlib import Path

from sim_devices.firmware.session import Session

_CHUNK_BYTES = 1 << 16
_LINE_CAPACITY_BYTES = 1 << 20
_NAMES = Path("/dev/shm")
"""Where names of terminals go: below /dev, as every serial port's."""


class PtyServer:
    """One instrument behind a pseudo-terminal; like a serial port it knows no clients, only a line.

    The server keeps the far end open too, so that clients may come and go without ending the line.
    """

    def __init__(self, open_session: Callable[[], Session], *, name: str = "pty") -> None:
        self._open_session = open_session
        self._name = name
        self._thread: threading.Thread | None = None
        self._link = Path(tempfile.mkdtemp(prefix="qdci-", dir=_NAMES)) / name if _NAMES.is_dir() else None
        self.address = ""
        self._near, self._far = self._open_terminal()

    def start(self) -> None:
        """Answer from now on; no effect when it already does."""
        if self._thread is not None:
            return
        if self._near < 0:
            self._near, self._far = self._open_terminal()
        self._wake_reader, self._wake_writer = os.pipe()
        self._thread = threading.Thread(
            target=self._converse, name=f"{self._name}:{self.address}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Hang up: clients that have the terminal open see it end, and nobody can open it."""
        if self._thread is not None:
            os.write(self._wake_writer, b"x")
            self._thread.join()
            self._thread = None
            os.close(self._wake_reader)
            os.close(self._wake_writer)
        self._hang_up()

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        if self._link is not None:
            with contextlib.suppress(OSError):  # gone already
                self._link.parent.rmdir()

    def _open_terminal(self) -> tuple[int, int]:
        near, far = os.openpty()
        tty.setraw(far)
        os.set_blocking(near, False)
        self.address = os.ttyname(far)
        if self._link is not None:
            draft = self._link.with_name(f"{self._link.name}.new")
            draft.symlink_to(self.address)
            draft.replace(self._link)
            self.address = str(self._link)
        return near, far

    def _hang_up(self) -> None:
        if self._near < 0:
            return
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        os.close(self._near)
        os.close(self._far)
        self._near = self._far = -1

    def _converse(self) -> None:
        """Until somebody stops the server; an instrument that hangs up comes back at once."""
        while True:
            try:
                self._serve(self._open_session())
            except ConnectionError:
                ended = self._near, self._far
                self._near, self._far = self._open_terminal()  # first: the name is never without a terminal
                for end in ended:
                    os.close(end)
            else:
                return

    def _serve(self, session: Session) -> None:
        unsent = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._near, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while True:
                ready = {key.fd: events for key, events in selector.select()}
                if self._wake_reader in ready:
                    return
                if ready.get(self._near, 0) & selectors.EVENT_READ:
                    unsent += session.feed(os.read(self._near, _CHUNK_BYTES))
                    del unsent[_LINE_CAPACITY_BYTES:]  # nobody reads: a serial line does not wait
                self._send(unsent)
                writes = selectors.EVENT_WRITE if unsent else 0
                selector.modify(self._near, selectors.EVENT_READ | writes)

    def _send(self, unsent: bytearray) -> None:
        if unsent:
            try:
                del unsent[: os.write(self._near, unsent)]
            except BlockingIOError:
                return  # the selector tells when the reader has made room
