"""From the functions of a C library through online sifting to synced segments, in real time.

The library (plain_tagger.c) delivers 10 s of data at a steady rate into a ring of a million tags, as a quTAG does.
Every tag is accounted for: given by the device = in the segment + dropped and counted. What is overwritten in the ring
because nobody read it in time a quTAG does not count, it only says that there was some; the stand-in counts it, and
what the driver states as the most that it can have been must not be less. Each acquisition has a process of its own
(acquire_tags.py), whose memory is seen.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plain_c import build
from rich.console import Console

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

RATES_HZ = (25e6, 50e6, 75e6, 100e6)
"""Of tags in real time; times in the data are those of the template, a tag a slot, whatever the rate."""
STEP_HZ, STEPS = 5e6, 20
TRIAL_S = 3.0
MOST_MIB = 512.0

Found = dict[str, Any]


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    return min(10.0, float(str(request.config.getoption("--tags"))) / 10e6)


def acquire(rate_hz: float, seconds: float, folder: Path, *, recorded: bool) -> Found:
    """Acquire in a process of its own, print what came of it, and balance the account."""
    library = build("plain_tagger.c", folder)
    script = Path(__file__).parent / "acquire_tags.py"
    words = [sys.executable, script, library, folder, rate_hz, seconds, int(recorded)]
    run = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    Console(width=160).print(
        f"\n{rate_hz / 1e6:.0f} Mtags/s for {seconds:g} s, {'sifted and recorded' if recorded else 'sifted'}: "
        f"{found['count']:,} taken, {found['lost']:,} dropped, {found['overwritten']:,} overwritten in the device "
        f"(driver: at most {found['overwritten_at_most']:,}); "
        f"synced after {found['elapsed_s']:.1f} s, {found['processor_s']:.1f} s of processor, "
        f"peak {found['peak_mib']:.0f} MiB, load {os.getloadavg()[0]:.1f}"
    )
    assert found["count"] + found["lost"] == found["given"]
    assert found["sifted"] == found["count"]
    assert found["in_file"] == (found["count"] if recorded else 0)
    assert found["flagged"] == (found["lost"] + found["overwritten"] > 0)
    assert found["overwritten_at_most"] >= found["overwritten"]
    assert found["peak_mib"] < MOST_MIB
    return found


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_sustained_rate(rate_hz: float, recorded: bool, seconds: float, tmp_path: Path):
    assert acquire(rate_hz, seconds, tmp_path, recorded=recorded)["count"] > 0


@pytest.mark.parametrize("recorded", [False, True])
def test_highest_rate_without_any_loss(recorded: bool, seconds: float, tmp_path: Path):
    """Halving the range of rates with short acquisitions, then from there down until a long one loses nothing."""
    low, high = 0, STEPS + 1
    while high - low > 1:
        middle = (low + high) // 2
        found = acquire(middle * STEP_HZ, min(TRIAL_S, seconds), tmp_path, recorded=recorded)
        low, high = (low, middle) if found["flagged"] else (middle, high)
    while low and acquire(low * STEP_HZ, seconds, tmp_path, recorded=recorded)["flagged"]:
        low -= 1
    what = "sifted and recorded" if recorded else "sifted"
    Console(width=160).print(f"\nHighest rate without any loss, {what}: {low * STEP_HZ / 1e6:.0f} Mtags/s")
    assert low > 0
