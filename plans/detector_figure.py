"""The figure of two sets of detectors on one link: key rate and error rates over time, published values beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from plans.detectors import CLASON, INTERNAL, NAMES, PUBLISHED
from plans.figures import MEASURED, QBER_X, QBER_Z, new_figure, save
from plans.figures import PUBLISHED as GREY
from qdci_lab.record.replay import Run

COLORS = {0: MEASURED, 1: "#b8860b"}


def draw_detectors(run: Run, path: Path) -> None:
    """One column of points for each block, on the lab's clock; rates on a logarithmic scale."""
    rows = [event["data"] for event in run.events("primary")]
    figure, (above, below) = new_figure(
        run, "One link with two sets of detectors (Clason et al., Fig. 2)", rows=2, share_x=True
    )
    began_s = min(float(row["link_lab_time"]) - float(row["link_duration"]) for row in rows)
    spans = {number: _span(rows, number, began_s) for number in dict.fromkeys(_number(row) for row in rows)}
    published = str(run.start.get("testbed", "")) in CLASON
    for number, span in spans.items():
        own = [row for row in rows if _number(row) == number]
        _draw_set(above, below, own, number, began_s)
        if published:
            _draw_published(above, below, number, span)
    above.set_yscale("log")
    low, high = above.get_ylim()
    above.set_ylim(low / 1.6, 2.2 * high)
    above.set_ylabel("secret key rate (kb/s)")
    above.legend(fontsize=8, loc="center right")
    below.set_ylim(0.0, 1.35 * below.get_ylim()[1])
    below.set_ylabel("QBER (%)")
    below.set_xlabel("lab time (min)")
    below.legend(fontsize=8, loc="upper left", ncols=2)
    save(figure, path)


def _number(row: Mapping[str, Any]) -> int:
    return round(float(row["set_number"]))


def _span(rows: Sequence[Mapping[str, Any]], number: int, began_s: float) -> tuple[float, float]:
    own = [row for row in rows if _number(row) == number]
    first = float(own[0]["link_lab_time"]) - float(own[0]["link_duration"]) - began_s
    return first / 60.0, (float(own[-1]["link_lab_time"]) - began_s) / 60.0


def _draw_set(
    above: Axes, below: Axes, own: Sequence[Mapping[str, Any]], number: int, began_s: float
) -> None:
    middle = np.array([row["link_lab_time"] - 0.5 * row["link_duration"] - began_s for row in own]) / 60.0
    width = np.array([0.5 * row["link_duration"] for row in own]) / 60.0
    skr, error = (
        np.array([row[key] for row in own]) / 1e3
        for key in ("link_skr_rusca_2018", "link_skr_rusca_2018_error")
    )
    with_key = skr > 0.0
    if not with_key.all():  # a block without key has no place on a logarithmic scale
        above.plot(
            middle[~with_key], np.full((~with_key).sum(), 0.02), "v", color=COLORS[number], ms=6, mfc="white",
            label=f"{NAMES[number]}: no key from {(~with_key).sum()} of {len(own)} blocks",
            transform=above.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
    above.errorbar(
        middle[with_key], skr[with_key], error[with_key], width[with_key], fmt="o", ms=4, capsize=2,
        color=COLORS[number], label=f"{NAMES[number]}, {len(own)} blocks of {own[0]['link_n_z']:.2g} detections",
    )  # fmt: skip
    for basis, color, marker in (("z", QBER_Z, "o"), ("x", QBER_X, "s")):
        rates = np.array([[row[f"link_qber_{basis}{end}"] for end in ("", "_low", "_high")] for row in own])
        spread = 100 * np.stack([rates[:, 0] - rates[:, 1], rates[:, 2] - rates[:, 0]])
        below.errorbar(
            middle, 100 * rates[:, 0], np.maximum(spread, 0.0), fmt=marker, ms=4, capsize=2, color=color,
            mfc=color if number != INTERNAL else "white", label=f"QBER {basis.upper()}, {NAMES[number]}",
        )  # fmt: skip


def _draw_published(above: Axes, below: Axes, number: int, span: tuple[float, float]) -> None:
    one, style = PUBLISHED[number], {"color": GREY, "alpha": 0.15, "lw": 0}
    low, high = one.skr_bps - one.skr_spread_bps, one.skr_bps + one.skr_spread_bps
    above.fill_between(span, low / 1e3, high / 1e3, **style)
    above.plot(span, [one.skr_bps / 1e3] * 2, color=GREY, lw=0.9, ls="--")
    above.annotate(
        f"Clason et al.: {one.skr_bps / 1e3:.2f} ± {one.skr_spread_bps / 1e3:.2f} kb/s\n"
        f"{one.remark.replace(': ', ':{}', 1).format(chr(10))}",
        (span[0], high / 1e3), xytext=(3, 3), textcoords="offset points", fontsize=7, color=GREY,
        va="bottom",
    )  # fmt: skip
    below.fill_between(span, 100 * (one.qber - one.qber_spread), 100 * (one.qber + one.qber_spread), **style)
    below.plot(span, [100 * one.qber] * 2, color=GREY, lw=0.9, ls="--")
