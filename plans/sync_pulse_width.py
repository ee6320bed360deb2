"""Width and arrival of the sync pulses, delivered over a cable and over light (Ji et al., 2.4 and Fig. 4(a)).

An oscilloscope, triggered by the generator itself, looks at what arrives: 100 MHz pulses behind the cable, and those
that photodiode, amplifier and divider make of the 3 GHz clock on the local oscillator. A Gaussian is fitted to every
pulse, as the published figure has it; its full width at half maximum is the result, the spread of the centres about a
regular clock is the jitter that a receiver would inherit.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray

from plans.preprocessors import experiment
from plans.stubs import Findings, read_together, trigger_in_turn
from plans.sync_pulse_figure import draw_sync_pulses
from plans.sync_pulses import OPTICAL, SOURCES, TRACES, pulses_of, widths_told
from qdci_lab.errors import AcquisitionError
from qdci_lab.progress import Column
from qdci_lab.report import Report
from qdci_lab.sweep import PointMark, sweep

SAMPLE_RATE_HZ = 80e9
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
            pulses = pulses_of(data, name, channel, link.sync.rate_hz)
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
    draw=draw_sync_pulses,
    conclude=widths_told,
)  # fmt: skip
