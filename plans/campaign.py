"""The clock of an experiment that lasts for days: how long it has been measuring, in whatever many parts.

Each part reads its own lab clock, which on the twin begins anew with every bench. What runs on is the time spent
measuring: a part begins with what the parts before it had come to, and the pause between them is no part of it. How
long that pause was is known on a real bench only; a note says so.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray

from plans.stubs import Findings
from qdci_lab.record.parts import ELAPSED
from qdci_lab.sweep import earlier_parts
from qdci_lab.units import format_duration

RESUMED = "resumed"
"""How every note about a pause between two parts begins."""


def elapsed_s(table: Mapping[str, Any], lab_time_key: str) -> NDArray[np.float64]:
    """Time spent measuring of each row; where a run has no such clock, its lab time from the first row on."""
    if ELAPSED in table:
        return np.asarray(table[ELAPSED], np.float64)
    lab_time_s = np.asarray(table[lab_time_key], np.float64)
    return lab_time_s - np.min(lab_time_s)


class CampaignClock(Findings):
    """Time spent measuring since the first part began, as a device that can be read (`campaign_elapsed`)."""

    def __init__(self) -> None:
        super().__init__(ELAPSED.partition("_")[0])
        self._began_s = self._broken_off_s = 0.0
        self._earlier: Mapping[str, Any] = {}

    def begin(self, lab_time_s: float, *, broken_off_s: float = 0.0) -> MsgGenerator[str]:
        """Start the clock of this part; returns what to note about the pause before it, nothing in the first part.

        `broken_off_s` counts for what was under way when the part before ended, if there was one.
        """
        self._earlier = yield from earlier_parts()
        self._began_s = lab_time_s
        self._broken_off_s = broken_off_s if self._earlier else 0.0
        self.tick(lab_time_s)
        return self._note() if self._earlier else ""

    def tick(self, lab_time_s: float) -> float:
        """The time spent measuring until now, in s; read from now on."""
        elapsed_s = self._before_s + lab_time_s - self._began_s
        self.keep({ELAPSED.partition("_")[2]: (elapsed_s, "s")})
        return elapsed_s

    @property
    def earlier_points(self) -> int:
        """How many points the parts before have measured."""
        return len(self._earlier.get("points", ()))

    @property
    def _before_s(self) -> float:
        return float(self._earlier.get("elapsed_s", 0.0)) + self._broken_off_s

    def _note(self) -> str:
        earlier = self._earlier
        pause = "for how long on the lab's clock is not known, which began anew with the simulated bench"
        if earlier.get("source") == "bench":
            pause = f"for {format_duration(time.time() - float(earlier['ended_s']))}"
        after = f"after point {self.earlier_points} ({earlier.get('file')})"
        return (
            f"{RESUMED} {after}: interrupted {pause}; {format_duration(self._before_s)} of measuring before, "
            f"this part began at {self._began_s:.0f} s of its clock"
        )
