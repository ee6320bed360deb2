"""The compiled loops that put tags in order. Only this module and its like need numba."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def in_order(times: NDArray[np.int64], latest: int) -> bool:
    """No time is below the one before it, nor the first below `latest`."""
    if times.size == 0:
        return True
    steps_back = np.int64(times[0] < latest)
    for i in range(times.size - 1):
        steps_back += np.int64(times[i + 1] < times[i])
    return steps_back == 0


@njit(cache=True, nogil=True)
def accept(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    delay_of: NDArray[np.int64],
    disorder_ps: int,
    latest: int,
    kept_times: NDArray[np.int64],
    kept_channels: NDArray[np.uint8],
    kept: int,
) -> tuple[np.int64, int]:
    """Append tags less their delays to those kept, but for those too late; number kept, and latest time."""
    n = np.int64(kept)
    for i in range(times.size):
        time, channel = times[i], channels[i]
        latest = max(latest, time)
        kept_times[n] = time - delay_of[channel]
        kept_channels[n] = channel
        n += np.int64(time >= latest - disorder_ps)
    return n, latest


@njit(cache=True, nogil=True)
def sort_nearly_sorted(times: NDArray[np.int64], channels: NDArray[np.uint8], most_moves: int) -> bool:
    """Stable insertion sort in place; False, with the sorting unfinished, after `most_moves` moves."""
    moves = 0
    for i in range(1, times.size):
        time, channel = times[i], channels[i]
        j = i
        while j > 0 and times[j - 1] > time:
            times[j] = times[j - 1]
            channels[j] = channels[j - 1]
            j -= 1
        times[j] = time
        channels[j] = channel
        moves += i - j
        if moves > most_moves:
            return False
    return True
