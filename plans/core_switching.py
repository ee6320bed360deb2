"""Key through switched cores of a multicore fibre, under rising noise in the others (Clason et al., Figs. 3, 4(a)).

The optical switch swaps the quantum channel and an Ethernet channel between two cores; a light-emitting diode feeds
noise into four others, its current rising step by step after each swap. The fibre's other end is another polarization
and a pause in the pulses, so that after a swap the link is synchronised and aligned anew. A sorption-cooled cryostat
falls silent for an hour every few days, which is waited out.

What is counted and can be resumed is a step: one core at one current. A run that was cut short goes on with the step it
was in and the time that is left; the interruption is an event among the others.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import FailedStatus, MsgGenerator
from ophyd.utils import LimitError

from plans.campaign import CampaignClock
from plans.core_switching_figure import draw_core_switching
from plans.polarization import Descent, align_polarization, fine_descent, rough_descent
from plans.preprocessors import experiment
from plans.step_summary import StepSummary
from plans.stubs import read_together, set_in_turn, trigger_in_turn
from qdci_lab.errors import AcquisitionError, SynchronisationError
from qdci_lab.progress import Column
from qdci_lab.report import Report
from qdci_lab.sweep import sweep

CURRENTS_MA = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0)
SECONDS_PER_HOUR = 3600.0
FOLLOWING_S = 1200.0
"""After this long the polarization is aligned again; the product that the paper used follows it all the time."""
CONDENSATION_POLL_S = 60.0
LONGEST_CONDENSATION_S = 4 * SECONDS_PER_HOUR
TARGET_ERROR = 10 ** (-16 / 10) / (1 + 10 ** (-16 / 10))
"""Error rate of the extinction ratio of 16 dB that the units are told to align to (appendix, "QKD system")."""


def core_switching(
    link: Any,
    *,
    cores: Sequence[int] = (1, 6),
    currents_ma: Sequence[float] = CURRENTS_MA,
    blocks: int = 50,
    block_detections: float = 4.1e5,
    duration_h: float = 92.0,
    max_block_s: float = 900.0,
    align: bool = True,
    keep_tags: bool = False,
) -> MsgGenerator[None]:
    """Blocks of key at each current of the noise source, in one core after the other, for `duration_h` of lab time.

    `block_detections` sifted key-basis detections make a post-processing block (4.1e5 bits are 50 kB: with the 50 kbit
    that the paper prints no key is possible); `blocks` are measured at each current. `max_block_s` bounds a block, in
    lab time; one that is not full by then is dropped, and the detectors are looked at. With `align` the polarization is
    aligned after each swap and every twenty minutes. LimitError, before anything moves, for what cannot be set.
    """
    campaign = Campaign(
        link, tuple(cores), tuple(map(float, currents_ma)), blocks, float(block_detections),
        duration_h * SECONDS_PER_HOUR, float(max_block_s), align, keep_tags,
    )  # fmt: skip
    campaign.check()
    metadata = {
        "plan_name": "core_switching",
        "figure": "Clason et al., Figs. 3 and 4(a)",
        "plan_args": {
            "cores": list(campaign.cores), "currents_ma": list(campaign.currents_ma), "blocks": blocks,
            "block_detections": campaign.block_detections, "duration_h": duration_h,
            "max_block_s": campaign.max_block_s, "align": align, "keep_tags": keep_tags,
        },
        "hints": {"dimensions": [([campaign.summary.current.name], "primary")]},
        "plot": {"x": campaign.summary.current.name, "y": [campaign.summary.skr.name, campaign.summary.qber_z.name]},
    }  # fmt: skip
    moved = [link.voa.attenuation, *(part.current for part in campaign.noise[:1])]
    return (yield from experiment(campaign.run(), link.parts, metadata, moved=moved))


@dataclass(frozen=True)
class _Step:
    """One core at one current, in one round through the cores."""

    lap: int
    core: int
    current_ma: float

    def __str__(self) -> str:
        return f"round {self.lap}, core {self.core}, {self.current_ma:g} mA"


@dataclass
class Campaign:
    """The run's arguments, and how far it has come.

    `on_block` is told each block's reading; `at_step_end` are steps to be made after each current, before its summary
    is read together with what is `beside`.
    """

    link: Any
    cores: tuple[int, ...]
    currents_ma: tuple[float, ...]
    blocks: int
    block_detections: float
    duration_s: float
    max_block_s: float
    align: bool
    keep_tags: bool
    on_block: Callable[[dict[str, Any]], None] = lambda _reading: None
    at_step_end: Callable[[], MsgGenerator[None]] = bps.null
    beside: tuple[Any, ...] = ()
    streams: tuple[str, ...] = ("primary", "blocks", "interruptions")
    """Those whose events belong to a step, and are left out if that was cut short and measured again."""
    summary: StepSummary = field(default_factory=lambda: StepSummary(name="step"))
    clock: CampaignClock = field(default_factory=CampaignClock)
    began_s: float = 0.0
    paused: str = ""
    """What to note of a pause before this part."""
    is_over: bool = False
    swapped: tuple[int, int] | None = None
    """Round and core of the last swap."""
    aligned_s: float = 0.0
    """Lab time of the last alignment."""
    unmeasured_s: float = 0.0
    """Lab time that the acquisitions of a rehearsal would have taken."""
    planned: dict[str, float] = field(default_factory=dict)
    """The link's settings as last chosen; those that stay are not set again, which 3500 blocks would notice."""

    @property
    def noise(self) -> tuple[Any, ...]:
        """The noise source and its meter, where there are any."""
        return tuple(part for part in (self.link.noise_source, self.link.power_meter) if part is not None)

    def check(self) -> None:
        """LimitError or ValueError for an argument that cannot be carried out; nothing has moved yet."""
        if not self.cores or not self.currents_ma:
            raise ValueError("cores, currents_ma: give at least one of each")
        if self.blocks < 1 or not self.duration_s > 0.0:
            raise ValueError(f"blocks {self.blocks} and duration_h must be positive")
        link = self.link
        for core in self.cores:
            link.core.check_value(core)
        for current_ma in self.currents_ma:
            if link.noise_source is not None:
                link.noise_source.current.check_value(current_ma / 1e3)
            elif current_ma:
                raise ValueError(f"currents_ma: {current_ma:g} mA, but this bench has no noise source")
        link.detections.check_value(self.block_detections)
        link.max_duration.check_value(self.max_block_s)

    def run(self) -> MsgGenerator[None]:
        """Swap, initialise, step through the currents, until the time is over."""
        link = self.link
        yield from light_up(link)
        yield from bps.mv(link.keep_tags, 0)
        if self.keep_tags:
            yield from bps.declare_stream(link.tagger.tags, name="tags", collect=True)
        self.began_s = yield from self._lab_time()
        self.paused = yield from self.clock.begin(self.began_s)
        yield from self._look_at_the_clock()
        yield from sweep(self._steps(), self._step, stream=self.streams, beside=[self.clock])

    def _steps(self) -> Iterator[_Step]:
        """One core after the other, all currents in each, until the time is over."""
        for lap in itertools.count(1):
            for core, current_ma in itertools.product(self.cores, self.currents_ma):
                if self.is_over:
                    return
                yield _Step(lap, core, current_ma)

    def _step(self, step: _Step) -> MsgGenerator[None]:
        """All blocks at one current, each an event; then their summary."""
        link, summary, core, current_ma = self.link, self.summary, step.core, step.current_ma
        if self.paused:  # an event of the first point, as all of its stream have a number
            summary.note(self.paused, core, self.began_s, self.began_s)
            self.paused = ""
            yield from read_together([*summary.interruption, self.clock], stream="interruptions")
        if self.swapped != (step.lap, core):
            yield from self._swap(core)
            self.swapped = (step.lap, core)
        if self.noise:
            yield from bps.mv(link.noise_source.current, current_ma / 1e3)
            yield from bps.mv(link.noise_source.emission, int(current_ma > 0.0))
        yield from trigger_in_turn(self.noise)
        summary.begin(core, current_ma)
        for _ in range(self.blocks):
            yield from bps.checkpoint()
            reading = yield from self._full_block(core)
            summary.add(link, reading)
            self.on_block(reading)
            if self.is_over:
                break
        summary.end()
        yield from self.at_step_end()
        beside = (link.switch, *self.noise, self.clock, *self.beside)
        yield from read_together([summary, *beside], stream="primary")

    def _full_block(self, core: int) -> MsgGenerator[dict[str, Any]]:
        """One block; dropped and taken again after a pause of the detectors, followed by alignment if it is bad."""
        link = self.link
        while True:
            yield from self._settings(self.block_detections, self.max_block_s, lock=1)
            if not (yield from self._attempt(link, self.keep_tags)):
                yield from self._recover(core)
                continue
            now_s = yield from self._look_at_the_clock()
            reading = yield from read_together([link, self.clock], stream="blocks")
            if self.keep_tags:
                yield from bps.collect(link.tagger.tags, name="tags")
            if self.align and (_is_misaligned(link, reading) or now_s - self.aligned_s > FOLLOWING_S):
                yield from self._follow(core)
                yield from self._look_at_the_clock()
            return reading

    def _attempt(self, link: Any, keep_tags: bool = False) -> MsgGenerator[bool]:
        """Acquire once; False if the block was not filled or there was nothing to lock on."""
        try:
            if keep_tags:
                yield from bps.mv(link.keep_tags, 1)
            yield from trigger_in_turn([link])
            if keep_tags:
                yield from bps.mv(link.keep_tags, 0)
        except FailedStatus as failure:
            if isinstance(failure.__cause__, SynchronisationError):
                return False
            raise
        full = yield from bps.rd(link.reached_target, default_value=1)
        self.unmeasured_s += link.expected_s(self.planned)
        return bool(full)

    def _recover(self, core: int) -> MsgGenerator[None]:
        """Wait until the detectors click again, and initialise; AcquisitionError if they do click already."""
        if not (yield from self._is_warm()):
            raise AcquisitionError(
                f"{self.link.label}: no full block within {self.max_block_s:g} s though the detectors click: "
                "is the light there, and the block not too long?"
            )
        began_s = yield from self._lab_time()
        while (yield from self._is_warm()):
            yield from bps.sleep(CONDENSATION_POLL_S)
            if (yield from self._lab_time()) - began_s > LONGEST_CONDENSATION_S:
                raise AcquisitionError(f"{self.link.detectors.label}: silent for more than four hours")
        yield from self._note("condensation", core, began_s)
        yield from self._initialise(core)

    def _is_warm(self) -> MsgGenerator[bool]:
        detectors = self.link.detectors
        yield from trigger_in_turn([detectors])
        rates_hz = yield from bps.rd(detectors.count_rates, default_value=(math.inf,))
        return float(sum(rates_hz)) < self.link.detector_drive.warm_below_hz

    def _swap(self, core: int) -> MsgGenerator[None]:
        """The diode off, quantum channel and Ethernet to each other's core, and the link made ready."""
        yield from noise_off(self.link)
        yield from bps.mv(self.link.core, core)
        yield from self._initialise(core)

    def _initialise(self, core: int) -> MsgGenerator[None]:
        """Find the code in the tags, align the polarization; how long each took is an event."""
        link, began_s = self.link, (yield from self._lab_time())
        yield from self._settings(self.link.receiver.sync_tags / 10.0, self.max_block_s, lock=0)
        if not (yield from self._attempt(link)):
            yield from self._recover(core)
            return
        yield from self._note("synchronisation", core, began_s)
        if self.align:
            yield from self._align("alignment", core, rough_descent(link), fine_descent(link))

    def _follow(self, core: int) -> MsgGenerator[None]:
        """Align again from where the polarization controller stands."""
        yield from self._align("following", core, fine_descent(self.link))

    def _align(self, what: str, core: int, *descents: Descent) -> MsgGenerator[None]:
        """Turn the polarization right; if the detectors fall silent meanwhile, wait for them and begin anew."""
        began_s = yield from self._lab_time()
        self.planned = {}  # the descents choose their own
        try:
            for descent in descents:
                yield from align_polarization(self.link, descent)
        except (FailedStatus, AcquisitionError, LimitError):
            if not (yield from self._is_warm()):
                raise
            yield from self._recover(core)
            return
        yield from self._note(what, core, began_s)

    def _note(self, what: str, core: int, began_s: float) -> MsgGenerator[None]:
        """An event that says what took how long."""
        ended_s = self.aligned_s = yield from self._lab_time()
        self.summary.note(what, core, began_s, ended_s)
        self.clock.tick(ended_s)
        yield from read_together([*self.summary.interruption, self.clock], stream="interruptions")

    def _settings(self, detections: float, longest_s: float, *, lock: int) -> MsgGenerator[None]:
        link = self.link
        yield from self._choose(
            (link.detections, detections), (link.max_duration, longest_s), (link.reuse_lock, lock)
        )

    def _choose(self, *wanted: tuple[Any, float]) -> MsgGenerator[None]:
        """Set the link's own settings, as far as they change."""
        changed = [(signal, value) for signal, value in wanted if self.planned.get(signal.name) != value]
        self.planned |= {signal.name: value for signal, value in changed}
        if changed:
            yield from bps.mv(*itertools.chain.from_iterable(changed))

    def _lab_time(self) -> MsgGenerator[float]:
        """Seconds on the lab's clock; in a rehearsal what its acquisitions would have taken."""
        yield from trigger_in_turn([self.link.now])
        return float((yield from bps.rd(self.link.now, default_value=self.began_s + self.unmeasured_s)))

    def _look_at_the_clock(self) -> MsgGenerator[float]:
        """The lab time; whether the campaign is over is known afterwards."""
        now_s = yield from self._lab_time()
        self.is_over = self.clock.tick(now_s) >= self.duration_s
        return now_s


def light_up(link: Any) -> MsgGenerator[None]:
    """Quantum light on and detectors biased; the noise source is dark."""
    drive = link.detector_drive
    yield from noise_off(link)
    yield from bps.mv(link.detectors.trigger_levels, drive.trigger_levels_mv)
    yield from bps.mv(link.detectors.bias_currents, drive.bias_currents_ua)
    yield from bps.mv(link.detectors.enabled, 1)
    yield from bps.mv(link.voa.attenuation, link.signal_attenuation_db)
    yield from bps.mv(link.awg, link.waveforms())
    yield from set_in_turn(link.voa.passing())


def noise_off(link: Any) -> MsgGenerator[None]:
    """The noise source dark, where there is one."""
    if link.noise_source is not None:
        yield from bps.mv(link.noise_source.emission, 0)


def _is_misaligned(link: Any, reading: dict[str, Any]) -> bool:
    """Whether either basis errs more than the extinction ratio to align to allows."""
    errors = (reading.get(signal.name, {}).get("value", 0.0) for signal in (link.qber_z, link.qber_x))
    return any(error > TARGET_ERROR for error in errors)


REPORT = Report(
    columns=(
        Column("step_core", "core", "{:.0f}"),
        Column("step_current", "LED mA", "{:.1f}"),
        Column("step_blocks", "blocks", "{:.0f}"),
        Column("step_lab_time", "lab h", "{:.2f}", 1 / SECONDS_PER_HOUR),
        Column("step_skr", "SKR b/s", "{:.1f}", 1.0, "step_skr_spread"),
        Column("step_qber_z", "QBER Z %", "{:.2f}", 100.0),
        Column("step_qber_x", "QBER X %", "{:.2f}", 100.0),
        Column("step_skr_virtual", "virtual b/s", "{:.1f}"),
    ),
    points={
        "core": "step_core",
        "current_ma": "step_current",
        "blocks": "step_blocks",
        "skr_bps": "step_skr",
        "skr_spread_bps": "step_skr_spread",
        "skr_virtual_bps": "step_skr_virtual",
        "qber_z": "step_qber_z",
        "qber_x": "step_qber_x",
        "key_bits": "step_key_bits",
        "duration_s": "step_duration",
        "lab_time_s": "step_lab_time",
    },
    draw=draw_core_switching,
)
