"""The compiled loop that counts singles and coincidences in tags that are in order of time.

A window slides along the tags, and how many of each channel are in it is kept up to date. A tag completes as many
coincidences of a pattern as there are ways to choose one tag in the window from each other channel of it.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def count_block(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    window_ps: int,
    place_of: NDArray[np.int64],
    first_pattern: NDArray[np.int64],
    pattern: NDArray[np.int64],
    others: NDArray[np.int64],
    before_times: NDArray[np.int64],
    before_channels: NDArray[np.uint8],
    in_window: NDArray[np.int64],
    singles: NDArray[np.int64],
    coincidences: NDArray[np.int64],
) -> tuple[int, int]:
    """Count one block; tags before it that are still in the window are given.

    Channel c has place place_of[c] in `in_window`. Row k of `others`, first_pattern[place] <= k <
    first_pattern[place + 1], lists the other places of pattern[k], filled up with the last place of
    `in_window`, which always holds one. Returns the first tags still in the window, of those before and of the block.
    """
    gone_before, gone = 0, 0
    for i in range(times.size):
        time = times[i]
        oldest = time - window_ps
        while gone_before < before_times.size and before_times[gone_before] < oldest:
            in_window[place_of[before_channels[gone_before]]] -= 1
            gone_before += 1
        while times[gone] < oldest:
            in_window[place_of[channels[gone]]] -= 1
            gone += 1
        channel = channels[i]
        place = place_of[channel]
        singles[channel] += 1
        if gone < i or gone_before < before_times.size:
            for k in range(first_pattern[place], first_pattern[place + 1]):
                ways = in_window[others[k, 0]]
                for m in range(1, others.shape[1]):
                    ways *= in_window[others[k, m]]
                coincidences[pattern[k]] += ways
        in_window[place] += 1
    return gone_before, gone
