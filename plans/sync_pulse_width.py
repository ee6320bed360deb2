"""Width and arrival of the sync pulses, delivered over a cable and over light (Ji et al., 2.4 and Fig. 4(a)).

An oscilloscope, triggered by the generator itself, looks at what arrives: 100 MHz pulses behind the cable, and those
that photodiode, amplifier and divider make of the 3 GHz clock on the local oscillator. A Gaussian is fitted to every
pulse, as the published figure has it; its full width at half maximum is the result, the spread of the centres about a
regular clock is the jitter that a receiver would inherit.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator
from matplotlib.axes import Axes
from numpy.typing import NDArray

from plans.figures import MEASURED, PUBLISHED, QBER_Z, new_figure, save
from plans.preprocessors import experiment
from plans.stubs import Findings, read_together, trigger_in_turn
from qdci_lab.analysis.sync_pulse import FWHM_PER_RMS, SyncPulses, combined, find_sync_pulses
from qdci_lab.errors import AcquisitionError
from qdci_lab.progress import Column
from qdci_lab.record.parts import NUMBER
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
from qdci_lab.sweep import PointMark, sweep

CABLE, OPTICAL = 1, 2
SOURCES = {"cable": CABLE, "optical": OPTICAL}
PUBLISHED_NS = {CABLE: (1.23, 0.07), OPTICAL: (0.97, 0.04)}
"""Ji et al. 2.4: full width at half maximum and its uncertainty."""
TRACES = "traces"
SAMPLE_RATE_HZ = 80e9
DOTS = 600
WITHIN = 0.99
"""Share of the oscilloscope's range that a trace may fill."""


def sync_pulse_width(
    link: Any, *, sources: Sequence[str] = ("cable", "optical"), records: int = 5, pulses: int = 100
) -> MsgGenerator[None]:
    """`records` records of about `pulses` sync pulses from each source, "cable" or "optical"; one event a record.

    The local oscillator is on while the optical clock is looked at. ValueError or LimitError, before anything moves,
    for what cannot be done.
    """
    chosen = _check(link, sources, records, pulses)
    points = [(source, record) for source in chosen for record in range(1, records + 1)]
    metadata = {
        "plan_name": "sync_pulse_width",
        "figure": "Ji et al., Fig. 4(a)",
        "num_points": len(points),
        "plan_args": {"sources": list(chosen), "records": records, "pulses": pulses},
        "sync_rate_hz": link.sync.rate_hz,
        "sync_channels": {"cable": link.sync.cable_channel, "optical": link.sync.optical_channel},
    }
    found = Findings("sync")

    def measure() -> MsgGenerator[None]:
        yield from _set_up(link, pulses)

        def record_pulses(point: tuple[str, int]) -> MsgGenerator[None]:
            source = SOURCES[point[0]]
            yield from _light(link, on=source == OPTICAL)
            yield from trigger_in_turn([link.oscilloscope])
            mark = PointMark("trace_row", points.index(point) + 1)
            reading = yield from read_together([mark, link.oscilloscope], stream=TRACES)
            yield from found.record({**_findings(link, reading, source), "record": (point[1], "1")})

        yield from sweep(points, record_pulses, label=lambda point: f"{point[0]} {point[1]}")

    scope, laser = link.oscilloscope, link.probe_laser
    moved = (
        link.switch.connections, laser.wavelength, laser.power, laser.emission,
        scope.sample_rate, scope.acquisition_points, scope.time_range, scope.time_position,
        scope.trigger_source, scope.trigger_level, scope.trigger_slope, scope.trigger_sweep,
        *(signal for channel in _channels(link) for signal in _vertical(scope, channel)),
    )  # fmt: skip
    return (yield from experiment(measure(), (*link.parts, scope), metadata, moved=moved))


def _check(link: Any, sources: Sequence[str], records: int, pulses: int) -> list[str]:
    """The sources without repetitions; ValueError or LimitError, nothing has moved yet."""
    check_sync = getattr(link, "check_sync", None)
    if check_sync is None:
        raise ValueError(f"{link.label}: a {link.MODEL} of this testbed shows no sync pulses")
    check_sync()
    unknown = [source for source in sources if source not in SOURCES]
    if unknown or not sources:
        raise ValueError(f"sources: {list(sources)}: give some of {', '.join(SOURCES)}")
    if records < 1:
        raise ValueError(f"records: {records} must be at least 1")
    if not 4 <= pulses <= 10_000:
        raise ValueError(f"pulses: {pulses} in a record must be 4 to 10000")
    return list(dict.fromkeys(sources))


def _channels(link: Any) -> tuple[int, int]:
    return link.sync.cable_channel, link.sync.optical_channel


def _vertical(scope: Any, channel: int) -> tuple[Any, Any]:
    return getattr(scope, f"range_{channel}"), getattr(scope, f"offset_{channel}")


def _set_up(link: Any, pulses: int) -> MsgGenerator[None]:
    """Oscilloscope and laser as the measurement wants them; the laser stays off."""
    scope, sync, laser = link.oscilloscope, link.sync, link.probe_laser
    duration_s = (pulses + 1) / sync.rate_hz
    for channel in _channels(link):
        range_v, offset_v = _vertical(scope, channel)
        yield from bps.mv(range_v, sync.range_v)
        yield from bps.mv(offset_v, sync.offset_v)
    yield from bps.mv(scope.sample_rate, SAMPLE_RATE_HZ)
    yield from bps.mv(scope.acquisition_points, round(duration_s * SAMPLE_RATE_HZ))
    yield from bps.mv(scope.time_range, duration_s)
    yield from bps.mv(scope.time_position, 0.0)
    yield from bps.mv(scope.trigger_source, f"CHAN{sync.trigger_channel}")
    yield from bps.mv(scope.trigger_level, sync.trigger_level_v)
    yield from bps.mv(scope.trigger_slope, "POS")
    yield from bps.mv(scope.trigger_sweep, "TRIG")
    yield from bps.mv(laser.wavelength, sync.laser_wavelength_nm)
    yield from bps.mv(laser.power, sync.laser_power_dbm)
    yield from bps.mv(link.switch.connections, link.sync_connections())


def _light(link: Any, *, on: bool) -> MsgGenerator[None]:
    if link.probe_laser.emission.last != int(on):
        yield from bps.mv(link.probe_laser.emission, int(on))


def _findings(link: Any, reading: Mapping[str, Any], source: int) -> dict[str, tuple[float, str]]:
    """What one record comes to; not-a-number where nothing was measured."""
    pulses = None
    if link.oscilloscope.sample_interval.name in reading:
        name, channel = link.oscilloscope.name, _channels(link)[source - 1]
        data = {key: item["value"] for key, item in reading.items()}
        _check_within_range(link, np.asarray(data[f"{name}_waveform_{channel}"]), channel)
        try:
            pulses = _pulses(data, name, channel, link.sync.rate_hz)
        except ValueError as error:
            raise AcquisitionError(f"{link.oscilloscope.label}, channel {channel}: {error}") from error
    nan = math.nan

    def of(value: Any) -> float:
        return nan if pulses is None else float(value(pulses))

    return {
        "source": (source, "1"),
        "fwhm": (of(lambda found: found.fwhm_ps), "ps"),
        "fwhm_error": (of(lambda found: found.fwhm_error_ps), "ps"),
        "fwhm_spread": (of(lambda found: found.fwhm_spread_ps), "ps"),
        "jitter": (of(lambda found: found.jitter_ps), "ps"),
        "jitter_error": (of(lambda found: found.jitter_error_ps), "ps"),
        "arrival": (of(lambda found: found.arrival_ps), "ps"),
        "height": (of(lambda found: found.height_v), "V"),
        "baseline": (of(lambda found: found.baseline_v), "V"),
        "pulses": (of(lambda found: found.widths_ps.size), "count"),
    }


def _check_within_range(link: Any, voltage_v: NDArray[np.float64], channel: int) -> None:
    """AcquisitionError for a trace that the converter has cut off: its pulses would look too wide."""
    sync = link.sync
    furthest_v = float(np.nanmax(np.abs(voltage_v - sync.offset_v)))
    if furthest_v > WITHIN * 0.5 * sync.range_v:
        raise AcquisitionError(
            f"{link.oscilloscope.label}, channel {channel}: the pulses reach the edge of the range of "
            f"{sync.range_v:g} V about {sync.offset_v:g} V (in lab.toml: range_v and offset_v of [link.sync])"
        )


def _pulses(data: Mapping[str, Any], scope: str, channel: int, rate_hz: float) -> SyncPulses:
    """The pulses in a recorded trace of one channel."""
    return find_sync_pulses(
        np.asarray(data[f"{scope}_waveform_{channel}"]),
        1e12 * float(data[f"{scope}_sample_interval"]),
        1e12 * float(data[f"{scope}_start_time"]),
        1e12 / rate_hz,
    )


def widths_ps(rows: Sequence[Mapping[str, Any]]) -> dict[int, tuple[float, float]]:
    """Width of the pulses of each source and its standard error, over all its records."""
    found = {}
    for source in SOURCES.values():
        own = [row for row in rows if round(float(row["sync_source"])) == source]
        if own:
            found[source] = combined(
                np.array([float(row["sync_fwhm"]) for row in own]),
                np.array([float(row["sync_fwhm_error"]) for row in own]),
            )
    return found


def _conclude(rows: Sequence[Mapping[str, Any]]) -> str:
    names = {number: name for name, number in SOURCES.items()}
    lines = []
    for source, (width_ps, error_ps) in widths_ps(rows).items():
        own = [row for row in rows if round(float(row["sync_source"])) == source]
        spread_ps = float(np.mean([row["sync_fwhm_spread"] for row in own]))
        jitter_ps = float(np.mean([row["sync_jitter"] for row in own]))
        published_ns, uncertainty_ns = PUBLISHED_NS[source]
        lines.append(
            f"{names[source]}: FWHM {width_ps / 1e3:.4f} ± {error_ps / 1e3:.4f} ns "
            f"(single pulses ± {spread_ps / 1e3:.3f} ns), arrival jitter {jitter_ps:.1f} ps; "
            f"Ji et al.: {published_ns:g} ± {uncertainty_ns:g} ns"
        )
    return "\n".join(lines)


def _draw(run: Run, path: Path) -> None:
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
        label = f"{_name(source)}: {np.std(values):.1f} ps rms, {values.size} pulses"
        axes.hist(values, bins, histtype="step", color=_color(source), label=label)
    axes.set_xlabel("arrival of a pulse less that of a regular clock (ps)")
    axes.set_ylabel("pulses")
    axes.legend(fontsize=8)


def _name(source: int) -> str:
    return next(name for name, number in SOURCES.items() if number == source)


def _color(source: int) -> str:
    return MEASURED if source == CABLE else QBER_Z


def _scope(data: Mapping[str, Any]) -> str:
    """The oscilloscope's name, from the keys of its event."""
    return next(key.removesuffix("_sample_interval") for key in data if key.endswith("_sample_interval"))


def _drawn_pulses(run: Run, trace: Mapping[str, Any], source: int) -> SyncPulses:
    channel = int(run.start["sync_channels"][_name(source)])
    return _pulses(trace, _scope(trace), channel, float(run.start["sync_rate_hz"]))


def _draw_pulse(
    axes: Axes,
    run: Run,
    trace: Mapping[str, Any],
    pulses: SyncPulses,
    source: int,
    width: tuple[float, float],
) -> None:
    scope = _scope(trace)
    channel = int(run.start["sync_channels"][_name(source)])
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
    axes.set_ylabel(f"{_name(source)} (mV)")
    axes.set_xlabel("time from the mean arrival (ns)")
    axes.legend(fontsize=8, loc="upper right")


def _bell_v(times_ps: NDArray[np.float64], fwhm_ps: float, pulses: SyncPulses) -> NDArray[np.float64]:
    bell = np.exp(-0.5 * (times_ps * FWHM_PER_RMS / fwhm_ps) ** 2)
    return pulses.baseline_v + pulses.height_v * bell


REPORT = Report(
    columns=(
        Column("sync_source", "source (1 cable, 2 optical)", "{:.0f}"),
        Column("sync_pulses", "pulses", "{:.0f}"),
        Column("sync_fwhm", "FWHM ps", "{:.1f}", 1.0, "sync_fwhm_error"),
        Column("sync_fwhm_spread", "single pulses ± ps", "{:.1f}"),
        Column("sync_jitter", "arrival jitter ps", "{:.2f}", 1.0, "sync_jitter_error"),
        Column("sync_height", "height V", "{:.4f}"),
    ),
    points={
        "source": "sync_source", "record": "sync_record", "pulses": "sync_pulses",
        "fwhm_ps": "sync_fwhm", "fwhm_error_ps": "sync_fwhm_error",
        "fwhm_spread_ps": "sync_fwhm_spread", "jitter_ps": "sync_jitter", "jitter_error_ps": "sync_jitter_error",
        "arrival_ps": "sync_arrival", "height_v": "sync_height",
    },
    draw=_draw,
    conclude=_conclude,
)  # fmt: skip
