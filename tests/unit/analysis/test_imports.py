"""What the analysis imports before anybody calls it: figures of time are in the benchmarks."""

import subprocess
import sys

import pytest

HEAVY = {
    "numba",
    "llvmlite",
    "scipy",
    "h5py",
    "matplotlib",
    "pandas",
    "ophyd",
    "bluesky",
    "concurrent.futures",
}


@pytest.mark.parametrize(
    "modules",
    [
        "qdci_lab.analysis",
        "qdci_lab.analysis.arrival, qdci_lab.analysis.coincidences",
        "qdci_lab.analysis.correlation, qdci_lab.analysis.rates",
    ],
)
def test_importing_the_analysis_loads_no_heavy_module(modules):
    script = f"import {modules}, sys; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert HEAVY.isdisjoint(loaded.split())
    assert len(loaded.split()) < 400
