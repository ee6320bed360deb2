"""What blocks with two sets of detectors come to: key, errors, clicks and dark counts of each, and their ratio."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

EXTERNAL, INTERNAL = 0, 1
NAMES = {EXTERNAL: "SNSPD", INTERNAL: "InGaAs"}


@dataclass(frozen=True)
class Published:
    """Clason et al., Results and Fig. 2: key rate and error rate without the multicore fibre, and their spreads."""

    skr_bps: float
    skr_spread_bps: float
    qber: float
    qber_spread: float
    remark: str


PUBLISHED = {
    EXTERNAL: Published(4750.0, 710.0, 0.005, 0.002, "class B: receiver loss and errors of the twin calibrated to it"),
    INTERNAL: Published(
        160.0, 20.0, 0.021, 0.004,
        "class C, not reproducible: the time-multiplexed single detector is not described",
    ),
}  # fmt: skip
CLASON = ("clason_trusted_node",)
"""Testbeds to which the published values belong."""


@dataclass(frozen=True)
class SetSummary:
    """Mean over a set's blocks, with standard errors; error rates are those of all detections together."""

    number: int
    blocks: int
    skr_bps: float
    skr_error_bps: float
    qber_z: float
    qber_x: float
    count_rate_hz: float
    dark_rate_hz: float
    dark_error_hz: float

    @property
    def light_hz(self) -> float:
        """Clicks that the transmitter's light makes."""
        return self.count_rate_hz - self.dark_rate_hz

    @property
    def name(self) -> str:
        """For legends and sentences."""
        return NAMES[self.number]


def summaries(rows: Sequence[Mapping[str, Any]]) -> dict[int, SetSummary]:
    """One for each set that has blocks."""
    numbers = dict.fromkeys(round(float(row["set_number"])) for row in rows)
    return {number: _summary(number, rows) for number in numbers}


def _summary(number: int, rows: Sequence[Mapping[str, Any]]) -> SetSummary:
    own = [row for row in rows if round(float(row["set_number"])) == number]

    def column(key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([float(row[key]) for row in own])

    seconds, skr = column("link_duration"), column("link_skr_rusca_2018")
    errors = {basis: sum(column(f"link_m_{basis}_{k}").sum() for k in ("signal", "decoy")) for basis in "zx"}
    dark_hz, dark_s = column("set_dark_rate")[-1], column("set_dark_time")[-1]
    return SetSummary(
        number=number,
        blocks=len(own),
        skr_bps=float(np.average(skr, weights=seconds)),
        skr_error_bps=float(math.hypot(*(column("link_skr_rusca_2018_error") * seconds)) / seconds.sum()),
        qber_z=float(errors["z"] / column("link_n_z").sum()),
        qber_x=float(errors["x"] / column("link_n_x").sum()),
        count_rate_hz=float(np.average(column("link_count_rate"), weights=seconds)),
        dark_rate_hz=float(dark_hz),
        dark_error_hz=math.sqrt(max(float(dark_hz), 1.0 / dark_s) / dark_s),
    )


def comparison_told(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each set beside what is published, and how much more key one gives than the other."""
    found = summaries(rows)
    lines = []
    for number, one in sorted(found.items()):
        published = PUBLISHED[number]
        lines.append(
            f"{one.name}: {1e-3 * one.skr_bps:.3f} ± {1e-3 * one.skr_error_bps:.3f} kb/s from {one.blocks} blocks, "
            f"QBER Z {100 * one.qber_z:.2f} %, X {100 * one.qber_x:.2f} %, {one.count_rate_hz:.0f} counts/s, "
            f"in the dark {one.dark_rate_hz:.1f} ± {one.dark_error_hz:.1f}; Clason et al.: "
            f"{1e-3 * published.skr_bps:.2f} ± {1e-3 * published.skr_spread_bps:.2f} kb/s, "
            f"QBER {100 * published.qber:.1f} ± {100 * published.qber_spread:.1f} % ({published.remark})"
        )
    if set(found) == {EXTERNAL, INTERNAL}:
        wires, diodes = found[EXTERNAL], found[INTERNAL]
        key = f"{wires.skr_bps / diodes.skr_bps:.1f} times the" if diodes.skr_bps > 0.0 else "all of the"
        lines.append(
            f"nanowires see {wires.light_hz / diodes.light_hz:.2f} times as many photons as diodes, "
            f"dead time included, and give {key} key; published: 29.7 times"
        )
    return "\n".join(lines)
