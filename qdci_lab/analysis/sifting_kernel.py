"""The compiled loops that turn time tags into a histogram of what happened in each slot.

Tags are taken in windows of `TRACKING_TAGS`. The first loop finds slot and gate of every tag of a window by a
multiplication with the reciprocal period, without branches, so that the compiler can vectorise it. The second
merges clicks into a ring of the last `RING_SLOTS` slots; a slot leaves the ring when a later one needs its
place, and is then counted once, in outcome[symbol of the code, mask of clicked detectors, two hash bits].
Only this module needs numba.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

RING_SLOTS = 64
OUTCOMES = 8 * 16 * 4

# Clock, float64: period, drift in ps per slot squared, remainder of the reference time below one ps.
PERIOD, DRIFT, REMAINDER, CLOCK_STATE = 0, 1, 2, 3
# Reference, int64: time and slot the clock counts from, and of the window that is open: tags, clicks, slot of
# the last tag, sum of the phase errors in units of 2^-40 periods.
TIME, SLOT, WINDOW_TAGS, WINDOW_CLICKS, LAST_SLOT, ERROR_SUM, REFERENCE_STATE = 0, 1, 2, 3, 4, 5, 6
# Tallies, int64: tags of each input, clicks within the gate by detector bit, clicks too late to be merged.
INPUTS, GATED, LATE, TALLIES = 0, 256, 272, 273

# A clock update after this many tags. The gains make the loop critically damped when every click comes from a
# pulse; clicks at random times lower both alike and leave it stable. The phase error of a click at distance r
# from its pulse (in periods) is r (1 - 4 r^2), which has no step half-way between pulses.
TRACKING_TAGS = 1024
PHASE_GAIN = 0.4
PERIOD_GAIN = 0.04
_ERROR_UNIT = 2.0**-40

_FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True, inline="always")
def _two_random_bits(slot: np.int64, key: np.uint64) -> np.int64:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of the slot, keyed; its two top bits."""
    mixed = (np.uint64(slot) + np.uint64(1)) * _INCREMENT + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST_MULTIPLIER
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND_MULTIPLIER
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.int64(mixed >> np.uint64(62))


@njit(cache=True, nogil=True, inline="always")
def _count_slot(
    slot: np.int64,
    mask: np.int64,
    symbols: NDArray[np.uint8],
    inverse_length: float,
    key: np.uint64,
    outcomes: NDArray[np.int64],
) -> None:
    """One more slot with these clicks. The remainder is exact for slots below 2^51 of either sign.

    Indices are unsigned, because for signed ones the compiler adds a test for negative values.
    """
    place = np.uint64(slot - np.int64(math.floor((slot + 0.5) * inverse_length)) * symbols.size)
    random = np.int64(0)
    if mask & (mask - 1):
        random = _two_random_bits(slot, key)
    outcomes[np.uint64((np.int64(symbols[place]) << 6) | (mask << 2) | random)] += 1


@njit(cache=True, nogil=True)
def _locate(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    bit_of: NDArray[np.uint8],
    delay_of: NDArray[np.int64],
    gate_width_ps: float,
    clock: NDArray[np.float64],
    reference: NDArray[np.int64],
    slots: NDArray[np.int64],
    bits: NDArray[np.uint8],
) -> None:
    """Slot of each tag, and the bit of its detector if it is within the gate; adds up the phase errors."""
    origin, first_slot = reference[TIME], reference[SLOT]
    inverse_period = 1.0 / clock[PERIOD]
    offset = clock[REMAINDER] * inverse_period
    curvature = 0.5 * clock[DRIFT] * inverse_period
    half_gate = 0.5 * gate_width_ps * inverse_period
    errors, clicks = np.int64(0), np.int64(0)
    for i in range(times.size):
        channel = channels[i]
        position = np.float64(times[i] - origin - delay_of[channel]) * inverse_period - offset
        position -= curvature * position * position
        nearest = np.floor(position + 0.5)
        residual = position - nearest
        bit = bit_of[channel]
        wired = np.int64(bit != 0)
        slots[i] = first_slot + np.int64(nearest)
        bits[i] = bit * ((residual >= -half_gate) & (residual < half_gate))
        errors += wired * np.int64(residual * (1.0 - 4.0 * residual * residual) / _ERROR_UNIT)
        clicks += wired
    reference[ERROR_SUM] += errors
    reference[WINDOW_CLICKS] += clicks
    reference[WINDOW_TAGS] += times.size
    reference[LAST_SLOT] = slots[times.size - 1]


@njit(cache=True, nogil=True)
def _merge(
    slots: NDArray[np.int64],
    bits: NDArray[np.uint8],
    count: int,
    symbols: NDArray[np.uint8],
    key: np.uint64,
    ring_slot: NDArray[np.int64],
    ring_mask: NDArray[np.int64],
    tallies: NDArray[np.int64],
    outcomes: NDArray[np.int64],
) -> None:
    """Put gated clicks into the ring, and count the slots that they push out of it."""
    inverse_length = 1.0 / symbols.size
    for i in range(count):
        bit = np.int64(bits[i])
        if bit == 0:
            continue
        tallies[GATED + bit] += 1
        slot = slots[i]
        cell = np.uint64(slot) & np.uint64(RING_SLOTS - 1)
        previous = np.int64(ring_slot[cell])
        if slot > previous:
            _count_slot(previous, np.int64(ring_mask[cell]), symbols, inverse_length, key, outcomes)
            ring_slot[cell] = slot
            ring_mask[cell] = bit
        elif slot == previous:
            ring_mask[cell] |= bit
        else:
            tallies[LATE] += 1
            _count_slot(np.int64(slot), bit, symbols, inverse_length, key, outcomes)


@njit(cache=True, nogil=True)
def _close_window(clock: NDArray[np.float64], reference: NDArray[np.int64], tracking: bool) -> None:
    """Move the reference to the last slot; when tracking, correct phase and period by the mean phase error."""
    slots = float(reference[LAST_SLOT] - reference[SLOT])
    period, drift = clock[PERIOD], clock[DRIFT]
    arrival = clock[REMAINDER] + period * slots + 0.5 * drift * slots * slots
    period += drift * slots
    if tracking and slots > 0.0 and reference[WINDOW_CLICKS] > 0:
        error = reference[ERROR_SUM] * _ERROR_UNIT / reference[WINDOW_CLICKS] * clock[PERIOD]
        arrival += (PHASE_GAIN + 0.5 * PERIOD_GAIN) * error
        period += PERIOD_GAIN * error / slots
    whole = math.floor(arrival)
    reference[TIME] += np.int64(whole)
    reference[SLOT] = reference[LAST_SLOT]
    reference[WINDOW_TAGS] = 0
    reference[WINDOW_CLICKS] = 0
    reference[ERROR_SUM] = 0
    clock[REMAINDER] = arrival - whole
    clock[PERIOD] = period


@njit(cache=True, nogil=True)
def sift_block(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    bit_of: NDArray[np.uint8],
    delay_of: NDArray[np.int64],
    symbols: NDArray[np.uint8],
    gate_width_ps: float,
    tracking: bool,
    key: np.uint64,
    clock: NDArray[np.float64],
    reference: NDArray[np.int64],
    ring_slot: NDArray[np.int64],
    ring_mask: NDArray[np.int64],
    tallies: NDArray[np.int64],
    outcomes: NDArray[np.int64],
) -> None:
    """Sift one block of tags; all state is in the last six arrays, so blocks may be cut anywhere.

    Tags of one slot are merged if at most `RING_SLOTS` - 1 newer slots have passed in between; a later one is
    counted as a slot of its own (tallies[LATE]). Slots are rounded in float64, good to about 0.01 ps.
    """
    slots = np.empty(TRACKING_TAGS, dtype=np.int64)
    bits = np.empty(TRACKING_TAGS, dtype=np.uint8)
    start = 0
    while start < times.size:
        stop = min(times.size, start + TRACKING_TAGS - reference[WINDOW_TAGS])
        inputs = channels[start:stop]
        _locate(times[start:stop], inputs, bit_of, delay_of, gate_width_ps, clock, reference, slots, bits)
        for channel in inputs:
            tallies[INPUTS + channel] += 1
        _merge(slots, bits, stop - start, symbols, key, ring_slot, ring_mask, tallies, outcomes)
        if reference[WINDOW_TAGS] == TRACKING_TAGS:
            _close_window(clock, reference, tracking)
        start = stop


@njit(cache=True, nogil=True)
def flush_ring(
    symbols: NDArray[np.uint8],
    key: np.uint64,
    ring_slot: NDArray[np.int64],
    ring_mask: NDArray[np.int64],
    outcomes: NDArray[np.int64],
) -> None:
    """Count the slots that are still in the ring."""
    inverse_length = 1.0 / symbols.size
    for cell in range(RING_SLOTS):
        mask = np.int64(ring_mask[cell])
        _count_slot(np.int64(ring_slot[cell]), mask, symbols, inverse_length, key, outcomes)
        ring_mask[cell] = 0
