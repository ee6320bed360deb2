"""The values of a data key as a column: an array of the one type that holds every value exactly.

What no such type holds (a dict, arrays of changing shape, integers beyond 64 bits) becomes text, so that making a
table never fails; the documents keep the exact values.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TEXT = np.dtype(object)
"""Type of a column of `str`."""

_EXACT_IN_FLOAT = 1 << 53
_DECLARED = {"integer": np.dtype(np.int64), "boolean": np.dtype(bool), "string": TEXT}
_NUMBERS = frozenset("biufc")


@dataclass(frozen=True)
class ColumnType:
    """`dtype` and the shape of one row; TEXT has no shape."""

    dtype: np.dtype
    shape: tuple[int, ...] = ()

    def array(self, values: Sequence[Any]) -> np.ndarray:
        """The values as rows; None, which stands for no value, becomes NaN or an empty text."""
        if self.dtype == TEXT:
            column = np.empty(len(values), object)
            column[:] = [_text(value) for value in values]
            return column
        column = np.empty((len(values), *self.shape), self.dtype)
        for row, value in enumerate(values):
            column[row] = np.nan if value is None else value
        return column


@dataclass
class Column:
    """What the values of one data key have in common, found by looking at each of them once."""

    declared: Mapping[str, Any] = field(default_factory=dict)
    _count: int = 0
    _lowest: int = 0
    _highest: int = 0
    _kinds: set[str] = field(default_factory=set)
    _dtypes: set[np.dtype] = field(default_factory=set)
    _shapes: set[tuple[int, ...]] = field(default_factory=set)

    def include(self, value: Any) -> None:
        """Widen the column so that it holds this value too."""
        if value is None:
            return
        self._count += 1
        kind = type(value)
        if kind is float:
            self._note("f", ())
        elif kind is int or kind is bool:
            self._note("i" if kind is int else "b", ())
            self._lowest, self._highest = min(self._lowest, value), max(self._highest, value)
        else:
            self._include_array(_as_array(value))

    def type(self, rows: int) -> ColumnType:
        """Type of the column with so many rows, some of which may have had no value."""
        if not self._count:
            return ColumnType(_DECLARED.get(self.declared.get("dtype", ""), np.dtype(np.float64)))
        if "text" in self._kinds or len(self._shapes) > 1:
            return ColumnType(TEXT)
        shape = next(iter(self._shapes))
        dtype = self._array_type() if shape else self._scalar_type()
        if self._count < rows and dtype.kind in "biu":
            dtype = np.dtype(np.float64) if self._fits_float() else TEXT
        return ColumnType(dtype, shape if dtype != TEXT else ())

    def _include_array(self, array: np.ndarray | None) -> None:
        if array is None:
            self._kinds.add("text")
            return
        self._note(array.dtype.kind, array.shape)
        if array.ndim:
            self._dtypes.add(array.dtype.newbyteorder("="))
        if array.dtype.kind in "biu" and array.size:
            self._lowest, self._highest = (
                min(self._lowest, int(array.min())),
                max(self._highest, int(array.max())),
            )

    def _note(self, kind: str, shape: tuple[int, ...]) -> None:
        self._kinds.add(kind)
        self._shapes.add(shape)

    def _scalar_type(self) -> np.dtype:
        if self._kinds == {"b"}:
            return np.dtype(bool)
        if self._kinds <= {"b", "i", "u"}:
            return _integer_type(self._lowest, self._highest)
        if self._fits_float():
            return np.dtype(np.complex128 if "c" in self._kinds else np.float64)
        return TEXT

    def _array_type(self) -> np.dtype:
        dtype = np.result_type(*self._dtypes)
        return dtype if dtype.kind in "biu" or self._fits_float() else TEXT

    def _fits_float(self) -> bool:
        return max(-self._lowest, self._highest) <= _EXACT_IN_FLOAT


def storable(text: str) -> str:
    """The text with what HDF5 cannot hold (zero bytes, lone surrogates) written as escapes."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _integer_type(lowest: int, highest: int) -> np.dtype:
    for dtype in (np.dtype(np.int64), np.dtype(np.uint64)):
        if np.iinfo(dtype).min <= lowest and highest <= np.iinfo(dtype).max:
            return dtype
    return TEXT


def _as_array(value: Any) -> np.ndarray | None:
    """The value as an array of numbers, or None where it is something else."""
    if not isinstance(value, complex | list | tuple | np.generic | np.ndarray):
        return None
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    # HDF5 has no type for extended precision that other programs read
    exotic = array.dtype.char in "gG"
    return array if array.dtype.kind in _NUMBERS and not exotic else None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return storable(str(value) if isinstance(value, str) else json.dumps(_named(value), default=_plain))


def _named(value: Any) -> Any:
    """For JSON, whose keys are text."""
    if isinstance(value, dict):
        return {str(key): _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    """For JSON: arrays and numpy scalars as lists and numbers, anything else as it prints."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufUO":
        return value.tolist()
    return repr(value)
