"""The compiled loops that turn time tags into a histogram of what happened in each slot.

`locate` finds slot, place in the code and gate of every tag by multiplications with reciprocals, without branches
and without looking anything up, so that the compiler can vectorise it. `count` counts each click as it comes, in
outcome[symbol sent, mask of clicked detectors, two hash bits], and corrects that when another click joins it in its
slot. A ring of the last `RING_SLOTS` slots remembers who clicked; where tags are in order, as nearly all are, only the
ends of a stretch need to pass through it. Only this module needs numba.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

RING_SLOTS = 64
OUTCOMES = 8 * 16 * 4
SYMBOL_SHIFT = 4
TABLE = 8 * 16

# Clock, float64: period, drift in ps per slot squared, remainder of the reference time below one ps.
PERIOD, DRIFT, REMAINDER, CLOCK_STATE = 0, 1, 2, 3
# Reference, int64: time and slot the clock counts from, and of the window that is open: tags, clicks, slot of
# the last tag, sum of the phase errors in units of 2^-40 periods.
TIME, SLOT, WINDOW_TAGS, WINDOW_CLICKS, LAST_SLOT, ERROR_SUM, REFERENCE_STATE = 0, 1, 2, 3, 4, 5, 6
# Tallies, int64: clicks of each detector, those within the gate, clicks too late to be merged, all tags, and the
# latest slot with a click.
SINGLES, GATED, LATE, TAGS, NEWEST, TALLIES = 0, 4, 8, 9, 10, 11

# A clock update after this many tags. The gains make the loop critically damped when every click comes from a
# pulse; clicks at random times lower both alike and leave it stable. The phase error of a click at distance r
# from its pulse (in periods) is r (1 - 4 r^2), which has no step half-way between pulses.
TRACKING_TAGS = 1024
PHASE_GAIN = 0.4
PERIOD_GAIN = 0.04
_ERROR_UNIT = 2.0**-40
STRETCH = 1 << 12
"""Tags that `count` looks at together for their order."""
PORTION = 1 << 13
"""Tags that `sift` takes at a time."""

_FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_LOWEST_BITS = np.uint64(0x0101010101010101)
_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_FOUR_WORDS = np.uint64(0x0001000100010001)


@njit(cache=True, nogil=True, inline="always")
def keyed_hash(slot: np.int64, key: np.uint64) -> np.uint64:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of the slot, keyed."""
    mixed = (np.uint64(slot) + np.uint64(1)) * _INCREMENT + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST_MULTIPLIER
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND_MULTIPLIER
    return mixed ^ (mixed >> np.uint64(31))


@njit(cache=True, nogil=True, inline="always")
def _cell(slot: np.int64, sent: np.int64, mask: np.int64, key: np.uint64) -> np.uint64:
    """Where a slot is counted; the random bits are the two top bits of its hash, for more than one click only.

    Indices are unsigned, because for signed ones the compiler adds a test for negative values.
    """
    random = np.uint64(0)
    if mask & (mask - 1):
        random = keyed_hash(slot, key) >> np.uint64(62)
    return np.uint64((sent | mask) << 2) | random


@njit(cache=True, nogil=True)
def _undelay(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    inputs: tuple[int, int, int, int],
    delays: tuple[int, int, int, int],
    undelayed: NDArray[np.int64],
) -> None:
    """Times less the delay of the detector; of other inputs as they are."""
    z0, z1, x0, x1 = np.uint8(inputs[0]), np.uint8(inputs[1]), np.uint8(inputs[2]), np.uint8(inputs[3])
    for i in range(times.size):
        channel = channels[i]
        time = times[i] - (delays[0] if channel == z0 else 0) - (delays[1] if channel == z1 else 0)
        undelayed[i] = time - (delays[2] if channel == x0 else 0) - (delays[3] if channel == x1 else 0)


@njit(cache=True, nogil=True)
def _fold(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    inputs: tuple[int, int, int, int],
    gate_width_ps: float,
    clock: NDArray[np.float64],
    reference: NDArray[np.int64],
    slots: NDArray[np.int64],
    wired: NDArray[np.uint8],
    gated: NDArray[np.uint8],
) -> None:
    """Slot of each tag, the bit of its detector, and the same if it is within the gate; adds up the phase errors."""
    origin, first_slot = reference[TIME], reference[SLOT]
    inverse_period = 1.0 / clock[PERIOD]
    offset = clock[REMAINDER] * inverse_period
    curvature = 0.5 * clock[DRIFT] * inverse_period
    half_gate = 0.5 * gate_width_ps * inverse_period
    z0, z1, x0, x1 = np.uint8(inputs[0]), np.uint8(inputs[1]), np.uint8(inputs[2]), np.uint8(inputs[3])
    errors, clicks = np.int64(0), np.int64(0)
    for i in range(times.size):
        channel = channels[i]
        is_z0, is_z1, is_x0, is_x1 = channel == z0, channel == z1, channel == x0, channel == x1
        position = np.float64(times[i] - origin) * inverse_period - offset
        position -= curvature * position * position
        nearest = np.floor(position + 0.5)
        residual = position - nearest
        bit = np.uint8(is_z0) | np.uint8(is_z1) << 1 | np.uint8(is_x0) << 2 | np.uint8(is_x1) << 3
        slots[i] = first_slot + np.int64(nearest)
        wired[i] = bit
        gated[i] = bit if (residual >= -half_gate) & (residual < half_gate) else np.uint8(0)
        errors += np.int64(residual * (1.0 - 4.0 * residual * residual) / _ERROR_UNIT) if bit else np.int64(0)
        clicks += np.int64(bit != 0)
    reference[ERROR_SUM] += errors
    reference[WINDOW_CLICKS] += clicks
    reference[WINDOW_TAGS] += times.size
    reference[LAST_SLOT] = slots[times.size - 1]


@njit(cache=True, nogil=True, inline="always")
def _sum_of_bytes(word: np.uint64) -> np.int64:
    pairs = (word & _EVEN_BYTES) + ((word >> np.uint64(8)) & _EVEN_BYTES)
    return np.int64((pairs * _FOUR_WORDS) >> np.uint64(48))


@njit(cache=True, nogil=True)
def _tally(bits: NDArray[np.uint8], count: int, totals: NDArray[np.int64]) -> None:
    """Add how often each of the bits 0 to 3 is set in the first `count` of at most 2040 bytes, eight at a time.

    The rest of the last eight bytes is overwritten.
    """
    words = (count + 7) // 8
    bits[count : 8 * words] = 0
    packed = bits[: 8 * words].view(np.uint64)
    first, second, third, fourth = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(words):
        word = packed[i]
        first += word & _LOWEST_BITS
        second += (word >> np.uint64(1)) & _LOWEST_BITS
        third += (word >> np.uint64(2)) & _LOWEST_BITS
        fourth += (word >> np.uint64(3)) & _LOWEST_BITS
    totals[0] += _sum_of_bytes(first)
    totals[1] += _sum_of_bytes(second)
    totals[2] += _sum_of_bytes(third)
    totals[3] += _sum_of_bytes(fourth)


@njit(cache=True, nogil=True)
def _find_places(
    slots: NDArray[np.int64], length: int, keyed: bool, sequence_key: np.uint64, places: NDArray[np.uint32]
) -> None:
    """Place of each slot in the code: by remainder, exact for slots below 2^51 of either sign, or by keyed hash.

    For the hash the length is a power of two.
    """
    if keyed:
        for i in range(slots.size):
            places[i] = np.uint32(keyed_hash(slots[i], sequence_key) >> np.uint64(32)) & np.uint32(length - 1)
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
def locate(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    inputs: tuple[int, int, int, int],
    delays: tuple[int, int, int, int],
    code: tuple[int, bool, np.uint64],
    gate_width_ps: float,
    tracking: bool,
    clock: NDArray[np.float64],
    reference: NDArray[np.int64],
    tallies: NDArray[np.int64],
    slots: NDArray[np.int64],
    places: NDArray[np.uint32],
    bits: NDArray[np.uint8],
) -> None:
    """Slot, place in the code and detector's bit (0 outside the gate) of each tag of one block.

    All state is in `clock`, `reference` and `tallies`, so blocks may be cut anywhere. Slots are rounded in float64,
    good to about 0.01 ps.
    """
    undelayed = np.empty(TRACKING_TAGS, dtype=np.int64)
    delayed = delays[0] != 0 or delays[1] != 0 or delays[2] != 0 or delays[3] != 0
    wired = np.empty(TRACKING_TAGS, dtype=np.uint8)
    gated = np.empty(TRACKING_TAGS, dtype=np.uint8)
    length, keyed, sequence_key = code
    start = 0
    while start < times.size:
        stop = min(times.size, start + TRACKING_TAGS - reference[WINDOW_TAGS])
        count = stop - start
        found, t, c = slots[start:stop], times[start:stop], channels[start:stop]
        if delayed:
            _undelay(t, c, inputs, delays, undelayed)
            t = undelayed[:count]
        _fold(t, c, inputs, gate_width_ps, clock, reference, found, wired, gated)
        bits[start:stop] = gated[:count]
        _tally(wired, count, tallies[SINGLES : SINGLES + 4])
        _tally(gated, count, tallies[GATED : GATED + 4])
        _find_places(found, length, keyed, sequence_key, places[start:stop])
        if reference[WINDOW_TAGS] == TRACKING_TAGS:
            _close_window(clock, reference, tracking)
        start = stop
    tallies[TAGS] += times.size


@njit(cache=True, nogil=True)
def _through_ring(
    slots: NDArray[np.int64],
    places: NDArray[np.uint32],
    bits: NDArray[np.uint8],
    symbols: NDArray[np.uint8],
    key: np.uint64,
    ring_slot: NDArray[np.int64],
    ring_mask: NDArray[np.int64],
    tallies: NDArray[np.int64],
    outcomes: NDArray[np.int64],
) -> None:
    """Count clicks in whatever order; those more than RING_SLOTS - 1 slots behind the newest are late."""
    newest = tallies[NEWEST]
    for i in range(slots.size):
        bit = np.int64(bits[i])
        if bit == 0:
            continue
        slot = slots[i]
        sent = np.int64(symbols[places[i]])
        if slot <= newest - RING_SLOTS:
            tallies[LATE] += 1
            outcomes[_cell(slot, sent, bit, key)] += 1
            continue
        cell = np.uint64(slot) & np.uint64(RING_SLOTS - 1)
        mask = bit
        if ring_slot[cell] == slot:
            before = np.int64(ring_mask[cell])
            outcomes[_cell(slot, sent, before, key)] -= 1
            mask |= before
        outcomes[_cell(slot, sent, mask, key)] += 1
        ring_slot[cell] = slot
        ring_mask[cell] = mask
        newest = max(newest, slot)
    tallies[NEWEST] = newest


@njit(cache=True, nogil=True)
def _in_order(
    slots: NDArray[np.int64],
    places: NDArray[np.uint32],
    bits: NDArray[np.uint8],
    symbols: NDArray[np.uint8],
    key: np.uint64,
    ends: NDArray[np.uint32],
    masks: NDArray[np.uint8],
    tables: NDArray[np.int64],
    outcomes: NDArray[np.int64],
) -> None:
    """Count tags that are in order of slots and share no slot with others.

    Masks are gathered along each run of one slot and counted at its end, without branches; those of several
    detectors once more, with their random bits. Of `tables`, which lack these bits, four take turns, because counting
    in one cell twice in a row waits for the memory.
    """
    size = slots.size
    if size == 0:
        return
    several = np.int64(0)
    mask, slot = np.uint64(0), slots[0]
    for i in range(size - 1):
        following = slots[i + 1]
        ended = np.uint64(following != slot)
        slot = following
        mask |= np.uint64(bits[i])
        table = np.uint64(i & 3) * np.uint64(TABLE)
        tables[table | np.uint64(symbols[places[i]]) | mask] += np.int64(ended)
        ends[several] = i
        masks[several] = mask
        several += np.int64(ended & np.uint64((mask & (mask - np.uint64(1))) != np.uint64(0)))
        mask &= ended - np.uint64(1)
    mask |= np.uint64(bits[size - 1])
    outcomes[_cell(slot, np.int64(symbols[places[size - 1]]), np.int64(mask), key)] += 1
    for k in range(several):
        i = ends[k]
        outcomes[_cell(np.int64(slots[i]), np.int64(symbols[places[i]]), np.int64(masks[k]), key)] += 1


@njit(cache=True, nogil=True)
def count(
    slots: NDArray[np.int64],
    places: NDArray[np.uint32],
    bits: NDArray[np.uint8],
    symbols: NDArray[np.uint8],
    key: np.uint64,
    ring_slot: NDArray[np.int64],
    ring_mask: NDArray[np.int64],
    tallies: NDArray[np.int64],
    outcomes: NDArray[np.int64],
) -> None:
    """Count located tags; `symbols` are shifted by SYMBOL_SHIFT. Blocks may be cut anywhere.

    A stretch in order of slots goes through the ring only up to the newest slot known before, and in its last
    RING_SLOTS slots, where others may join.
    """
    tables = np.zeros(4 * TABLE, dtype=np.int64)
    ends = np.empty(STRETCH, dtype=np.uint32)
    masks = np.empty(STRETCH, dtype=np.uint8)
    for start in range(0, slots.size, STRETCH):
        s, p, b = (
            slots[start : start + STRETCH],
            places[start : start + STRETCH],
            bits[start : start + STRETCH],
        )
        steps_back = np.int64(0)
        for i in range(s.size - 1):
            steps_back += np.int64(s[i + 1] < s[i])
        first, last = 0, s.size
        if steps_back == 0:
            while last > 0 and b[last - 1] == 0:
                last -= 1
            while first < last and s[first] <= tallies[NEWEST]:
                first += 1
            end = last
            while last > first and s[last - 1] > s[end - 1] - RING_SLOTS:
                last -= 1
        else:
            first = last
        _through_ring(s[:first], p[:first], b[:first], symbols, key, ring_slot, ring_mask, tallies, outcomes)
        _in_order(s[first:last], p[first:last], b[first:last], symbols, key, ends, masks, tables, outcomes)
        _through_ring(s[last:], p[last:], b[last:], symbols, key, ring_slot, ring_mask, tallies, outcomes)
    for cell in range(TABLE):
        mask = cell & 15
        if mask & (mask - 1) == 0:
            for table in range(4):
                outcomes[4 * cell] += tables[table * TABLE + cell]


def room(tags: int) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]:
    """Where `locate` puts slots, places and bits of so many tags."""
    return np.empty(tags, dtype=np.int64), np.empty(tags, dtype=np.uint32), np.empty(tags, dtype=np.uint8)


@njit(cache=True, nogil=True)
def sift(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    inputs: tuple[int, int, int, int],
    delays: tuple[int, int, int, int],
    code: tuple[int, bool, np.uint64],
    gate_width_ps: float,
    tracking: bool,
    clock: NDArray[np.float64],
    reference: NDArray[np.int64],
    located: NDArray[np.int64],
    symbols: NDArray[np.uint8],
    key: np.uint64,
    ring_slot: NDArray[np.int64],
    ring_mask: NDArray[np.int64],
    counted: NDArray[np.int64],
    outcomes: NDArray[np.int64],
) -> None:
    """`locate` and `count` in turn, in portions that stay in the cache; the tallies of the two are apart."""
    slots = np.empty(PORTION, dtype=np.int64)
    places = np.empty(PORTION, dtype=np.uint32)
    bits = np.empty(PORTION, dtype=np.uint8)
    for start in range(0, times.size, PORTION):
        size = min(PORTION, times.size - start)
        t, c = times[start : start + size], channels[start : start + size]
        s, p, b = slots[:size], places[:size], bits[:size]
        locate(t, c, inputs, delays, code, gate_width_ps, tracking, clock, reference, located, s, p, b)
        count(s, p, b, symbols, key, ring_slot, ring_mask, counted, outcomes)
