"""The detectors' delays at the time tagger: cables, detectors and inputs are never equally long.

Each detector's clicks are locked on Alice's code by themselves; how much later a detector sees the code than the
earliest one is its delay, found whatever the polarization, and however many pulse periods it comes to (modulo the
code, 10.24 us here). What is found goes into the testbed's `delays_ps`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator

from plans.figures import MEASURED, QBER_X, QBER_Z, WIESEMANN, new_figure, save
from plans.preprocessors import experiment
from plans.quantum_link import link_up, moved_by_link
from plans.stubs import Findings, read_together, trigger_in_turn
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
from qdci_lab.sweep import sweep

DETECTORS = ("Z0", "Z1", "X0", "X1")
COLORS = (QBER_Z, QBER_X, MEASURED, WIESEMANN)
SYSTEMATIC_PS = 1.0
"""What the standard errors leave out: the tagger's picosecond, and shapes that differ a little between detectors."""


def calibrate_delays(
    link: Any, *, clicks: float = 4e5, core: int = 1, max_duration_s: float = 60.0
) -> MsgGenerator[None]:
    """Delay of each detector against the earliest one, from `clicks` clicks of all detectors together.

    `max_duration_s` bounds the acquisition in lab time. One event per detector: the delay found with its standard
    uncertainty, and the delay that is configured.
    """
    link.arrivals.wanted_clicks.check_value(clicks)
    link.arrivals.max_duration.check_value(max_duration_s)
    link.check_core(core)
    metadata = {
        "plan_name": "calibrate_delays",
        "num_points": len(DETECTORS),
        "plan_args": {"clicks": float(clicks), "core": core, "max_duration_s": float(max_duration_s)},
    }
    found = Findings("delay")

    def measure() -> MsgGenerator[None]:
        yield from link_up(link, core)
        yield from bps.mv(link.arrivals.wanted_clicks, clicks)
        yield from bps.mv(link.arrivals.max_duration, max_duration_s)
        yield from bps.checkpoint()
        yield from trigger_in_turn([link.arrivals])
        reading = yield from read_together([link.arrivals], stream="arrivals")
        yield from sweep(
            tuple(enumerate(link.receiver.inputs)),
            lambda point: found.record(_delay_of(link, reading, *point)),
            label=lambda point: f"input {point[1]}",
        )

    return (yield from experiment(measure(), link.parts, metadata, moved=moved_by_link(link)))


def _delay_of(
    link: Any, reading: Mapping[str, Any], detector: int, number: int
) -> dict[str, tuple[float, str]]:
    """One detector's findings; not-a-number where nothing was measured."""

    def measured(signal: Any) -> float:
        return float(reading[signal.name]["value"][detector]) if reading else float("nan")

    error_ps = float(np.hypot(measured(link.arrivals.delay_errors), SYSTEMATIC_PS))
    return {
        "input": (number, "1"),
        "found": (measured(link.arrivals.delays), "ps"),
        "error": (error_ps, "ps"),
        "configured": (link.receiver.delays_ps[detector], "ps"),
        "width": (measured(link.arrivals.widths), "ps"),
        "clicks": (measured(link.arrivals.clicks), "count"),
    }


def _conclude(rows: Sequence[Mapping[str, Any]]) -> str:
    delays_ps = ", ".join(str(round(float(row["delay_found"]))) for row in rows)
    off = [
        row for row in rows if abs(row["delay_found"] - row["delay_configured"]) > 3.0 * row["delay_error"]
    ]
    verdict = "the configured delays agree within three standard uncertainties"
    if off:
        inputs = ", ".join(str(round(float(row["delay_input"]))) for row in off)
        verdict = f"the configured delays of input {inputs} are wrong"
    return f"{verdict}; as found, for lab.toml: delays_ps = [{delays_ps}]"


def _draw(run: Run, path: Path) -> None:
    """Arrivals as they come, before and behind the correction that was found."""
    arrivals = {key: values[-1] for key, values in run.table("arrivals").items()}
    rows = run.table("primary")
    period_ps = float(arrivals["link_arrivals_period"])
    figure, (above, below) = new_figure(run, "Arrival of the pulses at each detector", rows=2)
    histograms = arrivals["link_arrivals_histograms"]
    bins = histograms.shape[1]
    centres_ps = (np.arange(bins) + 0.5) * period_ps / bins - 0.5 * period_ps
    shown = np.abs(centres_ps) < 1200.0
    for detector, (name, color) in enumerate(zip(DETECTORS, COLORS, strict=True)):
        delay_ps, error_ps = rows["delay_found"][detector], rows["delay_error"][detector]
        label = f"{name}: {delay_ps:.1f} ± {error_ps:.1f} ps (configured {rows['delay_configured'][detector]:.0f})"
        peak = histograms[detector] / max(histograms[detector].max(), 1)
        above.step(centres_ps[shown] + delay_ps, peak[shown], where="mid", color=color, lw=1, label=label)
        below.step(centres_ps[shown], peak[shown], where="mid", color=color, lw=1)
    above.legend(fontsize=8)
    above.set_ylabel("clicks, as tagged (peak = 1)")
    below.set_ylabel("delays taken away")
    below.set_xlabel("time within the pulse period, from the earliest detector's mean arrival (ps)")
    save(figure, path)


REPORT = Report(
    columns=(
        Column("delay_input", "input", "{:.0f}"),
        Column("delay_found", "delay ps", "{:.1f}", 1.0, "delay_error"),
        Column("delay_configured", "configured ps", "{:.0f}"),
        Column("delay_width", "rms width ps", "{:.1f}"),
        Column("delay_clicks", "clicks", "{:.0f}"),
    ),
    points={
        "input": "delay_input", "delay_ps": "delay_found", "delay_error_ps": "delay_error",
        "configured_ps": "delay_configured", "width_ps": "delay_width", "clicks": "delay_clicks",
    },
    draw=_draw,
    conclude=_conclude,
)  # fmt: skip
