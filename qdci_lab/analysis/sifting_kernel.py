"""The compiled loops that count what happened in each slot, of tags whose slots are known.

Each click is counted as it comes, in outcome[symbol sent, mask of clicked detectors, two hash bits], which is
corrected when another click joins it in its slot. A ring of the last `RING_SLOTS` slots remembers who clicked; where
tags are in order, as nearly all are, only the ends of a stretch need to pass through it.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdci_lab.analysis.slot_kernel import Located, SlotRule, SlotState, keyed_hash, locate

RING_SLOTS = 64
OUTCOMES = 8 * 16 * 4
SYMBOL_SHIFT = 6
TURNS = 4
"""Tables that take turns, because counting in one cell twice in a row waits for the memory; their sum counts."""

# Tallies, int64: clicks too late to be merged, and the latest slot with a click.
LATE, NEWEST, COUNTED_TALLIES = 0, 1, 2

STRETCH = 1 << 12
"""Tags that `count` looks at together for their order."""
PORTION = 1 << 14
"""Tags that `sift` takes at a time."""
MOST_JOINED = 8
"""Tags in one slot that are merged without the ring; as many bytes are left free before those of a stretch."""


class CountRule(NamedTuple):
    """What was sent: uint16 symbols of the code, shifted by SYMBOL_SHIFT; and the key of the random bits."""

    symbols: NDArray[np.uint16]
    random_key: np.uint64


class CountState(NamedTuple):
    """What is carried from block to block, all int64: the ring, tallies, and TURNS tables of outcomes."""

    ring_slot: NDArray[np.int64]
    ring_mask: NDArray[np.int64]
    tallies: NDArray[np.int64]
    outcomes: NDArray[np.int64]


@njit(cache=True, nogil=True, inline="always")
def _kind(slot: np.int64, mask: np.int64, key: np.uint64) -> np.int64:
    """Mask of detectors and the two top bits of the slot's hash; the latter for more than one click only."""
    random = np.int64(keyed_hash(slot, key) >> np.uint64(62))
    return mask << 2 | (random if mask & (mask - 1) else 0)


@njit(cache=True, nogil=True)
def _through_ring(
    located: Located, start: int, stop: int, rule: CountRule, state: CountState, outcomes: NDArray[np.int64]
) -> None:
    """Count clicks in whatever order; those more than RING_SLOTS - 1 slots behind the newest are late.

    Indices are unsigned, because for signed ones the compiler adds a test for negative values.
    """
    symbols, key, ring_slot, ring_mask = rule.symbols, rule.random_key, state.ring_slot, state.ring_mask
    newest = state.tallies[NEWEST]
    for i in range(start, stop):
        mask = np.int64(located.bits[i])
        if mask == 0:
            continue
        slot = located.slots[i]
        sent = np.int64(symbols[located.places[i]])
        cell = np.uint64(slot) & np.uint64(RING_SLOTS - 1)
        if slot <= newest - RING_SLOTS:
            state.tallies[LATE] += 1
        else:
            if ring_slot[cell] == slot:
                before = ring_mask[cell]
                outcomes[np.uint64(sent | _kind(slot, before, key))] -= 1
                mask |= before
            ring_slot[cell] = slot
            ring_mask[cell] = mask
            newest = max(newest, slot)
        outcomes[np.uint64(sent | _kind(slot, mask, key))] += 1
    state.tallies[NEWEST] = newest


@njit(cache=True, nogil=True)
def _find_joined(slots: NDArray[np.int64], joined: NDArray[np.uint8]) -> np.int64:
    """All bits set in the byte of each tag that is in the slot of the tag before it; how many are in one below."""
    steps_back = np.int64(0)
    found = joined[MOST_JOINED + 1 :]
    joined[MOST_JOINED] = 0
    for i in range(slots.size - 1):
        found[i] = np.uint8(255) if slots[i + 1] == slots[i] else np.uint8(0)
        steps_back += np.int64(slots[i + 1] < slots[i])
    return steps_back


@njit(cache=True, nogil=True)
def _merge(
    size: int,
    distance: int,
    masks: NDArray[np.uint8],
    joined: NDArray[np.uint8],
    merged: NDArray[np.uint8],
    joined_twice: NDArray[np.uint8],
) -> np.uint8:
    """From masks of up to `distance` tags to those of twice as many; whether runs are longer than that."""
    before = MOST_JOINED - distance
    masks_before, joined_before = masks[before : before + size], joined[before : before + size]
    masks, joined = masks[MOST_JOINED:], joined[MOST_JOINED:]
    merged, joined_twice = merged[MOST_JOINED:], joined_twice[MOST_JOINED:]
    longer = np.uint8(0)
    for i in range(size):
        merged[i] = masks[i] | (joined[i] & masks_before[i])
        both = joined[i] & joined_before[i]
        joined_twice[i] = both
        longer = np.uint8(longer | both)
    return longer


@njit(cache=True, nogil=True)
def _in_order(
    slots: NDArray[np.int64],
    places: NDArray[np.uint32],
    masks: NDArray[np.uint8],
    rule: CountRule,
    kinds: NDArray[np.uint8],
    outcomes: NDArray[np.int64],
) -> None:
    """Count runs of one slot at the last tag of each, whose mask is that of all, without branches.

    Of the other tags of a run the kind is 0, which counts nothing that is read. Slots have one more than places.
    """
    symbols = rule.symbols
    for i in range(places.size):
        mask = np.int64(masks[i]) if slots[i] != slots[i + 1] else np.int64(0)
        kinds[i] = _kind(slots[i], mask, rule.random_key)
    for i in range(places.size):
        table = np.uint64(i & (TURNS - 1)) * np.uint64(OUTCOMES)
        outcomes[table + np.uint64(symbols[places[i]] | kinds[i])] += 1


@njit(cache=True, nogil=True)
def _ends_of_order(located: Located, newest: np.int64) -> tuple[int, int]:
    """Of tags in order those that no others can join: beyond the newest slot, and before the last RING_SLOTS ones."""
    slots, bits = located.slots, located.bits
    first, last = 0, slots.size
    while last > 0 and bits[last - 1] == 0:
        last -= 1
    while first < last and slots[first] <= newest:
        first += 1
    end = last
    while last > first and slots[last - 1] > slots[end - 1] - RING_SLOTS:
        last -= 1
    return first, last


@njit(cache=True, nogil=True)
def count(located: Located, rule: CountRule, state: CountState) -> None:
    """Count located tags. Blocks may be cut anywhere.

    A stretch in order of slots goes through the ring only up to the newest slot known before, and in its last
    RING_SLOTS slots, where others may join.
    """
    room = MOST_JOINED + STRETCH
    masks, joined = np.zeros(room, dtype=np.uint8), np.zeros(room, dtype=np.uint8)
    merged, joined_twice = np.zeros(room, dtype=np.uint8), np.zeros(room, dtype=np.uint8)
    for start in range(0, located.slots.size, STRETCH):
        stop = start + STRETCH
        part = Located(located.slots[start:stop], located.places[start:stop], located.bits[start:stop])
        size = part.slots.size
        first, last = size, size
        if _find_joined(part.slots, joined) == 0:
            masks[MOST_JOINED : MOST_JOINED + size] = part.bits
            _merge(size, 1, masks, joined, merged, joined_twice)
            _merge(size, 2, merged, joined_twice, masks, joined)
            if _merge(size, 4, masks, joined, merged, joined_twice) == 0:
                first, last = _ends_of_order(part, state.tallies[NEWEST])
        _through_ring(part, 0, first, rule, state, state.outcomes)
        if last > first:
            run_masks = merged[MOST_JOINED + first : MOST_JOINED + last]
            slots, places = part.slots[first : last + 1], part.places[first:last]
            _in_order(slots, places, run_masks, rule, masks, state.outcomes)
        _through_ring(part, last, size, rule, state, state.outcomes)


@njit(cache=True, nogil=True)
def sift(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    slot_rule: SlotRule,
    slot_state: SlotState,
    count_rule: CountRule,
    count_state: CountState,
) -> None:
    """`locate` and `count` in turn, in portions that stay in the cache."""
    slots = np.empty(PORTION, dtype=np.int64)
    places = np.empty(PORTION, dtype=np.uint32)
    bits = np.empty(PORTION, dtype=np.uint8)
    for start in range(0, times.size, PORTION):
        size = min(PORTION, times.size - start)
        located = Located(slots[:size], places[:size], bits[:size])
        locate(times[start : start + size], channels[start : start + size], slot_rule, slot_state, located)
        count(located, count_rule, count_state)
