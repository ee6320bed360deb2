"""Keysight Infiniium real-time oscilloscope (90000, S, V, Z and UXR series).

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide, as public drivers use it. The limits of memory, sample
rate and bandwidth are asked of the instrument. Assumed, from data sheets: 8 mV to 8 V of full scale, offsets within
4 V and trigger levels within 8 V, 50 ps to 200 s from left to right, steps of 0.1 mV.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from ophyd import Kind

from drivers.oscilloscope.keysight_infiniium_codec import (
    CHANNELS,
    CLEAR_STATUS,
    EDGE_TRIGGER,
    NEXT_ERROR,
    REAL_TIME,
    SLOPES,
    SOURCES,
    STOP,
    SWEEPS,
    WITHOUT_HEADERS,
    AcquisitionPoints,
    Bandwidth,
    ChannelDisplay,
    ChannelOffset,
    ChannelRange,
    SampleRate,
    TimePosition,
    TimeRange,
    TriggerLevel,
    TriggerSlope,
    TriggerSource,
    TriggerSweep,
    Waveform,
    checked_channels,
    checked_keyword,
    digitize,
)
from drivers.oscilloscope.keysight_infiniium_waveform import WORD_FORMATS, Preamble, summarise, volts
from qdci_lab.device import Instrument
from qdci_lab.errors import AcquisitionError, LocalProtocolError, RemoteProtocolError, TransportTimeout
from qdci_lab.signals import Bounds, Component, MeasuredSignal, TaskStatus, controlled, measured, switched
from qdci_lab.wire.message import Command, Query

T = TypeVar("T")

SLOWEST_LINK_BYTES_PER_S = 1e6
MAX_DEFINITE_BYTES = 999_999_999
STEP_V = 1e-4
FAMILY = re.compile(r",\s*(DSO|DSA|MSO|UXR|MXR|EXR)")
OF_A_CHANNEL = ("range", "offset", "display", "waveform", "mean", "deviation", "peak_to_peak", "holes")


def _range(channel: int) -> Component:
    return controlled(
        lambda device: device.ask(ChannelRange.get(channel)),
        lambda device, value: device.obey(ChannelRange.set(channel, value)),
        "V",
        precision=4,
        limits=(0.008, 8.0),
        resolution=STEP_V,
        kind="config",
    )


def _offset(channel: int) -> Component:
    return controlled(
        lambda device: device.ask(ChannelOffset.get(channel)),
        lambda device, value: device.obey(ChannelOffset.set(channel, value)),
        "V",
        precision=4,
        limits=(-4.0, 4.0),
        resolution=STEP_V,
        kind="config",
    )


def _display(channel: int) -> Component:
    return switched(
        lambda device: device.ask(ChannelDisplay.get(channel)),
        lambda device, value: device.obey(ChannelDisplay.set(channel, value)),
        kind="config",
    )


class KeysightInfiniium(Instrument):
    """Four channels in real time, of which `channels` are used.

    `trigger()` makes one acquisition and reads the waveforms of these channels; then `waveform_1` and so on are
    arrays of V, of shape (points,) and not-a-number where the instrument left holes. Sample k was taken
    `start_time` + k `sample_interval` after the trigger. Mean, standard deviation, peak to peak and number of holes
    of each come with it, and `preambles` say the rest. Between changes of settings, all waveforms have as many points.

    `word_format` is BYTE or WORD, `byte_order` LSBF or MSBF; `streaming` lifts the limit of 10^9 bytes a waveform.
    An acquisition without a trigger is given up after `acquisition_timeout_s`.
    """

    MODEL = "Keysight Infiniium"

    acquisition_points = controlled(
        lambda device: device.ask(AcquisitionPoints.get()),
        lambda device, value: device.set_acquisition(AcquisitionPoints.set(value)),
        "1",
        precision=0,
        limits=lambda device: device.points_range,
        resolution=1,
        kind="config",
    )
    sample_rate = controlled(
        lambda device: device.ask(SampleRate.get()),
        lambda device, value: device.set_acquisition(SampleRate.set(value)),
        "Hz",
        precision=0,
        limits=lambda device: device.sample_rate_range_hz,
        kind="config",
    )
    bandwidth = controlled(
        lambda device: device.ask(Bandwidth.get()),
        lambda device, value: device.set_acquisition(Bandwidth.set(value)),
        "Hz",
        precision=0,
        limits=lambda device: device.bandwidth_range_hz,
        kind="config",
    )
    time_range = controlled(
        lambda device: device.ask(TimeRange.get()),
        lambda device, value: device.set_acquisition(TimeRange.set(value)),
        "s",
        precision=15,
        limits=(50e-12, 200.0),
        kind="config",
    )
    time_position = controlled(
        lambda device: device.ask(TimePosition.get()),
        lambda device, value: device.obey(TimePosition.set(value)),
        "s",
        precision=15,
        resolution=1e-15,
        kind="config",
    )
    trigger_source = controlled(
        lambda device: device.ask(TriggerSource.get()),
        lambda device, value: device.set_trigger_source(value),
        None,
        kind="config",
        check=lambda _device, value: checked_keyword(SOURCES, value),
    )
    trigger_level = controlled(
        lambda device: device.ask_trigger_level(),
        lambda device, value: device.set_trigger_level(value),
        "V",
        precision=4,
        limits=(-8.0, 8.0),
        resolution=STEP_V,
        kind="config",
    )
    trigger_slope = controlled(
        lambda device: device.ask(TriggerSlope.get()),
        lambda device, value: device.obey(TriggerSlope.set(value)),
        None,
        kind="config",
        check=lambda _device, value: checked_keyword(SLOPES, value),
    )
    trigger_sweep = controlled(
        lambda device: device.ask(TriggerSweep.get()),
        lambda device, value: device.obey(TriggerSweep.set(value)),
        None,
        kind="config",
        check=lambda _device, value: checked_keyword(SWEEPS, value),
    )
    range_1, range_2, range_3, range_4 = map(_range, CHANNELS)
    offset_1, offset_2, offset_3, offset_4 = map(_offset, CHANNELS)
    display_1, display_2, display_3, display_4 = map(_display, CHANNELS)
    waveform_1, waveform_2, waveform_3, waveform_4 = (measured(None, "V", precision=6) for _ in CHANNELS)
    mean_1, mean_2, mean_3, mean_4 = (measured(None, "V", precision=6) for _ in CHANNELS)
    deviation_1, deviation_2, deviation_3, deviation_4 = (measured(None, "V", precision=6) for _ in CHANNELS)
    peak_to_peak_1, peak_to_peak_2, peak_to_peak_3, peak_to_peak_4 = (
        measured(None, "V", precision=6, kind="hinted") for _ in CHANNELS
    )
    holes_1, holes_2, holes_3, holes_4 = (measured(None, "1", precision=0) for _ in CHANNELS)
    sample_interval = measured(None, "s", precision=15)
    start_time = measured(None, "s", precision=15)

    points_range: Bounds | None = None
    sample_rate_range_hz: Bounds | None = None
    bandwidth_range_hz: Bounds | None = None

    def __init__(
        self,
        address: str,
        *,
        channels: Sequence[int] = (1,),
        word_format: Literal["BYTE", "WORD"] = "WORD",
        byte_order: Literal["LSBF", "MSBF"] = "LSBF",
        streaming: bool = True,
        acquisition_timeout_s: float = 10.0,
        timeout_s: float = 2.0,
        **kwargs: Any,
    ) -> None:
        self.channels = checked_channels(channels)
        self.acquisition_timeout_s = acquisition_timeout_s
        self.preambles: Mapping[int, Preamble] = {}
        self._streaming = streaming
        self._form = WORD_FORMATS[word_format]
        self._byte_order = byte_order
        self._words = np.empty(0, self._form.dtype(byte_order))
        self._points: int | None = None
        super().__init__(address, timeout_s=timeout_s, **kwargs)
        self.connection.next_error = NEXT_ERROR
        for channel in set(CHANNELS) - set(self.channels):
            self._leave_out(channel)

    @property
    def patience_s(self) -> float:
        """Longer than an acquisition without a trigger and the transfer of the waveforms over a slow link."""
        transfer_s = len(self.channels) * self._transfer_s(self.acquisition_points.last or 0)
        return super().patience_s + self.acquisition_timeout_s + transfer_s

    def prepare_instrument(self) -> None:
        """Real-time acquisition on an edge, the chosen channels on, replies without headers, no old errors."""
        self._check_family()
        self.connection.command(WITHOUT_HEADERS)
        self.connection.command(CLEAR_STATUS)
        for command in (*REAL_TIME, EDGE_TRIGGER):
            self.obey(command)
        for command in Waveform.set_up(self._form, self._byte_order, self._streaming):
            self.obey(command)
        for channel in self.channels:
            self.obey(ChannelDisplay.set(channel, 1))
        self._ask_limits()
        self._points = None

    def trigger(self) -> TaskStatus:
        """Acquire the chosen channels once and read their waveforms; settings are not asked for again."""
        return self.submit(self._acquire, units="channels")

    def enter_safe_state(self) -> None:
        """Acquisition stopped."""
        self.obey(STOP)

    def ask(self, query: Query[T]) -> T:
        """The instrument's answer; InstrumentError if it refuses the query. Only the worker calls this."""
        return self.connection.checked_query(query)

    def obey(self, command: Command) -> None:
        """Send a command; InstrumentError if it is refused. Only the worker calls this."""
        self.connection.checked(command)

    def set_acquisition(self, command: Command) -> None:
        """Change what memory, rate and their bounds depend on, and ask for those; only the worker calls this."""
        self.obey(command)
        self._points = None
        self._ask_limits()
        self.acquisition_points.refresh()
        self.sample_rate.refresh()

    def set_trigger_source(self, source: str) -> None:
        """Choose the trigger's source, which has a level of its own; only the worker calls this."""
        self.obey(TriggerSource.set(source))
        self.trigger_source.store(source)
        self.trigger_level.refresh()

    def ask_trigger_level(self) -> float:
        """The level of the present source; not-a-number where that is no channel. Only the worker calls this."""
        source = self.ask(TriggerSource.get())
        return self.ask(TriggerLevel.get(source)) if source in SOURCES else math.nan

    def set_trigger_level(self, level_v: float) -> None:
        """Set the level of the present source, which must be a channel; only the worker calls this."""
        self.obey(TriggerLevel.set(self.ask(TriggerSource.get()), level_v))

    def _acquire(self, status: TaskStatus) -> None:
        self._digitize()
        acquired: dict[int, tuple[Preamble, NDArray[np.float64]]] = {}
        for channel in self.channels:
            acquired[channel] = self._read_waveform(channel)
            status.progress(current=len(acquired), initial=0, target=len(self.channels))
        self.preambles = {channel: preamble for channel, (preamble, _) in acquired.items()}
        first = self.preambles[self.channels[0]]
        self.sample_interval.store(first.x_increment_s)
        self.start_time.store(first.start_time_s)
        for channel, (_, values) in acquired.items():
            self._keep(channel, values)

    def _digitize(self) -> None:
        query = digitize(self.channels)
        try:
            self.connection.query(query, timeout_s=self.acquisition_timeout_s)
        except TransportTimeout as error:
            self.obey(STOP)
            raise AcquisitionError(
                f"{self.label}: no acquisition within {self.acquisition_timeout_s:g} s: is there a trigger?"
            ) from error
        self.connection.check_errors(query.message)

    def _read_waveform(self, channel: int) -> tuple[Preamble, NDArray[np.float64]]:
        self.obey(Waveform.select(channel))
        preamble = self.ask(Waveform.PREAMBLE)
        words = self._words_for(channel, preamble)
        self.connection.fetch(
            Waveform.DATA, words.view(np.uint8).data, timeout_s=self._transfer_s(len(words))
        )
        return preamble, volts(words, preamble, self._form.hole)

    def _words_for(self, channel: int, preamble: Preamble) -> NDArray[np.signedinteger]:
        """Where the words of a waveform go, once its preamble says that it is what was asked for."""
        if preamble.format != self._form.code:
            raise RemoteProtocolError(f"{self.label}: channel {channel} comes in format {preamble.format}")
        expected, self._points = self._points, preamble.points
        if expected not in (None, preamble.points):
            raise AcquisitionError(
                f"{self.label}: {preamble.points} samples from channel {channel}, but {expected} before: "
                "the settings were changed at the instrument"
            )
        if not self._streaming and preamble.points * self._form.bytes_per_sample > MAX_DEFINITE_BYTES:
            raise LocalProtocolError(
                f"{self.label}: {preamble.points} samples can only be read with streaming"
            )
        if len(self._words) != preamble.points:
            self._words = np.empty(preamble.points, self._form.dtype(self._byte_order))
        return self._words

    def _keep(self, channel: int, values: NDArray[np.float64]) -> None:
        summary = summarise(values)
        self._of(channel, "waveform").store(values)
        self._of(channel, "mean").store(summary.mean_v)
        self._of(channel, "deviation").store(summary.deviation_v)
        self._of(channel, "peak_to_peak").store(summary.peak_to_peak_v)
        self._of(channel, "holes").store(summary.holes)

    def _ask_limits(self) -> None:
        self.points_range = self.ask(AcquisitionPoints.limits())
        self.sample_rate_range_hz = self.ask(SampleRate.limits())
        self.bandwidth_range_hz = self.ask(Bandwidth.limits())

    def _transfer_s(self, points: int) -> float:
        return self.timeout_s + points * self._form.bytes_per_sample / SLOWEST_LINK_BYTES_PER_S

    def _check_family(self) -> None:
        identity = str(self.identity.last)
        if FAMILY.search(identity) is None:
            raise RemoteProtocolError(
                f"{self.label}: expected a {self.MODEL}, but the instrument at {self.address} says {identity!r}"
            )

    def _of(self, channel: int, quantity: str) -> MeasuredSignal:
        return getattr(self, f"{quantity}_{channel}")

    def _leave_out(self, channel: int) -> None:
        for quantity in OF_A_CHANNEL:
            signal = self._of(channel, quantity)
            signal.kind = Kind.omitted
            signal.polled = False
