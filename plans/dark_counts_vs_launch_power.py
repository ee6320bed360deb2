"""Dark-count rate of cores with classical light in another one (Ji et al., Fig. 3, equation (1)).

Alice's shutter is closed. The probe laser's light goes through the probe's attenuator into the receiver's end of the
lit core, against the direction of the quantum signal; the receiver listens to one core after the other. What it counts
above its own dark counts is noise that scattered over: p_R = p_ICSRS T_d eta_R / (2 h nu) + p_dc.

The paper's line has T_d = 1 ns and p_dc = 6e-6, which is 600 Hz times the 10 ns period and not times 1 ns. What is
fitted here is the slope, one parameter, over that of the stated Raman efficiency and coupling in 1 nm. Equation (1) has
two detectors that share the light; the receiver here has four, whose dark counts are twice as many.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator

from plans.figures import MEASURED, PUBLISHED, QBER_Z, WIESEMANN, new_figure, save
from plans.preprocessors import experiment
from plans.stubs import Findings, read_together, set_in_turn, trigger_in_turn
from qdci_lab.analysis.noise import MulticoreFibre, icsrs_backward_w
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
from qdci_lab.sweep import sweep
from qdci_lab.units import dbm_to_watt, photon_energy_j, watt_to_dbm

LAUNCH_POWERS_DBM = (-6.0, -2.0, 2.04, 5.0, 7.0, 9.0)
CORES = (2, 3, 4)
LASER_DBM = 13.0
POWER_ARRIVAL_DB = 0.01


def dark_counts_vs_launch_power(
    link: Any,
    *,
    launch_powers_dbm: Sequence[float] = LAUNCH_POWERS_DBM,
    cores: Sequence[int] = CORES,
    lit_core: int = 1,
    duration_s: float = 30.0,
    classical_wavelength_nm: float = 1550.12,
) -> MsgGenerator[None]:
    """Count rate of all detectors together for each core and launch power, and without light, one event each.

    The launch power is measured with the power meter at the switch before each core is listened to; `duration_s` is
    the lab time of each count. LimitError, before anything moves, for a core that the probe's light does not reach.
    """
    powers_dbm = sorted(float(power) for power in launch_powers_dbm)
    _check(link, powers_dbm, cores, lit_core, duration_s, classical_wavelength_nm)
    metadata = {
        "plan_name": "dark_counts_vs_launch_power",
        "figure": "Ji et al., Fig. 3",
        "num_points": len(cores) * (1 + len(powers_dbm)),
        "plan_args": {
            "launch_powers_dbm": powers_dbm, "cores": list(cores), "lit_core": lit_core,
            "duration_s": float(duration_s), "classical_wavelength_nm": float(classical_wavelength_nm),
        },
    }  # fmt: skip
    found = Findings("noise")

    def measure() -> MsgGenerator[None]:
        yield from set_in_turn([*link.voa.blocking(), *link.launch_voa.blocking()])
        yield from bps.mv(link.tagger.acquisition_time, duration_s)
        yield from bps.mv(link.probe_laser.wavelength, classical_wavelength_nm)
        yield from bps.mv(link.probe_laser.power, LASER_DBM)
        yield from sweep(
            list(itertools.product((None, *powers_dbm), cores)), at_power,
            label=lambda point: f"core {point[1]}, " + ("dark" if point[0] is None else f"{point[0]:g} dBm"),
        )  # fmt: skip

    launched_dbm: dict[float, float] = {}

    def at_power(point: tuple[float | None, int]) -> MsgGenerator[None]:
        power_dbm, core = point
        if power_dbm is not None and power_dbm not in launched_dbm:
            yield from bps.mv(link.probe_laser.emission, 1)
            yield from set_in_turn(link.probe_voa.passing())
            launched_dbm[power_dbm] = yield from _bring_launch_power(link, power_dbm)
        reached_dbm = None if power_dbm is None else launched_dbm[power_dbm]
        yield from _count(link, found, core, lit_core, reached_dbm)

    moved = (
        link.switch.connections, link.probe_voa.attenuation, link.probe_laser.wavelength, link.probe_laser.power,
        link.tagger.acquisition_time,
    )  # fmt: skip
    return (yield from experiment(measure(), link.parts, metadata, moved=moved))


def _check(
    link: Any,
    powers_dbm: Sequence[float],
    cores: Sequence[int],
    lit_core: int,
    duration_s: float,
    wavelength_nm: float,
) -> None:
    probe = link.check_probe()
    if len(set(powers_dbm)) < 2 or not cores or lit_core in cores:
        raise ValueError("give at least two launch powers, at least one core, and none that is the lit one")
    for core in (*cores, lit_core):
        link.check_core(core)
    if lit_core > len(probe.far_end_ports) or not probe.far_end_ports[lit_core - 1]:
        free = [number for number, port in enumerate(probe.far_end_ports, 1) if port]
        raise ValueError(
            f"lit_core: the probe's light reaches the receiver's end of cores {free} only, not of {lit_core}"
        )
    for power_dbm in powers_dbm:
        link.probe_voa.attenuation.check_value(round(_expected_dbm(link) - power_dbm, 3))
    link.tagger.acquisition_time.check_value(duration_s)
    link.probe_laser.wavelength.check_value(wavelength_nm)
    link.probe_laser.power.check_value(LASER_DBM)


def _expected_dbm(link: Any) -> float:
    """Launch power with the attenuator at 0 dB: two passes of the switch, one of them within the detour."""
    return LASER_DBM - link.probe.detour_loss_db - link.probe.pass_loss_db


def _bring_launch_power(link: Any, wanted_dbm: float) -> MsgGenerator[float]:
    """Lead the light to the power meter and correct the attenuator by what it says; returns the power launched.

    The way to the power meter has as many passes of the switch as the way to the fibre.
    """
    probe = link.probe
    path = [(probe.laser_port, probe.voa_input_port), (probe.voa_output_port, probe.meter_port)]
    yield from bps.mv(link.switch.connections, link.routed(path))
    setting_db = round(_expected_dbm(link) - wanted_dbm, 3)
    reached_dbm = math.nan
    for _ in range(4):
        yield from bps.mv(link.probe_voa.attenuation, setting_db)
        yield from trigger_in_turn([link.probe_power_meter])
        reading = yield from read_together([link.probe_power_meter], stream="launch_power")
        if not reading:  # a rehearsal measures nothing
            return wanted_dbm
        reached_dbm = float(reading[link.probe_power_meter.power.name]["value"])
        if abs(reached_dbm - wanted_dbm) <= POWER_ARRIVAL_DB:
            break
        low_db, high_db = link.probe_voa.attenuation.limits
        setting_db = round(min(max(setting_db + reached_dbm - wanted_dbm, low_db), high_db), 3)
    return reached_dbm


def _count(
    link: Any, found: Findings, core: int, lit_core: int, power_dbm: float | None
) -> MsgGenerator[None]:
    """Listen to one core, with the probe's light in the lit one if there is any."""
    probe = link.probe
    (_, _), (out, receiver) = link.routing.routes(core)
    path = [(out, receiver)]
    if power_dbm is not None:
        path += [
            (probe.laser_port, probe.voa_input_port), (probe.voa_output_port, probe.far_end_ports[lit_core - 1])
        ]  # fmt: skip
    yield from bps.mv(link.switch.connections, link.routed(path))
    yield from trigger_in_turn([link.tagger])
    reading = yield from read_together([link.tagger], stream="counts")
    rates = reading[link.tagger.count_rates.name]["value"] if reading else [math.nan]
    duration_s = link.tagger.acquisition_time.last
    rate_hz = float(np.sum(rates))
    values = {
        "core": (core, "1"), "lit": (float(power_dbm is not None), "1"),
        "launch_power": (math.nan if power_dbm is None else power_dbm, "dBm"),
        "launch_power_w": (0.0 if power_dbm is None else dbm_to_watt(power_dbm), "W"),
        "count_rate": (rate_hz, "1/s"), "count_rate_error": (math.sqrt(max(rate_hz, 0.0) / duration_s), "1/s"),
        "receiver_loss": (probe.receiver_loss_db, "dB"), "efficiency": (probe.detector_efficiency, "1"),
    }  # fmt: skip
    yield from found.record(values)


@dataclass(frozen=True)
class NoiseLine:
    """Counts against launch power in one core: a straight line through the point without light."""

    dark_hz: float
    dark_error_hz: float
    hz_per_w: float
    hz_per_w_error: float


def noise_line(rows: Sequence[Mapping[str, Any]], core: int) -> NoiseLine:
    """Weighted straight line through one core's count rates; not corrected for dead time, which is below 0.1 %."""
    own = [row for row in rows if round(float(row["noise_core"])) == core]
    power_w, rate, error = (
        np.array([float(row[f"noise_{key}"]) for row in own])
        for key in ("launch_power_w", "count_rate", "count_rate_error")
    )
    scale_w = max(float(power_w.max()), 1e-12)
    design = np.stack([np.ones_like(power_w), power_w / scale_w], axis=1) / error[:, np.newaxis]
    covariance = np.linalg.inv(design.T @ design)
    dark, slope = covariance @ design.T @ (rate / error)
    dark_error, slope_error = np.sqrt(np.diag(covariance))
    return NoiseLine(float(dark), float(dark_error), float(slope / scale_w), float(slope_error / scale_w))


# Ji et al. 4.2, Fig. 3, and the wavelength of its quantum channel.
FIBRE = MulticoreFibre(0.046, 0.0471, 6.9e-8, 7e-7)
LENGTH_KM = 3.5
PHOTON_J = photon_energy_j(1549.32e-9)
PUBLISHED_POINT_DBM, PUBLISHED_MEASURED_DBM, PUBLISHED_SIMULATED_DBM = 2.04, -112.1, -112.9


def equation_one_hz(launch_power_w: Any, *, transmission: float, dark_hz: float) -> Any:
    """Equation (1) times the rate of all detectors: every photon that scattered over, plus the dark counts."""
    noise_w = icsrs_backward_w(launch_power_w, LENGTH_KM, FIBRE, bandwidth_nm=1.0)
    return transmission * noise_w / PHOTON_J + dark_hz


def _transmission(row: Mapping[str, Any]) -> float:
    return float(row["noise_efficiency"]) * 10.0 ** (-0.1 * float(row["noise_receiver_loss"]))


def calibrated_factor(rows: Sequence[Mapping[str, Any]], core: int) -> tuple[float, float]:
    """The measured slope over that of equation (1) with the stated parameters and 1 nm; with its standard error."""
    line = noise_line(rows, core)
    expected = float(equation_one_hz(1.0, transmission=_transmission(rows[0]), dark_hz=0.0))
    return line.hz_per_w / expected, line.hz_per_w_error / expected


def as_published_dbm(rows: Sequence[Mapping[str, Any]], core: int) -> float:
    """Dark counts of two detectors and noise at 2.04 dBm, as light before the receiver: the paper's -112.1 dBm.

    The window T_d is the whole period, without which the paper's own numbers do not agree.
    """
    line = noise_line(rows, core)
    total_hz = 0.5 * line.dark_hz + line.hz_per_w * dbm_to_watt(PUBLISHED_POINT_DBM)
    return watt_to_dbm(total_hz * PHOTON_J / _transmission(rows[0]))


def _conclude(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for core in sorted({round(float(row["noise_core"])) for row in rows}):
        line = noise_line(rows, core)
        factor, error = calibrated_factor(rows, core)
        at_input_dbm = as_published_dbm(rows, core)
        lines.append(
            f"core {core}: dark {line.dark_hz:.1f} ± {line.dark_error_hz:.1f} /s, slope {1e-3 * line.hz_per_w:.1f} ± "
            f"{1e-3 * line.hz_per_w_error:.1f} /s per mW = {factor:.3f} ± {error:.3f} of equation (1) in 1 nm; at "
            f"2.04 dBm, as the paper counts: {at_input_dbm:.1f} dBm (Ji et al.: -112.1 measured, -112.9 simulated)"
        )
    return "\n".join(lines)


def _draw(run: Run, path: Path) -> None:
    rows = [event["data"] for event in run.events("primary")]
    figure, (axes,) = new_figure(
        run,
        f"Dark counts with classical light in core {run.start['plan_args']['lit_core']} (Ji et al., Fig. 3)",
    )
    grid_dbm = np.linspace(-10.0, 10.0, 200)
    grid_w = 1e-3 * 10.0 ** (0.1 * grid_dbm)
    transmission = _transmission(rows[0])
    dark_hz = 4.0 * 600.0
    stated = equation_one_hz(grid_w, transmission=transmission, dark_hz=dark_hz)
    axes.plot(
        grid_dbm,
        stated,
        color=PUBLISHED,
        lw=1.2,
        ls="--",
        label="equation (1), stated parameters, 1 nm, four times 600 Hz",
    )
    colors = (MEASURED, QBER_Z, WIESEMANN, "#2e8b57", "#8e44ad", "#b8860b")
    for core, color in zip(run.start["plan_args"]["cores"], colors, strict=False):
        own = [row for row in rows if round(float(row["noise_core"])) == core and row["noise_lit"] > 0.5]
        line, (factor, error) = noise_line(rows, core), calibrated_factor(rows, core)
        axes.errorbar(
            [row["noise_launch_power"] for row in own], [row["noise_count_rate"] for row in own],
            [row["noise_count_rate_error"] for row in own], fmt="o", ms=4, capsize=2, color=color,
            label=f"core {core}: {factor:.2f} ± {error:.2f} of equation (1)",
        )  # fmt: skip
        axes.plot(grid_dbm, line.dark_hz + line.hz_per_w * grid_w, color=color, lw=0.8)
    for level_dbm, style, what in (
        (PUBLISHED_MEASURED_DBM, "o", "measured"), (PUBLISHED_SIMULATED_DBM, "s", "simulated")
    ):  # fmt: skip
        rate_hz = dbm_to_watt(level_dbm) * transmission / PHOTON_J + 0.5 * dark_hz
        axes.plot(
            [PUBLISHED_POINT_DBM], [rate_hz], style, mfc="none", ms=9, color=PUBLISHED,
            label=f"Ji et al., {what}: {level_dbm} dBm at 2.04 dBm, as counts of this receiver",
        )  # fmt: skip
    axes.set_xlabel("power launched into the lit core (dBm)")
    axes.set_ylabel("count rate of all four detectors (1/s)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper left")
    save(figure, path)


REPORT = Report(
    columns=(
        Column("noise_core", "core", "{:.0f}"),
        Column("noise_launch_power", "launch dBm", "{:.2f}"),
        Column("noise_count_rate", "counts /s", "{:.1f}", 1.0, "noise_count_rate_error"),
    ),
    points={
        "core": "noise_core", "launch_power_w": "noise_launch_power_w", "count_rate_hz": "noise_count_rate",
        "count_rate_error_hz": "noise_count_rate_error",
    },
    draw=_draw,
    conclude=_conclude,
)  # fmt: skip
