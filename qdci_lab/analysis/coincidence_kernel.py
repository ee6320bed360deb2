"""The compiled loops that count singles and coincidences in tags that are in order of time.

A coincidence lies within a run of tags that follow each other within the window. Most tags are alone, and most runs
are pairs; these are found without branches and looked up. Along longer runs a window slides, and how many tags of
each channel are in it is kept up to date: a tag completes as many coincidences of a pattern as there are ways to choose
one tag in the window from each other channel of it.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_TABLES = 4


@njit(cache=True, nogil=True)
def count_singles(channels: NDArray[np.uint8], singles: NDArray[np.int64]) -> None:
    """Tags of each channel. Tables take turns, because counting in one place twice in a row waits for the memory."""
    tables = np.zeros(_TABLES * 256, dtype=np.int64)
    whole = channels.size - channels.size % _TABLES
    for i in range(0, whole, _TABLES):
        tables[np.uint64(channels[i])] += 1
        tables[np.uint64(channels[i + 1]) | np.uint64(256)] += 1
        tables[np.uint64(channels[i + 2]) | np.uint64(512)] += 1
        tables[np.uint64(channels[i + 3]) | np.uint64(768)] += 1
    for i in range(whole, channels.size):
        tables[np.uint64(channels[i])] += 1
    for channel in range(256):
        for table in range(_TABLES):
            singles[channel] += tables[table * 256 + channel]


@njit(cache=True, nogil=True)
def _slide(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    first: int,
    stop: int,
    window_ps: int,
    place_of: NDArray[np.int64],
    first_pattern: NDArray[np.int64],
    pattern: NDArray[np.int64],
    others: NDArray[np.int64],
    before_times: NDArray[np.int64],
    before_channels: NDArray[np.uint8],
    in_window: NDArray[np.int64],
    coincidences: NDArray[np.int64],
) -> tuple[int, int]:
    """Count tags first..stop - 1; the first ones still in the window, of those before and of these."""
    gone_before, gone = 0, first
    for i in range(first, stop):
        oldest = times[i] - window_ps
        while gone_before < before_times.size and before_times[gone_before] < oldest:
            in_window[place_of[before_channels[gone_before]]] -= 1
            gone_before += 1
        while times[gone] < oldest:
            in_window[place_of[channels[gone]]] -= 1
            gone += 1
        place = place_of[channels[i]]
        for k in range(first_pattern[place], first_pattern[place + 1]):
            ways = in_window[others[k, 0]]
            for m in range(1, others.shape[1]):
                ways *= in_window[others[k, m]]
            coincidences[pattern[k]] += ways
        in_window[place] += 1
    return gone_before, gone


@njit(cache=True, nogil=True)
def count_block(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    window_ps: int,
    place_of: NDArray[np.int64],
    first_pattern: NDArray[np.int64],
    pattern: NDArray[np.int64],
    others: NDArray[np.int64],
    pair_of: NDArray[np.int64],
    before_times: NDArray[np.int64],
    before_channels: NDArray[np.uint8],
    in_window: NDArray[np.int64],
    singles: NDArray[np.int64],
    coincidences: NDArray[np.int64],
) -> tuple[int, int]:
    """Count one block that is not empty; tags before it that are still in the window are given.

    Channel c has place place_of[c] in `in_window`. Row k of `others`, first_pattern[place] <= k <
    first_pattern[place + 1], lists the other places of pattern[k], filled up with the last place of
    `in_window`, which always holds one. pair_of[place, place] is the pattern of just those two, or the number of
    patterns. `coincidences` has one more element than there are patterns, for pairs that are none of them.
    Returns the first tags still in the window, of those before and of the block.
    """
    count_singles(channels, singles)
    size = times.size
    followed = np.empty(size + 1, dtype=np.uint32)
    runs = np.int64(0)
    for i in range(size - 1):
        followed[runs] = i
        runs += np.int64(times[i + 1] - times[i] <= window_ps)
    followed[runs] = size
    k, gone_before = np.int64(0), 0
    if before_times.size:
        stop = 1
        while int(followed[k]) == stop - 1:
            stop += 1
            k += 1
        gone_before, gone = _slide(
            times, channels, 0, stop, window_ps, place_of, first_pattern, pattern, others,
            before_times, before_channels, in_window, coincidences,
        )  # fmt: skip
        if stop == size:
            return gone_before, gone
        gone_before = before_times.size
        in_window[:-1] = 0
    begun = size - 1
    while runs > k and int(followed[runs - 1]) == begun - 1:
        begun -= 1
        runs -= 1
    no_times, no_channels = before_times[:0], before_channels[:0]
    while k < runs:
        first = int(followed[k])
        stop = first + 2
        k += 1
        while int(followed[k]) == stop - 1:
            stop += 1
            k += 1
        if stop - first == 2:
            coincidences[pair_of[place_of[channels[first]], place_of[channels[first + 1]]]] += 1
        else:
            _slide(
                times, channels, first, stop, window_ps, place_of, first_pattern, pattern, others,
                no_times, no_channels, in_window, coincidences,
            )  # fmt: skip
            in_window[:-1] = 0
    _, gone = _slide(
        times, channels, begun, size, window_ps, place_of, first_pattern, pattern, others,
        no_times, no_channels, in_window, coincidences,
    )  # fmt: skip
    return gone_before, gone
