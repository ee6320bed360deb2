"""Key rate, error rate, visibility and detections over days (Qiu et al., Fig. 6 and Table 2).

Short acquisitions at a steady pace: the file holds, for every point, when it began and how long it took, and the start
document how often. Between them nothing is acquired. A point without a lock is a gap; what the instruments say then
is logged as an event, and what is not as it was set is set right.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from plans.gaps import GapLog, acquire_or_say_why, explain_gap
from plans.preprocessors import experiment
from plans.quantum_link import prepare_link, with_loss_put_back
from plans.stability_figure import draw_stability
from plans.stubs import read_together, trigger_in_turn
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
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
        yield from _instruments(link, "baseline")
        yield from _watch(link, points, every_s)
        yield from _instruments(link, "baseline")

    return (yield from experiment(with_loss_put_back(measure(), link), link.parts, metadata))


def _watch(link: Any, points: int, every_s: float) -> MsgGenerator[None]:
    """All points; what a point takes longer than its time is taken from the wait before the next."""
    log = GapLog()
    begun_s = _lab_time_s(link)
    for point in range(points):
        yield from bps.checkpoint()
        yield from _wait_until(lambda due_s=begun_s + point * every_s: due_s - _lab_time_s(link))
        at_s = _lab_time_s(link)
        reason = yield from acquire_or_say_why(link)
        if link.lab_time.last is not None and (not reason or link.lab_time.last > at_s):
            yield from read_together([link], stream="primary")
        if reason:
            yield from explain_gap(link, log, point + 1, at_s, reason)


def _wait_until(left_s: Callable[[], float]) -> MsgGenerator[None]:
    seconds = left_s()
    if seconds > 0.0:
        yield from bps.sleep(seconds)


def _lab_time_s(link: Any) -> float:
    """Now, on the clock of the instrument that acquires."""
    return ps_to_seconds(link.tagger.clock.now_ps())


def _instruments(link: Any, stream: str) -> MsgGenerator[None]:
    """Every instrument's readings as one event."""
    parts = [part for part in link.parts if part is not link.tagger]
    yield from trigger_in_turn(parts)
    yield from read_together(parts, stream=stream)


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


def _draw(run: Run, path: Path) -> None:
    draw_stability(run, path)


REPORT = Report(
    columns=(
        Column("link_lab_time", "hours", "{:.3f}", 1.0 / S_PER_HOUR),
        Column("link_detection_rate", "clicks/s", "{:.0f}"),
        Column("link_error_rate", "QBER %", "{:.3f}", 100.0),
        Column("link_visibility", "V %", "{:.2f}", 100.0, "link_visibility_error"),
        Column("link_key_rate", "SKR b/s", "{:.0f}", 1.0, "link_key_rate_error"),
    ),
    points={
        "lab_time_s": "link_lab_time",
        "duration_s": "link_duration",
        "skr_bps": "link_key_rate",
        "skr_error_bps": "link_key_rate_error",
        "qber": "link_error_rate",
        "visibility": "link_visibility",
        "detection_rate_hz": "link_detection_rate",
    },
    draw=_draw,
)
