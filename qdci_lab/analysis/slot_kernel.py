"""The compiled loops that find the slot of each time tag, its place in the code, and whether it is within the gate.

All by multiplications with reciprocals, without branches and without looking anything up, so that the compiler can
vectorise it; a second thread may count what was located before meanwhile. Only this module and its like need numba.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Clock, float64: period, drift in ps per slot squared, remainder of the reference time below one ps.
PERIOD, DRIFT, REMAINDER, CLOCK_STATE = 0, 1, 2, 3
# Reference, int64: time and slot the clock counts from, and of the window that is open: tags, clicks, slot of
# the last tag, sum of the phase errors in units of 2^-40 periods.
TIME, SLOT, WINDOW_TAGS, WINDOW_CLICKS, LAST_SLOT, ERROR_SUM, REFERENCE_STATE = 0, 1, 2, 3, 4, 5, 6
# Tallies, int64: clicks of each detector, those within the gate, and all tags.
SINGLES, GATED, TAGS, LOCATED_TALLIES = 0, 4, 8, 9

# A clock update after this many tags. The gains make the loop critically damped when every click comes from a
# pulse; clicks at random times lower both alike and leave it stable. The phase error of a click at distance r
# from its pulse (in periods) is r (1 - 4 r^2), which has no step half-way between pulses.
TRACKING_TAGS = 1024
PHASE_GAIN = 0.4
PERIOD_GAIN = 0.04
_ERROR_UNITS = 2.0**40

_FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_LOWEST_BITS = np.uint64(0x0101010101010101)
_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_FOUR_WORDS = np.uint64(0x0001000100010001)


class SlotRule(NamedTuple):
    """How a tag's slot and place are found: inputs and delays of Z0, Z1, X0, X1, the code, the gate.

    `length` is that of the code; for a keyed one it is a power of two.
    """

    inputs: tuple[int, int, int, int]
    delays: tuple[int, int, int, int]
    length: int
    keyed: bool
    sequence_key: np.uint64
    gate_width_ps: float
    tracking: bool


class SlotState(NamedTuple):
    """What is carried from block to block: float64 clock, int64 reference and tallies, by the indices above."""

    clock: NDArray[np.float64]
    reference: NDArray[np.int64]
    tallies: NDArray[np.int64]


class Located(NamedTuple):
    """Slot, place in the code and detector's bit (0 outside the gate) of each tag."""

    slots: NDArray[np.int64]
    places: NDArray[np.uint32]
    bits: NDArray[np.uint8]


def room(tags: int) -> Located:
    """Where `locate` puts what it finds of so many tags."""
    return Located(np.empty(tags, np.int64), np.empty(tags, np.uint32), np.empty(tags, np.uint8))


@njit(cache=True, nogil=True, inline="always")
def keyed_hash(slot: np.int64, key: np.uint64) -> np.uint64:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of the slot, keyed."""
    mixed = (np.uint64(slot) + np.uint64(1)) * _INCREMENT + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST_MULTIPLIER
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND_MULTIPLIER
    return mixed ^ (mixed >> np.uint64(31))


@njit(cache=True, nogil=True)
def _undelay(
    times: NDArray[np.int64], channels: NDArray[np.uint8], rule: SlotRule, undelayed: NDArray[np.int64]
) -> None:
    """Times less the delay of the detector; of other inputs as they are."""
    inputs, delays = rule.inputs, rule.delays
    z0, z1, x0, x1 = np.uint8(inputs[0]), np.uint8(inputs[1]), np.uint8(inputs[2]), np.uint8(inputs[3])
    for i in range(times.size):
        channel = channels[i]
        time = times[i] - (delays[0] if channel == z0 else 0) - (delays[1] if channel == z1 else 0)
        undelayed[i] = time - (delays[2] if channel == x0 else 0) - (delays[3] if channel == x1 else 0)


@njit(cache=True, nogil=True)
def _wire(channels: NDArray[np.uint8], rule: SlotRule, wired: NDArray[np.uint8]) -> None:
    """Bit d for the input of detector d, of other inputs none; apart from what needs wider numbers."""
    inputs = rule.inputs
    z0, z1, x0, x1 = np.uint8(inputs[0]), np.uint8(inputs[1]), np.uint8(inputs[2]), np.uint8(inputs[3])
    for i in range(channels.size):
        channel = channels[i]
        z = np.uint8(channel == z0) | np.uint8(channel == z1) << 1
        wired[i] = z | np.uint8(channel == x0) << 2 | np.uint8(channel == x1) << 3


@njit(cache=True, nogil=True)
def _fold(
    times: NDArray[np.int64],
    wired: NDArray[np.uint8],
    rule: SlotRule,
    state: SlotState,
    slots: NDArray[np.int64],
    gated: NDArray[np.uint8],
) -> None:
    """Slot of each tag, and the bit of its detector if it is within the gate; adds up the phase errors."""
    clock, reference = state.clock, state.reference
    origin, first_slot = reference[TIME], reference[SLOT]
    inverse_period = 1.0 / clock[PERIOD]
    offset = clock[REMAINDER] * inverse_period
    curvature = 0.5 * clock[DRIFT] * inverse_period
    half_gate = 0.5 * rule.gate_width_ps * inverse_period
    errors = np.int64(0)
    for i in range(times.size):
        bit = wired[i]
        position = np.float64(times[i] - origin) * inverse_period - offset
        position -= curvature * position * position
        nearest = np.floor(position + 0.5)
        residual = position - nearest
        slots[i] = first_slot + np.int64(nearest)
        gated[i] = bit if (residual >= -half_gate) & (residual < half_gate) else np.uint8(0)
        error = residual * (_ERROR_UNITS - 4.0 * _ERROR_UNITS * residual * residual)
        errors += np.int64(error) if bit else np.int64(0)
    reference[ERROR_SUM] += errors
    reference[WINDOW_TAGS] += times.size
    reference[LAST_SLOT] = slots[times.size - 1]


@njit(cache=True, nogil=True, inline="always")
def _sum_of_bytes(word: np.uint64) -> np.int64:
    pairs = (word & _EVEN_BYTES) + ((word >> np.uint64(8)) & _EVEN_BYTES)
    return np.int64((pairs * _FOUR_WORDS) >> np.uint64(48))


@njit(cache=True, nogil=True)
def _tally(packed: NDArray[np.uint64], words: int, totals: NDArray[np.int64], first_total: int) -> np.int64:
    """Add how often each of the bits 0 to 3 is set in the bytes of at most 255 words; how often any is."""
    first, second, third, fourth = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(words):
        word = packed[i]
        first += word & _LOWEST_BITS
        second += (word >> np.uint64(1)) & _LOWEST_BITS
        third += (word >> np.uint64(2)) & _LOWEST_BITS
        fourth += (word >> np.uint64(3)) & _LOWEST_BITS
    sums = (_sum_of_bytes(first), _sum_of_bytes(second), _sum_of_bytes(third), _sum_of_bytes(fourth))
    for bit in range(4):
        totals[first_total + bit] += sums[bit]
    return sums[0] + sums[1] + sums[2] + sums[3]


@njit(cache=True, nogil=True)
def _find_places(slots: NDArray[np.int64], rule: SlotRule, places: NDArray[np.uint32]) -> None:
    """Place of each slot in the code: by remainder, exact for slots below 2^51 of either sign, or by keyed hash."""
    length = rule.length
    if rule.keyed:
        for i in range(slots.size):
            mixed = keyed_hash(slots[i], rule.sequence_key)
            places[i] = np.uint32(mixed >> np.uint64(32)) & np.uint32(length - 1)
    else:
        inverse = 1.0 / length
        for i in range(slots.size):
            slot = slots[i]
            places[i] = np.uint32(slot - np.int64(np.floor((np.float64(slot) + 0.5) * inverse)) * length)


@njit(cache=True, nogil=True)
def _close_window(clock: NDArray[np.float64], reference: NDArray[np.int64], tracking: bool) -> None:
    """Move the reference to the last slot; when tracking, correct phase and period by the mean phase error."""
    slots = float(reference[LAST_SLOT] - reference[SLOT])
    period, drift = clock[PERIOD], clock[DRIFT]
    arrival = clock[REMAINDER] + period * slots + 0.5 * drift * slots * slots
    period += drift * slots
    if tracking and slots > 0.0 and reference[WINDOW_CLICKS] > 0:
        error = reference[ERROR_SUM] / _ERROR_UNITS / reference[WINDOW_CLICKS] * clock[PERIOD]
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
def locate(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    rule: SlotRule,
    state: SlotState,
    located: Located,
) -> None:
    """Slot, place in the code and detector's bit of each tag of one block.

    All that is carried on is in `state`, so blocks may be cut anywhere. Slots are rounded in float64, good to about
    0.01 ps.
    """
    delayed = rule.delays != (0, 0, 0, 0)
    undelayed = np.empty(TRACKING_TAGS, dtype=np.int64)
    wired = np.empty(TRACKING_TAGS, dtype=np.uint8)
    gated = np.empty(TRACKING_TAGS, dtype=np.uint8)
    packed_wired, packed_gated = wired.view(np.uint64), gated.view(np.uint64)
    start = 0
    while start < times.size:
        stop = min(times.size, start + TRACKING_TAGS - state.reference[WINDOW_TAGS])
        count = stop - start
        t, c, slots = times[start:stop], channels[start:stop], located.slots[start:stop]
        if delayed:
            _undelay(t, c, rule, undelayed)
            t = undelayed[:count]
        _wire(c, rule, wired)
        _fold(t, wired, rule, state, slots, gated)
        located.bits[start:stop] = gated[:count]
        words = (count + 7) // 8
        for i in range(count, 8 * words):
            wired[i] = gated[i] = 0
        state.reference[WINDOW_CLICKS] += _tally(packed_wired, words, state.tallies, SINGLES)
        _tally(packed_gated, words, state.tallies, GATED)
        _find_places(slots, rule, located.places[start:stop])
        if state.reference[WINDOW_TAGS] == TRACKING_TAGS:
            _close_window(state.clock, state.reference, rule.tracking)
        start = stop
    state.tallies[TAGS] += times.size
