"""Dead time and afterpulsing of several detectors in pulsed light, from one stretch of tags."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.detector_corrections import estimate_afterpulsing, find_blocked_slots
from qdci_lab.errors import AcquisitionError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClickGaps:
    """One entry for each detector, in the order in which the inputs were given.

    `afterpulsing` is the probability that an afterpulse follows a click, with its standard error. `dead_times_s` are
    the silences after a click, in whole pulse periods: light that comes in pulses does not show more.
    """

    afterpulsing: Array
    afterpulsing_errors: Array
    dead_times_s: Array
    clicks: NDArray[np.int64]


def study_click_gaps(
    times_ps: NDArray[np.int64],
    channels: NDArray[np.uint8],
    inputs: Sequence[int],
    period_ps: float,
    horizon_s: float,
) -> ClickGaps:
    """Study the gaps of each input's clicks; AcquisitionError, naming the input, where they are too few.

    Trapped charge must be gone `horizon_s` after a click; light comes every `period_ps`.
    """
    found = [_one(times_ps[channels == number], number, period_ps * 1e-12, horizon_s) for number in inputs]
    columns = [np.array(column) for column in zip(*found, strict=True)]
    return ClickGaps(columns[0], columns[1], columns[2], columns[3].astype(np.int64))


def _one(
    times_ps: NDArray[np.int64], number: int, period_s: float, horizon_s: float
) -> tuple[float, float, float, int]:
    times = np.sort(times_ps)  # tags of one input may be out of order by tens of nanoseconds
    try:
        dead_s = find_blocked_slots(times, period_s) * period_s
        # Half a period beyond the silence, so that rounding cannot take a slot away from it.
        chance = estimate_afterpulsing(times, dead_s + 0.5 * period_s, horizon_s, period_s=period_s)
    except ValueError as error:
        raise AcquisitionError(
            f"input {number}: {times.size} clicks do not tell afterpulsing: {error}"
        ) from error
    return chance.value, chance.standard_error, dead_s, times.size
