"""Instruments that come as a C library: found by path, or as a table of function addresses made by Python.

Addresses: `c_api:PATH` loads a shared library; `c_api+python:MODULE:FUNCTION?key=value&…` calls a function that
returns a mapping from the maker's symbol names to addresses of C functions.
"""

import ctypes
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from qdci_lab.addresses import address_kind
from qdci_lab.errors import TransportError


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


def _function_table(reference: str) -> Mapping[str, int]:
    target, _, query = reference.partition("?")
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)(**dict(parse_qsl(query)))
