"""What the Keysight M8195A and M8196A have in common: four channels that play one segment over and over.

Reference: Keysight M8195A Revision 2 Arbitrary Waveform Generator User's Guide, M8195-91040, edition 6; that the M8196A
works in the same way is as public drivers have it. Assumed: levels in steps of 1 mV.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.awg.keysight_m819x_codec import (
    ABORT,
    CHANNELS,
    CLEAR_STATUS,
    CONTINUOUS,
    START,
    Amplitude,
    Offset,
    OutputState,
    RasterClock,
    RunState,
    SampleMemory,
    Samples,
    Segment,
)
from drivers.awg.waveforms import Waveforms
from qdci_lab.device import Instrument
from qdci_lab.errors import LocalProtocolError
from qdci_lab.signals import Bounds, Component, TaskStatus, controlled, measured, switched
from qdci_lab.wire.message import Command, Query

T = TypeVar("T")

SLOWEST_LINK_BYTES_PER_S = 1e6


def _amplitude(channel: int) -> Component:
    return controlled(
        lambda device: device.ask(Amplitude.get(channel)),
        lambda device, value: device.connection.checked(Amplitude.set(channel, value)),
        "V",
        limits=lambda device: device.AMPLITUDE_RANGE_V,
        resolution=0.001,
        kind="config",
    )


def _offset(channel: int) -> Component:
    return controlled(
        lambda device: device.ask(Offset.get(channel)),
        lambda device, value: device.connection.checked(Offset.set(channel, value)),
        "V",
        limits=lambda device: device.OFFSET_RANGE_V,
        resolution=0.001,
        kind="config",
    )


def _output(channel: int) -> Component:
    return switched(
        lambda device: device.ask(OutputState.get(channel)),
        lambda device, value: device.connection.checked(OutputState.set(channel, value)),
        kind="config",
    )


class KeysightM819x(Instrument):
    """Four outputs. The device itself is what a plan moves: `bps.mv(awg, waveforms)` loads waveforms and starts them.

    `sample_rate` is the rate at which a channel plays its samples, the DAC's raster frequency over the model's DIVIDER.
    `waveform_digest` says which waveforms are loaded; it is empty while this session has loaded none.

    Models give their ranges, the command for FOUR_CHANNELS, and what makes them READY to play once the samples are
    there. With SHARED_SEGMENTS, what is said of segments to one channel holds for all.
    """

    MEMORY: ClassVar[SampleMemory]
    RASTER: ClassVar[type[RasterClock]]
    DIVIDER: ClassVar[int] = 1
    AMPLITUDE_RANGE_V: ClassVar[Bounds]
    OFFSET_RANGE_V: ClassVar[Bounds]
    FOUR_CHANNELS: ClassVar[Command]
    SHARED_SEGMENTS: ClassVar[bool] = False
    READY: ClassVar[tuple[Command, ...]] = (CONTINUOUS,)

    running = measured(lambda device: device.ask(RunState.get()), "1", precision=0)
    waveform_digest = measured(None, None)
    sample_rate = controlled(
        lambda device: device.ask_sample_rate_hz(),
        lambda device, value: device.tell_sample_rate(value),
        "Hz",
        precision=1,
        limits=lambda device: device.sample_rate_range_hz,
        kind="config",
    )
    amplitude_1 = _amplitude(1)
    amplitude_2 = _amplitude(2)
    amplitude_3 = _amplitude(3)
    amplitude_4 = _amplitude(4)
    offset_1 = _offset(1)
    offset_2 = _offset(2)
    offset_3 = _offset(3)
    offset_4 = _offset(4)
    output_1 = _output(1)
    output_2 = _output(2)
    output_3 = _output(3)
    output_4 = _output(4)

    def __init__(self, address: str, *, timeout_s: float = 2.0, **kwargs: Any) -> None:
        self._loaded: tuple[int, ...] = ()
        super().__init__(address, timeout_s=timeout_s, **kwargs)

    @property
    def sample_rate_range_hz(self) -> Bounds:
        """What `sample_rate` may be set to: the raster's range, divided."""
        low_hz, high_hz = self.RASTER.RANGE_HZ
        return low_hz / self.DIVIDER, high_hz / self.DIVIDER

    def ask_divider(self) -> int:
        """By what the raster frequency is divided at present; only the worker calls this."""
        return self.DIVIDER

    def prepare_instrument(self) -> None:
        """Clear errors; what is played goes on, but nothing is known of it."""
        self.connection.command(CLEAR_STATUS)
        self._forget_waveforms()

    def check_value(self, waveforms: Any, **_kwargs: Any) -> None:
        """LocalProtocolError or LimitError, with channel and bound, unless the waveforms can be loaded."""
        if not isinstance(waveforms, Waveforms):
            raise LocalProtocolError(
                f"{self.label}: can be set to Waveforms, not to {type(waveforms).__name__}"
            )
        try:
            self.MEMORY.check(waveforms.samples)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{self.label}: {error}") from error
        self.sample_rate.check_value(waveforms.sample_rate_hz)
        for channel in waveforms.samples:
            if channel not in waveforms.amplitudes_v or channel not in waveforms.offsets_v:
                raise LocalProtocolError(
                    f"{self.label}: channel {channel} has samples, but no amplitude or offset"
                )
            getattr(self, f"amplitude_{channel}").check_value(waveforms.amplitudes_v[channel])
            getattr(self, f"offset_{channel}").check_value(waveforms.offsets_v[channel])

    def set(self, waveforms: Waveforms, *, timeout: float | None = None, **_kwargs: Any) -> TaskStatus:
        """Load waveforms and start them; nothing is sent unless they can be loaded."""
        return self._submit_load(waveforms, timeout, and_start=True)

    def upload(
        self,
        waveforms: Mapping[int, NDArray[np.int8]],
        *,
        sample_rate_hz: float,
        amplitudes_v: Mapping[int, float],
        offsets_v: Mapping[int, float],
    ) -> TaskStatus:
        """Load the samples of some channels, by channel; generation stops, and is started by `start`."""
        loaded = Waveforms(waveforms, sample_rate_hz, amplitudes_v, offsets_v)
        return self._submit_load(loaded, None, and_start=False)

    def start(self) -> TaskStatus:
        """Switch the outputs of the loaded channels on and play."""
        return self.submit(lambda _status: self._start())

    def halt(self) -> TaskStatus:
        """Stop playing; the outputs stay on."""
        return self.submit(lambda _status: self._halt())

    def enter_safe_state(self) -> None:
        """All outputs off, then generation stopped, whatever the instrument says to each; then its first error."""
        for channel in CHANNELS:
            self.connection.command(OutputState.set(channel, 0))
        self.connection.command(ABORT)
        self.connection.check_errors(ABORT.message)
        self._refresh_state()

    def ask(self, query: Query[T]) -> T:
        """The instrument's answer; InstrumentError if it refuses the query. Only the worker calls this."""
        return self.connection.checked_query(query)

    def ask_sample_rate_hz(self) -> float:
        """The rate at which channels play; only the worker calls this."""
        return self.ask(self.RASTER.get()) / self.ask_divider()

    def tell_sample_rate(self, sample_rate_hz: float) -> None:
        """Set the raster frequency for a rate of the channels; only the worker calls this."""
        divider = self.ask_divider()
        self.connection.checked(self.RASTER.set(sample_rate_hz * divider))
        self.await_completion()

    def _submit_load(self, waveforms: Waveforms, timeout: float | None, *, and_start: bool) -> TaskStatus:
        self.check_value(waveforms)
        size = waveforms.length * len(waveforms.samples)
        patience_s = self.patience_s + size / SLOWEST_LINK_BYTES_PER_S if timeout is None else timeout

        def work(status: TaskStatus) -> None:
            self._load(waveforms, status)
            if and_start:
                self._start()

        return self.submit(work, name=f"{self.name}_waveforms", units="samples", timeout=patience_s)

    def _load(self, waveforms: Waveforms, status: TaskStatus) -> None:
        self._forget_waveforms()
        raster_hz = waveforms.sample_rate_hz * self.DIVIDER
        for command in (ABORT, self.FOUR_CHANNELS, self.RASTER.set(raster_hz), *self._segments(waveforms)):
            self.connection.checked(command)
        self._send_samples(waveforms, status)
        for channel in waveforms.samples:
            self.connection.checked(Amplitude.set(channel, waveforms.amplitudes_v[channel]))
            self.connection.checked(Offset.set(channel, waveforms.offsets_v[channel]))
        for command in self.READY:
            self.connection.checked(command)
        self.waveform_digest.store(waveforms.digest)
        self._loaded = tuple(sorted(waveforms.samples))
        self.refresh()

    def _segments(self, waveforms: Waveforms) -> list[Command]:
        """Old segments go, on all channels; those that get samples have new ones."""
        emptied = CHANNELS[:1] if self.SHARED_SEGMENTS else CHANNELS
        filled = CHANNELS[:1] if self.SHARED_SEGMENTS else sorted(waveforms.samples)
        return [
            *(Segment.delete_all(channel) for channel in emptied),
            *(Segment.define(channel, waveforms.length) for channel in filled),
        ]

    def _send_samples(self, waveforms: Waveforms, status: TaskStatus) -> None:
        total, sent = waveforms.length * len(waveforms.samples), 0
        for channel in sorted(waveforms.samples):
            for command in Samples.write(channel, waveforms.samples[channel]):
                self.connection.checked(command)
                sent = min(sent + len(command.message), total)
                status.progress(current=sent, initial=0, target=total)
        self.await_completion(within_s=self.timeout_s + total / SLOWEST_LINK_BYTES_PER_S)

    def _start(self) -> None:
        if not self._loaded:
            raise LocalProtocolError(f"{self.label}: nothing to play, upload waveforms first")
        for channel in CHANNELS:
            self.connection.checked(OutputState.set(channel, channel in self._loaded))
        self.connection.checked(START)
        self.await_completion()
        self._refresh_state()

    def _halt(self) -> None:
        self.connection.checked(ABORT)
        self._refresh_state()

    def _refresh_state(self) -> None:
        for channel in CHANNELS:
            getattr(self, f"output_{channel}").refresh()
        self.running.refresh()

    def _forget_waveforms(self) -> None:
        self._loaded = ()
        self.waveform_digest.store("")
