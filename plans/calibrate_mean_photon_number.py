"""Mean photon number of Alice's pulses at the fibre's input, by a power meter at the optical switch.

Alice sends one intensity only, signal or decoy; the switch leads her light to the power meter instead of the fibre,
by as many passes. At weak attenuation it is strong enough: 52 photons a pulse at 100 MHz are -62 dBm. Several
attenuations give the attenuator's scale as well, and with both the setting at which a signal pulse has mu. The
power meter's calibration is the uncertainty that remains: 0.1 dB are 2.3 % of mu.
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

from plans.figures import MEASURED, PUBLISHED, QBER_X, new_figure, save
from plans.preprocessors import experiment
from plans.stubs import Findings, read_together, set_in_turn, trigger_in_turn
from qdci_lab.analysis.calibration import SourceFit, fit_source, mean_photon_number
from qdci_lab.analysis.code import DECOY, SIGNAL, SymbolCode
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
from qdci_lab.sweep import sweep
from qdci_lab.units import dbm_to_watt

ATTENUATIONS_DB = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
STATES = {SIGNAL: "signal", DECOY: "decoy"}
LINEARITY_DB = 0.02
"""Standard uncertainty of one power against another on the same meter; assumed, as usual for its kind."""


def calibrate_mean_photon_number(
    link: Any,
    *,
    attenuations_db: Sequence[float] = ATTENUATIONS_DB,
    readings: int = 5,
    averaging_s: float = 0.5,
) -> MsgGenerator[None]:
    """Power of signal and of decoy pulses at several attenuations, against the dark, in mean photon numbers.

    Each point is the mean of `readings` readings of the power meter of `averaging_s`, in her light and without it.
    Needs a testbed whose switch has a power meter (LimitError). One event a point.
    """
    settings_db = [float(value) for value in attenuations_db]
    _check(link, settings_db, readings, averaging_s)
    metadata = {
        "plan_name": "calibrate_mean_photon_number",
        "num_points": 2 * len(settings_db),
        "plan_args": {
            "attenuations_db": settings_db, "readings": readings, "averaging_s": float(averaging_s),
        },
    }  # fmt: skip
    found, sent = Findings("source"), None

    def measure() -> MsgGenerator[None]:
        meter = link.probe_power_meter
        yield from set_in_turn(link.launch_voa.blocking())
        yield from bps.mv(meter.averaging_time, averaging_s)
        path = [(link.routing.transmitter_port, link.probe.meter_port)]
        yield from bps.mv(link.switch.connections, link.routed(path))
        yield from sweep(
            list(itertools.product(STATES, settings_db)), at_setting,
            label=lambda point: f"{STATES[point[0]]} at {point[1]:g} dB",
        )  # fmt: skip

    def at_setting(point: tuple[int, float]) -> MsgGenerator[None]:
        nonlocal sent
        state, setting_db = point
        if state != sent:
            yield from bps.mv(link.awg, link.waveforms(_code_of_one_intensity(link.code, state)))
            sent = state
        yield from set_in_turn(link.voa.blocking())
        dark = yield from _mean_power_w(link, readings)
        yield from set_in_turn([(link.voa.attenuation, setting_db), *link.voa.passing()])
        lit = yield from _mean_power_w(link, readings)
        yield from found.record(_point(link, state, setting_db, dark, lit), link.probe_power_meter)

    moved = (link.voa.attenuation, link.probe_power_meter.averaging_time, link.switch.connections)
    return (yield from experiment(measure(), link.parts, metadata, moved=moved))


def _check(link: Any, attenuations_db: Sequence[float], readings: int, averaging_s: float) -> None:
    link.check_probe()
    if len(set(attenuations_db)) < 2 or readings < 2:
        raise ValueError(
            "attenuations_db: give at least two different ones; readings: at least 2 (for their scatter)"
        )
    for attenuation_db in attenuations_db:
        link.voa.attenuation.check_value(attenuation_db)
    link.probe_power_meter.averaging_time.check_value(averaging_s)


def _code_of_one_intensity(code: SymbolCode, intensity: int) -> SymbolCode:
    """The link's bases and bits with every slot at one intensity."""
    return SymbolCode(code.basis, code.bit, np.full(code.length, intensity, np.uint8))


def _mean_power_w(link: Any, readings: int) -> MsgGenerator[tuple[float, float]]:
    """Mean power and its standard error in W, not-a-number where nothing was measured."""
    powers_w = []
    for _ in range(readings):
        yield from trigger_in_turn([link.probe_power_meter])
        reading = yield from read_together([link.probe_power_meter], stream="readings")
        power_dbm = reading[link.probe_power_meter.power.name]["value"] if reading else math.nan
        powers_w.append(dbm_to_watt(float(power_dbm)))
    error_w = float(np.std(powers_w, ddof=1)) / math.sqrt(readings)
    return float(np.mean(powers_w)), error_w


def _point(
    link: Any, state: int, attenuation_db: float, dark: tuple[float, float], lit: tuple[float, float]
) -> dict[str, tuple[float, str]]:
    """One event's findings."""
    transmitter, protocol = link.transmitter, link.protocol
    wavelength_nm = transmitter.wavelength_nm
    net_w = lit[0] - dark[0]
    error_w = math.hypot(lit[1], dark[1], net_w * (10.0 ** (0.1 * LINEARITY_DB) - 1.0))
    number, error = (
        mean_photon_number(power_w, transmitter.repetition_rate_hz, wavelength_nm)
        for power_w in (net_w, error_w)
    )
    ratio = 1.0 if state == SIGNAL else protocol.nu / protocol.mu
    expected = ratio * transmitter.mean_photon_number_unattenuated * 10.0 ** (-0.1 * attenuation_db)
    return {
        "state": (state, "1"),
        "attenuation": (attenuation_db, "dB"),
        "power": (net_w, "W"),
        "mean_photon_number": (number, "1"),
        "error": (error, "1"),
        "configured": (expected, "1"),
        "meter_uncertainty": (link.probe.meter_uncertainty_db, "dB"),
        "mu": (protocol.mu, "1"),
        "nu": (protocol.nu, "1"),
    }


@dataclass(frozen=True)
class SourceCalibration:
    """What the points come to; the decoy's ratio to the signal has no uncertainty of the power meter."""

    signal: SourceFit
    decoy: SourceFit

    @property
    def ratio(self) -> float:
        """Decoy over signal at 0 dB."""
        return self.decoy.unattenuated / self.signal.unattenuated

    @property
    def ratio_error(self) -> float:
        """Standard error of the ratio."""
        parts = (fit.unattenuated_error / fit.unattenuated for fit in (self.signal, self.decoy))
        return self.ratio * math.hypot(*parts)


def calibration_of(rows: Sequence[Mapping[str, Any]]) -> SourceCalibration:
    """Fit the attenuator's scale and the mean photon number at 0 dB for each intensity."""

    def fit(state: int) -> SourceFit:
        own = [row for row in rows if round(float(row["source_state"])) == state]
        columns = (
            [float(row[f"source_{key}"]) for row in own]
            for key in ("attenuation", "mean_photon_number", "error")
        )
        systematic = 10.0 ** (0.1 * float(own[0]["source_meter_uncertainty"])) - 1.0
        return fit_source(*columns, systematic=systematic)

    return SourceCalibration(fit(SIGNAL), fit(DECOY))


def _conclude(rows: Sequence[Mapping[str, Any]]) -> str:
    found = calibration_of(rows)
    signal, mu = found.signal, float(rows[0]["source_mu"])
    setting_db = signal.attenuation_db(mu)
    configured = float(rows[0]["source_configured"])
    off = abs(signal.unattenuated - configured) > 2.0 * signal.uncertainty
    return (
        f"mean_photon_number_unattenuated = {signal.unattenuated:.2f} ± {signal.uncertainty:.2f} "
        f"(configured {configured:.2f}: {'wrong' if off else 'agrees within two standard uncertainties'}); attenuator "
        f"{signal.slope:.4f} ± {signal.slope_error:.4f} dB per dB, so that mu = {mu:g} needs {setting_db:.2f} dB; "
        f"decoy / signal {found.ratio:.4f} ± {found.ratio_error:.4f} (configured {rows[0]['source_nu'] / mu:.4f})"
    )


def _draw(run: Run, path: Path) -> None:
    rows = [event["data"] for event in run.events("primary")]
    found = calibration_of(rows)
    figure, (above, below) = new_figure(
        run, "Mean photon number at the fibre's input, by power meter", rows=2, share_x=True
    )
    for state, name, color, fit in (
        (SIGNAL, "signal", MEASURED, found.signal), (DECOY, "decoy", QBER_X, found.decoy)
    ):  # fmt: skip
        own = [row for row in rows if round(float(row["source_state"])) == state]
        x, y, e, expected = (
            np.array([float(row[f"source_{key}"]) for row in own])
            for key in ("attenuation", "mean_photon_number", "error", "configured")
        )
        label = f"{name}: {fit.unattenuated:.2f} ± {fit.uncertainty:.2f} at 0 dB"
        above.errorbar(x, y, e, fmt="o", ms=4, color=color, label=label)
        grid = np.linspace(0.0, x.max(), 50)
        above.plot(grid, [fit.mean_photon_number(value) for value in grid], color=color, lw=0.8)
        above.plot(x, expected, "x", color=PUBLISHED, label="as configured" if state == SIGNAL else None)
        below.errorbar(x, 100 * (y / expected - 1), 100 * e / expected, fmt="o", ms=4, color=color)
    systematic = 100 * found.signal.systematic
    below.axhspan(-systematic, systematic, color=PUBLISHED, alpha=0.12, lw=0)
    below.annotate(
        "power meter's standard uncertainty", (0.01, systematic), xycoords=("axes fraction", "data"), fontsize=8,
        xytext=(0, 2), textcoords="offset points", color=PUBLISHED,
    )  # fmt: skip
    above.set_yscale("log")
    above.set_ylabel("photons a pulse")
    above.legend(fontsize=8)
    below.set_ylabel("against the\nconfigured (%)")
    below.set_xlabel("commanded attenuation of Alice's attenuator (dB)")
    save(figure, path)


REPORT = Report(
    columns=(
        Column("source_state", "intensity (0 signal, 1 decoy)", "{:.0f}"),
        Column("source_attenuation", "attenuation dB", "{:.2f}"),
        Column("source_power", "power nW", "{:.5f}", 1e9),
        Column("source_mean_photon_number", "photons a pulse", "{:.4f}", 1.0, "source_error"),
        Column("source_configured", "as configured", "{:.4f}"),
    ),
    points={
        "state": "source_state", "attenuation_db": "source_attenuation", "power_w": "source_power",
        "mean_photon_number": "source_mean_photon_number", "error": "source_error", "configured": "source_configured",
    },
    draw=_draw,
    conclude=_conclude,
)  # fmt: skip
