"""The :WAVeform subsystem of an Infiniium: preamble and data of the acquired records.

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide, ":WAVeform Commands". Volts are word * y increment +
y origin; a byte is the upper half of a word. Streaming answers an indefinite block `#0...`, else the block is definite;
ASCII is a bare comma list. Only channels have records.

Assumed: `start` counts from 0, a start beyond the record is refused (-222), a source without a record too (-221);
numbers have twelve digits, ASCII volts eight; dates count lab time from the first of January 2024.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qdci_lab.units import ps_to_seconds
from sim_devices.firmware.keysight_infiniium_acquisition import Acquisition, Record, bandwidth_of
from sim_devices.firmware.keysight_infiniium_setup import Setup, WaveformSetup, channel_of, nr3, source
from sim_devices.firmware.scpi_errors import DATA_OUT_OF_RANGE, SETTINGS_CONFLICT, ScpiError
from sim_devices.firmware.scpi_settings import choice_setting, switch_setting
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import arguments, bare, integer

ORIGIN = datetime(2024, 1, 1)
SOURCES = ("FUNCtion<16>", "WMEMory<4>")
_FORMATS = ("ASCii", "BYTE", "WORD", "LONG", "FLOat")
_FORMAT_CODES = {"ASC": 0, "BYTE": 1, "WORD": 2, "LONG": 3, "FLO": 5}
_WORDS_PER_CODE = {"BYTE": 256.0, "LONG": 2.0**-16}
_COUPLINGS = {"AC": 0, "DC": 1, "DC50": 2}
_LF_REJECT = 3
_MODES = {"RTIM": 0, "ETIM": 1, "SEGM": 2, "PDET": 3, "HRES": 0, "SEGP": 2, "SEGH": 2}
_TYPES = {"PDET": 10, "SEGP": 10}
_TYPE_WORDS = {"1": "RAW", "2": "AVER", "10": "PDET"}
_COUPLING_WORDS = ("AC", "DC", "DCFIFTY", "LFREJECT")
_UNITS = {"UNKN": 0, "VOLT": 1, "AMP": 4, "WATT": 6}
_SECONDS = 2
_ASCII_DIGITS = b"%+.8E,"


class WaveformSubsystem:
    """The subsystem's commands; `acquired` waits for the present acquisition, None if there never was one."""

    def __init__(
        self, setup: Callable[[], Setup], acquired: Callable[[], Acquisition | None], frame: str
    ) -> None:
        self._setup = setup
        self._acquired = acquired
        self._frame = frame

    def commands(self) -> dict[str, Handler]:
        """The commands of the subsystem."""
        node = ":WAVeform"
        return {
            **choice_setting(f"{node}:FORMat", self._own, "format", *_FORMATS),
            **choice_setting(f"{node}:BYTeorder", self._own, "byte_order", "MSBFirst", "LSBFirst"),
            **switch_setting(f"{node}:STReaming", self._own, "streaming"),
            **choice_setting(f"{node}:VIEW", self._own, "view", "ALL", "MAIN", "WINDow"),
            f"{node}:SOURce": self._set_source,
            f"{node}:SOURce?": bare(lambda: self._setup().waveform.source),
            f"{node}:DATA?": self._data,
            f"{node}:PREamble?": bare(self._preamble),
            **self._field_queries(node),
        }

    def _field_queries(self, node: str) -> dict[str, Handler]:
        fields = {
            "COUNt": 3,
            "XINCrement": 4,
            "XORigin": 5,
            "XREFerence": 6,
            "YINCrement": 7,
            "YORigin": 8,
            "YREFerence": 9,
            "XRANge": 11,
            "XDISplay": 12,
            "YRANge": 13,
            "YDISplay": 14,
            "COMPlete": 19,
        }
        queries = {f"{node}:{name}?": bare(partial(self._field, index)) for name, index in fields.items()}
        return queries | {
            f"{node}:POINts?": bare(self._points),
            f"{node}:TYPE?": bare(lambda: _TYPE_WORDS[self._fields()[1]]),
            f"{node}:COUPling?": bare(lambda: _COUPLING_WORDS[int(self._fields()[10])]),
            f"{node}:XUNits?": bare(lambda: "SEC"),
            f"{node}:YUNits?": bare(lambda: self._record()[1].channel.units),
            f"{node}:BANDpass?": bare(lambda: ",".join(self._fields()[22:24])),
        }

    def _own(self, request: Request) -> WaveformSetup:
        del request
        return self._setup().waveform

    def _set_source(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._setup().waveform.source = source(token, SOURCES)

    def _points(self) -> str:
        acquisition = self._acquired()
        present = (
            acquisition is not None and channel_of(self._setup().waveform.source) in acquisition.channels
        )
        return str(acquisition.sampling.points) if acquisition is not None and present else "0"

    def _record(self) -> tuple[Acquisition, Record]:
        acquisition, channel = self._acquired(), channel_of(self._setup().waveform.source)
        if acquisition is None or channel is None or channel not in acquisition.channels:
            raise ScpiError(SETTINGS_CONFLICT)
        return acquisition, acquisition.record(channel)

    def _field(self, index: int) -> str:
        return self._fields()[index]

    def _preamble(self) -> str:
        return ",".join(self._fields())

    def _fields(self) -> list[str]:
        acquisition, record = self._record()
        acquire, own, timebase = acquisition.acquire, record.channel, acquisition.timebase
        form = self._setup().waveform.format
        increment_v = 1.0 if form in ("ASC", "FLO") else record.converter.increment_v * _words(form)
        kind = 2 if acquire.averaging else _TYPES.get(acquire.mode, 1)
        done = ORIGIN + timedelta(seconds=ps_to_seconds(acquisition.ends_ps or 0))
        bandwidth_hz = bandwidth_of(acquire, own)
        return [
            *map(str, (_FORMAT_CODES[form], kind, record.sampling.points, acquisition.count)),
            *map(nr3, (1.0 / record.sampling.rate_hz, record.start_s)),
            "0",
            *map(nr3, (increment_v, 0.0 if form in ("ASC", "FLO") else own.offset_v)),
            "0",
            str(_COUPLINGS.get(own.coupling, _LF_REJECT)),
            *map(nr3, (timebase.range_s, timebase.position_s - timebase.before_trigger * timebase.range_s)),
            *map(nr3, (own.range_v, own.offset_v)),
            f'"{done.day} {done:%b %Y}"'.upper(),
            f'"{done:%H:%M:%S}:{done.microsecond // 10_000:02d}"',
            f'"{self._frame}"',
            *map(str, (_MODES[acquire.mode], 100, _SECONDS, _UNITS[own.units])),
            *map(nr3, (bandwidth_hz, 0.0)),
        ]

    def _data(self, request: Request) -> bytes:
        start, *size = [integer(token) for token in arguments(request, 0, 2)] or [0]
        _, record = self._record()
        if not 0 <= start < len(record.words) or (size and size[0] < 1):
            raise ScpiError(DATA_OUT_OF_RANGE)
        words = record.words[start : start + size[0]] if size else record.words[start:]
        waveform = self._setup().waveform
        if waveform.format == "ASC":
            return _ascii(words, record)
        encoded = _encoded(words, record, waveform)
        length = b"%d" % encoded.nbytes
        header = b"#0" if waveform.streaming else b"#%d%b" % (len(length), length)
        return b"".join((header, encoded.view(np.uint8).data))


def _words(form: str) -> float:
    """Word codes that one code of a format stands for."""
    return _WORDS_PER_CODE.get(form, 1.0)


def _encoded(words: NDArray[np.int16], record: Record, waveform: WaveformSetup) -> NDArray:
    order = ">" if waveform.byte_order == "MSBF" else "<"
    if waveform.format == "BYTE":
        return (words >> 8).astype(np.int8)
    if waveform.format == "LONG":
        return (words.astype(np.int32) << 16).astype(f"{order}i4")
    if waveform.format == "FLO":
        return (
            words * np.float32(record.converter.increment_v) + np.float32(record.channel.offset_v)
        ).astype(f"{order}f4")
    return np.ascontiguousarray(words.astype(f"{order}i2", copy=False))


def _ascii(words: NDArray[np.int16], record: Record) -> bytes:
    """Volts with commas between, looked up in a table of the codes that occur."""
    lowest, highest = int(words.min()), int(words.max())
    codes = range(lowest, highest + 1)
    increment_v, offset_v = record.converter.increment_v, record.channel.offset_v
    table = np.array([_ASCII_DIGITS % (code * increment_v + offset_v) for code in codes])
    return table[words.astype(np.int32) - lowest].tobytes()[:-1]
