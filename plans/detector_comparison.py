"""The same link with nanowires and with InGaAs avalanche diodes behind its receiver (Clason et al., Fig. 2).

The optical switch leads the light of the receiver's analysers to one set of detectors or to the other; nothing else
changes. Each set first counts with the transmitter's shutter closed, is then synchronised and aligned, and makes blocks
of key. What a diode module of the shop gets by sharing one diode among four outputs in time is not described by the
paper and not imitated: its published rate is drawn beside and not aimed at.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from plans.core_switching import light_up
from plans.detector_figure import draw_detectors
from plans.detectors import EXTERNAL, INTERNAL, comparison_told
from plans.polarization import align_polarization, fine_descent, rough_descent
from plans.preprocessors import experiment
from plans.stubs import Findings, read_together, set_in_turn, trigger_in_turn
from qdci_lab.progress import Column
from qdci_lab.report import Report
from qdci_lab.sweep import sweep

SETS = {"snspd": EXTERNAL, "ingaas": INTERNAL}
FOLLOWING_S = 600.0
"""After this long the polarization is aligned again."""


def detector_comparison(
    link: Any,
    *,
    detectors: Sequence[str] = ("snspd", "ingaas"),
    core: int = 0,
    blocks: int = 8,
    block_detections: float = 4.1e5,
    max_block_s: float = 900.0,
    dark_s: float = 30.0,
    align: bool = True,
    keep_tags: bool = False,
) -> MsgGenerator[None]:
    """Blocks of key with each set of detectors in turn, one event a block, and each set's count rate in the dark.

    `core` 0 leaves the multicore fibre out, as in the paper's Fig. 2. A block is `block_detections` sifted key-basis
    detections, or what comes within `max_block_s` of lab time; dark counts are counted for `dark_s`. With `align` the
    polarization is aligned after each change, and every ten minutes. LimitError or ValueError, before anything moves,
    for what this bench has not got.
    """
    comparison = _Comparison(
        link,
        list(detectors),
        core,
        float(block_detections),
        float(max_block_s),
        float(dark_s),
        align,
        keep_tags,
    )
    comparison.check(blocks)
    points = list(itertools.product(comparison.detectors, range(1, blocks + 1)))
    metadata = {
        "plan_name": "detector_comparison",
        "figure": "Clason et al., Fig. 2",
        "num_points": len(points),
        "plan_args": {
            "detectors": comparison.detectors, "core": core, "blocks": blocks,
            "block_detections": comparison.block_detections, "max_block_s": comparison.max_block_s,
            "dark_s": comparison.dark_s, "align": align, "keep_tags": keep_tags,
        },
        "hints": {"dimensions": [(["set_number"], "primary")]},
        "plot": {"x": f"{link.name}_lab_time", "y": [f"{link.name}_skr_rusca_2018", f"{link.name}_qber_z"]},
    }  # fmt: skip

    def run() -> MsgGenerator[None]:
        yield from light_up(link)
        yield from bps.mv(link.core, core)
        if keep_tags:
            yield from bps.declare_stream(link.tagger.tags, name="tags", collect=True)
        yield from sweep(points, comparison.block, label=lambda point: f"{point[0]}, block {point[1]}")

    moved = [link.voa.attenuation, link.detector_set, link.reuse_lock, link.tagger.acquisition_time]
    if INTERNAL in comparison.numbers:
        moved.append(link.internal_detectors.bias_voltage)
    return (yield from experiment(run(), link.parts, metadata, moved=moved))


@dataclass
class _Comparison:
    """The run's arguments, and which detectors are in use."""

    link: Any
    detectors: list[str]
    core: int
    block_detections: float
    max_block_s: float
    dark_s: float
    align: bool
    keep_tags: bool
    in_use: str = ""
    dark_hz: float = math.nan
    aligned_s: float = 0.0
    found: Findings = field(default_factory=lambda: Findings("set"))

    @property
    def numbers(self) -> list[int]:
        """The sets as the link counts them."""
        return [SETS[name] for name in self.detectors]

    def check(self, blocks: int) -> None:
        """LimitError or ValueError for an argument that cannot be carried out; nothing has moved yet."""
        link = self.link
        unknown = [name for name in self.detectors if name not in SETS]
        if unknown or not self.detectors or len(set(self.detectors)) < len(self.detectors):
            raise ValueError(
                f"detectors: some of {', '.join(SETS)} expected, each once, not {self.detectors}"
            )
        if blocks < 1:
            raise ValueError(f"blocks {blocks} must be positive")
        for number in self.numbers:
            link.detector_set.check_value(number)
        link.core.check_value(self.core)
        link.detections.check_value(self.block_detections)
        link.max_duration.check_value(self.max_block_s)
        link.tagger.acquisition_time.check_value(self.dark_s)

    def block(self, point: tuple[str, int]) -> MsgGenerator[None]:
        """One block with one set, which is brought into use first if it is not."""
        link, (name, _) = self.link, point
        if self.in_use != name:
            yield from self._use(name)
        elif self.align and (yield from self._lab_time()) - self.aligned_s > FOLLOWING_S:
            yield from self._align(fine_descent(link))
        yield from self._settings(self.block_detections, self.max_block_s, lock=1)
        yield from bps.mv(link.keep_tags, int(self.keep_tags))
        yield from trigger_in_turn([link])
        yield from bps.mv(link.keep_tags, 0)
        self.found.keep({
            "number": (SETS[name], "1"), "dark_rate": (self.dark_hz, "1/s"), "dark_time": (self.dark_s, "s"),
        })  # fmt: skip
        yield from read_together([link, link.switch, self.found], stream="primary")
        if self.keep_tags:
            yield from bps.collect(link.tagger.tags, name="tags")

    def _use(self, name: str) -> MsgGenerator[None]:
        """Switch over in the dark, count, and make the link ready."""
        link = self.link
        yield from set_in_turn(link.voa.blocking())
        if INTERNAL in self.numbers:
            volts = link.internal_drive.bias_voltage_v if SETS[name] == INTERNAL else 0.0
            yield from bps.mv(link.internal_detectors.bias_voltage, volts)
        yield from bps.mv(link.detectors.enabled, int(SETS[name] == EXTERNAL))
        yield from bps.mv(link.detector_set, SETS[name])
        yield from bps.mv(link.tagger.acquisition_time, self.dark_s)
        yield from trigger_in_turn([link.tagger])
        reading = yield from read_together([link.tagger], stream="dark")
        if reading:
            self.dark_hz = float(sum(reading[link.tagger.count_rates.name]["value"]))
        yield from set_in_turn([(link.voa.attenuation, link.signal_attenuation_db), *link.voa.passing()])
        yield from self._settings(link.receiver.sync_tags / 10.0, self.max_block_s, lock=0)
        yield from trigger_in_turn([link])
        if self.align:
            yield from self._align(rough_descent(link), fine_descent(link))
        self.in_use = name

    def _align(self, *descents: Any) -> MsgGenerator[None]:
        for descent in descents:
            yield from align_polarization(self.link, descent)
        self.aligned_s = yield from self._lab_time()

    def _settings(self, detections: float, longest_s: float, *, lock: int) -> MsgGenerator[None]:
        link = self.link
        yield from bps.mv(link.detections, detections, link.max_duration, longest_s, link.reuse_lock, lock)

    def _lab_time(self) -> MsgGenerator[float]:
        yield from bps.trigger(self.link.now, wait=True)
        return float((yield from bps.rd(self.link.now, default_value=0.0)))


REPORT = Report(
    columns=(
        Column("set_number", "0 SNSPD, 1 InGaAs", "{:.0f}"),
        Column("link_n_z", "n_Z", "{:.3g}"),
        Column("link_duration", "s", "{:.1f}"),
        Column("link_count_rate", "counts /s", "{:.0f}"),
        Column("set_dark_rate", "dark /s", "{:.1f}"),
        Column("link_qber_z", "QBER Z %", "{:.2f}", 100.0),
        Column("link_qber_x", "QBER X %", "{:.2f}", 100.0),
        Column("link_skr_rusca_2018", "SKR kb/s", "{:.3f}", 1e-3, "link_skr_rusca_2018_error"),
        Column("link_skr_virtual", "virtual kb/s", "{:.3f}", 1e-3),
    ),
    points={
        "detector_set": "set_number",
        "dark_rate_hz": "set_dark_rate",
        "skr_bps": "link_skr_rusca_2018",
        "skr_error_bps": "link_skr_rusca_2018_error",
        "qber_z": "link_qber_z",
        "qber_x": "link_qber_x",
        "n_z": "link_n_z",
        "duration_s": "link_duration",
        "count_rate_hz": "link_count_rate",
        "lab_time_s": "link_lab_time",
    },
    draw=draw_detectors,
    conclude=comparison_told,
)
