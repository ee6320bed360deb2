"""The maker's C interface of a quTAG, as far as it is used (qutools, tdcbase.h and tdcdecl.h).

First generation (2019): four inputs, numbered from 1 as on the front panel. Second generation (quTAG HR and MC, 2022):
32 of them. The start input 0 is kept off: it would reset the clock. Times are in the library's time base, 1 ps.
Prototypes, ranges and return codes; nothing is loaded here.
"""

from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_uint8
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.qutag_evaluation_api import EvaluationApi
from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError, TransportTimeout

INPUTS = (1, 2, 3, 4)
INPUTS_OF = {1: INPUTS, 2: tuple(range(1, 33))}
HARDWARE_INPUTS = 5
DELAYS_READ_BACK = 8
MAX_DELAY_PS = 100_000
THRESHOLD_RANGE_V = (-2.0, 3.0)
THRESHOLD_STEP_V = 0.00147
MAX_BUFFER_SIZE = 1_000_000
TIME_BASE_S = 1e-12
ANY_DEVICE = -1
DEVICE_TYPES = {1: (0,), 2: (0, 1, 2)}
SIGNAL_CONDITIONING_MISC = 3

Bind = Callable[[str, Any, Sequence[Any]], Callable[..., Any]]


class ReturnCode(IntEnum):
    """What the functions return (tdcdecl.h)."""

    OK = 0
    ERROR = -1
    TIMEOUT = 1
    NOT_CONNECTED = 2
    DRIVER_ERROR = 3
    DEVICE_LOCKED = 7
    UNKNOWN = 8
    NO_DEVICE = 9
    OUT_OF_RANGE = 10
    CANT_OPEN = 11
    NOT_INITIALIZED = 12
    NOT_ENABLED = 13
    NOT_AVAILABLE = 14


LOST_WITH = frozenset(
    {
        ReturnCode.TIMEOUT,
        ReturnCode.NOT_CONNECTED,
        ReturnCode.DRIVER_ERROR,
        ReturnCode.DEVICE_LOCKED,
        ReturnCode.NOT_INITIALIZED,
    }
)
"""Return codes after which the device must be connected anew."""

PROTOTYPES: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "TDC_getVersion": (c_double, ()),
    "TDC_perror": (c_char_p, (c_int,)),
    "TDC_getTimebase": (c_int, (POINTER(c_double),)),
    "TDC_init": (c_int, (c_int,)),
    "TDC_deInit": (c_int, ()),
    "TDC_getDevType": (c_int, ()),
    "TDC_enableChannels": (c_int, (c_int32,)),
    "TDC_getChannelsEnabled": (c_int, (POINTER(c_int32),)),
    "TDC_configureSignalConditioning": (c_int, (c_int32, c_int, c_int32, c_double)),
    "TDC_getSignalConditioning": (c_int, (c_int32, POINTER(c_int32), POINTER(c_double))),
    "TDC_setChannelDelays": (c_int, (POINTER(c_int32),)),
    "TDC_getChannelDelays": (c_int, (POINTER(c_int32),)),
    "TDC_getDataLost": (c_int, (POINTER(c_int32),)),
    "TDC_setTimestampBufferSize": (c_int, (c_int32,)),
    "TDC_getTimestampBufferSize": (c_int, (POINTER(c_int32),)),
    "TDC_enableTdcInput": (c_int, (c_int32,)),
    "TDC_freezeBuffers": (c_int, (c_int32,)),
    "TDC_getLastTimestamps": (c_int, (c_int32, POINTER(c_int64), POINTER(c_uint8), POINTER(c_int32))),
}
"""Result and argument types by symbol; Bln32 is an int32, an enumeration an int."""

SECOND_PROTOTYPES: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    **{
        symbol: types
        for symbol, types in PROTOTYPES.items()
        if symbol not in ("TDC_setChannelDelays", "TDC_getChannelDelays")
    },
    "TDC_enableChannels": (c_int, (c_int32, c_int32)),
    "TDC_getChannelsEnabled": (c_int, (POINTER(c_int32), POINTER(c_int32))),
    "TDC_setChannelDelay": (c_int, (c_int32, c_int32)),
    "TDC_getChannelDelay": (c_int, (c_int32, POINTER(c_int32))),
}
"""The same of the second generation."""


class QuTagApi:
    """The functions of one loaded library, with Python's values for arguments and results.

    `bind(symbol, result, arguments)` gives the C function. A return code other than 0 is an InstrumentError with the
    library's own words; an argument beyond the header's range is a LocalProtocolError, and nothing is called.
    """

    def __init__(self, bind: Bind, *, label: str = "", generation: int = 1) -> None:
        self._label = label
        self.is_lost = False
        """Whether a call has failed in such a way that the device must be connected anew."""
        self._generation = generation
        self._bind = bind
        self.inputs = INPUTS_OF[generation]
        prototypes = PROTOTYPES if generation == 1 else SECOND_PROTOTYPES
        self._functions = {symbol: bind(symbol, *types) for symbol, types in prototypes.items()}
        self.evaluation = EvaluationApi(self._call_evaluation, generation=generation)

    def init(self, device_id: int = ANY_DEVICE) -> None:
        """TDC_init: connect to the device with that number, or to the first found."""
        self._call("TDC_init", device_id)
        self.is_lost = False

    def deinit(self) -> None:
        """TDC_deInit: let the device go."""
        self._call("TDC_deInit")

    def version(self) -> float:
        """TDC_getVersion: version of the library."""
        return float(self._functions["TDC_getVersion"]())

    def is_qutag(self) -> bool:
        """TDC_getDevType: whether a device, not a simulation by the library, is connected."""
        return self._functions["TDC_getDevType"]() in DEVICE_TYPES[self._generation]

    def time_base_s(self) -> float:
        """TDC_getTimebase: seconds in a unit of time."""
        return self._ask("TDC_getTimebase", c_double)

    def enable_inputs(self, inputs: Sequence[int]) -> None:
        """TDC_enableChannels: bit n of the mask is input n, in the second generation n + 1; the start input is off."""
        if not inputs or not set(inputs) <= set(self.inputs):
            raise LocalProtocolError(f"channels {list(inputs)} are not a choice of {list(self.inputs)}")
        mask = sum(1 << number for number in set(inputs))
        if self._generation == 1:
            self._call("TDC_enableChannels", mask)
        else:
            self._call("TDC_enableChannels", 0, c_int32(mask >> 1))

    def enabled_inputs_mask(self) -> int:
        """TDC_getChannelsEnabled: bit n is input n."""
        if self._generation == 1:
            return self._ask("TDC_getChannelsEnabled", c_int32)
        start, stops = c_int32(), c_int32()
        self._call("TDC_getChannelsEnabled", byref(start), byref(stops))
        return (stops.value & 0xFFFFFFFF) << 1 | int(start.value != 0)

    def set_threshold(self, number: int, threshold_v: float) -> None:
        """TDC_configureSignalConditioning: level at which an input triggers; its edge stays as it is."""
        low_v, high_v = THRESHOLD_RANGE_V
        if not low_v <= threshold_v <= high_v:
            raise LocalProtocolError(
                f"input {number}: a threshold of {threshold_v:g} V is not within {low_v:g} to {high_v:g} V"
            )
        rising, _ = self._signal_conditioning(number)
        self._call("TDC_configureSignalConditioning", number, SIGNAL_CONDITIONING_MISC, rising, threshold_v)

    def threshold_v(self, number: int) -> float:
        """TDC_getSignalConditioning: the level in effect."""
        return self._signal_conditioning(number)[1]

    def set_delays(self, delays_ps: Sequence[int]) -> None:
        """TDC_setChannelDelays: one delay an input, added by the hardware; the start input's is zero."""
        if len(delays_ps) != len(self.inputs) or any(abs(delay_ps) > MAX_DELAY_PS for delay_ps in delays_ps):
            raise LocalProtocolError(
                f"delays {list(delays_ps)} ps are not {len(self.inputs)} within +-{MAX_DELAY_PS} ps"
            )
        if self._generation == 1:
            self._call("TDC_setChannelDelays", (c_int32 * HARDWARE_INPUTS)(0, *delays_ps))
            return
        for number, delay_ps in zip(self.inputs, delays_ps, strict=True):
            self._call("TDC_setChannelDelay", number, delay_ps)

    def delays_ps(self) -> tuple[int, ...]:
        """TDC_getChannelDelays: the delays of the inputs."""
        if self._generation == 2:
            return tuple(self._channel_delay_ps(number) for number in self.inputs)
        delays = (c_int32 * DELAYS_READ_BACK)()
        self._call("TDC_getChannelDelays", delays)
        return tuple(delays[number] for number in self.inputs)

    def set_buffer_size(self, size: int) -> None:
        """TDC_setTimestampBufferSize: tags that the library keeps between two readings; empties it."""
        if not 1 <= size <= MAX_BUFFER_SIZE:
            raise LocalProtocolError(f"a buffer of {size} tags is not within 1 to {MAX_BUFFER_SIZE}")
        self._call("TDC_setTimestampBufferSize", size)

    def buffer_size(self) -> int:
        """TDC_getTimestampBufferSize."""
        return self._ask("TDC_getTimestampBufferSize", c_int32)

    def enable_input(self, on: bool) -> None:
        """TDC_enableTdcInput: whether the library takes what the device sends."""
        self._call("TDC_enableTdcInput", int(on))

    def freeze_buffers(self, on: bool) -> None:
        """TDC_freezeBuffers: whether the buffer takes nothing more."""
        self._call("TDC_freezeBuffers", int(on))

    def data_lost(self) -> bool:
        """TDC_getDataLost: whether tags were lost since this was last asked."""
        return self._ask("TDC_getDataLost", c_int32) != 0

    def take_tags(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> int:
        """TDC_getLastTimestamps: empty the library's buffer into arrays of its size; how many tags there were."""
        valid = c_int32()
        self._call(
            "TDC_getLastTimestamps",
            1,
            times.ctypes.data_as(POINTER(c_int64)),
            channels.ctypes.data_as(POINTER(c_uint8)),
            byref(valid),
        )
        if not 0 <= valid.value <= len(times):
            raise RemoteProtocolError(f"{self._label}: {valid.value} tags from a buffer of {len(times)} tags")
        return valid.value

    def _channel_delay_ps(self, number: int) -> int:
        delay = c_int32()
        self._call("TDC_getChannelDelay", number, byref(delay))
        return delay.value

    def _call_evaluation(self, symbol: str, types: tuple[Any, tuple[Any, ...]], *arguments: Any) -> None:
        """Call a function that is bound when it is first wanted."""
        if symbol not in self._functions:
            self._functions[symbol] = self._bind(symbol, *types)
        self._call(symbol, *arguments)

    def _signal_conditioning(self, number: int) -> tuple[int, float]:
        """Whether the rising edge counts, and the threshold in V."""
        edge, threshold = c_int32(), c_double()
        self._call("TDC_getSignalConditioning", number, byref(edge), byref(threshold))
        return edge.value, threshold.value

    def _ask(self, symbol: str, kind: type[Any]) -> Any:
        """The only output of a function."""
        value = kind()
        self._call(symbol, byref(value))
        return value.value

    def _call(self, symbol: str, *arguments: Any) -> None:
        try:
            code = self._functions[symbol](*arguments)
        except TransportTimeout:
            self.is_lost = True
            raise
        if code != ReturnCode.OK:
            self.is_lost |= code in LOST_WITH
            raise InstrumentError(code, self._words(code), instrument=self._label, message=symbol)

    def _words(self, code: int) -> str:
        words = self._functions["TDC_perror"](code)
        return words.decode("ascii", "replace") if words else f"return code {code}"
