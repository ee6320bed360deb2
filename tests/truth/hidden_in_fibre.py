"""What is hidden in the fibre and the receiver of Ji's bench, and whether plans have found it."""

import math
from dataclasses import replace

import numpy as np
from scipy.linalg import expm

from plans.characterise_cores import cores_of
from plans.dark_counts_vs_launch_power import noise_line
from plans.error_budget import budget_of
from tests.physics import closed_form
from tests.truth.control import ROOT, Changes, Found, Rows


def hidden_channel(chance: np.random.Generator) -> Changes:
    return {
        ("decoder", "receiver_loss_db"): round(float(chance.uniform(0.1, 1.5)), 3),
        ("detectors", "dark_rate_hz"): round(float(chance.uniform(100.0, 1500.0))),
    }


def found_channel(rows: Rows, changes: Changes) -> Found:
    """Key and count rates as a closed form has them; the alignment's half a per mille costs 1.5 % of the key."""
    true = closed_form.read_bench(ROOT / "configs" / "ji_mcf" / "twin.toml")
    more_db = changes["decoder", "receiver_loss_db"] - 0.4355
    protocol = closed_form.Protocol()
    checks = []
    for row in rows:
        added_db = float(row["channel_added_loss"])
        if added_db > 0.0:
            added_db += 0.02 + 0.002 * (added_db - 1.2)  # the attenuator's own error
        bench = replace(
            true, dark_hz=changes["detectors", "dark_rate_hz"],
            transmission=true.transmission * 10.0 ** (-0.1 * (more_db + added_db)),
        )  # fmt: skip
        prediction = closed_form.predict(bench, protocol)
        key_bps = closed_form.key_rate_hz(prediction, protocol, 1e8)
        at = f"at {row['channel_distance']:g} km"
        allowed = 3.0 * float(row["link_skr_rusca_2018_error"]) + 0.015 * key_bps
        checks.append((f"key rate {at}", float(row["link_skr_rusca_2018"]) - key_bps, allowed))
        rate_hz = closed_form.sifted_hz(prediction, protocol)
        allowed = rate_hz * (3.0 / math.sqrt(row["link_n_z"]) + 1e-3)
        checks.append((f"sifted rate {at}", float(row["link_n_z"] / row["link_duration"]) - rate_hz, allowed))
    return checks


def hidden_noise(chance: np.random.Generator) -> Changes:
    return {
        ("fibre", "in_band_noise_factor"): round(float(chance.uniform(1.0, 4.0)), 3),
        ("detectors", "dark_rate_hz"): round(float(chance.uniform(200.0, 1500.0))),
        ("probe_power_meter", "calibration_error_db"): round(float(chance.normal(0.0, 0.1)), 4),
    }


def found_noise(rows: Rows, changes: Changes) -> Found:
    """Slopes as eq. (7) has them in closed form; the power meter's 0.1 dB is the slope's systematic uncertainty."""
    per_nm = closed_form.backward_icsrs(3.5, 6.9e-8, 7e-7, 0.046, 0.0471)
    fans_db = {1: 0.15, 2: 0.25, 3: 0.3, 4: 0.2}
    photon_j = closed_form.PLANCK_J_S * closed_form.LIGHT_M_PER_S / 1550e-9
    dark_hz = 4.0 * changes["detectors", "dark_rate_hz"] * 1.005  # afterpulses
    checks = []
    for core in sorted({round(float(row["noise_core"])) for row in rows}):
        line = noise_line(rows, core)
        way = closed_form.ratio(-fans_db[1] - fans_db[core] - 0.5 - 0.4355)
        slope = 0.0525 * 1.005 * way * changes["fibre", "in_band_noise_factor"] * per_nm / photon_j
        allowed = math.hypot(3.0 * line.hz_per_w_error, 2.0 * 0.0233 * slope)
        checks.append((f"slope of core {core}", line.hz_per_w - slope, allowed))
        checks.append((f"dark counts of core {core}", line.dark_hz - dark_hz, 3.0 * line.dark_error_hz))
    return checks


def hidden_cores(chance: np.random.Generator) -> Changes:
    return {
        ("fibre", "fan_loss_db"): [round(float(loss), 3) for loss in chance.uniform(0.1, 0.6, 7)],
        ("fibre", "crosstalk_per_km"): round(float(10.0 ** chance.uniform(-6.5, -5.5)), 10),
        ("decoder", "receiver_loss_db"): round(max(float(chance.normal(0.5, 0.3)), 0.0), 3),
    }


def found_cores(rows: Rows, changes: Changes) -> Found:
    """Coupled power as a matrix exponential of the centre and its ring, the fans at both ends."""
    fans = np.array(changes["fibre", "fan_loss_db"])
    joined = np.zeros((7, 7))
    for core in range(1, 7):
        for other in (0, 1 + core % 6):
            joined[core, other] = joined[other, core] = changes["fibre", "crosstalk_per_km"]
    kept = expm(3.5 * (joined - np.diag(joined.sum(axis=1)) - 0.0471 * np.eye(7)))
    found = cores_of(rows)
    losses_db = -10.0 * np.log10(np.diag(kept)) + 2.0 * fans
    checks = [
        (f"loss of core {core + 1}", found.loss_db[core] - losses_db[core], 3.0 * found.loss_error_db[core])
        for core in range(7)
    ]
    for into in range(7):
        for lit in range(7):
            if into != lit:
                true_db = 10.0 * math.log10(kept[into, lit] / kept[lit, lit]) - fans[into] + fans[lit]
                allowed_db = 3.0 * found.crosstalk_error_db[into, lit]
                off_db = found.crosstalk_db[into, lit] - true_db
                checks.append((f"crosstalk {lit + 1} into {into + 1}", off_db, allowed_db))
    return checks


def hidden_errors(chance: np.random.Generator) -> Changes:
    return {
        ("decoder", "intrinsic_error"): round(float(chance.uniform(0.003, 0.02)), 5),
        ("detectors", "dark_rate_hz"): round(float(10.0 ** chance.uniform(2.5, 3.7))),
        ("detectors", "afterpulse_probability"): round(float(chance.uniform(0.0, 0.03)), 4),
        ("fibre", "in_band_noise_factor"): round(float(chance.uniform(1.0, 4.0)), 3),
    }


def found_errors(rows: Rows, changes: Changes) -> Found:
    """The parts in closed form; 2 % of a part for products of two, and half a per mille that alignment may leave."""
    true = closed_form.read_bench(ROOT / "configs" / "ji_mcf" / "twin.toml")
    protocol, afterpulse = closed_form.Protocol(), changes["detectors", "afterpulse_probability"]
    bench = replace(
        true, error=changes["decoder", "intrinsic_error"], afterpulse=afterpulse,
        dark_hz=changes["detectors", "dark_rate_hz"],
        raman_w_per_nm_and_w=true.raman_w_per_nm_and_w * changes["fibre", "in_band_noise_factor"] / 2.3782,
    )  # fmt: skip
    prediction = closed_form.predict(bench, protocol, 12.0)
    live = 1.0 - prediction.clicks * math.ceil(bench.dead_s / protocol.period_s - 1.0)
    # two detectors, half of whose background is wrong
    per_hz = live * protocol.share_z / closed_form.sifted_hz(prediction, protocol)
    true_parts = {
        "dark counts": per_hz * bench.dark_hz,
        "classical light": per_hz * closed_form.noise_hz(bench, 12.0),
        "afterpulses": 0.5 * live * afterpulse,
    }
    true_parts["misalignment"] = bench.error * (1.0 - 2.0 * sum(true_parts.values()))
    budget = budget_of(rows)
    assert budget is not None
    left = {"misalignment": 5e-4}
    return [
        (
            cause,
            part.value - true_parts[cause],
            3.0 * part.standard_error + 0.02 * part.value + left.get(cause, 0.0),
        )
        for cause, part in budget.parts.items()
    ]
