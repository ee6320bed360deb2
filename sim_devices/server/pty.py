"""Serial lines: a pseudo-terminal in raw mode whose far end a client opens like any serial port.

A terminal hangs up on its clients only when its near end is closed, and then its number (the 7 of
/dev/pts/7) returns to the pool. So `start` after `stop` asks the system for terminals until it gets the
number it had, and the address is the same again, unless a client still holds the dead terminal open or
some other program took the number: then the address is a new one and `address` says which.
"""

import os
import selectors
import threading
import tty
from collections.abc import Callable

from sim_devices.firmware.session import Session

_CHUNK_BYTES = 1 << 16
_LINE_CAPACITY_BYTES = 1 << 20


class PtyServer:
    """One instrument behind a pseudo-terminal; like a serial port it knows no clients, only a line.

    The server keeps the far end open too, so that clients may come and go without ending the line.
    """

    def __init__(self, open_session: Callable[[], Session], *, name: str = "pty") -> None:
        self._open_session = open_session
        self._name = name
        self._thread: threading.Thread | None = None
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
        if self._near >= 0:
            os.close(self._near)
            os.close(self._far)
            self._near = self._far = -1

    def close(self) -> None:
        """Stop for good."""
        self.stop()

    def _open_terminal(self) -> tuple[int, int]:
        near, far = _terminal_at(self.address) if self.address else os.openpty()
        tty.setraw(far)
        os.set_blocking(near, False)
        self.address = os.ttyname(far)
        return near, far

    def _converse(self) -> None:
        session = self._open_session()
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


def _terminal_at(address: str) -> tuple[int, int]:
    """A terminal of this address if its number is free, else any; numbers are given lowest first."""
    wanted = _number(address)
    others: list[tuple[int, int]] = []
    near, far = os.openpty()
    while (number := _number(os.ttyname(far))) is not None and wanted is not None and number < wanted:
        others.append((near, far))
        near, far = os.openpty()
    for other in others:
        os.close(other[0])
        os.close(other[1])
    return near, far


def _number(address: str) -> int | None:
    digits = address.rpartition("/")[2]
    return int(digits) if digits.isdigit() else None
