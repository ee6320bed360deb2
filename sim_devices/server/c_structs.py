"""The structs in which the quTAG library hands functions over: TDC_HbtFunction and TDC_LftFunction.

Reference: qutools tdchbt.h and tdclifetm.h: int32 capacity, size, binWidth (and indexOffset), then the values, doubles
aligned to 8 bytes. Structs made by the library belong to it until they are released.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_codes import ReturnCode, TdcRefusal
from sim_devices.server.c_functions import copy_to, require_pointers, store

_VALUES_OFFSET = 16
_DOUBLE_BYTES = 8
_made: dict[int, Any] = {}


class FunctionHead(ctypes.Structure):
    """The fields before the values; of a lifetime function the last one is padding."""

    _fields_ = (
        ("capacity", ctypes.c_int32),
        ("size", ctypes.c_int32),
        ("bin_width", ctypes.c_int32),
        ("index_offset", ctypes.c_int32),
    )


def create(capacity: int, bin_width_ps: int) -> int:
    """Address of a new, empty struct."""
    memory = ctypes.create_string_buffer(_VALUES_OFFSET + _DOUBLE_BYTES * capacity)
    head = FunctionHead.from_buffer(memory)
    head.capacity, head.bin_width = capacity, bin_width_ps
    address = ctypes.addressof(memory)
    _made[address] = memory
    return address


def release(address: int | None) -> None:
    """Free a struct that `create` made; others are left alone."""
    _made.pop(address or 0, None)


def write(
    address: int | None, values: NDArray[np.float64], bin_width_ps: int, index_offset: int | None
) -> None:
    """Fill a struct; OUT_OF_RANGE where its capacity is too small."""
    head = _head(address)
    if head.capacity < values.size:
        raise TdcRefusal(ReturnCode.OUT_OF_RANGE)
    head.size, head.bin_width = values.size, bin_width_ps
    if index_offset is not None:
        head.index_offset = index_offset
    copy_to((address or 0) + _VALUES_OFFSET, values.astype(np.float64))


def read(address: int | None) -> tuple[NDArray[np.float64], int, int]:
    """Values, bin width in ps and index offset of a struct."""
    head = _head(address)
    if not 0 <= head.size <= head.capacity:
        raise TdcRefusal(ReturnCode.OUT_OF_RANGE)
    raw = ctypes.string_at((address or 0) + _VALUES_OFFSET, _DOUBLE_BYTES * head.size)
    return np.frombuffer(raw, np.float64), head.bin_width, head.index_offset


def analyse(address: int | None, outputs: tuple[Any, ...], values: Any, buffer_size: int) -> None:
    """Take a struct apart: its fields to `outputs` in their order, at most `buffer_size` of its values."""
    head = _head(address)
    fields = (head.capacity, head.size, head.bin_width, head.index_offset)[: len(outputs)]
    store(fields, *outputs)
    copy_to(values, read(address)[0][: max(0, buffer_size)])


def _head(address: int | None) -> FunctionHead:
    require_pointers(address)
    return FunctionHead.from_address(address or 0)
