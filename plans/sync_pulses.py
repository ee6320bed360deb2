"""What recorded sync pulses come to: the pulses of a trace, widths over all records, and what is published."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qdci_lab.analysis.sync_pulse import SyncPulses, combined, find_sync_pulses

CABLE, OPTICAL = 1, 2
SOURCES = {"cable": CABLE, "optical": OPTICAL}
NAMES = {number: name for name, number in SOURCES.items()}
PUBLISHED_NS = {CABLE: (1.23, 0.07), OPTICAL: (0.97, 0.04)}
"""Ji et al. 2.4: full width at half maximum and its uncertainty."""
TRACES = "traces"
"""The stream of what the oscilloscope shows."""


def pulses_of(data: Mapping[str, Any], scope: str, channel: int, rate_hz: float) -> SyncPulses:
    """The pulses in a recorded trace of one channel."""
    return find_sync_pulses(
        np.asarray(data[f"{scope}_waveform_{channel}"]),
        1e12 * float(data[f"{scope}_sample_interval"]),
        1e12 * float(data[f"{scope}_start_time"]),
        1e12 / rate_hz,
    )


def widths_ps(rows: Sequence[Mapping[str, Any]]) -> dict[int, tuple[float, float]]:
    """Width of the pulses of each source and its standard error, over all its records."""
    found = {}
    for source in SOURCES.values():
        own = [row for row in rows if round(float(row["sync_source"])) == source]
        if own:
            found[source] = combined(
                np.array([float(row["sync_fwhm"]) for row in own]),
                np.array([float(row["sync_fwhm_error"]) for row in own]),
            )
    return found


def widths_told(rows: Sequence[Mapping[str, Any]]) -> str:
    """Width and jitter of each source, beside the published width."""
    lines = []
    for source, (width_ps, error_ps) in widths_ps(rows).items():
        own = [row for row in rows if round(float(row["sync_source"])) == source]
        spread_ps = float(np.mean([row["sync_fwhm_spread"] for row in own]))
        jitter_ps = float(np.mean([row["sync_jitter"] for row in own]))
        published_ns, uncertainty_ns = PUBLISHED_NS[source]
        lines.append(
            f"{NAMES[source]}: FWHM {width_ps / 1e3:.4f} ± {error_ps / 1e3:.4f} ns "
            f"(single pulses ± {spread_ps / 1e3:.3f} ns), arrival jitter {jitter_ps:.1f} ps; "
            f"Ji et al.: {published_ns:g} ± {uncertainty_ns:g} ns"
        )
    return "\n".join(lines)
