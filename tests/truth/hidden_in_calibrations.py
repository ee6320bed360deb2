"""What is hidden from the daily calibrations on Ji's bench, and whether they have found it."""

import math
from dataclasses import replace

import numpy as np

from plans.calibrate_mean_photon_number import calibration_of
from plans.scan_gate import gate_shape
from plans.sync_pulses import CABLE, OPTICAL, widths_ps
from tests.physics import closed_form
from tests.truth.control import ROOT, Changes, Found, Rows


def hidden_delays(chance: np.random.Generator) -> Changes:
    return {("tagger", "channel_delays_ps"): list(np.round(chance.uniform(5e3, 60e3, 4)))}


def found_delays(rows: Rows, changes: Changes) -> Found:
    truth = np.array(changes["tagger", "channel_delays_ps"])
    truth = truth - truth.min()
    # Against the earliest detector, which has an uncertainty of its own.
    earliest = min(rows, key=lambda row: row["delay_found"])
    return [
        (
            f"input {row['delay_input']:.0f}",
            row["delay_found"] - true,
            3.0 * math.hypot(row["delay_error"], earliest["delay_error"]),
        )
        for row, true in zip(rows, truth, strict=True)
    ]


def hidden_gate(chance: np.random.Generator) -> Changes:
    return {
        ("detectors", "jitter_ps"): round(float(chance.uniform(80.0, 300.0)), 1),
        ("detectors", "dark_rate_hz"): round(float(10.0 ** chance.uniform(2.5, 4.3))),
        ("detectors", "afterpulse_probability"): 0.0,
    }


def found_gate(rows: Rows, changes: Changes) -> Found:
    fit = gate_shape(rows)
    pulse_ps, tagger_ps = 50.0 / 2.3548, 10.0
    rms_ps = math.hypot(changes["detectors", "jitter_ps"], pulse_ps, tagger_ps)
    per_ps = 4.0 * changes["detectors", "dark_rate_hz"] / 1e4
    return [
        ("rms_ps", fit.rms_ps - rms_ps, 3.0 * fit.rms_error_ps),
        (
            "background",
            fit.background_hz_per_ps - per_ps,
            3.0 * fit.background_error_hz_per_ps + 0.05 * per_ps,
        ),
    ]


def hidden_source(chance: np.random.Generator) -> Changes:
    return {
        ("quantum_laser", "mean_photons"): round(523.0 * 10.0 ** (0.1 * chance.normal(0.0, 0.5)), 2),
        ("alice_voa", "scale"): round(float(chance.uniform(0.97, 1.03)), 4),
        ("probe_power_meter", "calibration_error_db"): round(float(chance.normal(0.0, 0.1)), 4),
    }


def found_source(rows: Rows, changes: Changes) -> Found:
    found = calibration_of(rows).signal
    truth = changes["quantum_laser", "mean_photons"] / 10.0  # 3 + 4 + 2.5 + 0.5 dB on the way
    return [
        ("mean photon number", found.unattenuated - truth, 2.0 * found.uncertainty),
        ("attenuator's scale", found.slope - changes["alice_voa", "scale"], 3.0 * found.slope_error),
    ]


def hidden_polarization(chance: np.random.Generator) -> Changes:
    """The fibre's birefringence comes from the twin's seed; it drifts four times as fast as on the spool."""
    return {
        ("decoder", "intrinsic_error"): round(float(chance.uniform(0.003, 0.02)), 5),
        ("polarization_controller", "hysteresis_v"): round(float(chance.uniform(0.02, 0.06)), 3),
        ("fibre", "drift_rad_per_sqrt_s"): 0.004,
    }


def found_polarization(rows: Rows, changes: Changes) -> Found:
    """Both error rates as a closed form has them for a perfect alignment, plus half a per mille that it may leave."""
    bench = closed_form.read_bench(ROOT / "configs" / "ji_mcf" / "twin.toml")
    bench = replace(bench, error=changes["decoder", "intrinsic_error"])
    prediction = closed_form.predict(bench, closed_form.Protocol())
    checks: Found = []
    for basis in "zx":
        rate, clicks = float(rows[0][f"link_qber_{basis}"]), float(rows[0][f"link_n_{basis}"])
        checks.append(
            (f"QBER {basis}", rate - prediction.qber(basis.upper()), 3.0 * math.sqrt(rate / clicks) + 5e-4)
        )
    least = prediction.qber("Z") + prediction.qber("X")
    # Four standard errors are tolerated (0.004), the reference and the check err (0.003 in all), and between two checks
    # the fibre turns by 0.022 rad in each component, which is 0.0005 on average and 0.002 once in a thousand times.
    checks += [
        (
            f"tracking at {row['alignment_elapsed']:.0f} s",
            max(float(row["alignment_cost"]) - least, 0.0),
            0.012,
        )
        for row in rows[1:]
    ]
    return checks


def hidden_sync(chance: np.random.Generator) -> Changes:
    return {
        ("sync_cable", "bandwidth_hz"): round(float(chance.uniform(2.0e8, 6.0e8))),
        ("clock_receiver", "amplifier_bandwidth_hz"): round(float(chance.uniform(2.0e8, 6.0e8))),
        ("clock_receiver", "jitter_ps"): round(float(chance.uniform(0.0, 60.0)), 1),
        ("clock_receiver", "pulse_fwhm_ps"): round(float(chance.uniform(300.0, 800.0))),
    }


def found_sync(rows: Rows, changes: Changes) -> Found:
    """Gaussian pulses behind a Gaussian low pass, whose response is 2 ln2 / (pi sqrt2 B) wide."""
    pulses_ps = {CABLE: 500.0, OPTICAL: changes["clock_receiver", "pulse_fwhm_ps"]}
    bands_hz = {
        CABLE: changes["sync_cable", "bandwidth_hz"],
        OPTICAL: changes["clock_receiver", "amplifier_bandwidth_hz"],
    }
    checks = []
    for source, (width_ps, error_ps) in widths_ps(rows).items():
        response_ps = 2.0 * math.log(2.0) / (math.pi * math.sqrt(2.0)) / bands_hz[source] * 1e12
        true_ps = math.hypot(pulses_ps[source], response_ps)
        checks.append((f"width at source {source}", width_ps - true_ps, 3.0 * error_ps))
    assert len(checks) == 2
    return checks
