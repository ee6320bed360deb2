"""The same estimators in numpy, block by block so that temporary arrays stay in the cache: as in a notebook."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16


def sift(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    symbols: NDArray[np.uint8],
    period: float,
    gate: float,
) -> NDArray[np.int64]:
    """Clicks by symbol and by mask of detectors, shape [128], with a clock that does not move."""
    bit_of = np.zeros(256, np.uint8)
    bit_of[1:5] = [1, 2, 4, 8]
    counts = np.zeros(128, np.int64)
    open_slots, open_bits = np.empty(0, np.int64), np.empty(0, np.uint8)
    for start in range(0, times.size, BLOCK):
        position = times[start : start + BLOCK] / period
        slots = np.floor(position + 0.5)
        bits = bit_of[channels[start : start + BLOCK]]
        inside = (np.abs(position - slots) * period < 0.5 * gate) & (bits > 0)
        slots = np.concatenate([open_slots, slots[inside].astype(np.int64)])
        bits = np.concatenate([open_bits, bits[inside]])
        begins = np.flatnonzero(np.concatenate([[True], slots[1:] != slots[:-1]]))
        last = begins[-1]
        open_slots, open_bits = slots[last:], bits[last:]
        counts += _clicks(slots[begins[:-1]], np.bitwise_or.reduceat(bits, begins)[:-1], symbols)
    return counts + _clicks(open_slots[:1], np.bitwise_or.reduce(open_bits, keepdims=True), symbols)


def _clicks(
    slots: NDArray[np.int64], masks: NDArray[np.uint8], symbols: NDArray[np.uint8]
) -> NDArray[np.int64]:
    sent = symbols[slots % symbols.size].astype(np.int64)
    return np.bincount(sent << 4 | masks, minlength=128)


def coincidences(times: NDArray[np.int64], channels: NDArray[np.uint8], window: int) -> int:
    pairs = 0
    for firsts, seconds in _neighbourhoods(times, channels, window):
        pairs += int(
            (
                np.searchsorted(seconds, firsts + window, "right") - np.searchsorted(seconds, firsts - window)
            ).sum()
        )
    return pairs


def correlate(
    times: NDArray[np.int64], channels: NDArray[np.uint8], bin_ps: int, bins_each_side: int
) -> NDArray[np.int64]:
    reach = bins_each_side * bin_ps + bin_ps // 2
    pairs = np.zeros(2 * bins_each_side + 1, np.int64)
    span = pairs.size * bin_ps
    for firsts, seconds in _neighbourhoods(times, channels, span):
        low = np.searchsorted(seconds, firsts - reach)
        high = np.searchsorted(seconds, firsts - reach + span)
        while (more := low < high).any():
            firsts, low, high = firsts[more], low[more], high[more]
            pairs += np.bincount((seconds[low] - firsts + reach) // bin_ps, minlength=pairs.size)
            low = low + 1
    return pairs


def _neighbourhoods(times: NDArray[np.int64], channels: NDArray[np.uint8], reach: int):
    """Times of channel 1 in each block, and those of channel 2 within reach of it."""
    for start in range(0, times.size, BLOCK):
        block = slice(start, start + BLOCK)
        firsts = times[block][channels[block] == 1]
        around = slice(*np.searchsorted(times, (times[block][0] - reach, times[block][-1] + reach + 1)))
        yield firsts, times[around][channels[around] == 2]
