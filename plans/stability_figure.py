"""The figure of a long run: four quantities over days beside published means, and Allan deviations."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plans.campaign import RESUMED, elapsed_s
from plans.figures import DOTS_PER_INCH, MEASURED, PUBLISHED, QBER_X, QBER_Z, WIESEMANN, origin
from plans.gaps import STREAM as GAPS
from plans.published import qiu
from qdci_lab.analysis.allan import allan_deviation
from qdci_lab.record.parts import ELAPSED
from qdci_lab.record.replay import Run

SIZE_IN = (11.0, 9.5)
S_PER_DAY = 86_400.0
GAP = "#d9a441"


@dataclass(frozen=True)
class Series:
    """One quantity: the event's key, how its axis is called, a factor to the printed unit, what was published."""

    key: str
    label: str
    factor: float
    color: str
    published: qiu.Published
    digits: int


SERIES = (
    Series("link_key_rate", "secret key rate (b/s)", 1.0, MEASURED, qiu.KEY_RATE_BPS, 0),
    Series("link_error_rate", "QBER (%)", 100.0, QBER_Z, qiu.QBER, 2),
    Series("link_visibility", "visibility (%)", 100.0, WIESEMANN, qiu.VISIBILITY, 2),
    Series("link_detection_rate", "detections (1/s)", 1.0, QBER_X, qiu.DETECTIONS, 0),
)


def draw_stability(run: Run, path: Path) -> None:
    """Draw and save; gaps are marked, and counted in the title."""
    table = run.table("primary")
    columns = {key: np.asarray(values) for key, values in table.items() if np.ndim(values) == 1}
    days = elapsed_s(columns, "link_lab_time") / S_PER_DAY
    gaps_days, pauses_days = _gaps_days(run)
    figure = Figure(figsize=SIZE_IN, dpi=DOTS_PER_INCH)
    figure.set_layout_engine("constrained", rect=(0.0, 0.0, 1.0, 0.955))
    FigureCanvasAgg(figure)
    grid = figure.subplots(3, 2)
    published = run.start.get("testbed") == qiu.TESTBED
    shown = [series for series in SERIES if series.key in columns]
    for axes, series in zip(grid.ravel()[: len(shown)], shown, strict=True):
        _draw_series(axes, days, columns[series.key] * series.factor, series, published)
        for gap in gaps_days:
            axes.axvline(gap, color=GAP, lw=1.5, alpha=0.6, zorder=0)
        for pause in pauses_days:
            axes.axvline(pause, color=PUBLISHED, lw=1.2, ls="-.", zorder=0)
    for axes in grid.ravel()[len(shown) : 4]:
        axes.set_axis_off()
    every_s = float(run.start["measured_every_s"])
    _draw_allan(grid[2, 0], columns, shown[:1], every_s)
    _draw_allan(grid[2, 1], columns, shown[1:], every_s)
    figure.text(0.5, 0.978, f"Stability of the link ({run.start['figure']})", ha="center", fontsize=12)
    figure.text(
        0.5, 0.955, _subtitle(run, len(gaps_days), len(pauses_days)), ha="center", fontsize=9, color=PUBLISHED
    )
    figure.savefig(path, metadata={"Software": None, "Creation Time": None})


def _subtitle(run: Run, gaps: int, pauses: int) -> str:
    start = run.start
    told = "no gaps" if gaps == 0 else f"{gaps} points without a lock (marked; each is explained in the file)"
    if pauses:
        told += f" · interrupted {pauses} times (dash-dotted)"
    return (
        f"{origin(start)} · {start['key_rate_means']} · {start['measured_for_s']:g} s measured every "
        f"{start['measured_every_s']:g} s · {told}"
    )


def _gaps_days(run: Run) -> tuple[list[float], list[float]]:
    """When points had no lock, and when the run was interrupted and resumed."""
    gaps: list[float] = []
    pauses: list[float] = []
    for event in run.events(GAPS):
        data = event["data"]
        at_days = float(data.get(ELAPSED, data["gap_lab_time"])) / S_PER_DAY
        (pauses if str(data["gap_reason"]).startswith(RESUMED) else gaps).append(at_days)
    return gaps, pauses


def _draw_series(
    axes: Axes, days: NDArray[np.float64], values: NDArray[np.float64], series: Series, published: bool
) -> None:
    seen = values[np.isfinite(values)]
    axes.plot(days, values, ".", ms=2.5, color=series.color)
    mean, deviation = (float(np.mean(seen)), float(np.std(seen))) if seen.size else (np.nan, np.nan)
    digits = series.digits
    axes.axhline(mean, color=series.color, lw=1.2, label=f"here {mean:.{digits}f} ± {deviation:.{digits}f}")
    if published:
        level, spread = (series.factor * value for value in series.published)
        axes.axhspan(level - spread, level + spread, color=PUBLISHED, alpha=0.12, lw=0)
        axes.axhline(
            level,
            color=PUBLISHED,
            lw=1,
            ls="--",
            label=f"Qiu et al. {level:.{digits}f} ± {spread:.{digits}f}",
        )
    axes.set_xlabel("lab time (days), pauses left out")
    axes.set_ylabel(series.label)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower left")


def _draw_allan(axes: Axes, columns: Mapping[str, Any], shown: list[Series], every_s: float) -> None:
    """Relative Allan deviations, with the slope of white noise from the first point on."""
    for series in shown:
        values = np.asarray(columns[series.key], dtype=np.float64)
        relative = values / np.nanmean(values) if np.isfinite(values).any() else values
        allan = allan_deviation(relative, every_s)
        if allan.averaging_s.size == 0:
            continue
        hours = allan.averaging_s / 3600.0
        axes.errorbar(
            hours, allan.deviation, allan.error, color=series.color, marker="o", ms=4, lw=1, capsize=2,
            label=series.label.rpartition(" (")[0],
        )  # fmt: skip
        axes.plot(hours, allan.deviation[0] * np.sqrt(hours[0] / hours), color=series.color, lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("averaging time (hours); dotted: white noise")
    axes.set_ylabel("relative Allan deviation")
    axes.grid(alpha=0.25, which="both")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
