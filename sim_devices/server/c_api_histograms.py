"""Functions of the quTAG library that evaluate events: tdcstartstop.h, tdchbt.h, tdclifetm.h and tdchg2.h."""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from sim_devices.firmware.qutag_codes import ReturnCode, TdcRefusal, require_range
from sim_devices.firmware.qutag_device import TdcDevice
from sim_devices.firmware.qutag_library import TdcLibrary
from sim_devices.firmware.qutag_models import HBT_PARAMETERS, LFT_PARAMETERS, Model, fit
from sim_devices.server import c_structs
from sim_devices.server.c_functions import (
    BUFFER,
    DOUBLE,
    DOUBLE_OUT,
    INT,
    INT32,
    INT32_OUT,
    INT64_OUT,
    Export,
    Pointer,
    coded,
    copy_to,
    doubles_at,
    getter,
    require_pointers,
    setter,
    store,
)

_S_PER_PS = 1e-12
_HBT_MODELS = 14
_PAIR = (INT32_OUT, INT32_OUT)
_start_parameters = {
    kind: (DOUBLE * HBT_PARAMETERS)(*TdcDevice(0).hbt.model(kind).padded_start(HBT_PARAMETERS))
    for kind in range(1, _HBT_MODELS)
}


def _get_histogram(
    library: TdcLibrary, start: int, stop: int, reset: int, data: int | None, *outputs: Pointer
) -> None:
    bins, counts = library.settled_device().startstop.histogram(start, stop, reset)
    copy_to(data, bins.astype(np.int32))
    store(counts, *outputs)


def _get_correlations(library: TdcLibrary, direction: int, function: int | None) -> None:
    hbt = library.settled_device().hbt
    c_structs.write(function, hbt.correlations(direction), hbt.params()[0], 0)


def _calc_g2(library: TdcLibrary, function: int | None) -> None:
    hbt = library.settled_device().hbt
    width_ps, count = hbt.params()
    c_structs.write(function, hbt.g2(), width_ps, count - 1)


def _calc_hbt_model(library: TdcLibrary, kind: int, parameters: Pointer, function: int | None) -> None:
    hbt = library.device().hbt
    model, (width_ps, count) = hbt.model(kind), hbt.params()
    values = model.function(hbt.times_s(), *_parameters(model, parameters))
    c_structs.write(function, values, width_ps, count - 1)


def _fit_g2(
    library: TdcLibrary, function: int | None, kind: int, start: Pointer, result: Pointer, iterations: Pointer
) -> None:
    values, width_ps, offset = c_structs.read(function)
    times_s = (np.arange(values.size) - offset) * (width_ps * _S_PER_PS)
    _fit(library.device().hbt.model(kind), times_s, values, start, result, iterations, HBT_PARAMETERS)


def _fit(
    model: Model,
    times_s: np.ndarray,
    values: np.ndarray,
    start: Pointer,
    result: Pointer,
    iterations: Pointer,
    size: int,
) -> None:
    first = doubles_at(start, len(model.start)) if start else model.start
    require_pointers(result)
    found, count = fit(model, times_s, values, first)
    for index, value in enumerate([*found, *[0.0] * (size - len(found))]):
        result[index] = value
    store(count, iterations)


def _parameters(model: Model, parameters: Pointer) -> tuple[float, ...]:
    return doubles_at(parameters, len(model.start)) if model.start else ()


def _start_params(library: TdcLibrary, kind: int, parameters: Pointer) -> int:
    del library
    recommended = _start_parameters.get(kind)
    if recommended is None:
        return 0
    if parameters:
        for index, value in enumerate(recommended):
            parameters[index] = value
    return ctypes.addressof(recommended)


def _create(library: TdcLibrary, *, hbt: bool) -> int:
    try:
        device = library.device()
    except TdcRefusal:
        return 0
    width_ps, count = (device.hbt if hbt else device.lifetime).params()
    return c_structs.create(2 * count if hbt else count, width_ps)


def _release(library: TdcLibrary, function: int | None) -> None:
    del library
    c_structs.release(function)


def _analyse(library: TdcLibrary, function: int | None, *arguments: Any) -> None:
    del library
    *outputs, values, size = arguments
    if function:
        c_structs.analyse(function, tuple(outputs), values, size)


def _generate_hbt(library: TdcLibrary, kind: int, parameters: Pointer, noise: float) -> None:
    library.settled_device().hbt.generate_demo(kind, _demo(kind, parameters, HBT_PARAMETERS), noise)


def _generate_lifetime(library: TdcLibrary, kind: int, parameters: Pointer, noise: float) -> None:
    library.settled_device().lifetime.generate_demo(kind, _demo(kind, parameters, LFT_PARAMETERS), noise)


def _demo(kind: int, parameters: Pointer, size: int) -> tuple[float, ...]:
    return doubles_at(parameters, size) if kind else (0.0,) * size


def _get_lifetime(
    library: TdcLibrary, channel: int, reset: int, function: int | None, *outputs: Pointer
) -> None:
    lifetime = library.settled_device().lifetime
    if function:
        require_range(c_structs.FunctionHead.from_address(function).capacity >= lifetime.params()[1])
    values, counts = lifetime.histogram(channel, reset)
    if function:
        c_structs.write(function, values, lifetime.params()[0], None)
    store(counts, *outputs)


def _calc_lifetime_model(library: TdcLibrary, kind: int, parameters: Pointer, function: int | None) -> None:
    lifetime = library.device().lifetime
    model = lifetime.model(kind)
    values = model.function(lifetime.times_s(), *_parameters(model, parameters))
    c_structs.write(function, values, lifetime.params()[0], None)


def _fit_lifetime(
    library: TdcLibrary, function: int | None, kind: int, start: Pointer, result: Pointer, iterations: Pointer
) -> None:
    values, width_ps, _ = c_structs.read(function)
    times_s = np.arange(values.size) * (width_ps * _S_PER_PS)
    _fit(library.device().lifetime.model(kind), times_s, values, start, result, iterations, LFT_PARAMETERS)


def _hg2_g2(library: TdcLibrary, buffer: int | None, size: Pointer, reset: int) -> None:
    heralded = library.settled_device().heralded
    _claim(size, heralded.params()[1])
    copy_to(buffer, heralded.g2(reset))


def _hg2_rows(library: TdcLibrary, rows: Any, reset: int) -> None:
    heralded = library.settled_device().heralded
    require_pointers(rows)
    count = heralded.params()[1]
    counted = heralded.triples(reset)
    for first in range(count):
        row = np.zeros(count, np.int64)
        own = {place // count: n for place, n in counted.items() if place % count == first}
        row[list(own)] = list(own.values())
        copy_to(rows[first], row)


def _hg2_flat(library: TdcLibrary, buffer: int | None, size: Pointer, reset: int) -> None:
    heralded = library.settled_device().heralded
    count = heralded.params()[1]
    _claim(size, count * count)
    counted = heralded.triples(reset)
    values = np.zeros(count * count, np.int64)
    values[list(counted)] = list(counted.values())
    copy_to(buffer, values)


def _hg2_raw(
    library: TdcLibrary,
    idlers: Pointer,
    coincidences: Pointer,
    triples: int | None,
    second: int | None,
    size: Pointer,
) -> None:
    heralded = library.settled_device().heralded
    counts = heralded.raw()
    if triples or second:
        _claim(size, heralded.params()[1])
    store(counts[:2], idlers, coincidences)
    copy_to(triples, counts[2])
    copy_to(second, counts[3])


def _claim(size: Pointer, needed: int) -> None:
    """OUT_OF_RANGE unless a buffer of `size` elements is large enough; `size` says what is used."""
    require_pointers(size)
    if size[0] < needed:
        raise TdcRefusal(ReturnCode.OUT_OF_RANGE)
    size[0] = needed


STARTSTOP: Mapping[str, Export] = {
    "TDC_enableStartStop": setter(lambda device, on: device.startstop.enable(on), INT32),
    "TDC_addHistogram": setter(lambda device, *values: device.startstop.add(*values), INT32, INT32, INT32),
    "TDC_setHistogramParams": setter(
        lambda device, *values: device.startstop.set_params(*values), INT32, INT32
    ),
    "TDC_getHistogramParams": getter(lambda device: device.startstop.params(), *_PAIR, null=True),
    "TDC_clearAllHistograms": setter(lambda device: device.startstop.clear()),
    "TDC_getHistogram": coded(_get_histogram, INT32, INT32, INT32, BUFFER, *[INT32_OUT] * 5, INT64_OUT),
}

HBT: Mapping[str, Export] = {
    "TDC_enableHbt": setter(TdcDevice.enable_hbt, INT32),
    "TDC_setHbtParams": setter(lambda device, *values: device.hbt.set_params(*values), INT32, INT32),
    "TDC_getHbtParams": getter(lambda device: device.hbt.params(), *_PAIR, null=True),
    "TDC_setHbtDetectorParams": setter(lambda device, jitter: device.hbt.set_detector_params(jitter), DOUBLE),
    "TDC_getHbtDetectorParams": getter(lambda device: device.hbt.detector_params(), DOUBLE_OUT, null=True),
    "TDC_setHbtInput": setter(lambda device, *values: device.hbt.set_input(*values), INT32, INT32),
    "TDC_getHbtInput": getter(lambda device: device.hbt.input(), *_PAIR, null=True),
    "TDC_resetHbtCorrelations": setter(lambda device: device.hbt.reset()),
    "TDC_getHbtEventCount": getter(
        lambda device: device.hbt.event_count(), INT64_OUT, INT64_OUT, DOUBLE_OUT, null=True, settled=True
    ),
    "TDC_getHbtIntegrationTime": getter(
        lambda device: device.hbt.integration_time(), DOUBLE_OUT, settled=True
    ),
    "TDC_getHbtCorrelations": coded(_get_correlations, INT32, BUFFER),
    "TDC_calcHbtG2": coded(_calc_g2, BUFFER),
    "TDC_fitHbtG2": coded(_fit_g2, BUFFER, INT, DOUBLE_OUT, DOUBLE_OUT, INT32_OUT),
    "TDC_getHbtFitStartParams": Export(BUFFER, (INT, DOUBLE_OUT), _start_params),
    "TDC_calcHbtModelFct": coded(_calc_hbt_model, INT, DOUBLE_OUT, BUFFER),
    "TDC_generateHbtDemo": coded(_generate_hbt, INT, DOUBLE_OUT, DOUBLE),
    "TDC_createHbtFunction": Export(BUFFER, (), lambda library: _create(library, hbt=True)),
    "TDC_releaseHbtFunction": Export(None, (BUFFER,), _release),
    "TDC_analyseHbtFunction": Export(None, (BUFFER, *[INT32_OUT] * 4, BUFFER, INT32), _analyse),
}

LIFETIME: Mapping[str, Export] = {
    "TDC_enableLft": setter(TdcDevice.enable_lifetime, INT32),
    "TDC_setLftStartInput": setter(lambda device, channel: device.lifetime.set_start_input(channel), INT32),
    "TDC_addLftHistogram": setter(lambda device, *values: device.lifetime.add(*values), INT32, INT32),
    "TDC_getLftStartInput": getter(lambda device: device.lifetime.start_input(), INT32_OUT),
    "TDC_setLftParams": setter(lambda device, *values: device.lifetime.set_params(*values), INT32, INT32),
    "TDC_getLftParams": getter(lambda device: device.lifetime.params(), *_PAIR, null=True),
    "TDC_resetLftHistograms": setter(lambda device: device.lifetime.reset()),
    "TDC_createLftFunction": Export(BUFFER, (), lambda library: _create(library, hbt=False)),
    "TDC_releaseLftFunction": Export(None, (BUFFER,), _release),
    "TDC_analyseLftFunction": Export(None, (BUFFER, *[INT32_OUT] * 3, BUFFER, INT32), _analyse),
    "TDC_getLftHistogram": coded(_get_lifetime, INT32, INT32, BUFFER, *[INT32_OUT] * 3, INT64_OUT),
    "TDC_calcLftModelFct": coded(_calc_lifetime_model, INT, DOUBLE_OUT, BUFFER),
    "TDC_generateLftDemo": coded(_generate_lifetime, INT, DOUBLE_OUT, DOUBLE),
    "TDC_fitLftHistogram": coded(_fit_lifetime, BUFFER, INT, DOUBLE_OUT, DOUBLE_OUT, INT32_OUT),
}

HERALDED: Mapping[str, Export] = {
    "TDC_enableHg2": setter(lambda device, on: device.heralded.enable(on), INT32),
    "TDC_setHg2Params": setter(lambda device, *values: device.heralded.set_params(*values), INT32, INT32),
    "TDC_getHg2Params": getter(lambda device: device.heralded.params(), *_PAIR, null=True),
    "TDC_setHg2Input": setter(
        lambda device, *values: device.heralded.set_input(*values), INT32, INT32, INT32
    ),
    "TDC_getHg2Input": getter(lambda device: device.heralded.input(), *_PAIR, INT32_OUT, null=True),
    "TDC_resetHg2Correlations": setter(lambda device: device.heralded.reset()),
    "TDC_calcHg2G2": coded(_hg2_g2, BUFFER, INT32_OUT, INT32),
    "TDC_calcHg2Tcp": coded(_hg2_rows, ctypes.POINTER(BUFFER), INT32),
    "TDC_calcHg2Tcp1D": coded(_hg2_flat, BUFFER, INT32_OUT, INT32),
    "TDC_getHg2Raw": coded(_hg2_raw, INT64_OUT, INT64_OUT, BUFFER, BUFFER, INT32_OUT),
}
