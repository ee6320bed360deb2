"""The figure of a scan of allocations: key rate against launch power, and noise per launched power of each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from plans.allocations import COUNTER, DIRECTIONS, Allocation, allocations_of
from plans.figures import MEASURED, PUBLISHED, QBER_Z, new_figure, save
from qdci_lab.record.replay import Run

COLORS = (MEASURED, QBER_Z, "#2e8b57", "#b8860b", "#8e44ad", "#16a085", "#7f8c8d")
SECONDARY_POWER_DBM = 19.5
"""Of Wu et al., as a public report has it."""


def draw_allocations(run: Run, path: Path) -> None:
    """Key rates above, with the fitted and the modelled ones; noise clicks per milliwatt below."""
    ranked = allocations_of([event["data"] for event in run.events("primary")])
    figure, (above, below) = new_figure(
        run, "Allocation of four cores to quantum and classical light", rows=2
    )
    if ranked:
        _draw_rates(above, ranked)
        _draw_noise(below, ranked)
    save(figure, path)


def _color(one: Allocation) -> str:
    return COLORS[(one.core - 1) % len(COLORS)]


def _draw_rates(axes: Axes, ranked: Sequence[Allocation]) -> None:
    low_dbm = min(float(one.powers_dbm[0]) for one in ranked)
    high_dbm = max(float(one.powers_dbm[-1]) for one in ranked)
    grid_dbm = np.linspace(low_dbm - 1.0, high_dbm + 8.0, 160)
    for one in sorted(ranked, key=lambda one: (one.core, one.direction)):
        against = one.direction == COUNTER
        axes.errorbar(
            one.powers_dbm, one.skr_bps / 1e3, one.skr_error_bps / 1e3, fmt="o" if against else "s", ms=5,
            capsize=2, color=_color(one), mfc=_color(one) if against else "white", label=one.name,
        )  # fmt: skip
        axes.plot(
            grid_dbm, one.line_bps(grid_dbm) / 1e3, color=_color(one), lw=0.8, ls="-" if against else ":"
        )
    for direction in DIRECTIONS:
        alike = [one for one in ranked if one.direction == direction]
        if alike:
            axes.plot(
                grid_dbm, alike[0].modelled_bps(grid_dbm) / 1e3, color=PUBLISHED, lw=1.6, alpha=0.7,
                ls="-" if direction == COUNTER else ":", label=f"inter-core Raman, {direction}, assumed constants",
            )  # fmt: skip
    axes.axvline(
        SECONDARY_POWER_DBM, color=PUBLISHED, lw=0.8, ls="--",
        label="Wu et al., by a public report: 19.5 dBm (0.41 kb/s there)",
    )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xlabel("power launched into each classical core (dBm)")
    axes.set_ylabel("secret key rate (kb/s)")
    axes.legend(fontsize=6.5, loc="lower left", ncols=2)


def _draw_noise(axes: Axes, ranked: Sequence[Allocation]) -> None:
    ordered = sorted(ranked, key=lambda one: (one.core, one.direction != COUNTER))
    places = np.arange(len(ordered))
    for place, one in zip(places, ordered, strict=True):
        best = one is ranked[0]
        axes.errorbar(
            place, 1e-3 * float(one.slope.noise_hz_per_w), 1e-3 * one.slope.noise_error_hz_per_w,
            fmt="o" if one.direction == COUNTER else "s", ms=8 if best else 5, capsize=3, color=_color(one),
            mfc=_color(one) if one.direction == COUNTER else "white",
        )  # fmt: skip
        axes.plot(
            [place - 0.35, place + 0.35],
            [1e-3 * one.modelled_hz_per_w()] * 2,
            color=PUBLISHED,
            lw=1.6,
            alpha=0.7,
        )
    axes.set_xticks(places, [f"core {one.core}\n{one.direction}" for one in ordered], fontsize=8)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    axes.set_ylabel("noise clicks/s per mW")
    axes.set_title(
        f"from the errors' slope; grey: Ji et al., eqs. (6) and (7), two neighbours · best: {ranked[0].name}",
        fontsize=8, color=PUBLISHED,
    )  # fmt: skip
