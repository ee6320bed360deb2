"""Key rate, error rate, visibility and detections over days (Qiu et al., Fig. 6 and Table 2).

Short acquisitions at a steady pace: the file holds, for every point, when it began and how long it took, and the start
document how often. Between them nothing is acquired. A point without a lock is a gap; what the instruments say then
is logged as an event, and what is not as it was set is set right. A run that was cut short goes on with the points that
are left; the interruption is logged among the gaps, and time spent measuring (`campaign_elapsed`) runs on over it.
"""

import math
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from plans.campaign import CampaignClock
from plans.gaps import STREAM as GAPS
from plans.gaps import GapLog, acquire_or_say_why, explain_gap
from plans.preprocessors import experiment
from plans.quantum_link import prepare_link, with_loss_put_back
from plans.stability_figure import draw_stability
from plans.stubs import read_together
from qdci_lab.progress import Column
from qdci_lab.report import Report
from qdci_lab.sweep import sweep
from qdci_lab.units import ps_to_seconds

HOURS_PER_DAY, S_PER_HOUR = 24.0, 3600.0
UNLIMITED = 1e12


def stability(
    link: Any,
    *,
    hours: float = 240.0,
    every_s: float = 1200.0,
    block_s: float = 5.0,
    added_loss_db: float = 0.0,
    align: bool = True,
) -> MsgGenerator[None]:
    """An acquisition of `block_s` every `every_s` of lab time, for `hours`; 240 hours are the published ten days.

    `align` turns the polarization right first, on links that have one. LimitError or ValueError, before anything moves,
    for what cannot be done.
    """
    points = _check(link, hours, every_s, block_s, added_loss_db)
    metadata = {
        "plan_name": "stability",
        "figure": "Qiu et al., Fig. 6 and Table 2",
        "key_rate_means": link.KEY_RATE_MEANS,
        "num_points": points,
        "measured_every_s": float(every_s),
        "measured_for_s": float(block_s),
        "plan_args": {
            "hours": float(hours), "every_s": float(every_s), "block_s": float(block_s),
            "added_loss_db": float(added_loss_db), "align": align,
        },
        "hints": {"dimensions": [([link.lab_time.name], "primary")]},
        "plot": {"x": link.lab_time.name, "y": [f"{link.name}_key_rate", f"{link.name}_error_rate"]},
    }  # fmt: skip

    def measure() -> MsgGenerator[None]:
        yield from prepare_link(link, align=align)
        yield from bps.mv(link.added_loss, added_loss_db)
        yield from bps.mv(link.detections, UNLIMITED)
        yield from bps.mv(link.max_duration, block_s)
        yield from _Watch(link, every_s, block_s).run(points)

    return (yield from experiment(with_loss_put_back(measure(), link), link.parts, metadata))


class _Watch:
    """All points; what a point takes longer than its time is taken from the wait before the next."""

    def __init__(self, link: Any, every_s: float, block_s: float) -> None:
        self._link = link
        self._every_s = every_s
        self._block_s = block_s
        self._log = GapLog()
        self._clock = CampaignClock()
        self._due_s = 0.0
        self._paused = ""
        """What to note of a pause before this part."""
        self._planned_s: float | None = None
        """Lab time that a rehearsal has come to; None when it is no rehearsal."""

    def run(self, points: int) -> MsgGenerator[None]:
        """The points that are left, from now on; that the run was interrupted before is an event of the gaps."""
        if (yield from bps.rd(self._link.detections, default_value=None)) is None:
            self._planned_s = 0.0
        self._due_s = self._now_s()
        self._paused = yield from self._clock.begin(self._due_s, broken_off_s=self._every_s - self._block_s)
        yield from sweep(range(1, points + 1), self._point, stream=("primary", GAPS), beside=[self._clock])

    def _point(self, point: int) -> MsgGenerator[None]:
        link = self._link
        yield from self._wait()
        at_s = self._now_s()
        if self._paused:  # an event of the first point, as all of its stream have a number
            yield from explain_gap(link, self._log, point, at_s, self._paused, beside=[self._clock])
            self._paused = ""
        reason = yield from acquire_or_say_why(link)
        if self._planned_s is not None:
            self._planned_s += self._block_s
        self._clock.tick(self._now_s())
        measured = link.lab_time.last is not None and (not reason or link.lab_time.last > at_s)
        if measured or self._planned_s is not None:
            yield from read_together([link, self._clock], stream="primary")
        if reason:
            yield from explain_gap(link, self._log, point, at_s, reason, beside=[self._clock])

    def _wait(self) -> MsgGenerator[None]:
        """Until the next point is due."""
        wait_s = self._due_s - self._now_s()
        self._due_s += self._every_s
        if wait_s > 0.0:
            yield from bps.sleep(wait_s)
            if self._planned_s is not None:
                self._planned_s += wait_s

    def _now_s(self) -> float:
        """On the clock of the instrument that acquires."""
        if self._planned_s is not None:
            return self._planned_s
        return ps_to_seconds(self._link.tagger.clock.now_ps())


def _check(link: Any, hours: float, every_s: float, block_s: float, added_loss_db: float) -> int:
    """The number of points; LimitError or ValueError for what cannot be carried out, before anything moves."""
    link.added_loss.check_value(added_loss_db)
    link.max_duration.check_value(block_s)
    for name, value in (("hours", hours), ("every_s", every_s)):
        if not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"{name}: {value:g} must be positive")
    if block_s > every_s:
        raise ValueError(f"block_s: {block_s:g} s do not fit into every_s of {every_s:g} s")
    return max(1, math.floor(hours * S_PER_HOUR / every_s))


REPORT = Report(
    columns=(
        Column("campaign_elapsed", "hours", "{:.3f}", 1.0 / S_PER_HOUR),
        Column("link_detection_rate", "clicks/s", "{:.0f}"),
        Column("link_error_rate", "QBER %", "{:.3f}", 100.0),
        Column("link_visibility", "V %", "{:.2f}", 100.0, "link_visibility_error"),
        Column("link_key_rate", "SKR b/s", "{:.0f}", 1.0, "link_key_rate_error"),
    ),
    points={
        "lab_time_s": "link_lab_time",
        "elapsed_s": "campaign_elapsed",
        "duration_s": "link_duration",
        "skr_bps": "link_key_rate",
        "skr_error_bps": "link_key_rate_error",
        "qber": "link_error_rate",
        "visibility": "link_visibility",
        "detection_rate_hz": "link_detection_rate",
    },
    draw=draw_stability,
)
