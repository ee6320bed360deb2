"""The figure of a core-switching run: key and error rates over time, the mean key rate against the LED current."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plans.campaign import RESUMED, elapsed_s
from plans.figures import DOTS_PER_INCH, MEASURED, PUBLISHED, QBER_X, QBER_Z, origin
from qdci_lab.record.parts import ELAPSED
from qdci_lab.record.replay import Run

SIZE_IN = (9.0, 8.4)
CORE_COLORS = (MEASURED, "#2f8f5b", "#8e5bb5", "#b5812f")
PUBLISHED_SKR_BPS, PUBLISHED_SPREAD_BPS = 87.2, 53.4
PUBLISHED_QBER = {"x": (0.8, 0.4), "z": (1.1, 0.6)}
SECONDS_PER_HOUR = 3600.0
WORDS = {"condensation": "helium condenses", RESUMED: "interrupted"}


def draw_core_switching(run: Run, path: Path) -> None:
    """Above: blocks over lab time (Fig. 3(a), (b)); below: mean and spread per current and core (Fig. 4(a))."""
    steps, blocks = run.table("primary"), run.table("blocks")
    figure = Figure(figsize=SIZE_IN, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    rates, errors, means = figure.subplots(3, 1, height_ratios=[3, 2, 4])
    errors.sharex(rates)
    hours = elapsed_s(blocks, "link_lab_time") / SECONDS_PER_HOUR
    _draw_blocks(rates, blocks, hours)
    _draw_errors(errors, blocks, hours)
    _draw_pauses(rates, run)
    _draw_means(means, steps)
    figure.suptitle("Key through switched cores (Clason et al., Figs. 3(a), 3(b), 4(a))", fontsize=12)
    count = len(blocks["link_lab_time"])
    note = f"{origin(run.start)} · {count} blocks · block and intensities assumed"
    rates.set_title(note, fontsize=9, color=PUBLISHED)
    figure.savefig(path, metadata={"Software": None, "Creation Time": None})


def _cores(table: Any, key: str) -> list[int]:
    return sorted({int(core) for core in table[key]})


def _draw_blocks(axes: Axes, blocks: Any, hours: Any) -> None:
    rate, of_core = np.asarray(blocks["link_skr_rusca_2018"]), np.asarray(blocks["link_core"])
    for core, color in zip(_cores(blocks, "link_core"), CORE_COLORS, strict=False):
        chosen = of_core == core
        axes.plot(hours[chosen], rate[chosen], ".", ms=2.5, color=color, label=f"core {core}")
    _draw_published(axes)
    axes.set_ylabel("SKR (b/s)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper right", markerscale=3)
    axes.grid(alpha=0.25)


def _draw_errors(axes: Axes, blocks: Any, hours: Any) -> None:
    for basis, color in (("z", QBER_Z), ("x", QBER_X)):
        label = f"QBER {basis.upper()}"
        axes.plot(
            hours, 100 * np.asarray(blocks[f"link_qber_{basis}"]), ".", ms=2.5, color=color, label=label
        )
        mean, spread = PUBLISHED_QBER[basis]
        published = f"Clason et al. {basis.upper()}: {mean} ± {spread} %"
        axes.axhline(mean, color=color, lw=0.9, ls="--", label=published)
    axes.set_xlabel("lab time (h), pauses left out")
    axes.set_ylabel("QBER (%)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, loc="lower right", ncols=2, markerscale=3)
    axes.grid(alpha=0.25)


def _draw_pauses(axes: Axes, run: Run) -> None:
    for event in run.events("interruptions"):
        data = event["data"]
        reason = str(data["step_reason"]).partition(" ")[0]
        if reason in WORDS and ELAPSED in data:
            held_h = data["step_held_for"] / SECONDS_PER_HOUR
            start_h = data[ELAPSED] / SECONDS_PER_HOUR - held_h
            axes.axvspan(start_h, start_h + held_h, color="#999999", alpha=0.4)
            axes.annotate(
                WORDS[reason], (start_h, 0.97), xycoords=("data", "axes fraction"), rotation=90,
                ha="right", va="top", fontsize=7, color=PUBLISHED,
            )  # fmt: skip


def _draw_means(axes: Axes, steps: Any) -> None:
    """Every visit of a core at a current, weighted by its blocks, as one point with the spread of the blocks."""
    of_core, current = np.asarray(steps["step_core"]), np.asarray(steps["step_current"])
    for core, color in zip(_cores(steps, "step_core"), CORE_COLORS, strict=False):
        points = [
            (value, *_pooled(steps, (of_core == core) & (current == value)))
            for value in np.unique(current[of_core == core])
        ]
        x, mean, spread = np.array(points).T
        axes.errorbar(x, mean, spread, color=color, marker="o", ms=4, lw=1, capsize=2, label=f"core {core}")
    _draw_published(axes, label=f"Clason et al., whole run: {PUBLISHED_SKR_BPS} ± {PUBLISHED_SPREAD_BPS} b/s")
    axes.set_xlabel("LED current (mA); bars: standard deviation of the blocks")
    axes.set_ylabel("mean SKR (b/s)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper right")
    axes.grid(alpha=0.25)


def _pooled(steps: Any, chosen: Any) -> tuple[float, float]:
    """Mean and standard deviation of the blocks of several steps together."""
    weight = np.asarray(steps["step_blocks"], dtype=float)[chosen]
    mean, spread = (np.asarray(steps[key])[chosen] for key in ("step_skr", "step_skr_spread"))
    together = np.average(mean, weights=weight)
    variance = np.average(spread**2 + (mean - together) ** 2, weights=weight)
    return float(together), float(np.sqrt(variance))


def _draw_published(axes: Axes, label: str | None = None) -> None:
    low, high = PUBLISHED_SKR_BPS - PUBLISHED_SPREAD_BPS, PUBLISHED_SKR_BPS + PUBLISHED_SPREAD_BPS
    axes.axhline(PUBLISHED_SKR_BPS, color=PUBLISHED, lw=0.9, ls="--", label=label)
    axes.axhspan(low, high, color=PUBLISHED, alpha=0.12, lw=0)
