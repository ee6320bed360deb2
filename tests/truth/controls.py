"""What the twin is set to and a plan must find: one control per plan, each drawn from a seed.

`hidden` gives changes to twin.toml that the plan knows nothing of; `found` says whether the plan's points agree with
them within the uncertainties the plan states. A right plan fails a control at the rate given as `false_alarm`.
"""

import io
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from plans.calibrate_mean_photon_number import calibration_of
from plans.scan_gate import gate_shape
from qdci_lab.experiment import Outcome, run_experiment
from qdci_lab.record.replay import Run

ROOT = Path(__file__).parents[2]
Changes = Mapping[tuple[str, str], Any]
Rows = Sequence[Mapping[str, Any]]
Z_THREE, Z_TWO = 0.0027, 0.0455
"""How often a Gaussian leaves three and two standard deviations."""


@dataclass(frozen=True)
class Control:
    """A plan with its shortened arguments, what is hidden, and the judgement."""

    plan: str
    arguments: Mapping[str, Any]
    hidden: Callable[[np.random.Generator], Changes]
    found: Callable[[Rows, Changes], Sequence[tuple[str, float, float]]]
    """Each number that is to be found: its name, the deviation from the truth, the deviation allowed."""
    false_alarm: float
    testbed: str = "ji_mcf"
    lab_changes: Mapping[str, str] = field(default_factory=dict)


def altered(testbed: str, directory: Path, changes: Changes) -> Path:
    """A copy of a testbed with parameters of twin components changed; the lab's own files stay as they are."""
    folder = directory / testbed
    shutil.copytree(ROOT / "configs" / testbed, folder)
    text = (folder / "twin.toml").read_text(encoding="utf-8")
    for (component, key), value in changes.items():
        before, header, section = text.partition(f"[components.{component}]\n")
        changed, count = re.subn(rf"(?m)^{key} = [^\n#]*", f"{key} = {_toml(value)} ", section, count=1)
        assert header, f"no component {component}"
        assert count == 1, f"{component} has no {key}"
        text = before + header + changed
    (folder / "twin.toml").write_text(text, encoding="utf-8")
    return folder


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(float(value))


def run_control(control: Control, seed: int, directory: Path) -> tuple[Outcome, Changes, Rows]:
    """Hide, run and give the points as they were recorded."""
    changes = control.hidden(np.random.default_rng(seed))
    folder = altered(control.testbed, directory, changes)
    console = Console(file=io.StringIO(), width=160)
    outcome = run_experiment(
        folder, control.plan, control.arguments,
        addresses="sim.toml", directory=directory, console=console, seed=seed,
    )  # fmt: skip
    return outcome, changes, [event["data"] for event in Run(outcome.file).events("primary")]


def misses(control: Control, seed: int, directory: Path) -> list[str]:
    """What the plan did not find; empty if all is within the stated uncertainty."""
    _, changes, rows = run_control(control, seed, directory)
    return [
        f"{control.plan}, seed {seed}: {name} is off by {off:.4g}, allowed are {allowed:.4g}"
        for name, off, allowed in control.found(rows, changes)
        if not abs(off) <= allowed
    ]


def _hidden_delays(chance: np.random.Generator) -> Changes:
    return {("tagger", "channel_delays_ps"): list(np.round(chance.uniform(5e3, 60e3, 4)))}


def _found_delays(rows: Rows, changes: Changes) -> list[tuple[str, float, float]]:
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


def _hidden_gate(chance: np.random.Generator) -> Changes:
    return {
        ("detectors", "jitter_ps"): round(float(chance.uniform(80.0, 300.0)), 1),
        ("detectors", "dark_rate_hz"): round(float(10.0 ** chance.uniform(2.5, 4.3))),
        ("detectors", "afterpulse_probability"): 0.0,
    }


def _found_gate(rows: Rows, changes: Changes) -> list[tuple[str, float, float]]:
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


def _hidden_source(chance: np.random.Generator) -> Changes:
    return {
        ("quantum_laser", "mean_photons"): round(523.0 * 10.0 ** (0.1 * chance.normal(0.0, 0.5)), 2),
        ("alice_voa", "scale"): round(float(chance.uniform(0.97, 1.03)), 4),
        ("probe_power_meter", "calibration_error_db"): round(float(chance.normal(0.0, 0.1)), 4),
    }


def _found_source(rows: Rows, changes: Changes) -> list[tuple[str, float, float]]:
    found = calibration_of(rows).signal
    truth = changes["quantum_laser", "mean_photons"] / 10.0  # 3 + 4 + 2.5 + 0.5 dB on the way
    return [
        ("mean photon number", found.unattenuated - truth, 2.0 * found.uncertainty),
        ("attenuator's scale", found.slope - changes["alice_voa", "scale"], 3.0 * found.slope_error),
    ]


CONTROLS = {
    "calibrate_delays": Control(
        "calibrate_delays", {"clicks": 2e5}, _hidden_delays, _found_delays, false_alarm=4 * Z_THREE
    ),
    "scan_gate": Control(
        "scan_gate", {"duration_s": 0.5, "align": False}, _hidden_gate, _found_gate, false_alarm=2 * Z_THREE
    ),
    "calibrate_mean_photon_number": Control(
        "calibrate_mean_photon_number", {"attenuations_db": [0.0, 5.0, 10.0], "readings": 3},
        _hidden_source, _found_source, false_alarm=Z_TWO + Z_THREE,
    ),
}  # fmt: skip
