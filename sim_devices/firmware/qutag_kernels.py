"""The loops over every event that the quTAG's stand-in runs (compiled; the GIL is released).

They decide event by event on what was decided before, which arrays cannot say, and carry on from call to
call through the arrays that they change.
"""

import numba
import numpy as np
from numpy.typing import NDArray

LEADER, PATTERN = 0, 1
"""Places in the state of `count_coincidences`: time of the coincidence's first event, and inputs seen in it."""


@numba.njit(cache=True, nogil=True)
def outlive_dead_time(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    dead_times_ps: NDArray[np.int64],
    last_ps: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which of the sorted events find their input awake; the last such event of each input is kept in `last_ps`."""
    alive = np.empty(times.size, np.bool_)
    for i in range(times.size):
        channel = channels[i]
        alive[i] = times[i] - last_ps[channel] >= dead_times_ps[channel]
        if alive[i]:
            last_ps[channel] = times[i]
    return alive


@numba.njit(cache=True, nogil=True)
def merge_delayed(
    held_times: NDArray[np.int64],
    held_channels: NDArray[np.uint8],
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    delays_ps: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The sorted held events with new ones, delayed by input, put in between where they belong (mostly at the end)."""
    held = held_times.size
    all_times, all_channels = np.empty(held + times.size, np.int64), np.empty(held + times.size, np.uint8)
    all_times[:held], all_channels[:held] = held_times, held_channels
    for i in range(times.size):
        channel = channels[i]
        time = times[i] + delays_ps[channel]
        place = held + i
        while place > 0 and all_times[place - 1] > time:
            all_times[place], all_channels[place] = all_times[place - 1], all_channels[place - 1]
            place -= 1
        all_times[place], all_channels[place] = time, channel
    return all_times, all_channels


@numba.njit(cache=True, nogil=True)
def count_coincidences(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    window_ps: int,
    state: NDArray[np.int64],
    bits: NDArray[np.int64],
    singles: NDArray[np.int64],
    patterns: NDArray[np.int64],
) -> None:
    """Add to `singles` (by input) and `patterns` (by the inputs of a coincidence that has ended, bit by bit).

    `bits` gives the bit of each input, 0 for those that take no part in coincidences.
    """
    leader_ps, pattern = state[LEADER], state[PATTERN]
    for i in range(times.size):
        channel = channels[i]
        singles[channel] += 1
        if bits[channel] == 0:
            continue
        if times[i] > leader_ps + window_ps:
            patterns[pattern] += 1
            leader_ps, pattern = times[i], 0
        pattern |= bits[channel]
    state[LEADER], state[PATTERN] = leader_ps, pattern
