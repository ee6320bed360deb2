"""The compiled loop that histograms the arrival of tags within the period of a clock."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

BATCH = 1024


@njit(cache=True, nogil=True)
def fold(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    row_of: NDArray[np.int64],
    delay_of: NDArray[np.int64],
    start_ps: int,
    stop_ps: int,
    remainder_ps: float,
    inverse_period: float,
    curvature: float,
    histogram: NDArray[np.int64],
) -> int:
    """Count tags by row_of[channel] and by place in the period; stops at the first, less its delay, not in the section.

    The section [start_ps, stop_ps) has a pulse at start + remainder; the place of a time x periods after it is that of
    x - curvature x^2. Returns how many tags were taken.
    """
    bins = histogram.shape[1]
    cells = np.empty(BATCH, dtype=np.int64)
    flat = histogram.reshape(-1)
    taken = 0
    while taken < times.size:
        batch, inputs = times[taken : taken + BATCH], channels[taken : taken + BATCH]
        outside = np.int64(0)
        for i in range(batch.size):
            channel = inputs[i]
            time = batch[i] - delay_of[channel]
            outside += np.int64((time < start_ps) | (time >= stop_ps))
            position = (np.float64(time - start_ps) - remainder_ps) * inverse_period
            position -= curvature * position * position
            place = position - np.floor(position + 0.5) + 0.5
            cells[i] = row_of[channel] * bins + min(np.int64(place * bins), bins - 1)
        count = batch.size
        if outside:
            count = 0
            while start_ps <= batch[count] - delay_of[inputs[count]] < stop_ps:
                count += 1
        for i in range(count):
            flat[np.uint64(cells[i])] += 1
        taken += count
        if outside:
            break
    return taken
