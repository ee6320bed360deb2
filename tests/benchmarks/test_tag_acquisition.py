"""From the functions of a C library through online sifting to synced segments, in real time.

The library (plain_tagger.c) delivers 10 s of data at a steady rate into a ring of a million tags, as a quTAG does.
Every tag is accounted for: given by the device = in the segment + dropped and counted; overwritten in the device's ring
are those that nobody read in time. Each acquisition has a process of its own (acquire_tags.py), whose memory is seen.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plain_c import build
from rich.console import Console

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

RATES_HZ = (25e6, 50e6, 75e6, 100e6)
"""Of tags in real time; times in the data are those of the template, a tag a slot, whatever the rate."""
MOST_MIB = 512.0


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_sustained_rate(rate_hz: float, recorded: bool, tmp_path: Path, request: pytest.FixtureRequest):
    seconds = min(10.0, float(request.config.getoption("--tags")) / 10e6)
    library = build("plain_tagger.c", tmp_path)
    script = Path(__file__).parent / "acquire_tags.py"
    words = [
        sys.executable,
        str(script),
        str(library),
        str(tmp_path),
        str(rate_hz),
        str(seconds),
        str(int(recorded)),
    ]
    found = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
    Console(width=160).print(
        f"\n{rate_hz / 1e6:.0f} Mtags/s for {seconds:g} s, {'sifted and recorded' if recorded else 'sifted'}: "
        f"{found['count']:,} taken, {found['lost']:,} dropped, {found['overwritten']:,} overwritten in the device; "
        f"synced after {found['elapsed_s']:.1f} s, {found['processor_s']:.1f} s of processor, "
        f"peak {found['peak_mib']:.0f} MiB, load {os.getloadavg()[0]:.1f}"
    )
    assert found["count"] + found["lost"] == found["given"]
    assert found["sifted"] == found["count"]
    assert found["in_file"] == (found["count"] if recorded else 0)
    assert found["peak_mib"] < MOST_MIB
