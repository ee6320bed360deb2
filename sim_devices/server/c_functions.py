"""C functions made of Python ones: prototypes, return codes and pointers, as qutools' headers have them."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sim_devices.firmware.qutag_codes import ReturnCode, TdcRefusal
from sim_devices.firmware.qutag_device import TdcDevice
from sim_devices.firmware.qutag_library import TdcLibrary

INT, UNSIGNED, INT32, DOUBLE = ctypes.c_int, ctypes.c_uint, ctypes.c_int32, ctypes.c_double
TEXT, BUFFER = ctypes.c_char_p, ctypes.c_void_p
INT_OUT, UNSIGNED_OUT, INT32_OUT, DOUBLE_OUT, INT64_OUT = (
    ctypes.POINTER(kind) for kind in (INT, UNSIGNED, INT32, DOUBLE, ctypes.c_int64)
)


class Pointer(Protocol):
    """A typed C pointer as ctypes hands it to a callback; false when NULL."""

    def __bool__(self) -> bool: ...

    def __getitem__(self, index: int) -> Any: ...

    def __setitem__(self, index: int, value: object) -> None: ...


@dataclass(frozen=True)
class Export:
    """One function: its prototype (a result of None is void), and what it does to a library.

    `coded` says that the result is a return code.
    """

    result: type | None
    arguments: tuple[type, ...]
    body: Callable[..., object]
    coded: bool = False

    def bind(self, library: TdcLibrary) -> Any:
        """A C function for one library; calls from several threads follow each other."""

        def call(*arguments: object) -> object:
            with library.lock:
                return self.body(library, *arguments)

        return ctypes.CFUNCTYPE(self.result, *self.arguments)(call)


def coded(body: Callable[..., None], *arguments: type) -> Export:
    """A function that returns a return code."""

    def call(*values: object) -> int:
        try:
            body(*values)
        except TdcRefusal as refusal:
            return refusal.code
        return ReturnCode.OK

    return Export(INT, arguments, call, coded=True)


def setter(method: Callable[..., None], *inputs: type) -> Export:
    """A function that changes the device from now on, so that all events before now come first."""
    return coded(lambda library, *values: method(library.settled_device(), *values), *inputs)


def getter(
    method: Callable[..., object],
    *outputs: type,
    inputs: tuple[type, ...] = (),
    null: bool = False,
    settled: bool = False,
) -> Export:
    """A function that writes what the method returns to its output pointers; with `null` they may be missing.

    With `settled` all events before now come first.
    """

    def body(library: TdcLibrary, *values: Any) -> None:
        pointers = values[len(inputs) :]
        if not null:
            require_pointers(*pointers)
        device: TdcDevice = library.settled_device() if settled else library.device()
        store(method(device, *values[: len(inputs)]), *pointers)

    return coded(body, *inputs, *outputs)


def require_pointers(*pointers: object) -> None:
    """Refuse a NULL with TDC_Error, where the maker's library would crash."""
    if not all(pointers):
        raise TdcRefusal(ReturnCode.ERROR)


def store(values: object, *pointers: Pointer) -> None:
    """Write values where pointers are not NULL."""
    for pointer, value in zip(pointers, values if isinstance(values, tuple) else (values,), strict=True):
        if pointer:
            pointer[0] = value


def copy_to(address: int | None, values: np.ndarray) -> None:
    """Copy an array to an address that is not NULL."""
    if address:
        values = np.ascontiguousarray(values)
        ctypes.memmove(address, values.ctypes.data, values.nbytes)


def doubles_at(pointer: Pointer, count: int) -> tuple[float, ...]:
    """An array of parameters."""
    require_pointers(pointer)
    return tuple(float(pointer[index]) for index in range(count))
