"""Polarization alignment as an experiment of its own, and tracking against drift (Ji et al., section 2.5).

Gradient descent on the error rates of both bases turns the receiver's squeezers until they are least. Tracking then
measures at intervals, and descends again from where the squeezers are once the errors have risen significantly above
what the alignment had reached. Fibre drifts, squeezers have play: `overshoot_v` approaches every voltage from below.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator

from plans import polarization
from plans.figures import MEASURED, PUBLISHED, QBER_X, QBER_Z, new_figure, save
from plans.polarization import Descent, angles_now, descend
from plans.preprocessors import experiment
from plans.quantum_link import check_acquisition, link_up, moved_by_link
from plans.stubs import Findings, read_together, trigger_in_turn
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report

SIGNIFICANT_SIGMAS = 4.0
TRACKING_STEPS = 12


def align_polarization(
    link: Any,
    *,
    tracking_s: float = 600.0,
    interval_s: float = 30.0,
    detections: float = 20_000,
    check_detections: float = 200_000,
    tolerated_rise: float = 0.002,
    overshoot_v: float = 0.0,
    core: int = 1,
    max_duration_s: float = 60.0,
) -> MsgGenerator[None]:
    """Align, then track for `tracking_s` of lab time; one event per check, the first right after the alignment.

    Each step of the descent is measured with `detections` key-basis detections, each check with `check_detections`. The
    descent is made again when the sum of both bases' error rates has risen by more than `tolerated_rise` and by four
    standard errors. The squeezers stay where they are left. AcquisitionError if the errors stay above 6 % in all.
    """
    _check(link, tracking_s, interval_s, (detections, check_detections), core, max_duration_s)
    checks = 1 + math.floor(tracking_s / interval_s)
    descent = Descent(
        volts_per_pi=link.receiver.volts_per_pi, detections=detections, overshoot_v=overshoot_v,
        longest_s=max_duration_s,
    )  # fmt: skip
    metadata = {
        "plan_name": "align_polarization",
        "num_points": checks,
        "plan_args": {
            "tracking_s": float(tracking_s), "interval_s": float(interval_s), "detections": float(detections),
            "check_detections": float(check_detections), "tolerated_rise": float(tolerated_rise),
            "overshoot_v": float(overshoot_v), "core": core, "max_duration_s": float(max_duration_s),
        },
    }  # fmt: skip
    found = Findings("alignment")

    def measure() -> MsgGenerator[None]:
        yield from link_up(link, core)
        yield from polarization.align_polarization(link, descent)
        reached, realigned = math.inf, 1
        for number in range(checks):
            yield from bps.checkpoint()
            if number:
                yield from bps.sleep(interval_s)
            cost, error = yield from _checked(link, check_detections, max_duration_s)
            rise = cost - reached
            values = {
                "cost": (cost, "1"), "cost_error": (error, "1"), "rise": (rise if number else 0.0, "1"),
                "realigned": (realigned, "1"), "elapsed": (number * interval_s, "s"),
            }  # fmt: skip
            yield from found.record(values, link, link.polarization_controller)
            reached = cost if realigned else min(reached, cost)
            realigned = int(rise > max(tolerated_rise, SIGNIFICANT_SIGMAS * error) and number > 0)
            if realigned:
                yield from descend(link, _local(descent), angles_now(link, descent))

    return (yield from experiment(measure(), link.parts, metadata, moved=moved_by_link(link)))


def _check(
    link: Any,
    tracking_s: float,
    interval_s: float,
    detections: Sequence[float],
    core: int,
    max_duration_s: float,
) -> None:
    if not (tracking_s >= 0.0 and interval_s > 0.0):
        raise ValueError(
            f"tracking_s {tracking_s:g} must not be negative, interval_s {interval_s:g} positive"
        )
    for number in detections:
        check_acquisition(link, number, core, max_duration_s)


def _local(descent: Descent) -> Descent:
    """A descent that begins near the minimum: few steps, and good enough wherever it ends."""
    return Descent(
        volts_per_pi=descent.volts_per_pi, detections=descent.detections, overshoot_v=descent.overshoot_v,
        longest_s=descent.longest_s, iterations=TRACKING_STEPS, momentum=0.3,
    )  # fmt: skip


def _checked(link: Any, detections: float, max_duration_s: float) -> MsgGenerator[tuple[float, float]]:
    """The sum of both bases' error rates, and its standard error; not-a-number where nothing was measured."""
    yield from bps.mv(link.detections, detections)
    yield from bps.mv(link.max_duration, max_duration_s)
    yield from trigger_in_turn([link])
    reading = yield from read_together([link], stream="checks")
    if not reading:
        return math.nan, math.nan
    cost, variance = 0.0, 0.0
    for basis in "zx":
        errors, clicks = (
            sum(float(reading[f"{link.name}_{kind}_{basis}_{k}"]["value"]) for k in ("signal", "decoy"))
            for kind in "mn"
        )
        cost += errors / clicks
        variance += errors / clicks**2
    return cost, math.sqrt(variance)


def _conclude(rows: Sequence[Mapping[str, Any]]) -> str:
    again = sum(int(row["alignment_realigned"]) for row in rows) - 1
    worst = max(float(row["alignment_cost"]) for row in rows)
    first = rows[0]
    return (
        f"aligned to QBER Z {100 * first['link_qber_z']:.3f} %, X {100 * first['link_qber_x']:.3f} %; aligned again "
        f"{again} times in {rows[-1]['alignment_elapsed']:.0f} s; the sum of both was never above {100 * worst:.2f} %"
    )


def _draw(run: Run, path: Path) -> None:
    steps, checks = run.table("alignment"), run.table("primary")
    figure, (above, below) = new_figure(
        run, "Polarization alignment and tracking (Ji et al., section 2.5)", rows=2
    )
    descent = int(np.searchsorted(steps["time"], checks["time"][0]))
    for basis, color in (("z", QBER_Z), ("x", QBER_X)):
        above.plot(
            100 * steps[f"link_qber_{basis}"][:descent], ".", ms=3, color=color, label=f"QBER {basis.upper()}"
        )
        rate = 100 * checks[f"link_qber_{basis}"]
        spread = np.stack(
            [rate - 100 * checks[f"link_qber_{basis}_low"], 100 * checks[f"link_qber_{basis}_high"] - rate]
        )
        below.errorbar(
            checks["alignment_elapsed"], rate, np.maximum(spread, 0.0), fmt="o-", ms=4, lw=1, capsize=2, color=color,
            label=f"QBER {basis.upper()} (95 % interval)",
        )  # fmt: skip
    above.set_xlabel("measurement of the first descent")
    above.set_ylabel("QBER (%)")
    above.legend(fontsize=8)
    for when in checks["alignment_elapsed"][1:][checks["alignment_realigned"][1:] > 0.5]:
        below.axvline(when, color=MEASURED, lw=0.8, ls=":")
    below.plot([], [], color=MEASURED, lw=0.8, ls=":", label="aligned again before")
    if run.start.get("testbed") == "ji_mcf":
        below.axhline(1.27, color=PUBLISHED, lw=0.9, ls="--", label="Ji et al.: QBER 1.27 ± 0.02 %")
    below.set_xlabel("lab time since the alignment (s)")
    below.set_ylabel("QBER (%)")
    below.set_ylim(bottom=0)
    below.legend(fontsize=8, loc="lower right")
    save(figure, path)


REPORT = Report(
    columns=(
        Column("alignment_elapsed", "s", "{:.0f}"),
        Column("link_qber_z", "QBER Z %", "{:.3f}", 100.0),
        Column("link_qber_x", "QBER X %", "{:.3f}", 100.0),
        Column("alignment_rise", "rise of the sum %", "{:+.3f}", 100.0),
        Column("alignment_realigned", "aligned before", "{:.0f}"),
    ),
    points={
        "elapsed_s": "alignment_elapsed", "qber_z": "link_qber_z", "qber_x": "link_qber_x", "cost": "alignment_cost",
        "cost_error": "alignment_cost_error", "realigned": "alignment_realigned",
    },
    draw=_draw,
    anew="an alignment searches step by step: it begins again, and needs nothing of what it had found",
    conclude=_conclude,
)  # fmt: skip
