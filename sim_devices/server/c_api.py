"""The quTAG library as a C function table: the maker's function names and the addresses of real C functions.

Prototypes of tdcbase.h, tdcmultidev.h and tdcdecl.h, C calling convention (as on Linux). The functions live
as long as the process. As with a shared library, asking again for the same device gives the same functions,
with the same state behind them. Output pointers may be NULL where the header allows it; elsewhere, where the
maker's library would crash, the call returns TDC_Error.
"""

import ctypes
import threading
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from sim_devices.firmware.qutag_codes import TEXTS, ReturnCode, TdcRefusal
from sim_devices.firmware.qutag_device import TdcDevice
from sim_devices.firmware.qutag_library import TdcLibrary
from sim_devices.firmware.qutag_profile import GENERATIONS
from sim_devices.firmware.qutag_stream import CHANNELS
from sim_devices.server import c_api_histograms
from sim_devices.server.c_functions import (
    BUFFER,
    DOUBLE,
    DOUBLE_OUT,
    INT,
    INT32,
    INT32_OUT,
    INT_OUT,
    TEXT,
    UNSIGNED,
    UNSIGNED_OUT,
    Export,
    Pointer,
    coded,
    getter,
    require_pointers,
    setter,
    store,
)
from sim_devices.server.tagger_line import TaggerLine

_SERIAL_NUMBER_BYTES = 16
_ERROR_TEXTS = {code: ctypes.create_string_buffer(text.encode()) for code, text in TEXTS.items()}

_tables: dict[tuple[str, str, int, float], Mapping[str, int]] = {}
_alive: list[object] = []
_tables_lock = threading.Lock()


def function_table(
    control: str, device: str, generation: str | int = 1, rate: float = 0.0
) -> Mapping[str, int]:
    """Addresses of the library's functions by the maker's names, for the tagger `device` behind a control server.

    `control` is host:port. Nothing is contacted before TDC_init or TDC_discover is called. With a `rate` lab time
    passes that many times as fast as the wall's, for programs that know nothing of it and sleep by themselves.
    """
    key = control, device, int(generation), rate
    with _tables_lock:
        if key not in _tables:
            library = TdcLibrary(TaggerLine(control, device, rate=rate), GENERATIONS[key[2]])
            functions = {name: export.bind(library) for name, export in EXPORTS[key[2]].items()}
            _alive.append(functions)
            addresses = {
                name: ctypes.cast(function, BUFFER).value or 0 for name, function in functions.items()
            }
            _tables[key] = MappingProxyType(addresses)
        return _tables[key]


def _version(library: TdcLibrary) -> float:
    return library.generation.version


def _error_text(library: TdcLibrary, code: int) -> int:
    del library
    known = ReturnCode(code) if code in _ERROR_TEXTS else ReturnCode.UNKNOWN
    return ctypes.addressof(_ERROR_TEXTS[known])


def _deinit(library: TdcLibrary) -> None:
    library.deinit()


def _discover(library: TdcLibrary, count: Pointer) -> None:
    require_pointers(count)
    count[0] = library.discover()


def _device_info(
    library: TdcLibrary,
    number: int,
    kind: Pointer,
    device_id: Pointer,
    serial: int | None,
    connected: Pointer,
) -> None:
    *values, serial_number, is_connected = library.device_info(number)
    store((*values, is_connected), kind, device_id, connected)
    if serial:
        text = serial_number.encode()[: _SERIAL_NUMBER_BYTES - 1].ljust(_SERIAL_NUMBER_BYTES, b"\0")
        ctypes.memmove(serial, text, _SERIAL_NUMBER_BYTES)


def _current_address(library: TdcLibrary, number: Pointer) -> None:
    require_pointers(number)
    number[0] = library.current_address()


def _set_channel_delays(library: TdcLibrary, delays: Pointer) -> None:
    device = library.settled_device()
    device.set_channel_delays([int(delays[channel]) if delays else 0 for channel in range(CHANNELS)])


def _get_channel_delays(library: TdcLibrary, delays: Pointer) -> None:
    require_pointers(delays)
    for index, delay_ps in enumerate(library.device().channel_delays()):
        delays[index] = delay_ps


def _get_data_lost(library: TdcLibrary, lost: Pointer) -> None:
    require_pointers(lost)
    lost[0] = library.settled_device().data_lost()


def _get_coincidence_counters(library: TdcLibrary, data: Pointer, updates: Pointer) -> None:
    require_pointers(data)
    counters, update_count = library.settled_device().coincidence_counters()
    for index, value in enumerate(counters):
        data[index] = value
    store(update_count, updates)


def _get_last_timestamps(
    library: TdcLibrary, reset: int, timestamps: int | None, channels: int | None, valid: Pointer
) -> None:
    require_pointers(valid)
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


def _generate_timestamps(library: TdcLibrary, kind: int, parameters: Pointer, count: int) -> None:
    device = library.settled_device()
    require_pointers(parameters)
    device.generate_timestamps(kind, float(parameters[0]), float(parameters[1]), count)


def _get_calibration_state(library: TdcLibrary, active: Pointer) -> None:
    require_pointers(active)
    active[0] = library.calibrating()


def _enable_start_and_stops(device: TdcDevice, start: int, stops: int) -> None:
    device.enable_channels(int(start != 0) | (stops & 0xFFFFFFFF) << 1)


def _start_and_stops_enabled(device: TdcDevice) -> tuple[int, int]:
    mask = device.channels_enabled()
    stops = mask >> 1
    return mask & 1, stops - (1 << 32) if stops >> 31 else stops


_BOTH: Mapping[str, Export] = {
    "TDC_getVersion": Export(DOUBLE, (), _version),
    "TDC_perror": Export(BUFFER, (INT,), _error_text),
    "TDC_init": coded(TdcLibrary.init, INT),
    "TDC_deInit": coded(_deinit),
    "TDC_getDevType": Export(INT, (), TdcLibrary.device_type),
    "TDC_checkFeatureHbt": Export(INT32, (), lambda library: library.features() & 1),
    "TDC_checkFeatureLifeTime": Export(INT32, (), lambda library: library.features() >> 1 & 1),
    "TDC_checkFeatures": Export(INT32, (), TdcLibrary.features),
    "TDC_discover": coded(_discover, UNSIGNED_OUT),
    "TDC_getDeviceInfo": coded(_device_info, UNSIGNED, INT_OUT, INT_OUT, BUFFER, INT32_OUT),
    "TDC_connect": coded(TdcLibrary.connect, UNSIGNED),
    "TDC_disconnect": coded(TdcLibrary.disconnect, UNSIGNED),
    "TDC_addressDevice": coded(TdcLibrary.address_device, UNSIGNED),
    "TDC_getCurrentAddress": coded(_current_address, UNSIGNED_OUT),
    "TDC_getTimebase": getter(TdcDevice.timebase, DOUBLE_OUT),
    "TDC_getClockState": getter(TdcDevice.clock_state, INT32_OUT, INT32_OUT),
    "TDC_configureSignalConditioning": setter(
        TdcDevice.configure_signal_conditioning, INT32, INT, INT32, DOUBLE
    ),
    "TDC_getSignalConditioning": getter(
        TdcDevice.signal_conditioning, INT32_OUT, DOUBLE_OUT, inputs=(INT32,)
    ),
    "TDC_configureSyncDivider": setter(TdcDevice.configure_sync_divider, INT32, INT32),
    "TDC_getSyncDivider": getter(TdcDevice.sync_divider, INT32_OUT, INT32_OUT),
    "TDC_setCoincidenceWindow": setter(TdcDevice.set_coincidence_window, INT32),
    "TDC_setExposureTime": setter(TdcDevice.set_exposure_time, INT32),
    "TDC_getDeviceParams": getter(TdcDevice.device_params, INT32_OUT, INT32_OUT, null=True),
    "TDC_getDataLost": coded(_get_data_lost, INT32_OUT),
    "TDC_setTimestampBufferSize": setter(TdcDevice.set_buffer_size, INT32),
    "TDC_getTimestampBufferSize": getter(TdcDevice.buffer_size, INT32_OUT),
    "TDC_enableTdcInput": coded(TdcLibrary.enable_input, INT32),
    "TDC_freezeBuffers": setter(TdcDevice.freeze_buffers, INT32),
    "TDC_getCoincCounters": coded(_get_coincidence_counters, INT32_OUT, INT32_OUT),
    "TDC_getLastTimestamps": coded(_get_last_timestamps, INT32, BUFFER, BUFFER, INT32_OUT),
    "TDC_writeTimestamps": setter(TdcDevice.write_timestamps, TEXT, INT),
    "TDC_readTimestamps": setter(TdcDevice.read_timestamps, TEXT, INT),
    "TDC_inputTimestamps": coded(_input_timestamps, BUFFER, BUFFER, INT32),
    "TDC_generateTimestamps": coded(_generate_timestamps, INT, DOUBLE_OUT, INT32),
    "TDC_preselectSingleStop": setter(TdcDevice.preselect_single_stop, INT32),
    "TDC_getSingleStopPreselection": getter(TdcDevice.single_stop_preselection, INT32_OUT),
    "TDC_startCalibration": setter(TdcDevice.start_calibration),
    "TDC_getCalibrationState": coded(_get_calibration_state, INT32_OUT),
    "TDC_enableMarkers": setter(TdcDevice.enable_markers, INT32),
    "TDC_getMarkersEnabled": getter(TdcDevice.markers_enabled, INT32_OUT),
    "TDC_configureFilter": setter(TdcDevice.configure_filter, INT32, INT, INT32),
    "TDC_getFilter": getter(TdcDevice.filter, INT_OUT, INT32_OUT, inputs=(INT32,)),
    "TDC_configureSelftest": setter(TdcDevice.configure_selftest, INT32, INT32, INT32, INT32),
    **c_api_histograms.STARTSTOP,
    **c_api_histograms.HBT,
    **c_api_histograms.LIFETIME,
}

_FIRST: Mapping[str, Export] = {
    "TDC_enableChannels": setter(TdcDevice.enable_channels, INT32),
    "TDC_getChannelsEnabled": getter(TdcDevice.channels_enabled, INT32_OUT),
    "TDC_setChannelDelays": coded(_set_channel_delays, INT32_OUT),
    "TDC_getChannelDelays": coded(_get_channel_delays, INT32_OUT),
    "TDC_setDeadTime": setter(TdcDevice.set_dead_time, INT32, INT32),
    "TDC_getDeadTime": getter(TdcDevice.dead_time, INT32_OUT, inputs=(INT32,)),
    "TDC_getChainPosition": getter(TdcDevice.chain_position, INT32_OUT, INT32_OUT),
    "TDC_setChannelLink": setter(TdcDevice.set_channel_link, INT32),
    "TDC_getChannelLink": getter(TdcDevice.channel_link, INT32_OUT),
    "TDC_setFiveChannelMode": setter(TdcDevice.set_five_channel_mode, INT32),
    "TDC_getFiveChannelMode": getter(TdcDevice.five_channel_mode, INT32_OUT),
}

_SECOND: Mapping[str, Export] = {
    "TDC_enableChannels": setter(_enable_start_and_stops, INT32, INT32),
    "TDC_getChannelsEnabled": getter(_start_and_stops_enabled, INT32_OUT, INT32_OUT),
    "TDC_setChannelDelay": setter(TdcDevice.set_channel_delay, INT32, INT32),
    "TDC_getChannelDelay": getter(TdcDevice.channel_delay, INT32_OUT, inputs=(INT32,)),
    "TDC_configureInputLink": setter(TdcDevice.configure_input_link, INT32, INT),
    "TDC_getInputLink": getter(TdcDevice.input_link, INT_OUT, inputs=(INT32,)),
    "TDC_disableClockReset": setter(TdcDevice.disable_clock_reset, INT32),
    "TDC_getClockResetDisabled": getter(TdcDevice.clock_reset_disabled, INT32_OUT),
    "TDC_enableExternalClock": setter(TdcDevice.enable_external_clock, INT32),
    "TDC_getModuleCount": Export(INT32, (), lambda library: library.generation.modules),
    "TDC_getChannelCount": Export(INT32, (), lambda library: library.generation.inputs),
    **c_api_histograms.HERALDED,
}

EXPORTS: Mapping[int, Mapping[str, Export]] = {1: {**_BOTH, **_FIRST}, 2: {**_BOTH, **_SECOND}}
"""The functions of each generation's library."""
