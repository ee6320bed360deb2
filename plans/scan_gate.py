"""Key rate against the width of the receiver's software gate about the arrival of the pulses.

A gate of width w takes in erf(w / (2 sqrt2 sigma)) of pulses with an rms timing of sigma, and the share w / period of
what is flat: dark counts, afterpulses, scattered light. At high count rates the whole period is nearly best; the more
loss, the narrower the best gate. `added_loss_db` shows it, by an attenuator between fibre and receiver.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray

from plans.figures import MEASURED, PUBLISHED, QBER_Z, new_figure, save
from plans.polarization import Descent, align_polarization
from plans.preprocessors import experiment
from plans.quantum_link import check_acquisition, link_up, measure_link, moved_by_link
from plans.stubs import set_in_turn
from qdci_lab.analysis.calibration import GateFit, fit_gate
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
from qdci_lab.sweep import sweep

GATE_WIDTHS_PS = (150.0, 250.0, 350.0, 450.0, 600.0, 800.0, 1200.0, 2000.0, 4000.0, 7000.0, 10_000.0)
BLOCK = 1e8
UNBOUNDED = 1e12


def scan_gate(
    link: Any,
    *,
    gate_widths_ps: Sequence[float] = GATE_WIDTHS_PS,
    duration_s: float = 1.0,
    added_loss_db: float = 0.0,
    block: float = BLOCK,
    core: int = 1,
    align: bool = True,
    keep_tags: bool = False,
) -> MsgGenerator[None]:
    """Key rate, error rates and count rates at each gate width, each from its own acquisition of `duration_s`.

    Key rates are projected to a block of `block` key-basis detections. `added_loss_db` is the loss that the probe's
    attenuator adds, the detour through it included; 0 leaves it out. The gate is put back afterwards.
    """
    widths_ps = [float(width) for width in gate_widths_ps]
    attenuation_db = _check(link, widths_ps, duration_s, added_loss_db, block, core)
    metadata = {
        "plan_name": "scan_gate",
        "num_points": len(widths_ps),
        "plan_args": {
            "gate_widths_ps": widths_ps, "duration_s": float(duration_s), "added_loss_db": float(added_loss_db),
            "block": float(block), "core": core, "align": align, "keep_tags": keep_tags,
        },
        "hints": {"dimensions": [([link.gate_width.name], "primary")]},
    }  # fmt: skip

    def measure() -> MsgGenerator[None]:
        yield from link_up(link, core)
        if keep_tags:
            yield from bps.declare_stream(link.tagger.tags, name="tags", collect=True)
        if align:
            yield from align_polarization(link, Descent(volts_per_pi=link.receiver.volts_per_pi))
        if attenuation_db is not None:
            yield from bps.mv(link.probe_voa.attenuation, attenuation_db)
            yield from bps.mv(link.switch.connections, link.connections(core, detour=True))
            yield from set_in_turn(link.probe_voa.passing())
        yield from bps.mv(link.projected_block, block)
        yield from sweep(widths_ps, at_width)

    def at_width(width_ps: float) -> MsgGenerator[None]:
        yield from bps.mv(link.gate_width, width_ps)
        yield from measure_link(link, UNBOUNDED, duration_s, keep_tags=keep_tags)

    moved = (*moved_by_link(link), link.gate_width, link.projected_block)
    if attenuation_db is not None:
        moved = (*moved, link.probe_voa.attenuation)
    return (yield from experiment(measure(), link.parts, metadata, moved=moved))


def _check(
    link: Any, widths_ps: Sequence[float], duration_s: float, added_loss_db: float, block: float, core: int
) -> float | None:
    """The probe attenuator's setting, None without added loss; LimitError or ValueError, nothing has moved yet."""
    if len(set(widths_ps)) < 4:
        raise ValueError("gate_widths_ps: give at least four different widths")
    for width_ps in widths_ps:
        link.gate_width.check_value(width_ps)
        if width_ps <= 0.0:
            raise ValueError(f"gate_widths_ps: {width_ps:g} ps must be positive")
    link.projected_block.check_value(block)
    check_acquisition(link, UNBOUNDED, core, duration_s)
    if added_loss_db == 0.0:
        return None
    attenuation_db = round(added_loss_db - link.check_probe().detour_loss_db, 3)
    link.probe_voa.attenuation.check_value(attenuation_db)
    return attenuation_db


def gate_shape(rows: Sequence[Mapping[str, Any]]) -> GateFit:
    """The timing's width and the background, from the rates of all detectors' clicks within the gate.

    Sifted rates would not do: a narrow gate also discards fewer slots for clicks in both bases.
    """
    counts = _gated_clicks(rows)
    seconds = np.array([float(row["link_duration"]) for row in rows])
    errors = np.sqrt(np.maximum(counts, 1.0)) / seconds
    return fit_gate([float(row["link_gate_width"]) for row in rows], counts / seconds, errors)


def _gated_clicks(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    clicks = [row["link_gated_fraction"] * row["link_count_rate"] * row["link_duration"] for row in rows]
    return np.array(clicks, dtype=np.float64)


def best_gate_ps(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The width with the highest key rate; None if there is no key at any."""
    best = max(rows, key=lambda row: float(row["link_skr_rusca_2018"]))
    return float(best["link_gate_width"]) if best["link_skr_rusca_2018"] > 0.0 else None


def _conclude(rows: Sequence[Mapping[str, Any]]) -> str:
    best_ps = best_gate_ps(rows)
    best = "no key at any gate" if best_ps is None else f"highest key rate at gate_width_ps = {best_ps:.0f}"
    if len(rows) < 4:
        return best
    fit = gate_shape(rows)
    return (
        f"{best}; timing {fit.rms_ps:.1f} ± {fit.rms_error_ps:.1f} ps rms, background "
        f"{1e3 * fit.background_hz_per_ps:.3g} ± {1e3 * fit.background_error_hz_per_ps:.2g} /s per ns of the gate "
        f"(all detectors), chi² per degree of freedom {fit.chi2_per_freedom:.2f}"
    )


def _draw(run: Run, path: Path) -> None:
    rows = [event["data"] for event in run.events("primary")]
    columns = {
        key: np.array([float(row[f"link_{key}"]) for row in rows])
        for key in ("gate_width", "n_z", "duration", "qber_z", "skr_rusca_2018", "skr_rusca_2018_error")
    }
    widths = columns["gate_width"]
    title = "Key rate against the width of the software gate"
    added_db = run.start["plan_args"]["added_loss_db"]
    figure, (above, middle, below) = new_figure(
        run, title, rows=3, remark=f"added loss {added_db:g} dB", share_x=True
    )
    above.errorbar(
        widths, columns["skr_rusca_2018"] / 1e3, columns["skr_rusca_2018_error"] / 1e3,
        marker="o", ms=4, lw=1, capsize=2, color=MEASURED,
    )  # fmt: skip
    above.set_ylabel(f"key rate (kb/s),\nblock {run.start['plan_args']['block']:.0g}")
    above.set_ylim(bottom=0)
    middle.plot(widths, 100 * columns["qber_z"], "o-", ms=4, lw=1, color=QBER_Z)
    middle.set_ylabel("QBER Z (%)")
    middle.set_ylim(bottom=0)
    clicks = _gated_clicks(rows)
    below.errorbar(
        widths, clicks / columns["duration"] / 1e3, np.sqrt(clicks) / columns["duration"] / 1e3, fmt="o", ms=4
    )
    if len(rows) >= 4:
        fit = gate_shape(rows)
        grid = np.geomspace(widths.min(), widths.max(), 300)
        label = f"S erf(w / (2√2 rms)) + B w, rms = {fit.rms_ps:.1f} ± {fit.rms_error_ps:.1f} ps"
        below.plot(grid, fit.rates_hz(grid) / 1e3, color=PUBLISHED, lw=1, label=label)
        below.legend(fontsize=8)
    below.set_ylabel("clicks in the gate (1/ms)")
    below.set_xscale("log")
    below.set_xlabel("gate width (ps)")
    save(figure, path)


REPORT = Report(
    columns=(
        Column("link_gate_width", "gate ps", "{:.0f}"),
        Column("link_n_z", "n_Z", "{:.4g}"),
        Column("link_gated_fraction", "share in gate", "{:.4f}"),
        Column("link_qber_z", "QBER Z %", "{:.3f}", 100.0),
        Column("link_skr_rusca_2018", "projected SKR kb/s", "{:.2f}", 1e-3, "link_skr_rusca_2018_error"),
    ),
    points={
        "gate_width_ps": "link_gate_width", "n_z": "link_n_z", "duration_s": "link_duration",
        "gated_fraction": "link_gated_fraction", "count_rate_hz": "link_count_rate",
        "qber_z": "link_qber_z", "qber_x": "link_qber_x",
        "skr_bps": "link_skr_rusca_2018", "skr_error_bps": "link_skr_rusca_2018_error",
    },
    draw=_draw,
    conclude=_conclude,
)  # fmt: skip
