"""Controls of the experiments that measure a key: what is hidden from them, and what a closed form makes of it.

As in `tests.truth.control`; each `found` gives name, deviation and what is allowed, three standard deviations and what
the plan's own uncertainties leave besides.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from qdci_lab.analysis.code import SymbolCode
from qdci_lab.session import validated
from tests.physics import closed_form, cow_closed_form
from tests.physics.clason_bench import PERIOD_S, QUIET, ClosedForm
from tests.physics.cow_bench import LINK, SENT
from tests.truth.control import ROOT, Changes, Found, Rows

METER_DB = 0.1
"""Calibration of the power meters (one standard deviation), assumed in the configuration."""
ALIGNMENT = 5e-4
"""What the alignment may leave of error."""
FOLLOWED = 2.5e-3
"""The same for switched cores: the last stride may begin at a gradient of 0.05 and leaves half of it, which are
0.06 rad and 0.0009, and between alignments, twenty minutes apart, the fibre in the ground turns by 0.035 rad in each
component, once in a hundred times by 0.08.
"""
GATE_S = 1e-9
"""Clason's receiver: a twentieth of the period."""
T_OF_SEVEN = 4.53
"""Student: with seven degrees of freedom as far out as three Gaussian standard deviations."""


def components(testbed: str, changes: Changes) -> dict[str, dict[str, Any]]:
    """The numbers of a twin.toml with what was hidden."""
    text = (ROOT / "configs" / testbed / "twin.toml").read_text(encoding="utf-8")
    parts = {name: dict(values) for name, values in tomllib.loads(text)["components"].items()}
    for (name, key), value in changes.items():
        parts[name][key] = value
    return parts


def hidden_launch(chance: np.random.Generator) -> Changes:
    return {
        ("fibre", "in_band_noise_factor"): round(float(chance.uniform(1.0, 4.0)), 3),
        ("decoder", "receiver_loss_db"): round(float(chance.uniform(0.1, 1.5)), 3),
        ("power_meter", "calibration_error_db"): round(float(chance.normal(0.0, METER_DB)), 4),
    }


def found_launch(rows: Rows, changes: Changes) -> Found:
    """Sifted rate, error rate and key rate at each launch power as the meter tells it."""
    bench = closed_form.read_bench(ROOT / "configs" / "ji_mcf" / "twin.toml")
    kept = closed_form.ratio(0.4355 - changes["decoder", "receiver_loss_db"])
    noise = changes["fibre", "in_band_noise_factor"] / 2.3782
    bench = replace(
        bench, transmission=bench.transmission * kept, noise_transmission=bench.noise_transmission * kept,
        raman_w_per_nm_and_w=bench.raman_w_per_nm_and_w * noise,
    )  # fmt: skip
    return [check for row in rows for check in _at_launch_power(row, bench)]


def _at_launch_power(row: Mapping[str, Any], bench: closed_form.Bench) -> Found:
    protocol, told_dbm = closed_form.Protocol(), float(row["link_launch_power"])
    here, above = (closed_form.predict(bench, protocol, dbm) for dbm in (told_dbm, told_dbm + 2.0 * METER_DB))
    n_z, at = float(row["link_n_z"]), f"at {told_dbm:.1f} dBm"
    sifted_hz = closed_form.sifted_hz(here, protocol)
    error = here.qber("Z")
    key_bps, less_bps = (closed_form.key_rate_hz(each, protocol, n_z) for each in (here, above))
    return [
        (
            f"sifted rate {at}",
            n_z / float(row["link_duration"]) - sifted_hz,
            sifted_hz * (3.0 / math.sqrt(n_z) + 1e-3)
            + abs(closed_form.sifted_hz(above, protocol) - sifted_hz),
        ),
        (
            f"QBER Z {at}",
            float(row["link_qber_z"]) - error,
            3.0 * math.sqrt(error / n_z) + ALIGNMENT + abs(above.qber("Z") - error),
        ),
        (
            f"key rate {at}",
            float(row["link_skr_rusca_2018"]) - key_bps,
            3.0 * float(row["link_skr_rusca_2018_error"]) + 0.015 * key_bps + abs(less_bps - key_bps),
        ),
    ]


QUIET_COW: Changes = {("fibre", "loss_wander_db"): 0.0, ("decoder", "phase_wander_rad"): 0.0}


def hidden_added_loss(chance: np.random.Generator) -> Changes:
    return {
        **QUIET_COW,
        ("fibre", "loss_db"): round(12.47 + float(chance.uniform(0.5, 6.0)), 3),
        ("decoder", "phase_error_rad"): round(float(chance.uniform(0.1, 0.6)), 3),
    }


def found_added_loss(rows: Rows, changes: Changes) -> Found:
    """The channel's loss beyond what the lab was told, from the tags, and the interferometer's visibility."""
    visibility = 0.9914 * math.cos(changes["decoder", "phase_error_rad"])
    return [
        check
        for row in rows
        for check in (
            (
                f"loss at {row['link_added_loss']:g} dB",
                float(row["link_channel_loss"]) - float(row["link_added_loss"]) - changes["fibre", "loss_db"],
                3.0 * float(row["link_channel_loss_error"]),
            ),
            (
                f"visibility at {row['link_added_loss']:g} dB",
                float(row["link_visibility"]) - visibility,
                3.0 * float(row["link_visibility_error"]),
            ),
        )
    ]


def hidden_stability(chance: np.random.Generator) -> Changes:
    return {
        **QUIET_COW,
        ("decoder", "receiver_loss_db"): round(5.656 + float(chance.uniform(-1.0, 2.0)), 3),
        ("decoder", "visibility"): round(float(chance.uniform(0.95, 0.995)), 4),
        ("detectors", "dark_rate_hz"): round(float(chance.uniform(5.0, 100.0)), 1),
    }


def found_stability(rows: Rows, changes: Changes) -> Found:
    """Means over the run of detections, error rate and visibility, by the spread of the points themselves."""
    expected = cow_closed_form.predict(components("qiu_cow_dci", changes), LINK, SENT)
    wanted = {
        "link_detection_rate": expected.data.clicks_hz,
        "link_error_rate": expected.qber,
        "link_visibility": expected.visibility,
    }
    checks: Found = []
    for key, value in wanted.items():
        seen = np.array([float(row[key]) for row in rows])
        allowed = T_OF_SEVEN * float(np.std(seen, ddof=1)) / math.sqrt(len(seen))
        checks.append((key, float(np.mean(seen)) - value, allowed))
    return checks


def hidden_switching(chance: np.random.Generator) -> Changes:
    """Stray light and Ethernet, which the closed form leaves out, are off."""
    quiet = {
        (name, key): value
        for name, values in QUIET.items()
        for key, value in values.items()
        if not key.startswith("drift")
    }
    return {
        **quiet,
        ("decoder", "receiver_loss_db"): round(2.0 + float(chance.uniform(-1.0, 1.0)), 3),
        ("decoder", "z_error"): round(float(chance.uniform(0.004, 0.012)), 5),
        ("fibre", "crosstalk_per_km"): round(1.79e-8 * float(chance.uniform(0.5, 1.5)), 11),
    }


def found_switching(rows: Rows, changes: Changes) -> Found:
    """Clicks and error rate of each step; the modulators' eight bits leave a few per mille of the clicks open."""
    form = ClosedForm(components("clason_trusted_node", changes))
    link = validated(ROOT / "configs" / "clason_trusted_node", "sim.toml").link
    assert link is not None
    code: SymbolCode = link.options["protocol"].code()
    checks: Found = []
    for row in rows:
        core, current_ma = round(float(row["step_core"])), float(row["step_current"])
        hazards = form.slot_hazards(code, core, current_ma)
        rate_hz = float(hazards.sum()) / code.length / PERIOD_S
        error, sifted_hz = _errors_in_gate(form, code, core, current_ma)
        at, duration_s = f"in core {core} at {current_ma:g} mA", float(row["step_duration"])
        checks.append(
            (
                f"clicks {at}",
                float(row["step_count_rate"]) - rate_hz,
                3.0 * math.sqrt(rate_hz / duration_s) + 5e-3 * rate_hz,
            )
        )
        checks.append(
            (
                f"QBER Z {at}",
                float(row["step_qber_z"]) - error,
                3.0 * math.sqrt(error / (sifted_hz * duration_s)) + FOLLOWED,
            )
        )
    return checks


def _errors_in_gate(form: ClosedForm, code: SymbolCode, core: int, current_ma: float) -> tuple[float, float]:
    """Error rate of the key basis with what is steady cut down to the gate; and sifted bits a second."""
    hazards = form.slot_hazards(code, core, current_ma)
    detectors = form.parts["detectors"]
    noise_hz = form.noise_hz(core, current_ma) if current_ma else 0.0
    clicks = np.empty((2, code.length))
    for detector in range(2):
        steady_hz = detectors["dark_rate_hz"][detector] + detectors["efficiency"][detector] * noise_hz / 4.0
        clicks[detector] = hazards[detector] - steady_hz * (PERIOD_S - GATE_S)
    sent = code.basis == 0
    wrong = float(clicks[0][sent & (code.bit == 1)].sum() + clicks[1][sent & (code.bit == 0)].sum())
    total = float(clicks[:, sent].sum())
    return wrong / total, total / code.length / PERIOD_S
