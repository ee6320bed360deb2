"""The figure of an attenuation sweep: key rate, error rate and visibility against added loss."""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from plans.figures import DOTS_PER_INCH, MEASURED, PUBLISHED, QBER_Z, origin
from plans.published import qiu
from qdci_lab.record.replay import Run

SIZE_IN = (8.0, 8.2)
X_LABEL = "loss added to the channel (dB)"
CAPTION_COLUMNS = 118


def draw_attenuation_sweep(run: Run, path: Path) -> None:
    """Draw and save; published values stand beside the measured ones on the testbed they belong to."""
    table = run.table("primary")
    order = np.argsort(table["link_added_loss"])
    columns = {key: np.asarray(values)[order] for key, values in table.items() if np.ndim(values) == 1}
    panels = 3 if "link_visibility" in columns else 2
    figure = Figure(figsize=SIZE_IN, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(panels, 1, sharex=True, height_ratios=[3, 2, 2][:panels])
    published = run.start.get("testbed") == qiu.TESTBED
    _draw_key_rate(axes[0], columns, published, str(run.start.get("key_rate_means", "")))
    _draw_error_rate(axes[1], columns, published)
    if panels == 3:
        _draw_visibility(axes[2], columns, published)
    axes[-1].set_xlabel(X_LABEL)
    figure.suptitle(f"Key rate against added loss ({run.start.get('figure', '')})", fontsize=12)
    axes[0].set_title(origin(run.start), fontsize=9, color=PUBLISHED)
    caption = _caption(run)
    if caption:
        figure.supxlabel(caption, fontsize=7, color=PUBLISHED, ha="left", x=0.01)
    figure.savefig(path, metadata={"Software": None, "Creation Time": None})


def _caption(run: Run) -> str:
    """What the key rate assumes, where the link says so."""
    text = run.configuration("link").get("link_assumptions")
    if text is None:
        return ""
    assumed = json.loads(text)
    lines = [
        f"Rate shown assumes: {assumed['restricted-collective']}.",
        f"COW-4 (any collective attack) needs: {assumed['collective-asymptotic']}.",
    ]
    return "\n".join(part for line in lines for part in textwrap.wrap(line, CAPTION_COLUMNS))


def _draw_key_rate(axes: Axes, columns: Mapping[str, Any], published: bool, means: str) -> None:
    """Logarithmic, as published; points without key stand at the foot of the axis, and say so."""
    loss_db, rate_bps = columns["link_added_loss"], columns["link_key_rate"]
    some = rate_bps > 0.0
    error_bps = np.nan_to_num(columns["link_key_rate_error"])
    axes.errorbar(
        loss_db[some], rate_bps[some], error_bps[some], color=MEASURED, marker="o", ms=5, lw=1, capsize=2,
        label=means,
    )  # fmt: skip
    if published:
        _draw_published_rates(axes)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:.0f}"))
    low = 0.5 * float(np.min(rate_bps[some], initial=600.0))
    highest = float(np.max(rate_bps, initial=qiu.KEY_RATE_BPS.mean if published else 4.0 * low))
    axes.set_ylim(low, 1.3 * highest)
    if not some.all():  # an empty artist that is not clipped would upset the layout
        axes.plot(loss_db[~some], np.full(np.sum(~some), 1.15 * low), "v", color=MEASURED, ms=8)
    cut_off = columns.get("link_cut_off", np.zeros(len(loss_db)))
    for x, cut in zip(loss_db[~some], cut_off[~some], strict=True):
        axes.annotate(
            "no key: cut-off" if cut else "no key",
            (x, 1.15 * low),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    if "link_skr_cow4" in columns:
        best = float(np.max(columns["link_skr_cow4"]))
        axes.plot([], [], " ", label=f"COW-4 bound: {best:.0f} b/s at best")
    axes.set_ylabel("secret key rate (b/s)")
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=8, loc="lower left")


def _draw_published_rates(axes: Axes) -> None:
    points = [point for point in qiu.ATTENUATION_TEST if point.skr_bps.mean > 0.0]
    axes.errorbar(
        [point.added_loss_db for point in points],
        [point.skr_bps.mean for point in points],
        [point.skr_bps.deviation for point in points],
        xerr=[point.added_loss_error_db for point in points],
        color=PUBLISHED, marker="s", mfc="none", ms=5, lw=0, elinewidth=1, capsize=2,
        label="Qiu et al., Tables 2 and 3 (no key at 12 dB)",
    )  # fmt: skip


def _draw_error_rate(axes: Axes, columns: Mapping[str, Any], published: bool) -> None:
    rate = columns["link_error_rate"]
    spread = np.stack([rate - columns["link_error_rate_low"], columns["link_error_rate_high"] - rate])
    axes.errorbar(
        columns["link_added_loss"], 100 * rate, 100 * np.maximum(spread, 0.0), color=QBER_Z, marker="o",
        ms=4, lw=1, capsize=2, label="QBER (95 % interval)",
    )  # fmt: skip
    if published:
        points = [(point.added_loss_db, point.qber) for point in qiu.ATTENUATION_TEST if point.qber]
        axes.errorbar(
            [loss_db for loss_db, _ in points], [100 * qber.mean for _, qber in points],
            [100 * qber.deviation for _, qber in points], color=PUBLISHED, marker="s", mfc="none", ms=5, lw=0,
            elinewidth=1, capsize=2, label="Qiu et al. (its fall with loss: in no loss model)",
        )  # fmt: skip
    axes.set_ylabel("QBER (%)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _draw_visibility(axes: Axes, columns: Mapping[str, Any], published: bool) -> None:
    axes.errorbar(
        columns["link_added_loss"], 100 * columns["link_visibility"], 100 * columns["link_visibility_error"],
        color=MEASURED, marker="o", ms=4, lw=1, capsize=2, label="visibility, background subtracted",
    )  # fmt: skip
    if published:
        mean, deviation = qiu.VISIBILITY
        axes.axhline(100 * mean, color=PUBLISHED, lw=0.9, ls="--")
        axes.axhspan(100 * (mean - deviation), 100 * (mean + deviation), color=PUBLISHED, alpha=0.12, lw=0)
        axes.plot(
            [], [], color=PUBLISHED, ls="--", label="Qiu et al., Table 2, at no added loss: 99.12 ± 0.16 %"
        )
    axes.set_ylabel("visibility (%)")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower left")
