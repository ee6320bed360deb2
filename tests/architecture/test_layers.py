"""The walls of the house: imports, style, types, and what may stand where."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("qdci_lab", "drivers", "plans", "sim_devices")
IMPURE = {"ophyd", "bluesky", "socket", "serial", "pyvisa", "threading", "time", "asyncio", "subprocess"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def run_tool(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("lint-imports",),
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("pyright", "--pythonpath", sys.executable),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_the_tool_finds_nothing(words):
    result = run_tool(*words)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "path", [p for p in modules("drivers") if p.stem.endswith(("_codec", "_api"))], ids=lambda p: p.stem
)
def test_a_codec_is_pure(path):
    assert not imported(path) & IMPURE


@pytest.mark.parametrize("package", PACKAGES)
def test_only_absolute_imports(package):
    for path in modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        relative = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
        assert not relative, path


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_a_drawer_for_everything(package):
    names = {part for path in modules(package) for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"utils", "helpers", "common", "manager", "misc"}


def test_the_top_level_is_what_was_agreed():
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    tracked = {"pyproject.toml", "README.md", "docs", "tests", "configs", *PACKAGES}
    produced = {"data", "build", "dist", "runs"}
    assert visible - produced <= tracked


def test_every_driver_and_firmware_names_its_reference_first():
    for path in [*modules("drivers"), *modules("sim_devices/firmware"), *modules("qdci_lab/analysis")]:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, path
