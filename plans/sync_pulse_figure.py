"""The figure of sync pulses: each source's samples with the fitted Gaussian and the published one, and the arrivals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from plans.figures import MEASURED, PUBLISHED, QBER_Z, new_figure, save
from plans.sync_pulses import CABLE, NAMES, PUBLISHED_NS, TRACES, pulses_of, widths_ps
from qdci_lab.analysis.sync_pulse import FWHM_PER_RMS, SyncPulses
from qdci_lab.record.parts import NUMBER
from qdci_lab.record.replay import Run

DOTS = 600
"""Samples shown of a record; all of them would be a band."""


def draw_sync_pulses(run: Run, path: Path) -> None:
    """Samples of one record folded onto the period with the Gaussian, above; arrivals of all pulses, below."""
    rows = [event["data"] for event in run.events("primary")]
    # Of a point that was taken twice, the later trace counts.
    traces = {event["data"][NUMBER]: event["data"] for event in run.events(TRACES)}
    present = list(widths_ps(rows))
    figure, axes = new_figure(run, "Sync pulses", rows=len(present) + 1)
    figure.set_size_inches(8.0, 3.0 * len(present) + 2.6)
    centred = {}
    for source, upper in zip(present, axes, strict=False):
        own = [row[NUMBER] for row in rows if round(float(row["sync_source"])) == source]
        found = [_drawn_pulses(run, traces[number], source) for number in own]
        _draw_pulse(upper, run, traces[own[0]], found[0], source, widths_ps(rows)[source])
        centred[source] = np.concatenate([pulses.arrivals_ps for pulses in found])
    _draw_arrivals(axes[-1], centred)
    save(figure, path)


def _draw_arrivals(axes: Axes, centred_ps: Mapping[int, NDArray[np.float64]]) -> None:
    widest_ps = max(float(np.abs(values).max()) for values in centred_ps.values())
    bins = [float(edge) for edge in np.linspace(-widest_ps, widest_ps, 41)]
    for source, values in centred_ps.items():
        label = f"{NAMES[source]}: {np.std(values):.1f} ps rms, {values.size} pulses"
        axes.hist(values, bins, histtype="step", color=_color(source), label=label)
    axes.set_xlabel("arrival of a pulse less that of a regular clock (ps)")
    axes.set_ylabel("pulses")
    axes.legend(fontsize=8)


def _color(source: int) -> str:
    return MEASURED if source == CABLE else QBER_Z


def _scope(data: Mapping[str, Any]) -> str:
    """The oscilloscope's name, from the keys of its event."""
    return next(key.removesuffix("_sample_interval") for key in data if key.endswith("_sample_interval"))


def _drawn_pulses(run: Run, trace: Mapping[str, Any], source: int) -> SyncPulses:
    channel = int(run.start["sync_channels"][NAMES[source]])
    return pulses_of(trace, _scope(trace), channel, float(run.start["sync_rate_hz"]))


def _draw_pulse(
    axes: Axes,
    run: Run,
    trace: Mapping[str, Any],
    pulses: SyncPulses,
    source: int,
    width: tuple[float, float],
) -> None:
    scope = _scope(trace)
    channel = int(run.start["sync_channels"][NAMES[source]])
    voltage_v = np.asarray(trace[f"{scope}_waveform_{channel}"], np.float64)
    interval_ps, start_ps = 1e12 * trace[f"{scope}_sample_interval"], 1e12 * trace[f"{scope}_start_time"]
    since_ps = start_ps + interval_ps * np.arange(voltage_v.size) - pulses.arrival_ps
    since_ps -= pulses.period_ps * np.round(since_ps / pulses.period_ps)
    near = np.flatnonzero(np.abs(since_ps) < 2500.0)
    shown = near[:: max(near.size // DOTS, 1)]
    axes.plot(
        since_ps[shown] / 1e3, 1e3 * voltage_v[shown], ".", ms=3, color=MEASURED, label="samples of a record"
    )
    grid_ps = np.linspace(-2500.0, 2500.0, 400)
    published_ns, uncertainty_ns = PUBLISHED_NS[source]
    edges_v = [_bell_v(grid_ps, 1e3 * (published_ns + sign * uncertainty_ns), pulses) for sign in (-1, 1)]
    label = f"Ji et al.: FWHM {published_ns:g} ± {uncertainty_ns:g} ns"
    axes.fill_between(
        grid_ps / 1e3, 1e3 * edges_v[0], 1e3 * edges_v[1], color=PUBLISHED, alpha=0.35, lw=0, label=label
    )
    label = f"Gaussian, FWHM {width[0] / 1e3:.3f} ± {width[1] / 1e3:.3f} ns"
    axes.plot(grid_ps / 1e3, 1e3 * _bell_v(grid_ps, width[0], pulses), color=QBER_Z, lw=1.2, label=label)
    axes.set_ylabel(f"{NAMES[source]} (mV)")
    axes.set_xlabel("time from the mean arrival (ns)")
    axes.legend(fontsize=8, loc="upper right")


def _bell_v(times_ps: NDArray[np.float64], fwhm_ps: float, pulses: SyncPulses) -> NDArray[np.float64]:
    bell = np.exp(-0.5 * (times_ps * FWHM_PER_RMS / fwhm_ps) ** 2)
    return pulses.baseline_v + pulses.height_v * bell
