"""Keysight M8195A: arbitrary waveform generator, used with four channels that play one segment over and over.

Reference: Keysight M8195A Revision 2 Arbitrary Waveform Generator User's Guide, M8195-91040, edition 6. Amplitudes are
75 mV to 1 V. Assumed: offsets from -1 to 3.3 V (the model's data sheet), and levels in steps of 1 mV.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.awg.keysight_m8195a_codec import (
    ABORT,
    ARBITRARY,
    CHANNELS,
    CLEAR_STATUS,
    CONTINUOUS,
    MEMORY_DIVIDER,
    RASTER_RANGE_HZ,
    START,
    Amplitude,
    FourChannels,
    Offset,
    OutputState,
    Raster,
    RunState,
    Samples,
    Segment,
    check_samples,
)
from drivers.awg.waveforms import Waveforms
from qdci_lab.device import Instrument
from qdci_lab.errors import LocalProtocolError
from qdci_lab.signals import Component, TaskStatus, controlled, measured, switched
from qdci_lab.wire.message import Query

T = TypeVar("T")

SLOWEST_LINK_BYTES_PER_S = 1e6
SAMPLE_RATE_RANGE_HZ = (RASTER_RANGE_HZ[0] / MEMORY_DIVIDER, RASTER_RANGE_HZ[1] / MEMORY_DIVIDER)


def _amplitude(channel: int) -> Component:
    return controlled(
        lambda device: device.ask(Amplitude.get(channel)),
        lambda device, value: device.connection.checked(Amplitude.set(channel, value)),
        "V",
        limits=(0.075, 1.0),
        resolution=0.001,
        kind="config",
    )


def _offset(channel: int) -> Component:
    return controlled(
        lambda device: device.ask(Offset.get(channel)),
        lambda device, value: device.connection.checked(Offset.set(channel, value)),
        "V",
        limits=(-1.0, 3.3),
        resolution=0.001,
        kind="config",
    )


def _output(channel: int) -> Component:
    return switched(
        lambda device: device.ask(OutputState.get(channel)),
        lambda device, value: device.connection.checked(OutputState.set(channel, value)),
        kind="config",
    )


class KeysightM8195A(Instrument):
    """Four outputs. The device itself is what a plan moves: `bps.mv(awg, waveforms)` loads waveforms and starts them.

    `sample_rate` is the rate at which a channel plays its samples, a quarter of the DAC's raster frequency.
    `waveform_digest` says which waveforms are loaded; it is empty while this session has loaded none.
    """

    MODEL = "Keysight M8195A"
    IDENTITY_CONTAINS = "M8195A"

    running = measured(lambda device: device.ask(RunState.get()), "1", precision=0)
    waveform_digest = measured(None, None)
    sample_rate = controlled(
        lambda device: device.ask_sample_rate_hz(),
        lambda device, value: device.tell_sample_rate(value),
        "Hz",
        precision=1,
        limits=SAMPLE_RATE_RANGE_HZ,
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
            check_samples(waveforms.samples)
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
        """The rate at which channels play from extended memory; only the worker calls this."""
        return self.ask(Raster.get()) / self.ask(FourChannels.get_divider())

    def tell_sample_rate(self, sample_rate_hz: float) -> None:
        """Set the raster frequency for a rate of the channels; only the worker calls this."""
        divider = self.ask(FourChannels.get_divider())
        self.connection.checked(Raster.set(sample_rate_hz * divider))
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
        raster_hz = waveforms.sample_rate_hz * MEMORY_DIVIDER
        for command in (ABORT, FourChannels.set(), Raster.set(raster_hz), Segment.delete_all()):
            self.connection.checked(command)
        self.connection.checked(Segment.define(waveforms.length))
        self._send_samples(waveforms, status)
        for channel in waveforms.samples:
            self.connection.checked(Amplitude.set(channel, waveforms.amplitudes_v[channel]))
            self.connection.checked(Offset.set(channel, waveforms.offsets_v[channel]))
        for command in (Segment.select(), ARBITRARY, CONTINUOUS):
            self.connection.checked(command)
        self.waveform_digest.store(waveforms.digest)
        self._loaded = tuple(sorted(waveforms.samples))
        self.refresh()

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
