"""Instruments that come as a C library: found by path, or as a table of function addresses made by Python.

Addresses: `c_api:PATH` loads a shared library; `c_api+python:MODULE:FUNCTION?key=value&…` calls a function that
returns a mapping from the maker's symbol names to addresses of C functions.
"""

import ctypes
import importlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from qdci_lab.addresses import address_kind
from qdci_lab.errors import TransportError, TransportTimeout


class CLibrary:
    """The functions of one C library, bound with the caller's own prototypes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._library: ctypes.CDLL | None = None
        self._table: Mapping[str, int] = {}

    def open(self) -> None:
        """Load the library, or build the table."""
        scheme, _, rest = self.address.partition(":")
        if address_kind(self.address) != "c_api":
            raise TransportError(f"{self.address}: is no address of a C library (c_api:FILE)")
        try:
            if scheme == "c_api":
                self._library = ctypes.CDLL(rest)
            else:
                self._table = _function_table(rest)
        except (OSError, ImportError, AttributeError, TypeError) as error:
            raise TransportError(f"{self.address}: {error}") from error

    def function(self, symbol: str, result: Any, arguments: Sequence[Any]) -> Callable[..., Any]:
        """The function behind a symbol, with result and argument types; TransportError where there is none."""
        prototype = ctypes.CFUNCTYPE(result, *arguments)
        if self._library is None and symbol not in self._table:
            raise TransportError(f"{self.address}: the library has no function {symbol}")
        if self._library is None:
            return prototype(self._table[symbol])
        try:
            return prototype((symbol, self._library))
        except AttributeError as error:
            raise TransportError(f"{self.address}: {error}") from error


HURRY_S = 0.2


class _Call:
    """One call of a C function: waiting, under way, or done with a result or an exception."""

    def __init__(self, symbol: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.symbol = symbol
        self._function = function
        self._arguments = arguments
        self.done = False
        self._result: Any = None
        self._error: BaseException | None = None

    def make(self) -> None:
        """Call the function; a mistake in its arguments is kept for whoever asked."""
        try:
            self._result = self._function(*self._arguments)
        except (ctypes.ArgumentError, TypeError) as error:
            self._error = error

    def result(self) -> Any:
        """What the function returned."""
        if self._error is not None:
            raise self._error
        return self._result


class PatientCalls:
    """Makes the calls of a library one at a time on a thread of their own, and waits `timeout_s` for each at most.

    A call cannot be stopped. One that does not come back in time is given up with a TransportTimeout, and so is every
    other one until it has come back; its result is dropped. What it writes into its buffers comes before any later
    call begins. The thread keeps no process alive.
    """

    def __init__(self, name: str, *, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._overdue: _Call | None = None
        self._deadline_s = 0.0
        self._thread: threading.Thread | None = None

    def bind(self, symbol: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with the limit."""
        return lambda *arguments: self._make(_Call(symbol, function, arguments))

    def hurry(self) -> None:
        """Wait no longer than a fifth of a second more for the call that is under way; from any thread."""
        with self._changed:
            self._deadline_s = min(self._deadline_s, time.monotonic() + HURRY_S)
            self._changed.notify_all()

    def _make(self, call: _Call) -> Any:
        with self._changed:
            if self._overdue is not None and not self._overdue.done:
                raise TransportTimeout(f"{self._name}: the library is stuck in {self._overdue.symbol}")
            self._overdue = None
            self._deadline_s = time.monotonic() + self._timeout_s
            self._start()
            self._calls.put(call)
            while not call.done:
                left_s = self._deadline_s - time.monotonic()
                if left_s <= 0:
                    self._overdue = call
                    raise TransportTimeout(f"{self._name}: {call.symbol} does not come back")
                self._changed.wait(left_s)
        return call.result()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"library of {self._name}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            call = self._calls.get()
            call.make()
            with self._changed:
                call.done = True
                self._changed.notify_all()


def _function_table(reference: str) -> Mapping[str, int]:
    target, _, query = reference.partition("?")
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)(**dict(parse_qsl(query)))
