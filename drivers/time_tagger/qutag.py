"""qutools quTAG of either generation, through its maker's library (qutools, tdcbase.h)."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from drivers.time_tagger import qutag_api
from drivers.time_tagger.aborts import Aborts
from drivers.time_tagger.acquisition import Acquisition, Pace, Tally
from drivers.time_tagger.qutag_api import INPUTS, INPUTS_OF, QuTagApi
from drivers.time_tagger.qutag_evaluation import QuTagEvaluation
from drivers.time_tagger.ring_reader import Analysis, Consume, Progress, RingReader
from drivers.time_tagger.tags import RecordedTags
from qdci_lab.device import Work
from qdci_lab.errors import (
    LabError,
    LocalProtocolError,
    RemoteProtocolError,
    SettingsChanged,
    TransportError,
)
from qdci_lab.signals import TaskStatus, controlled, measured
from qdci_lab.transport.c_api import CLibrary, PatientCalls
from qdci_lab.units import seconds_to_ps

ACQUISITION_TIME_LIMITS_S = (0.001, 86_400.0)
PATIENCE_PER_SECOND = 5.0
NOT_RECORDED = -1


class QuTag(QuTagEvaluation):
    """A time tagger whose tags are read by polling the library's ring buffer.

    A process has one library, which serves one device. A call that has not come back after `timeout_s` is given up; the
    default leaves room for the opening of a device, whose length is assumed. After a failure of the library the device
    is connected anew at its next use. `channels` are the inputs in use, `channel_delays_ps` and
    `thresholds_v` (left as they are when not given) go by input. The library takes what the device sends during
    acquisitions only. It is read into up to `backlog` blocks of its buffer's size, on which recording and analysis
    work beside the reader; when all are full until the library's buffer nearly is, readings are dropped, counted in
    `tags_lost`, and treated as lost data. `first_channel_number` is the number by which the library calls input 1:
    headers say 0, real files say 1, so that 1 is assumed. Tags reach others with the numbers of the front panel.
    `on_data_loss` says whether lost tags end an acquisition or are only noted in `data_lost`. `generation` is that of
    the library: 1 with four inputs, 2 with 32; `dead_times_ps`, left as they are when not given, are of the first.

    Tags are recorded while `keep_tags` is true and `segment_directory` is given; `first_tag` is then the index in the
    run of the acquisition's first tag (-1: not recorded), `tag_count` their number.
    """

    MODEL = "qutools quTAG"
    IDENTITY_CONTAINS = "quTAG"

    acquisition_time = controlled(
        lambda device: device.acquisition_time_s,
        lambda device, seconds: device.choose_acquisition_time(seconds),
        "s",
        limits=ACQUISITION_TIME_LIMITS_S,
        kind="config",
    )
    count_rates = measured(None, "Hz", precision=1)
    data_lost = measured(None, "1", precision=0)
    tag_count = measured(None, "1", precision=0)
    tags_lost = measured(None, "1", precision=0)
    first_tag = measured(None, "1", precision=0)
    channel_delays = controlled(
        lambda device: device.api.delays_ps(),
        lambda device, delays_ps: device.api.set_delays([round(float(delay_ps)) for delay_ps in delays_ps]),
        "ps",
        precision=0,
        limits=(-qutag_api.MAX_DELAY_PS, qutag_api.MAX_DELAY_PS),
        resolution=1,
        kind="config",
        check=lambda device, delays_ps: device.check_one_each("delay in ps", delays_ps),
        element="input",
    )
    thresholds = controlled(
        lambda device: tuple(device.api.threshold_v(number) for number in device.inputs),
        lambda device, thresholds_v: device.apply_thresholds(thresholds_v),
        "V",
        limits=qutag_api.THRESHOLD_RANGE_V,
        resolution=qutag_api.THRESHOLD_STEP_V,
        kind="config",
        check=lambda device, thresholds_v: device.check_one_each("threshold in V", thresholds_v),
        element="input",
    )
    channel_mask = measured(lambda device: device.api.enabled_inputs_mask(), "1", precision=0, kind="config")
    buffer_size = measured(lambda device: device.api.buffer_size(), "1", precision=0, kind="config")

    def __init__(
        self,
        address: str,
        *,
        channels: Sequence[int] = INPUTS,
        channel_delays_ps: Sequence[int] | None = None,
        thresholds_v: Sequence[float] | None = None,
        dead_times_ps: Sequence[int] | None = None,
        generation: Literal[1, 2] = 1,
        buffer_size: int = qutag_api.MAX_BUFFER_SIZE,
        backlog: int = 16,
        poll_s: float = 0.2,
        on_data_loss: Literal["raise", "record"] = "raise",
        first_channel_number: int = 1,
        device_id: int = qutag_api.ANY_DEVICE,
        transport: CLibrary | None = None,
        timeout_s: float = 20.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(address, timeout_s=timeout_s, **kwargs)
        self.library = CLibrary(address) if transport is None else transport
        self.acquisition_time_s = 1.0
        self.keep_tags = False
        self.tags = RecordedTags(f"{self.name}_tags", source=f"instrument:{self.name}")
        if generation not in INPUTS_OF:
            raise LocalProtocolError(f"{self.label}: generation {generation} of the quTAG is neither 1 nor 2")
        self.generation = generation
        delays_ps = (0,) * len(self.inputs) if channel_delays_ps is None else tuple(channel_delays_ps)
        self._settings = (tuple(channels), delays_ps, thresholds_v, buffer_size)
        self._dead_times_ps = dead_times_ps
        self._device_id = device_id
        self._loss_is_fatal = on_data_loss == "raise"
        if backlog < 1:
            raise LocalProtocolError(f"{self.label}: a backlog of {backlog} readings, at least 1 is needed")
        self._reader = RingReader(
            self.label, self.clock, Pace(poll_s, buffer_size),
            backlog=backlog, first_channel_number=first_channel_number, loss_is_fatal=self._loss_is_fatal,
        )  # fmt: skip
        self._rate_hz = 0.0
        self._first_tag = NOT_RECORDED
        self._calls = PatientCalls(self.label, timeout_s=timeout_s)
        self.recording: Callable[[], Any] | None = None
        """Where acquisitions come from instead of the library, if given: blocks of tags, start and duration in ps."""
        self._api: QuTagApi | None = None
        self._is_restoring = False
        self._aborts = Aborts(self.label)

    @property
    def api(self) -> QuTagApi:
        """The library's functions, with the device connected anew where it was lost. Only the worker calls them.

        TransportError before `connect`; InstrumentError or TransportTimeout while the device is still lost, and
        SettingsChanged once when it is back.
        """
        if self._api is None:
            raise TransportError(f"{self.label}: not connected")
        if self._api.is_lost and not self._is_restoring:
            self._reconnect(self._api)
        return self._api

    def _reconnect(self, api: QuTagApi) -> None:
        self._is_restoring = True
        try:
            api.init(self._device_id)
            self._reader.make_room()
            self.restore()
        except SettingsChanged:
            raise
        except LabError:
            api.is_lost = True
            raise
        finally:
            self._is_restoring = False

    @property
    def inputs(self) -> tuple[int, ...]:
        """Numbers of the stop inputs, as on the front panel."""
        return INPUTS_OF[self.generation]

    @property
    def segment_directory(self) -> Path | None:
        """Where recorded tags go."""
        return self.tags.directory

    @segment_directory.setter
    def segment_directory(self, directory: Path | None) -> None:
        self.tags.directory = directory

    def open_link(self) -> None:
        """Load the library and connect to the device (TransportError, InstrumentError)."""
        self.library.open()
        api = QuTagApi(self._bind, label=self.label, generation=self.generation)
        api.init(self._device_id)
        self._reader.make_room()
        self._api = api

    def _bind(self, symbol: str, result: Any, arguments: Sequence[Any]) -> Callable[..., Any]:
        return self._calls.bind(symbol, self.library.function(symbol, result, arguments))

    def close_link(self) -> None:
        """Abort what runs, then let the device go."""
        api = self._api
        if api is None:
            return
        self.abort()
        try:
            self.submit(lambda _status: api.deinit()).wait(timeout=self.patience_s)
        except TimeoutError as error:
            raise TransportError(f"{self.label}: the library does not come back") from error
        finally:
            self._api = None

    def identify(self) -> str:
        """The device behind the library, and the library's version."""
        what = "qutools quTAG" if self.api.is_qutag() else "no device"
        return f"{what}, library version {self.api.version():g}"

    def prepare_instrument(self) -> None:
        """Settings as the options say; the input is off until an acquisition begins."""
        time_base_s = self.api.time_base_s()
        if not math.isclose(time_base_s, qutag_api.TIME_BASE_S, rel_tol=1e-9):
            raise RemoteProtocolError(f"{self.label}: a time base of {time_base_s} s, not of 1 ps")
        channels, delays_ps, thresholds_v, buffer_size = self._settings
        self.api.enable_input(False)
        self.api.freeze_buffers(False)
        self.api.enable_inputs(channels)
        self.api.set_delays(delays_ps)
        self.api.set_buffer_size(buffer_size)
        if thresholds_v is not None:
            self.check_one_each("threshold in V", thresholds_v)
            self.apply_thresholds(thresholds_v)
        if self._dead_times_ps is not None:
            self.apply_dead_times(self._dead_times_ps)

    def submit(
        self, work: Work, *, name: str = "", units: str = "", timeout: float | None = None
    ) -> TaskStatus:
        """Run work on the tagger's thread; an `abort` from now on ends an acquisition in it, even before it begins."""
        return super().submit(self._aborts.counted_from_now(work), name=name, units=units, timeout=timeout)

    def trigger(self) -> TaskStatus:
        """Acquire for `acquisition_time` and update the count rates; can be called again at any time."""
        return self.submit(
            lambda status: self._measure(status),
            units="1",
            timeout=self.patience_s + PATIENCE_PER_SECOND * self.acquisition_time_s,
        )

    def expected_s(self, planned: Mapping[str, Any]) -> float:
        """What `trigger` takes in lab time, at the acquisition time planned."""
        return float(planned.get(self.acquisition_time.name, self.acquisition_time_s))

    def abort(self) -> None:
        """End the acquisitions that run or wait with an AcquisitionError, within one poll; from any thread."""
        self._aborts.end_all()
        self._calls.hurry()

    def pause(self) -> None:
        """Give up the acquisitions that run or wait, without a failure: after the pause the point is taken again."""
        self._aborts.end_all(abandoned=True)

    def stop(self, *, success: bool = False) -> None:
        """Abort."""
        self.abort()
        super().stop(success=success)

    def make_safe(self) -> TaskStatus:
        """Abort; a tagger gives off nothing that could do harm."""
        self.abort()
        return super().make_safe()

    def stage(self) -> list[object]:
        """Also begin to take tags for recording."""
        staged = super().stage()
        return [*staged, *self.tags.stage()]

    def unstage(self) -> list[object]:
        """Also close the recorded segment."""
        self.tags.unstage()
        return [*super().unstage(), self.tags]

    def acquire(
        self,
        consume: Consume,
        progress: Progress,
        *,
        max_duration_s: float,
        status: TaskStatus | None = None,
    ) -> Acquisition:
        """Hand tags to `consume` until `progress` says 1, or `max_duration_s` have passed on the lab's clock.

        Blocks; only the worker calls this, inside `submit`. `consume` gets times (int64 ps, in the order of the
        device, which need not be strict) and channels (uint8, 1 to 4), views that hold until it returns; it runs in a
        thread beside the reader. `progress` gives the fraction of what is wanted that has come, and never runs at the
        same time. The next reading waits for them as long as the lab's clock allows, on the twin for ever: what it
        acquires does not depend on the speed of this computer. AcquisitionError after `abort`, when `status` has ended
        meanwhile, or when tags were lost and that matters.
        """
        if not max_duration_s > 0.0:
            raise LocalProtocolError(f"{self.label}: an acquisition of {max_duration_s} s")
        if self.recording is not None:
            return self._replay(self.recording(), consume)
        tally = Tally(
            self.clock.now_ps(), seconds_to_ps(max_duration_s), inputs=len(self.inputs), rate_hz=self._rate_hz
        )
        check = self._aborts.guard(status)
        check(tally)
        self._read_into(tally, Analysis(consume, progress), check, status)
        self._finish(tally)
        return tally.result()

    def _read_into(
        self, tally: Tally, analysis: Analysis, check: Callable[[Tally], None], status: TaskStatus | None
    ) -> None:
        """Read from the library, whose input is on meanwhile."""
        api = self.api
        self._first_tag = self.tags.count if self._recording else NOT_RECORDED
        api.enable_input(True)
        try:
            self._reader.read(
                api, tally, analysis, [self.tags.append] if self._recording else [],
                check=check, tell=lambda advance: _tell(status, advance),
            )  # fmt: skip
        finally:
            if tally.data_lost and self._loss_is_fatal:
                self.data_lost.store(1)
            if self._api is api and not api.is_lost:
                api.enable_input(False)

    def _replay(self, recorded: Any, consume: Consume) -> Acquisition:
        """An acquisition from a recording: all of its tags, whatever is wanted now."""
        limit_ps = max(recorded.duration_ps, 1)
        tally = Tally(recorded.start_ps, limit_ps, inputs=len(self.inputs), rate_hz=self._rate_hz)
        self._first_tag = self.tags.count if self._recording else NOT_RECORDED
        for times, channels in recorded.blocks:
            tally.add(tally.now_ps, channels)
            consume(times, channels)
            if self._recording:
                self.tags.append(times, channels)
        tally.now_ps = recorded.start_ps + recorded.duration_ps
        tally.fraction = 1.0
        self._finish(tally)
        return tally.result()

    def choose_acquisition_time(self, seconds: float) -> None:
        """For `trigger`."""
        self.acquisition_time_s = float(seconds)

    def apply_thresholds(self, thresholds_v: Sequence[float]) -> None:
        """Set the threshold of each input; only the worker calls this."""
        for number, threshold_v in zip(self.inputs, thresholds_v, strict=True):
            self.api.set_threshold(number, float(threshold_v))

    def check_one_each(self, what: str, values: Any) -> None:
        """LocalProtocolError unless there is one value for each input."""
        if np.shape(values) != (len(self.inputs),):
            raise LocalProtocolError(
                f"{self.label}: one {what} for each of {len(self.inputs)} inputs, not {values!r}"
            )

    def _measure(self, status: TaskStatus) -> None:
        self.refresh()
        self.acquire(
            lambda _times, _channels: None, lambda: 0.0, max_duration_s=self.acquisition_time_s, status=status
        )

    def _finish(self, tally: Tally) -> None:
        self._rate_hz = tally.rate_hz
        self.count_rates.store(tally.rates_hz())
        self.data_lost.store(int(tally.data_lost))
        self.tag_count.store(tally.count)
        self.tags_lost.store(tally.lost)
        self.first_tag.store(self._first_tag)

    @property
    def _recording(self) -> bool:
        return self.keep_tags and self.segment_directory is not None


def _tell(status: TaskStatus | None, advance: float) -> None:
    if status is not None:
        status.progress(current=advance, initial=0.0, target=1.0)
