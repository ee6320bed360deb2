"""The compiled loops that turn tags in order of time into histograms of time differences."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

# State of a start-stop histogram, int64: time of the last start, whether it waits for its stop, starts, stops
# without a start before them, differences beyond the last bin.
STARTED, ARMED, STARTS, UNSTARTED, BEYOND, START_STOP_STATE = 0, 1, 2, 3, 4, 5


@njit(cache=True, nogil=True)
def part(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    first: int,
    second: int,
    firsts: NDArray[np.int64],
    seconds: NDArray[np.int64],
) -> tuple[np.int64, np.int64]:
    """Part the times of either channel, without branches; the arrays have one place to spare."""
    n, m = np.int64(0), np.int64(0)
    for i in range(times.size):
        time, channel = times[i], channels[i]
        firsts[n] = time
        n += np.int64(channel == first)
        seconds[m] = time
        m += np.int64(channel == second)
    return n, m


@njit(cache=True, nogil=True)
def correlate(
    firsts: NDArray[np.int64],
    seconds: NDArray[np.int64],
    horizon_ps: int,
    reach_ps: int,
    bin_ps: int,
    histogram: NDArray[np.int64],
) -> tuple[int, int]:
    """Histogram second - first, from -reach on, of every second whose firsts are all known.

    They are known if no tag to come lies below `horizon_ps`. Returns the first tags of either channel that
    are still needed. The bin is a quotient by reciprocal: half a picosecond keeps it off the integers, so that
    it is exact for reaches below 2^51 ps.
    """
    inverse = 1.0 / bin_ps
    span_ps = histogram.size * bin_ps
    oldest = 0
    for j in range(seconds.size):
        # Differences from -reach to span - reach - 1 are counted.
        newest_ps = seconds[j] + reach_ps
        if newest_ps >= horizon_ps:
            return oldest, j
        oldest_ps = newest_ps - span_ps
        while oldest < firsts.size and firsts[oldest] <= oldest_ps:
            oldest += 1
        k = oldest
        while k < firsts.size and firsts[k] <= newest_ps:
            cell = np.uint64(math.floor((np.float64(newest_ps - firsts[k]) + 0.5) * inverse))
            histogram[cell] += 1
            k += 1
    return oldest, seconds.size


@njit(cache=True, nogil=True)
def start_stop(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    start: int,
    stop: int,
    bin_ps: int,
    state: NDArray[np.int64],
    histogram: NDArray[np.int64],
) -> None:
    """Histogram the time from each start to the first stop after it, if that comes before the next start."""
    inverse = 1.0 / bin_ps
    span_ps = histogram.size * bin_ps
    for i in range(times.size):
        time, channel = times[i], channels[i]
        if channel == stop:
            difference_ps = time - state[STARTED]
            if not state[ARMED]:
                state[UNSTARTED] += 1
            elif difference_ps >= span_ps:
                state[BEYOND] += 1
            else:
                histogram[np.uint64(math.floor((np.float64(difference_ps) + 0.5) * inverse))] += 1
            state[ARMED] = 0
        if channel == start:
            state[STARTED] = time
            state[ARMED] = 1
            state[STARTS] += 1
