"""qutools quTAG of either generation, through its maker's library (qutools, tdcbase.h)."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger import qutag_api
from drivers.time_tagger.acquisition import LAST_FILLING, SAFE_FILLING, Acquisition, Pace, Tally
from drivers.time_tagger.hand_over import Block, HandOver
from drivers.time_tagger.qutag_api import INPUTS, INPUTS_OF, QuTagApi
from drivers.time_tagger.qutag_evaluation import QuTagEvaluation
from drivers.time_tagger.tags import RecordedTags
from qdci_lab.device import Work
from qdci_lab.errors import (
    Abandoned,
    AcquisitionError,
    LabError,
    LocalProtocolError,
    RemoteProtocolError,
    SettingsChanged,
    TransportError,
)
from qdci_lab.signals import TaskStatus, controlled, measured
from qdci_lab.transport.c_api import CLibrary, PatientCalls
from qdci_lab.units import ps_to_seconds, seconds_to_ps

Consume = Callable[[NDArray[np.int64], NDArray[np.uint8]], object]
Progress = Callable[[], float]

ACQUISITION_TIME_LIMITS_S = (0.001, 86_400.0)
PATIENCE_PER_SECOND = 5.0
NOT_RECORDED = -1
GLANCE_S = 0.005


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
        self._channel_shift = np.uint8((1 - first_channel_number) % 256)
        self._loss_is_fatal = on_data_loss == "raise"
        self._pace = Pace(poll_s, buffer_size)
        if backlog < 1:
            raise LocalProtocolError(f"{self.label}: a backlog of {backlog} readings, at least 1 is needed")
        self._backlog = backlog
        self._allocate_buffers()
        self._rate_hz = 0.0
        self._first_tag = NOT_RECORDED
        self._calls = PatientCalls(self.label, timeout_s=timeout_s)
        self.recording: Callable[[], Any] | None = None
        """Where acquisitions come from instead of the library, if given: blocks of tags, start and duration in ps."""
        self._api: QuTagApi | None = None
        self._is_restoring = False
        self._aborts = 0
        self._abandoned = False
        self._aborts_when_submitted: int | None = None

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
            self._allocate_buffers()
            self.restore()
        except SettingsChanged:
            raise
        except LabError:
            api.is_lost = True
            raise
        finally:
            self._is_restoring = False

    def _allocate_buffers(self) -> None:
        """New blocks for tags: an old one may still be written to by a call that was given up."""
        self._spare, *self._blocks = (Block(self._pace.buffer_size) for _ in range(1 + self._backlog))

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
        self._allocate_buffers()
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
        aborts = self._aborts

        def begun(status: TaskStatus) -> object:
            self._aborts_when_submitted = aborts
            try:
                return work(status)
            finally:
                self._aborts_when_submitted = None

        return super().submit(begun, name=name, units=units, timeout=timeout)

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
        self._abandoned = False
        self._aborts += 1
        self._calls.hurry()

    def pause(self) -> None:
        """Give up the acquisitions that run or wait, without a failure: after the pause the point is taken again."""
        self._abandoned = True
        self._aborts += 1

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
        aborts = self._aborts if self._aborts_when_submitted is None else self._aborts_when_submitted
        tally = Tally(
            self.clock.now_ps(), seconds_to_ps(max_duration_s), inputs=len(self.inputs), rate_hz=self._rate_hz
        )
        self._check_wanted(tally, aborts, status)
        analysis = _Analysis(consume, progress)
        takers = [analysis.take, self.tags.append] if self._recording else [analysis.take]
        self.api.enable_input(True)
        try:
            with HandOver(self._blocks, takers) as hand_over:
                self._begin(tally)
                while tally.running:
                    self._sleep_until_due(tally)
                    self._check_wanted(tally, aborts, status)
                    self._read(tally, hand_over)
                    self._await(hand_over.wait_until_idle, tally, SAFE_FILLING)
                    hand_over.check()
                    tally.fraction = analysis.fraction
                    if status is not None:
                        status.progress(current=tally.advance, initial=0.0, target=1.0)
            hand_over.check()
            tally.fraction = analysis.fraction
        finally:
            if self._api is not None and not self._api.is_lost:
                self._api.enable_input(False)
        self._finish(tally)
        return tally.result()

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

    def _check_wanted(self, tally: Tally, aborts: int, status: TaskStatus | None) -> None:
        if self._aborts != aborts:
            kind = Abandoned if self._abandoned else AcquisitionError
            raise kind(f"{self.label}: acquisition aborted {tally}")
        if status is not None and status.done:
            raise AcquisitionError(f"{self.label}: nobody waits for the acquisition any longer, {tally}")

    def _begin(self, tally: Tally) -> None:
        """Discard what is in the buffer and what was lost before; time counts from here."""
        self.api.take_tags(self._spare.times, self._spare.channels)
        self.api.data_lost()
        self._first_tag = self.tags.count if self._recording else NOT_RECORDED
        tally.restart(self.clock.now_ps())

    def _sleep_until_due(self, tally: Tally) -> None:
        """Let time pass until the next reading, less what has passed since the last one."""
        wait_s = min(self._pace.wait_s(tally), tally.left_s)
        passed_s = ps_to_seconds(self.clock.now_ps() - tally.now_ps)
        if wait_s > passed_s:
            self.clock.sleep(wait_s - passed_s)

    def _read(self, tally: Tally, hand_over: HandOver) -> None:
        """Empty the library's buffer into a block and hand it over, or drop it when none becomes free in time."""
        kept = self._await(hand_over.wait_for_block, tally, LAST_FILLING)
        block = hand_over.free_block() if kept else None
        target = self._spare if block is None else block
        count = self.api.take_tags(target.times, target.channels)
        if self._channel_shift:
            target.channels[:count] += self._channel_shift
        tally.add(self.clock.now_ps(), target.channels[:count], kept=block is not None)
        if block is not None:
            hand_over.give(block, count)
        if self.api.data_lost() or count == self._pace.buffer_size or (count and block is None):
            self._note_loss(tally, count)

    def _await(self, happens: Callable[[float], bool], tally: Tally, share: float) -> bool:
        """Whether something happens before a share of the library's buffer has filled since the last reading."""
        until_ps = tally.now_ps + seconds_to_ps(self._pace.filling_s(tally, share))
        glance_s = min(GLANCE_S, self._pace.filling_s(tally, share))
        while not happens(glance_s):
            if self.clock.now_ps() >= until_ps:
                return False
        return True

    def _note_loss(self, tally: Tally, count: int) -> None:
        tally.data_lost = True
        if self._loss_is_fatal:
            self.data_lost.store(1)
            raise AcquisitionError(
                f"{self.label}: time tags were lost {tally}; the last reading had {count}, at {tally.rate_hz:.4g} "
                f"tags/s, and the buffer holds {self._pace.buffer_size}"
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


class _Analysis:
    """Hands tags on, and asks how far that has come, in the thread in which it is called."""

    def __init__(self, consume: Consume, progress: Progress) -> None:
        self._consume = consume
        self._progress = progress
        self.fraction = 0.0

    def take(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        if len(times):
            self._consume(times, channels)
        self.fraction = self._progress()
