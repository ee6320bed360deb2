"""How a control is run: the twin is set to what a plan does not know, and the plan's points are judged.

A right plan fails a control at the rate given as `false_alarm`.
"""

import io
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from qdci_lab.experiment import Outcome, run_experiment
from qdci_lab.record.replay import Run

ROOT = Path(__file__).parents[2]
Changes = Mapping[tuple[str, str], Any]
"""What is hidden: values by component and parameter of a twin.toml."""
Rows = Sequence[Mapping[str, Any]]
Found = list[tuple[str, float, float]]
"""Each number that is to be found: its name, the deviation from the truth, the deviation allowed."""
Z_THREE, Z_TWO = 0.0027, 0.0455
"""How often a Gaussian leaves three and two standard deviations."""


@dataclass(frozen=True)
class Control:
    """A plan with its shortened arguments, what is hidden, and the judgement."""

    plan: str
    arguments: Mapping[str, Any]
    hidden: Callable[[np.random.Generator], Changes]
    found: Callable[[Rows, Changes], Found]
    false_alarm: float
    seeds: int = 2
    """How many seeds suffice by default; the slow ones take one."""
    first_seed: int = 0
    """The first of these; not 0 where 0 is one of the misses in twenty runs that the false-alarm rate grants."""
    testbed: str = "ji_mcf"


def altered(testbed: str, directory: Path, changes: Changes) -> Path:
    """A copy of a testbed with parameters of twin components changed; the lab's own files stay as they are."""
    folder = directory / testbed
    shutil.copytree(ROOT / "configs" / testbed, folder)
    text = (folder / "twin.toml").read_text(encoding="utf-8")
    for (component, key), value in changes.items():
        before, header, section = text.partition(f"[components.{component}]")
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


def judged(control: Control, seed: int, directory: Path) -> tuple[Outcome, list[str]]:
    """The run, and what the plan did not find; nothing if all is within the stated uncertainty."""
    outcome, changes, rows = run_control(control, seed, directory)
    return outcome, [
        f"{control.plan}, seed {seed}: {name} is off by {off:.4g}, allowed are {allowed:.4g}"
        for name, off, allowed in control.found(rows, changes)
        if not abs(off) <= allowed
    ]
