"""The figure of accumulated key: both links, end to end, and the surplus in the buffers, over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plans.figures import MEASURED, QBER_X, QBER_Z, WIESEMANN, new_figure, save
from qdci_lab.record.replay import Run

RELAY = "relay"
PUBLISHED_H = 92.0
PUBLISHED_MBIT = {"clason_trusted_node": 28.9, "clason_nyk_kth": 8.15}
"""Clason et al., Fig. 3(e): key of each link in 92 hours, by the testbed of that link."""
NAMES = {"clason_trusted_node": "Linköping-Nyköping", "clason_nyk_kth": "Nyköping-Stockholm"}


def draw_accumulation(run: Run, path: Path) -> None:
    """Sums above, published ones as straight lines to their end; what waits in either buffer below."""
    rows = [event["data"] for event in run.events(RELAY)] if RELAY in run.streams else []
    figure, (above, below) = new_figure(
        run, "Accumulated key of two links and a trusted node (Clason et al., Fig. 3(e))", rows=2, share_x=True,
        remark=f"relayed with {_partner(run)}" if _partner(run) else "one link alone",
    )  # fmt: skip
    hours, sums = _columns(rows)
    testbed, partner = str(run.start.get("testbed", "")), _partner(run)
    lines = (
        ("own", NAMES.get(testbed, "this link"), MEASURED, testbed),
        *((("other", NAMES.get(partner, "other link"), QBER_Z, partner),) if partner else ()),
        *((("end_to_end", "end to end", "black", ""),) if partner else ()),
    )
    for key, label, color, owner in lines:
        above.step(hours, sums[key], where="post", color=color, lw=2.2 if key == "end_to_end" else 1.3,
                   ls="--" if key == "end_to_end" else "-", label=f"{label}: {sums[key][-1]:.3g} Mbit")  # fmt: skip
        if owner in PUBLISHED_MBIT:
            end = PUBLISHED_MBIT[owner] * hours[-1] / PUBLISHED_H
            above.plot(
                [0.0, hours[-1]], [0.0, end], color=color, lw=0.9, ls=":",
                label=f"Clason et al.: {PUBLISHED_MBIT[owner]:g} Mbit in 92 h, evenly",
            )  # fmt: skip
    for key, color in (("own", WIESEMANN), *((("other", QBER_X),) if partner else ())):
        below.step(
            hours,
            sums[f"{key}_surplus"],
            where="post",
            color=color,
            lw=1.3,
            label=f"surplus, {_of(key, lines)}",
        )
    above.set_ylabel("key (Mbit)")
    below.set_ylabel("in the buffer (Mbit)")
    below.set_xlabel("lab time (h)")
    for axes in (above, below):
        axes.set_ylim(bottom=0.0)
        axes.legend(fontsize=8, loc="upper left")
    save(figure, path)


def _partner(run: Run) -> str:
    """The other link's testbed, or nothing."""
    return str(run.start.get("relayed_with", "")).partition(",")[0]


def _of(key: str, lines: Sequence[tuple[str, str, str, str]]) -> str:
    return next(label for own_key, label, _, _ in lines if own_key == key)


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """Hours, and sums in Mbit by name, from nothing at time 0 on."""
    keys = ("own", "other", "end_to_end", "own_surplus", "other_surplus")
    hours = np.array([0.0, *(float(row["relay_time"]) / 3600.0 for row in rows)])
    return hours, {key: np.array([0.0, *(1e-6 * float(row[f"relay_{key}"]) for row in rows)]) for key in keys}


def accumulation_told(rows: Sequence[Mapping[str, Any]]) -> str:
    """What both links have made, what was relayed, what is left, and the link's longest pause."""
    last = rows[-1]
    hours = float(last["relay_time"]) / 3600.0
    own, other, relayed = (1e-6 * float(last[f"relay_{key}"]) for key in ("own", "other", "end_to_end"))
    lines = [f"this link: {own:.3f} Mbit in {float(last['relay_time']) / 3600.0:.2f} h"]
    if other > 0.0:
        poorer = "the other" if other < own else "this"
        lines = [
            f"in {hours:.2f} h: this link {own:.3f} Mbit, the other {other:.3f} Mbit; end to end {relayed:.3f} Mbit, "
            f"limited by {poorer} link; left in the buffers {1e-6 * float(last['relay_own_surplus']):.3f} and "
            f"{1e-6 * float(last['relay_other_surplus']):.3f} Mbit"
        ]
    lines.append(
        f"longest pause between blocks of this link: {float(last['relay_longest_gap']) / 60.0:.1f} min"
    )
    lines.append("Clason et al., 92 h: Linköping-Nyköping 28.9 Mbit, Nyköping-Stockholm 8.15 Mbit")
    return "\n".join(lines)
