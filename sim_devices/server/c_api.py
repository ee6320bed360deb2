"""The quTAG library as a C function table: the maker's function names and the addresses of real C functions.

Prototypes of tdcbase.h, tdcmultidev.h and tdcdecl.h, C calling convention (as on Linux). The functions live
as long as the process. As with a shared library, asking again for the same device gives the same functions,
with the same state behind them. Output pointers may be NULL where the header allows it; elsewhere, where the
maker's library would crash, the call returns TDC_Error.
"""

import ctypes
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from sim_devices.firmware.qutag_codes import TEXTS, VERSION, ReturnCode, TdcRefusal
from sim_devices.firmware.qutag_device import TdcDevice
from sim_devices.firmware.qutag_library import TdcLibrary
from sim_devices.firmware.qutag_stream import CHANNELS
from sim_devices.server.tagger_line import TaggerLine

_INT, _UNSIGNED, _INT32, _DOUBLE = ctypes.c_int, ctypes.c_uint, ctypes.c_int32, ctypes.c_double
_TEXT, _BUFFER = ctypes.c_char_p, ctypes.c_void_p
_INT_OUT, _INT32_OUT, _DOUBLE_OUT = (ctypes.POINTER(kind) for kind in (_INT, _INT32, _DOUBLE))
_UNSIGNED_OUT = ctypes.POINTER(_UNSIGNED)
_SERIAL_NUMBER_BYTES = 16
_ERROR_TEXTS = {code: ctypes.create_string_buffer(text.encode()) for code, text in TEXTS.items()}

_tables: dict[tuple[str, str], Mapping[str, int]] = {}
_alive: list[object] = []
_tables_lock = threading.Lock()


def function_table(control: str, device: str) -> Mapping[str, int]:
    """Addresses of the library's functions by the maker's names, for the tagger `device` behind a control server.

    `control` is host:port. Nothing is contacted before TDC_init or TDC_discover is called.
    """
    with _tables_lock:
        if (control, device) not in _tables:
            library = TdcLibrary(TaggerLine(control, device))
            functions = {name: export.bind(library) for name, export in _EXPORTS.items()}
            _alive.append(functions)
            addresses = {
                name: ctypes.cast(function, _BUFFER).value or 0 for name, function in functions.items()
            }
            _tables[control, device] = MappingProxyType(addresses)
        return _tables[control, device]


class _Pointer(Protocol):
    """A typed C pointer as ctypes hands it to a callback; false when NULL."""

    def __bool__(self) -> bool: ...

    def __getitem__(self, index: int) -> Any: ...

    def __setitem__(self, index: int, value: object) -> None: ...


@dataclass(frozen=True)
class _Export:
    """One function: its prototype, and what it does to a library."""

    result: type
    arguments: tuple[type, ...]
    body: Callable[..., object]

    def bind(self, library: TdcLibrary) -> Any:
        def call(*arguments: object) -> object:
            with library.lock:
                return self.body(library, *arguments)

        return ctypes.CFUNCTYPE(self.result, *self.arguments)(call)


def _coded(body: Callable[..., None], *arguments: type) -> _Export:
    """A function that returns a return code."""

    def call(*values: object) -> int:
        try:
            body(*values)
        except TdcRefusal as refusal:
            return refusal.code
        return ReturnCode.OK

    return _Export(_INT, arguments, call)


def _setter(method: Callable[..., None], *inputs: type) -> _Export:
    """A function that changes the device from now on, so that all events before now come first."""
    return _coded(lambda library, *values: method(library.settled_device(), *values), *inputs)


def _getter(
    method: Callable[..., object], *outputs: type, inputs: tuple[type, ...] = (), null: bool = False
) -> _Export:
    """A function that writes what the method returns to its output pointers; with `null` they may be missing."""

    def body(library: TdcLibrary, *values: Any) -> None:
        pointers = values[len(inputs) :]
        if not null:
            _require_pointers(*pointers)
        _store(method(library.device(), *values[: len(inputs)]), *pointers)

    return _coded(body, *inputs, *outputs)


def _require_pointers(*pointers: object) -> None:
    if not all(pointers):
        raise TdcRefusal(ReturnCode.ERROR)


def _store(values: object, *pointers: _Pointer) -> None:
    for pointer, value in zip(pointers, values if isinstance(values, tuple) else (values,), strict=True):
        if pointer:
            pointer[0] = value


def _version(library: TdcLibrary) -> float:
    del library
    return VERSION


def _error_text(library: TdcLibrary, code: int) -> int:
    del library
    known = ReturnCode(code) if code in _ERROR_TEXTS else ReturnCode.UNKNOWN
    return ctypes.addressof(_ERROR_TEXTS[known])


def _deinit(library: TdcLibrary) -> None:
    library.deinit()


def _discover(library: TdcLibrary, count: _Pointer) -> None:
    _require_pointers(count)
    count[0] = library.discover()


def _device_info(
    library: TdcLibrary,
    number: int,
    kind: _Pointer,
    device_id: _Pointer,
    serial: int | None,
    connected: _Pointer,
) -> None:
    *values, serial_number, is_connected = library.device_info(number)
    _store((*values, is_connected), kind, device_id, connected)
    if serial:
        text = serial_number.encode()[: _SERIAL_NUMBER_BYTES - 1].ljust(_SERIAL_NUMBER_BYTES, b"\0")
        ctypes.memmove(serial, text, _SERIAL_NUMBER_BYTES)


def _current_address(library: TdcLibrary, number: _Pointer) -> None:
    _require_pointers(number)
    number[0] = library.current_address()


def _set_channel_delays(library: TdcLibrary, delays: _Pointer) -> None:
    device = library.settled_device()
    device.set_channel_delays([int(delays[channel]) if delays else 0 for channel in range(CHANNELS)])


def _get_channel_delays(library: TdcLibrary, delays: _Pointer) -> None:
    _require_pointers(delays)
    for index, delay_ps in enumerate(library.device().channel_delays()):
        delays[index] = delay_ps


def _get_data_lost(library: TdcLibrary, lost: _Pointer) -> None:
    _require_pointers(lost)
    lost[0] = library.settled_device().data_lost()


def _get_coincidence_counters(library: TdcLibrary, data: _Pointer, updates: _Pointer) -> None:
    _require_pointers(data)
    counters, update_count = library.settled_device().coincidence_counters()
    for index, value in enumerate(counters):
        data[index] = value
    _store(update_count, updates)


def _get_last_timestamps(
    library: TdcLibrary, reset: int, timestamps: int | None, channels: int | None, valid: _Pointer
) -> None:
    _require_pointers(valid)
    count = 0
    for times, numbers in library.settled_device().last_timestamps(reset):
        if timestamps:
            ctypes.memmove(timestamps + times.itemsize * count, times.ctypes.data, times.nbytes)
        if channels:
            ctypes.memmove(channels + count, numbers.ctypes.data, numbers.nbytes)
        count += times.size
    valid[0] = count


def _input_timestamps(library: TdcLibrary, timestamps: int | None, channels: int | None, count: int) -> None:
    device = library.settled_device()
    if count < 0:
        raise TdcRefusal(ReturnCode.OUT_OF_RANGE)
    if timestamps is None or channels is None:
        raise TdcRefusal(ReturnCode.ERROR)
    times = np.frombuffer(ctypes.string_at(timestamps, 8 * count), dtype=np.int64)
    device.input_timestamps(times, np.frombuffer(ctypes.string_at(channels, count), dtype=np.uint8))


def _generate_timestamps(library: TdcLibrary, kind: int, parameters: _Pointer, count: int) -> None:
    device = library.settled_device()
    _require_pointers(parameters)
    device.generate_timestamps(kind, float(parameters[0]), float(parameters[1]), count)


_EXPORTS: Mapping[str, _Export] = {
    "TDC_getVersion": _Export(_DOUBLE, (), _version),
    "TDC_perror": _Export(_BUFFER, (_INT,), _error_text),
    "TDC_init": _coded(TdcLibrary.init, _INT),
    "TDC_deInit": _coded(_deinit),
    "TDC_getDevType": _Export(_INT, (), TdcLibrary.device_type),
    "TDC_checkFeatureHbt": _Export(_INT32, (), lambda library: library.features() & 1),
    "TDC_checkFeatureLifeTime": _Export(_INT32, (), lambda library: library.features() >> 1 & 1),
    "TDC_checkFeatures": _Export(_INT32, (), TdcLibrary.features),
    "TDC_discover": _coded(_discover, _UNSIGNED_OUT),
    "TDC_getDeviceInfo": _coded(_device_info, _UNSIGNED, _INT_OUT, _INT_OUT, _BUFFER, _INT32_OUT),
    "TDC_connect": _coded(TdcLibrary.connect, _UNSIGNED),
    "TDC_disconnect": _coded(TdcLibrary.disconnect, _UNSIGNED),
    "TDC_addressDevice": _coded(TdcLibrary.address_device, _UNSIGNED),
    "TDC_getCurrentAddress": _coded(_current_address, _UNSIGNED_OUT),
    "TDC_getTimebase": _getter(TdcDevice.timebase, _DOUBLE_OUT),
    "TDC_getClockState": _getter(TdcDevice.clock_state, _INT32_OUT, _INT32_OUT),
    "TDC_enableChannels": _setter(TdcDevice.enable_channels, _INT32),
    "TDC_getChannelsEnabled": _getter(TdcDevice.channels_enabled, _INT32_OUT),
    "TDC_configureSignalConditioning": _setter(
        TdcDevice.configure_signal_conditioning, _INT32, _INT, _INT32, _DOUBLE
    ),
    "TDC_getSignalConditioning": _getter(
        TdcDevice.signal_conditioning, _INT32_OUT, _DOUBLE_OUT, inputs=(_INT32,)
    ),
    "TDC_configureSyncDivider": _setter(TdcDevice.configure_sync_divider, _INT32, _INT32),
    "TDC_getSyncDivider": _getter(TdcDevice.sync_divider, _INT32_OUT, _INT32_OUT),
    "TDC_setCoincidenceWindow": _setter(TdcDevice.set_coincidence_window, _INT32),
    "TDC_setExposureTime": _setter(TdcDevice.set_exposure_time, _INT32),
    "TDC_getDeviceParams": _getter(TdcDevice.device_params, _INT32_OUT, _INT32_OUT, null=True),
    "TDC_setChannelDelays": _coded(_set_channel_delays, _INT32_OUT),
    "TDC_getChannelDelays": _coded(_get_channel_delays, _INT32_OUT),
    "TDC_setDeadTime": _setter(TdcDevice.set_dead_time, _INT32, _INT32),
    "TDC_getDeadTime": _getter(TdcDevice.dead_time, _INT32_OUT, inputs=(_INT32,)),
    "TDC_getDataLost": _coded(_get_data_lost, _INT32_OUT),
    "TDC_setTimestampBufferSize": _setter(TdcDevice.set_buffer_size, _INT32),
    "TDC_getTimestampBufferSize": _getter(TdcDevice.buffer_size, _INT32_OUT),
    "TDC_enableTdcInput": _coded(TdcLibrary.enable_input, _INT32),
    "TDC_freezeBuffers": _setter(TdcDevice.freeze_buffers, _INT32),
    "TDC_getCoincCounters": _coded(_get_coincidence_counters, _INT32_OUT, _INT32_OUT),
    "TDC_getLastTimestamps": _coded(_get_last_timestamps, _INT32, _BUFFER, _BUFFER, _INT32_OUT),
    "TDC_writeTimestamps": _setter(TdcDevice.write_timestamps, _TEXT, _INT),
    "TDC_readTimestamps": _setter(TdcDevice.read_timestamps, _TEXT, _INT),
    "TDC_inputTimestamps": _coded(_input_timestamps, _BUFFER, _BUFFER, _INT32),
    "TDC_generateTimestamps": _coded(_generate_timestamps, _INT, _DOUBLE_OUT, _INT32),
}
