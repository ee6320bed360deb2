"""Documents as bytes and back without loss: msgpack, with an extension code for every type that msgpack lacks.

What cannot come back as the very same type (a subclass of str, an enum, a set) is refused when it is written,
so that nobody learns years later that a recording holds something else than was measured.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgpack
import numpy as np
from numpy.lib.format import descr_to_dtype, dtype_to_descr

from qdci_lab.errors import RecordError

_TUPLE, _BIG_INT, _ORDERED_DICT, _SCALAR, _ARRAY, _OBJECT_ARRAY, _COMPLEX, _DATETIME = range(1, 9)
_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
_NUMBERS = frozenset("biufc")
_FLEXIBLE = frozenset("SUVmM")


def encode(value: object, place: str = "") -> bytes:
    """Bytes of a value; raises RecordError for a type that would not come back exactly, saying where inside it is.

    `place` is what the value itself is called in that message.
    """
    return _encode(value, value, place)


def encode_document(name: str, document: object) -> bytes:
    """Bytes of the list [name, document]."""
    return _encode([name, document], document, name)


def decode(data: bytes | memoryview) -> Any:
    """What was given to `encode`, types included; raises RecordError for bytes that `encode` never makes."""
    try:
        return _unpack(data)
    except (ValueError, TypeError, LookupError, msgpack.exceptions.UnpackException) as error:
        raise RecordError(f"not an encoded document: {error}") from error


def decode_each(payloads: Sequence[bytes]) -> Iterator[Any]:
    """What was given to each `encode`, one at a time, faster than by `decode`.

    Raises RecordError as `decode` does, and at the end if there were more or fewer values than payloads. Kept in
    memory all at once, the values would take three times as long to make.
    """
    unpacker = msgpack.Unpacker(**_TYPES, max_buffer_size=0)
    unpacker.feed(b"".join(payloads))
    count = 0
    try:
        for value in unpacker:
            count += 1
            yield value
    except (ValueError, TypeError, LookupError, msgpack.exceptions.UnpackException) as error:
        raise RecordError(f"not an encoded document: {error}") from error
    if count != len(payloads):
        raise RecordError(f"not encoded documents: {count} values in {len(payloads)} payloads")


def decode_name(data: bytes | memoryview) -> str:
    """The name in what `encode_document` made, without decoding the document."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    try:
        unpacker.read_array_header()
        return unpacker.unpack()
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise RecordError(f"not an encoded document: {error}") from error


def _encode(whole: object, suspect: object, place: str) -> bytes:
    try:
        _check(suspect, place)
        return _pack(whole)
    except (ValueError, OverflowError, RecursionError) as error:
        raise RecordError(f"cannot record {place or 'a document'}: {error}") from error


def _pack(value: Any) -> bytes:
    packed = msgpack.packb(value, default=_extend, strict_types=True, unicode_errors="surrogatepass")
    return packed or b""


def _check(value: Any, place: str) -> None:
    kind = type(value)
    if kind in _ATOMS:
        return
    if kind is dict or kind is OrderedDict:
        for key, item in value.items():
            _check(key, f"{place}.<key>")
            if type(item) not in _ATOMS:
                _check(item, f"{place}.{key}" if place else str(key))
    elif kind is list or kind is tuple:
        for index, item in enumerate(value):
            if type(item) not in _ATOMS:
                _check(item, f"{place}[{index}]")
    elif kind is np.ndarray and value.dtype.kind == "O":
        _check(value.ravel().tolist(), f"{place}<object array>")
    elif not _is_exact(value):
        where = place or "a document"
        raise RecordError(
            f"cannot record {where}: no exact encoding for {kind.__module__}.{kind.__qualname__}"
        )


def _is_exact(value: Any) -> bool:
    kind = type(value)
    if kind is datetime:
        return value.tzinfo is None or type(value.tzinfo) is timezone
    if kind is not np.ndarray and not (isinstance(value, np.generic) and value.dtype.type is kind):
        return False
    dtype = value.dtype
    if dtype.kind == "V":
        plain = dtype.type is np.void and not dtype.hasobject
        return plain and descr_to_dtype(dtype_to_descr(dtype)) == dtype
    return dtype.kind in _NUMBERS or dtype.kind in _FLEXIBLE


def _extend(value: Any) -> msgpack.ExtType:
    """The extension that stands for a value which has passed `_check` and which msgpack does not know."""
    if isinstance(value, np.ndarray):
        return _extend_array(value)
    if isinstance(value, np.generic):
        return msgpack.ExtType(_SCALAR, _pack([*_dtype_code(value.dtype), _scalar_content(value)]))
    return _EXTENSIONS[type(value)](value)


def _extend_array(value: np.ndarray) -> msgpack.ExtType:
    if value.dtype.kind == "O":
        return msgpack.ExtType(_OBJECT_ARRAY, _pack([list(value.shape), value.ravel().tolist()]))
    return msgpack.ExtType(_ARRAY, _pack([*_dtype_code(value.dtype), list(value.shape), value.tobytes()]))


def _extend_datetime(value: datetime) -> msgpack.ExtType:
    fields = [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
    zone = None
    if value.tzinfo is not None:
        offset = value.tzinfo.utcoffset(None) or timedelta(0)
        zone = [offset.days, offset.seconds, offset.microseconds, value.tzinfo.tzname(None)]
    return msgpack.ExtType(_DATETIME, _pack([fields, value.fold, zone]))


def _dtype_code(dtype: np.dtype) -> tuple[Any, str]:
    """How numpy writes the type in files, and its character, which tells `long` from `long long`."""
    return dtype_to_descr(dtype), dtype.char if dtype.kind in _NUMBERS and dtype.isnative else ""


def _scalar_content(value: np.generic) -> Any:
    """Text and bytes as they are, because numpy's own bytes lose trailing zeros; all else as its memory."""
    if isinstance(value, np.str_):
        return "".join(value)
    return bytes(value) if isinstance(value, np.bytes_) else value.tobytes()


_EXTENSIONS: dict[type, Callable[[Any], msgpack.ExtType]] = {
    tuple: lambda value: msgpack.ExtType(_TUPLE, _pack(list(value))),
    int: lambda value: msgpack.ExtType(
        _BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    ),
    OrderedDict: lambda value: msgpack.ExtType(_ORDERED_DICT, _pack(dict(value))),
    complex: lambda value: msgpack.ExtType(_COMPLEX, _pack([value.real, value.imag])),
    datetime: _extend_datetime,
}


def _restore(code: int, data: bytes) -> Any:
    return _RESTORERS[code](data)


def _dtype(descr: Any, char: str) -> np.dtype:
    dtype = descr_to_dtype(descr)
    return np.dtype(char) if char and np.dtype(char) == dtype else dtype


def _restore_scalar(data: bytes) -> Any:
    descr, char, content = _unpack(data)
    dtype = _dtype(descr, char)
    if dtype.kind in "SU":
        return dtype.type(content)
    return np.ndarray((), dtype, bytearray(content))[()]


def _restore_array(data: bytes) -> np.ndarray:
    descr, char, shape, content = _unpack(data)
    return np.ndarray(tuple(shape), _dtype(descr, char), bytearray(content))


def _restore_object_array(data: bytes) -> np.ndarray:
    shape, items = _unpack(data)
    array = np.empty(len(items), object)
    for index, item in enumerate(items):
        array[index] = item
    return array.reshape(shape)


def _restore_datetime(data: bytes) -> datetime:
    fields, fold, zone = _unpack(data)
    return datetime(*fields, fold=fold, tzinfo=None if zone is None else _time_zone(*zone))


def _time_zone(days: int, seconds: int, microseconds: int, name: str) -> timezone:
    plain = timezone(timedelta(days, seconds, microseconds))
    return plain if plain.tzname(None) == name else timezone(plain.utcoffset(None), name)


_RESTORERS: dict[int, Callable[[bytes], Any]] = {
    _TUPLE: lambda data: tuple(_unpack(data)),
    _BIG_INT: lambda data: int.from_bytes(data, "little", signed=True),
    _ORDERED_DICT: lambda data: OrderedDict(_unpack(data)),
    _SCALAR: _restore_scalar,
    _ARRAY: _restore_array,
    _OBJECT_ARRAY: _restore_object_array,
    _COMPLEX: lambda data: complex(*_unpack(data)),
    _DATETIME: _restore_datetime,
}

_TYPES: dict[str, Any] = {"ext_hook": _restore, "strict_map_key": False, "unicode_errors": "surrogatepass"}
_unpack = functools.partial(msgpack.unpackb, **_TYPES)
