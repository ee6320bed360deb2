"""The :MEASure subsystem of an Infiniium: amplitudes and periods of the acquired records.

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide, ":MEASure Commands". Every query takes the whole record.
What cannot be measured is 9.99999E+37. The middle of the extremes is the threshold of a period, with a tenth of the
peak-to-peak voltage as hysteresis (assumed).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.keysight_infiniium_acquisition import Acquisition, Record
from sim_devices.firmware.keysight_infiniium_setup import Setup, channel_of, nr3, source
from sim_devices.firmware.keysight_infiniium_waveform import SOURCES
from sim_devices.firmware.scpi_errors import SETTINGS_CONFLICT, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import arguments, bare

UNMEASURABLE = 9.99999e37
_WORDS = ("CYCL", "CYCLE", "DISP", "DISPLAY", "AC", "DC", "RIS", "RISING", "FALL", "FALLING")


class MeasureSubsystem:
    """The subsystem's commands; `acquired` waits for the present acquisition, None if there never was one."""

    def __init__(self, setup: Callable[[], Setup], acquired: Callable[[], Acquisition | None]) -> None:
        self._setup = setup
        self._acquired = acquired

    def commands(self) -> dict[str, Handler]:
        """The commands of the subsystem."""
        node = ":MEASure"
        return {
            f"{node}:SOURce": self._set_source,
            f"{node}:SOURce?": bare(lambda: self._setup().measure_source),
            f"{node}:CLEar": bare(lambda: None),
            f"{node}:VMAX?": self._query(lambda record, _: _volts(record, float(record.words.max()))),
            f"{node}:VMIN?": self._query(lambda record, _: _volts(record, float(record.words.min()))),
            f"{node}:VPP?": self._query(lambda record, _: _peak_to_peak(record)),
            f"{node}:VAMPlitude?": self._query(lambda record, _: _peak_to_peak(record)),
            f"{node}:VAVerage?": self._query(lambda record, _: _volts(record, float(record.words.mean()))),
            f"{node}:VRMS?": self._query(_rms),
            f"{node}:PERiod?": self._query(lambda record, _: _period_s(record)),
            f"{node}:FREQuency?": self._query(lambda record, _: _frequency_hz(record)),
        }

    def _set_source(self, request: Request) -> None:
        first, *_ = arguments(request, 1, 2)
        self._setup().measure_source = source(first, SOURCES)

    def _query(self, measure: Callable[[Record, set[str]], float]) -> Handler:
        def handle(request: Request) -> str:
            texts = {plain_text(token).upper() for token in arguments(request, 0, 4)}
            words = texts.intersection(_WORDS)
            named = [
                source(token, SOURCES)
                for token in request.parameters
                if plain_text(token).upper() not in words
            ]
            channel = channel_of(named[0] if named else self._setup().measure_source)
            acquisition = self._acquired()
            if acquisition is None or channel is None or channel not in acquisition.channels:
                raise ScpiError(SETTINGS_CONFLICT)
            return nr3(measure(acquisition.record(channel), words))

        return handle


def _volts(record: Record, words: float) -> float:
    return words * record.converter.increment_v + record.channel.offset_v


def _peak_to_peak(record: Record) -> float:
    return (int(record.words.max()) - int(record.words.min())) * record.converter.increment_v


def _rms(record: Record, words: set[str]) -> float:
    spread_v = float(record.words.std()) * record.converter.increment_v
    mean_v = 0.0 if "AC" in words else _volts(record, float(record.words.mean()))
    return float(np.hypot(spread_v, mean_v))


def _period_s(record: Record) -> float:
    edges = _rising_edges(record.words)
    if len(edges) < 2:
        return UNMEASURABLE
    return float(edges[-1] - edges[0]) / (len(edges) - 1) / record.sampling.rate_hz


def _frequency_hz(record: Record) -> float:
    period_s = _period_s(record)
    return UNMEASURABLE if period_s == UNMEASURABLE else 1.0 / period_s


def _rising_edges(words: NDArray[np.int16]) -> NDArray[np.int64]:
    """Indices at which the record gets above the upper threshold after having been below the lower one."""
    lowest, highest = float(words.min()), float(words.max())
    middle, margin = (lowest + highest) / 2.0, (highest - lowest) / 20.0
    outside = np.flatnonzero((words > middle + margin) | (words < middle - margin))
    above = words[outside] > middle
    return outside[1:][above[1:] & ~above[:-1]]
