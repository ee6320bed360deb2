"""Figures of recorded runs; every one says where its data come from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.key_rate import estimate_key_rate
from qdci_lab.reanalysis import link_settings
from qdci_lab.record.replay import Run

MEASURED, WIESEMANN, QBER_Z, QBER_X, PUBLISHED = "#1f4e9c", "#6f9fd8", "#c0392b", "#e59866", "#555555"
SIZE_IN = (8.0, 6.4)
DOTS_PER_INCH = 144

Published = Sequence[tuple[str, float, float]]


def origin(start: Mapping[str, Any]) -> str:
    """The line that says what a figure shows: simulated or measured, the testbed, the seed."""
    source = start.get("source", "bench")
    words = {
        "twin": "SIMULATED by the digital twin",
        "bench": "measured",
        "mixed": "PARTLY SIMULATED",
        "replay": "REPLAYED",
    }
    seed = f", seed {start['seed']}" if "seed" in start else ""
    return f"{words.get(source, source)} · testbed {start.get('testbed', '?')}{seed}"


def new_figure(
    run: Run, title: str, *, rows: int = 1, remark: str = "", share_x: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with its title, and above the first of its axes where the data come from."""
    figure = Figure(figsize=SIZE_IN, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, 1, sharex=share_x, squeeze=False)[:, 0])
    figure.suptitle(title, fontsize=12)
    axes[0].set_title(
        " · ".join([origin(run.start), *([remark] if remark else [])]), fontsize=9, color=PUBLISHED
    )
    for each in axes:
        each.grid(alpha=0.25)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Write a figure, the same bytes for the same figure."""
    figure.savefig(path, metadata={"Software": None, "Creation Time": None})


def draw_key_rate(
    run: Run,
    path: Path,
    *,
    x_key: str,
    x_label: str,
    title: str,
    published: Published = (),
    published_qber: tuple[str, float] | None = None,
    block: float | None = None,
) -> None:
    """Key rate above, error rates below, against one quantity; published levels are drawn across and named.

    With `block`, also what the measured rates would yield in one block of that many key-basis detections, the published
    values' own.
    """
    table = run.table("primary")
    figure = Figure(figsize=SIZE_IN, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    order = np.argsort(table[x_key])
    columns = {key: np.asarray(values)[order] for key, values in table.items() if np.ndim(values) == 1}
    _draw_rates(above, columns, x_key)
    _draw_published(above, published)
    if block is not None:
        projected = _projected_rates_bps(run, columns, block)
        label = f"measured rates projected to a block of {block:.0g}"
        above.plot(columns[x_key], projected / 1e3, "o", mfc="none", color=MEASURED, ms=6, label=label)
    above.set_ylim(0, 1.08 * above.get_ylim()[1])
    above.legend(fontsize=8, loc="lower left")
    _draw_errors(below, columns, x_key, published_qber)
    below.set_xlabel(x_label)
    n_z = float(np.median(columns["link_n_z"]))
    figure.suptitle(title, fontsize=12)
    above.set_title(
        f"{origin(run.start)} · about {n_z:.2g} Z detections a point", fontsize=9, color=PUBLISHED
    )
    figure.savefig(path, metadata={"Software": None, "Creation Time": None})


def _projected_rates_bps(run: Run, columns: Mapping[str, Any], block: float) -> NDArray[np.float64]:
    """Key rates of a block of another length, from the measured counts."""
    protocol = link_settings(run).protocol
    rates = []
    for index in range(len(columns["link_duration"])):
        n, m = (
            np.array(
                [[columns[f"link_{kind}_{basis}_{k}"][index] for k in ("signal", "decoy")] for basis in "zx"]
            )
            for kind in "nm"
        )
        duration_s = float(columns["link_duration"][index])
        rates.append(estimate_key_rate(SiftedCounts(n, m), protocol, duration_s, projected_n_z=block).skr_bps)
    return np.array(rates)


def _draw_rates(axes: Axes, columns: Mapping[str, Any], x_key: str) -> None:
    for key, label, color, marker in (
        ("link_skr_rusca_2018", "one decoy (Rusca 2018)", MEASURED, "o"),
        ("link_skr_wiesemann_2024", "corrected proof (Wiesemann 2024)", WIESEMANN, "s"),
    ):
        if key not in columns:  # a protocol that this proof is not for
            continue
        error = columns[f"{key}_error"] / 1e3
        axes.errorbar(
            columns[x_key],
            columns[key] / 1e3,
            error,
            label=label,
            color=color,
            marker=marker,
            ms=4,
            lw=1,
            capsize=2,
        )
    axes.set_ylabel("secret key rate (kb/s)")
    axes.grid(alpha=0.25)


def _draw_published(axes: Axes, published: Published) -> None:
    for label, rate_bps, spread_bps in published:
        axes.axhline(rate_bps / 1e3, color=PUBLISHED, lw=0.9, ls="--")
        axes.axhspan(
            (rate_bps - spread_bps) / 1e3, (rate_bps + spread_bps) / 1e3, color=PUBLISHED, alpha=0.12, lw=0
        )
        axes.annotate(
            label, (0.01, (rate_bps + spread_bps) / 1e3), xycoords=("axes fraction", "data"), xytext=(0, 2),
            textcoords="offset points", fontsize=8, color=PUBLISHED,
        )  # fmt: skip


def _draw_errors(
    axes: Axes, columns: Mapping[str, Any], x_key: str, published: tuple[str, float] | None
) -> None:
    x = columns[x_key]
    for basis, color, marker in (("z", QBER_Z, "o"), ("x", QBER_X, "s")):
        rate = columns[f"link_qber_{basis}"]
        low, high = columns[f"link_qber_{basis}_low"], columns[f"link_qber_{basis}_high"]
        spread = 100 * np.stack([rate - low, high - rate])
        axes.errorbar(
            x, 100 * rate, np.maximum(spread, 0.0), label=f"QBER {basis.upper()} (95 % interval)",
            color=color, marker=marker, ms=4, lw=1, capsize=2,
        )  # fmt: skip
    if published is not None:
        label, qber = published
        axes.axhline(100 * qber, color=PUBLISHED, lw=0.9, ls="--")
        axes.annotate(
            label, (0.99, 100 * qber), xycoords=("axes fraction", "data"), xytext=(0, -10), ha="right",
            textcoords="offset points", fontsize=8, color=PUBLISHED,
        )  # fmt: skip
    axes.set_ylabel("QBER (%)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper left")
    axes.grid(alpha=0.25)
