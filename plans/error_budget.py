"""Where the errors of a link come from: dark counts, classical light, afterpulses, and what is left.

Four stages: the receiver in the dark; Alice's light so weak that the gaps between clicks show afterpulses; the
classical light on, her shutter closed; the link at work in that light. What is counted without her light falls on
either detector of a basis alike, so that half of it are errors; afterpulses follow clicks of other slots and do the
same; the rest is misalignment, the error of the states themselves. The sum is the measured QBER by definition: the
check is that the remainder is what alignment and source are known for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator

from plans.figures import MEASURED, PUBLISHED, QBER_X, QBER_Z, WIESEMANN, new_figure, save
from plans.polarization import Descent, align_polarization
from plans.preprocessors import experiment
from plans.quantum_link import check_acquisition, classical_light_on, link_up, moved_by_link
from plans.stubs import Findings, read_together, set_in_turn, trigger_in_turn
from qdci_lab.analysis.detector_corrections import Estimate
from qdci_lab.analysis.error_budget import Background, Detections, ErrorBudget, estimate_error_budget
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
from qdci_lab.sweep import sweep

DARK, WEAK, LIT, SIGNAL = "dark", "weak signal", "classical light", "signal"
STAGES = (DARK, WEAK, LIT, SIGNAL)
WEAKER_DB = 15.0
"""Some ten thousand clicks a second and detector, so that few fall within the memory of another."""
NOTHING = float("nan")
NOTHING_COUNTED = {
    "clicks": (NOTHING, "count"), "duration": (NOTHING, "s"), "sifted": (NOTHING, "count"),
    "errors": (NOTHING, "count"), "sent_share": (NOTHING, "1"), "afterpulsing": (NOTHING, "1"),
    "afterpulsing_error": (NOTHING, "1"), "dead_time": (NOTHING, "s"), "count_rate": (NOTHING, "1/s"),
}  # fmt: skip
"""The quantities of an event; those that a stage does not measure stay as they are here."""


def error_budget(
    link: Any,
    *,
    launch_power_dbm: float = 12.0,
    detections: float = 5e6,
    background_s: float = 20.0,
    clicks: float = 4e6,
    core: int = 1,
    align: bool = True,
    max_duration_s: float = 600.0,
) -> MsgGenerator[None]:
    """Contributions to the key basis' QBER with `launch_power_dbm` in each classical core.

    Background is counted for `background_s` in each of two stages; `clicks` clicks are taken for the detectors'
    afterpulsing and `detections` sifted key-basis detections with the link at work; `max_duration_s` bounds either, in
    lab time. LimitError for what cannot be carried out, before anything moves.
    """
    check_acquisition(link, detections, core, max_duration_s)
    link.launch_power.check_value(launch_power_dbm)
    link.tagger.acquisition_time.check_value(background_s)
    link.gaps.wanted_clicks.check_value(clicks)
    link.gaps.max_duration.check_value(max_duration_s)
    link.added_loss.check_value(WEAKER_DB)
    metadata = {
        "plan_name": "error_budget",
        "num_points": len(STAGES),
        "plan_args": {
            "launch_power_dbm": float(launch_power_dbm), "detections": float(detections),
            "background_s": float(background_s), "clicks": float(clicks), "core": core, "align": align,
            "max_duration_s": float(max_duration_s),
        },
    }  # fmt: skip
    found = Findings("budget")

    def measure_stage(stage: str) -> MsgGenerator[None]:
        yield from _light(link, stage, launch_power_dbm)
        if stage == WEAK:
            values = yield from _afterpulsing(link, clicks, max_duration_s)
        elif stage == SIGNAL:
            values = yield from _signal(link, detections, max_duration_s)
        else:
            values = yield from _background(link, background_s)
        yield from found.record({"stage": (STAGES.index(stage), "1"), **NOTHING_COUNTED, **values})

    def measure() -> MsgGenerator[None]:
        yield from link_up(link, core)
        if align:
            yield from align_polarization(link, Descent(volts_per_pi=link.receiver.volts_per_pi))
        yield from sweep(STAGES, measure_stage)

    moved = (*moved_by_link(link), link.tagger.acquisition_time)
    return (yield from experiment(measure(), link.parts, metadata, moved=moved))


def _light(link: Any, stage: str, launch_power_dbm: float) -> MsgGenerator[None]:
    """The light of a stage, whatever the stage before it was: a run that is continued begins anywhere."""
    yield from bps.mv(link.added_loss, WEAKER_DB if stage == WEAK else 0.0)
    yield from set_in_turn(link.voa.passing() if stage in (WEAK, SIGNAL) else link.voa.blocking())
    if stage in (LIT, SIGNAL):
        yield from classical_light_on(link)
        yield from bps.mv(link.launch_power, launch_power_dbm)
    else:
        yield from set_in_turn(link.launch_voa.blocking())


def _background(link: Any, duration_s: float) -> MsgGenerator[dict[str, tuple[float, str]]]:
    """Clicks of the key basis' detectors that fall into the gate; nothing in a rehearsal."""
    yield from bps.mv(link.tagger.acquisition_time, duration_s)
    yield from trigger_in_turn([link.tagger])
    reading = yield from read_together([link.tagger], stream="counts")
    if not reading:
        return {}
    rates = reading[link.tagger.count_rates.name]["value"]
    rate_hz = sum(float(rates[number - 1]) for number in link.receiver.inputs[:2])
    return {
        "clicks": (rate_hz * duration_s * _gated_share(link), "count"),
        "duration": (duration_s, "s"),
    }


def _gated_share(link: Any) -> float:
    """Share of the period in which clicks are accepted."""
    gate_ps = link.settings.receiver.gate_width_ps
    return 1.0 if not gate_ps else gate_ps / link.settings.period_ps


def _afterpulsing(
    link: Any, clicks: float, max_duration_s: float
) -> MsgGenerator[dict[str, tuple[float, str]]]:
    """The afterpulsing of the key basis' two detectors, together; nothing in a rehearsal."""
    gaps = link.gaps
    yield from bps.mv(gaps.wanted_clicks, clicks, gaps.max_duration, max_duration_s)
    yield from trigger_in_turn([gaps])
    reading = yield from read_together([gaps], stream="gaps")
    if not reading:
        return {}
    chances, errors = (
        np.asarray(reading[signal.name]["value"], float)[:2]
        for signal in (gaps.afterpulsing, gaps.afterpulsing_errors)
    )
    return {
        "afterpulsing": (float(np.average(chances, weights=errors**-2)), "1"),
        "afterpulsing_error": (float(np.sum(errors**-2) ** -0.5), "1"),
        "dead_time": (float(np.mean(reading[gaps.dead_times.name]["value"][:2])), "s"),
    }


def _signal(
    link: Any, detections: float, max_duration_s: float
) -> MsgGenerator[dict[str, tuple[float, str]]]:
    """Detections and errors of the key basis with the link at work; nothing in a rehearsal."""
    yield from bps.mv(link.detections, detections, link.max_duration, max_duration_s)
    yield from trigger_in_turn([part for part in link.parts if part is not link.tagger])
    yield from trigger_in_turn([link])
    reading = yield from read_together(link.everything, stream="link")
    if not reading:
        return {}

    def of_link(key: str) -> float:
        return float(reading[f"{link.name}_{key}"]["value"])

    return {
        "duration": (of_link("duration"), "s"),
        "sifted": (of_link("n_z_signal") + of_link("n_z_decoy"), "count"),
        "errors": (of_link("m_z_signal") + of_link("m_z_decoy"), "count"),
        "sent_share": (link.code.p_z, "1"),
        "count_rate": (of_link("count_rate") / len(link.receiver.inputs), "1/s"),
    }


def budget_of(rows: Sequence[Mapping[str, Any]]) -> ErrorBudget | None:
    """The budget that the stages come to; None as long as one is missing."""
    stages = {STAGES[round(float(row["budget_stage"]))]: row for row in rows}
    if len(stages) < len(STAGES):
        return None

    def value(stage: str, key: str) -> float:
        return float(stages[stage][f"budget_{key}"])

    dark, lit = (Background(value(stage, "clicks"), value(stage, "duration")) for stage in (DARK, LIT))
    live_share = 1.0 - value(SIGNAL, "count_rate") * value(WEAK, "dead_time")
    detections = Detections(
        sifted=value(SIGNAL, "sifted"),
        errors=value(SIGNAL, "errors"),
        duration_s=value(SIGNAL, "duration"),
        sent_share=value(SIGNAL, "sent_share"),
        live_share=live_share,
    )
    afterpulsing = Estimate(value(WEAK, "afterpulsing"), value(WEAK, "afterpulsing_error"))
    return estimate_error_budget(detections, dark=dark, lit={LIT: lit}, afterpulse_probability=afterpulsing)


def _percent(part: Estimate) -> str:
    return f"{100.0 * part.value:.4f} ± {100.0 * part.standard_error:.4f} %"


def _conclude(rows: Sequence[Mapping[str, Any]]) -> str:
    budget = budget_of(rows)
    if budget is None:
        return "the budget needs all four stages"
    parts = ", ".join(f"{cause} {_percent(part)}" for cause, part in budget.parts.items())
    return f"QBER {_percent(budget.qber)} = {parts}"


def _draw(run: Run, path: Path) -> None:
    power_dbm = run.start["plan_args"]["launch_power_dbm"]
    budget = budget_of([event["data"] for event in run.events("primary")])
    remark = f"{power_dbm:g} dBm in each classical core"
    figure, (axes,) = new_figure(run, "Where the errors of the key basis come from", remark=remark)
    if budget is not None:
        _draw_parts(axes, budget)
    save(figure, path)


def _draw_parts(axes: Any, budget: ErrorBudget) -> None:
    """A bar for each cause, each beginning where the one above it ends, and the measured QBER below."""
    begins = 0.0
    rows = [*budget.parts.items(), ("measured QBER", budget.qber)]
    for place, (_, part) in enumerate(rows):
        whole = place == len(rows) - 1
        color = MEASURED if whole else (PUBLISHED, QBER_X, WIESEMANN, QBER_Z)[place % 4]
        left, width = (0.0 if whole else begins), 100.0 * part.value
        axes.barh(
            place, width, left=left, xerr=100.0 * part.standard_error, color=color, capsize=3, height=0.6
        )
        end = max(left + width, left) + 100.0 * part.standard_error
        axes.annotate(
            _percent(part), (end, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9
        )
        begins += width
    axes.set_yticks(range(len(rows)), [cause for cause, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.45 * 100.0 * budget.qber.value)
    axes.set_xlabel("contribution to the error rate of the key basis (%)")


REPORT = Report(
    columns=(
        Column("budget_stage", "stage", "{:.0f}"),
        Column("budget_duration", "duration s", "{:.2f}"),
        Column("budget_clicks", "background", "{:.0f}"),
        Column("budget_sifted", "sifted", "{:.0f}"),
        Column("budget_errors", "errors", "{:.0f}"),
        Column("budget_afterpulsing", "afterpulsing %", "{:.4f}", 100.0, "budget_afterpulsing_error"),
    ),
    points={
        "stage": "budget_stage", "duration_s": "budget_duration", "background_clicks": "budget_clicks",
        "sifted": "budget_sifted", "errors": "budget_errors", "afterpulsing": "budget_afterpulsing",
        "afterpulsing_error": "budget_afterpulsing_error", "dead_time_s": "budget_dead_time",
        "count_rate_hz": "budget_count_rate", "sent_share": "budget_sent_share",
    },
    draw=_draw,
    conclude=_conclude,
)  # fmt: skip
