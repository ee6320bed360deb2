"""The compiled loop that counts tags by channel and by interval of time."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def count_by_interval(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    column_of: NDArray[np.int64],
    start_ps: int,
    interval_ps: int,
    counts: NDArray[np.int64],
) -> int:
    """Count tags in counts[interval, column_of[channel]]; stops at the first beyond either end of it.

    The last interval found is tried first, so that a quotient is taken only where the interval changes.
    """
    row, low_ps, high_ps = np.int64(0), start_ps, start_ps + interval_ps
    stop_ps = start_ps + interval_ps * counts.shape[0]
    for i in range(times.size):
        time = times[i]
        if time < low_ps or time >= high_ps:
            if time < start_ps or time >= stop_ps:
                return i
            row = (time - start_ps) // interval_ps
            low_ps = start_ps + row * interval_ps
            high_ps = low_ps + interval_ps
        counts[row, column_of[channels[i]]] += 1
    return times.size
