"""The library behind a QuTag: its functions, its refusals, and what options tell it."""

import ctypes
import re
import sys
from ctypes import POINTER, c_double, c_int
from typing import Any

import pytest
from ophyd.utils import LimitError

from drivers.time_tagger.qutag import QuTag
from drivers.time_tagger.qutag_api import PROTOTYPES
from qdci_lab.errors import (
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)
from tests.unit.drivers.qutag.tdcbase import (
    DECLARATIONS,
    Connected,
    HandClock,
    Tdcbase,
)


def ctype(declared: str) -> Any:
    """A C type of the header as ctypes has it."""
    base = {
        "int": c_int, "double": c_double, "Int32": ctypes.c_int32, "Bln32": ctypes.c_int32,
        "Int64": ctypes.c_int64, "Uint8": ctypes.c_uint8, "TDC_DevType": c_int, "TDC_SignalCond": c_int,
    }  # fmt: skip
    name = declared.replace("const", "").replace("*", "").strip()
    if name == "char":
        return ctypes.c_char_p
    return POINTER(base[name]) if "*" in declared else base[name]


def test_prototypes_are_those_of_the_header() -> None:
    declared = {}
    for result, symbol, arguments in re.findall(r"^(.+?)\s*(TDC_\w+)\((.*)\);$", DECLARATIONS, re.MULTILINE):
        kinds = [ctype(argument.rpartition(" ")[0]) for argument in arguments.split(", ") if argument]
        declared[symbol] = (ctype(result), tuple(kinds))
    assert dict(PROTOTYPES) == declared


def test_connecting_applies_the_options(connected: Connected, library: Tdcbase) -> None:
    tagger = connected(
        channels=[1, 3],
        channel_delays_ps=[100, -200, 300, -400],
        thresholds_v=[0.5, 0.5, -0.5, 0.1],
        buffer_size=5000,
    )
    assert library.mask == 0b1010
    assert library.delays == [0, 100, -200, 300, -400]
    assert library.buffer_size == 5000
    assert not library.input_on
    assert tagger.identity.last == "qutools quTAG, library version 1.5"
    assert tagger.channel_delays.last == (100, -200, 300, -400)
    assert tagger.thresholds.last == pytest.approx([0.5, 0.5, -0.5, 0.1], abs=0.00074)
    assert (tagger.channel_mask.last, tagger.buffer_size.last) == (0b1010, 5000)


def test_thresholds_stay_unless_given_and_keep_their_edge(connected: Connected, library: Tdcbase) -> None:
    library.signal[2] = (0, -0.6)
    tagger = connected()
    assert library.signal[2] == (0, -0.6)
    tagger.thresholds.set([0.2, 0.2, 0.2, 0.2]).wait(5)
    assert [library.signal[number][0] for number in (1, 2, 3, 4)] == [1, 0, 1, 1]
    assert tagger.thresholds.last == pytest.approx([0.2] * 4, abs=0.00074)


def test_no_device_is_told_in_the_librarys_words(connected: Connected) -> None:
    with pytest.raises(
        InstrumentError, match=r"bob\.tagger: error 2, 'Device not connected' in answer to 'TDC_init'"
    ):
        connected(device_id=3)
    connected(device_id=7)


def test_every_return_code_is_looked_at(connected: Connected, library: Tdcbase) -> None:
    library.refusals["TDC_setChannelDelays"] = 10
    with pytest.raises(InstrumentError, match="TDC_setChannelDelays") as refusal:
        connected()
    assert (refusal.value.code, refusal.value.text) == (10, "Parameter out of range")


def test_what_is_no_qutag_is_refused(connected: Connected, library: Tdcbase) -> None:
    library.device_type = 1
    with pytest.raises(RemoteProtocolError, match="no device"):
        connected()
    library.device_type, library.time_base_s = 0, 81e-12
    with pytest.raises(RemoteProtocolError, match="time base"):
        connected()


def test_library_without_a_function_is_none(clock: HandClock, library: Tdcbase) -> None:
    table = library.table()
    del table["TDC_getLastTimestamps"]
    sys.modules["foreign_tdcbase"].__dict__["table"] = lambda: table
    tagger = QuTag("c_api+python:foreign_tdcbase:table", name="tagger", clock=clock)
    with pytest.raises(TransportError, match="TDC_getLastTimestamps"):
        tagger.connect()
    with pytest.raises(TransportError, match="not connected"):
        tagger.api.version()
    tagger.disconnect()


def test_disconnecting_lets_the_device_go_and_it_can_be_had_again(
    connected: Connected, library: Tdcbase
) -> None:
    tagger = connected()
    tagger.disconnect()
    assert library.calls[-1] == "TDC_deInit"
    with pytest.raises(TransportError, match=r"bob\.tagger: not connected"):
        tagger.channel_delays.get()
    tagger.connect()
    assert tagger.channel_delays.get() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"channels": []}, {"channels": [0, 1]}, {"channels": [5]}, {"channel_delays_ps": [0, 0, 0]},
        {"channel_delays_ps": [0, 0, 0, 100_001]}, {"buffer_size": 1_000_001}, {"thresholds_v": [0.5]},
        {"thresholds_v": [0.5, 0.5, 0.5, 3.5]},
    ],
)  # fmt: skip
def test_options_beyond_the_header_are_refused(connected: Connected, options: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        connected(**options)


def test_limits_name_the_input(connected: Connected, library: Tdcbase) -> None:
    tagger = connected()
    calls = len(library.calls)
    with pytest.raises(
        LimitError, match="tagger_channel_delays, input 3: 100001 ps is above the bound of 100000 ps"
    ):
        tagger.channel_delays.set([0, 0, 100_001, 0])
    with pytest.raises(LimitError, match=r"tagger_thresholds, input 1: -2.5 V is below"):
        tagger.thresholds.set([-2.5, 0, 0, 0])
    with pytest.raises(LocalProtocolError, match="one delay in ps for each of 4 inputs"):
        tagger.channel_delays.set([0, 0, 0])
    with pytest.raises(LimitError, match="tagger_acquisition_time: 0 s is below"):
        tagger.acquisition_time.set(0)
    assert len(library.calls) == calls
