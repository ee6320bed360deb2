"""Clicks drawn sparsely and exactly from a hazard that repeats slot by slot (compiled; the GIL is released).

An inhomogeneous Poisson process has unit rate in its cumulative hazard, so gaps are Exp(1) there, and a look-up table
over one frame maps back to time; the cost is one draw per click, however many slots stay empty. The distance to the
next candidate, the end of the dead time and pending afterpulses are carried from call to call, so that clicks do not
depend on how a span is cut. By the same lack of memory, after a candidate in the dead time a new one is drawn from
the end of the dead time on.

A gated detector has the hazard of its open gates all the time, and candidates that do not fall into a gate are thrown
away (thinning is exact, too). What is thrown away are the few clicks of darks and continuous light, not gates.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

SIGNAL, RAMAN, DARK_COUNT, AFTERPULSE, CROSSTALK, STRAY = 0, 1, 2, 3, 4, 5
"""Origins of a click: a photon of a pulse, of Raman scattering, nothing, an earlier click, a photon of other cores or
of a carrier, of stray light or spontaneous emission.
"""
CONTINUOUS = (RAMAN, CROSSTALK, STRAY)
"""Origins that are continuous light."""

FAR_PS = 2**62
GUESSES_PER_SLOT = 4
MAXIMUM_SIGMAS = 9.0
"""Jitter is cut off here (2e-19 of a normal distribution), so that outputs can be put in order in finite time."""

DEAD_UNTIL, REDRAW_FROM, AFTERPULSES, CLICKS_LEFT, NOT_BEFORE = 0, 1, 2, 3, 4
MAXIMUM_AFTERPULSES = 256
"""Far beyond the mean number pending: probability x decay constant / dead time, at most 40 within the bounds."""


class HazardTable(NamedTuple):
    """Expected photoelectrons over one frame; slots begin half a slot before their pulses."""

    cumulative: NDArray[np.float64]
    """Shape (slots + 1,): from the beginning of the frame to that of each slot."""
    guess: NDArray[np.int32]
    """Shape (GUESSES_PER_SLOT x slots + 1,): a slot not beyond the one sought, by the share of the frame's hazard."""
    steady: float
    """Part of every slot's hazard that is spread evenly over it; the rest comes at once, in the middle."""
    dark_below: float
    """Part of the steady hazard that is dark."""
    raman_below: float
    """The same, and what is Raman scattering."""
    crosstalk_below: float
    """The same, and what is crosstalk; the rest is stray light."""
    slot_ps: float
    inverse: float
    """Of the frame's hazard; 0 if there is none."""


class Anchor(NamedTuple):
    """Lab time of the beginning of the frame that times are reckoned from: whole picoseconds and a rest in [0, 1)."""

    whole_ps: int
    rest_ps: float


class ClickLaw(NamedTuple):
    """What a click does to its own time and to later clicks."""

    dead_ps: int
    afterpulse_probability: float
    afterpulse_ps: float
    jitter_ps: float
    latency_ps: float


class GateTimes(NamedTuple):
    """When the detector is able to click: in every gate that opened after the end of the dead time."""

    period_ps: float
    """0 for a detector that is not gated; nothing of the rest matters then."""
    width_ps: float
    edge_ps: float
    """Time over which the sensitivity rises at the beginning of a gate, and falls at its end."""
    pulse_ps: float
    """Standard deviation of a photon's arrival about the centre of its pulse."""
    anchor: Anchor
    """Beginning of a gate."""


FREE_RUNNING = GateTimes(0.0, 0.0, 0.0, 0.0, Anchor(0, 0.0))


class ClickState(NamedTuple):
    """What is carried from call to call."""

    marks: NDArray[np.int64]
    """End of the dead time; where to draw the next candidate from (-1: it is drawn); number of pending afterpulses;
    number of clicks without an afterpulse before the next one with it (-1: to be drawn); where a candidate was last
    drawn from, which it cannot precede whatever rounding does.
    """
    ahead: NDArray[np.float64]
    """Shape (1,): cumulative hazard of the next candidate since the anchor."""
    afterpulses: NDArray[np.int64]
    """Times of pending afterpulses, ascending."""


def fresh_state(from_ps: int) -> ClickState:
    """A detector that has been at rest until `from_ps`."""
    marks = np.array([from_ps, from_ps, 0, -1, from_ps], dtype=np.int64)
    return ClickState(marks, np.zeros(1), np.zeros(MAXIMUM_AFTERPULSES, dtype=np.int64))


@numba.njit(cache=True, nogil=True)
def cumulate(slots, pulse_hazards, steady):
    """Cumulative hazard and first guesses of one frame, as in `HazardTable`."""
    count = slots.size
    cumulative = np.empty(count + 1)
    total = 0.0
    for slot in range(count):
        cumulative[slot] = total
        total += steady + pulse_hazards[slots[slot]]
    cumulative[count] = total
    guess = np.zeros(GUESSES_PER_SLOT * count + 1, np.int32)
    slot = 0
    for share in range(guess.size):
        while slot < count - 1 and cumulative[slot + 1] < total * share / (guess.size - 1) * (1.0 - 1e-12):
            slot += 1
        guess[share] = slot
    return cumulative, guess


@numba.njit(cache=True, nogil=True)
def hazard_at(table, anchor, time_ps):
    """Cumulative hazard from the anchor to just before `time_ps`."""
    slots = table.cumulative.size - 1
    since = (time_ps - anchor.whole_ps - anchor.rest_ps) / table.slot_ps
    frame = np.floor(since / slots)
    within = since - frame * slots
    slot = min(slots - 1, max(0, int(within)))
    part = min(1.0, max(0.0, within - slot))
    hazard = frame * table.cumulative[slots] + table.cumulative[slot] + part * table.steady
    if part > 0.5:
        hazard += table.cumulative[slot + 1] - table.cumulative[slot] - table.steady
    return hazard


@numba.njit(cache=True, nogil=True)
def time_of(table, anchor, hazard):
    """Lab time in ps at which the cumulative hazard is reached, and whether by a pulse or how far along a slot.

    Returns (time, -1.0) for a pulse, (time, share of the slot that is past) for continuous light.
    """
    slots = table.cumulative.size - 1
    total = table.cumulative[slots]
    if total <= 0.0:
        return FAR_PS, -1.0
    frame = np.floor(hazard * table.inverse)
    within = min(max(0.0, hazard - frame * total), total)
    last = table.guess.size - 1
    slot = table.guess[min(last, int(within * table.inverse * last))]
    while slot < slots - 1 and table.cumulative[slot + 1] <= within:
        slot += 1
    beyond = within - table.cumulative[slot]
    pulse = table.cumulative[slot + 1] - table.cumulative[slot] - table.steady
    share = -1.0
    middle = 0.5 * table.steady
    if beyond < middle:
        share = beyond / table.steady
    elif beyond >= middle + pulse and table.steady > 0.0:
        share = min(1.0, (beyond - pulse) / table.steady)
    since = (frame * slots + slot + (share if share >= 0.0 else 0.5)) * table.slot_ps + anchor.rest_ps
    if since > 0.5 * FAR_PS:
        return FAR_PS, share
    return anchor.whole_ps + np.int64(np.floor(since)), share


@numba.njit(cache=True, nogil=True)
def draw_clicks(table, anchor, law, gates, state, generator, limit_ps, times_ps, origins):
    """Fill `times_ps` and `origins` with the clicks before `limit_ps`; return their number.

    If that number is the size of the arrays, there may be more: call again. Outputs carry latency and jitter.
    """
    marks, ahead, pending = state.marks, state.ahead, state.afterpulses
    count = 0
    photo_ps, share, known = FAR_PS, -1.0, False
    while count < times_ps.size:
        if marks[REDRAW_FROM] >= 0:
            photo_ps, known = FAR_PS, False
            if marks[REDRAW_FROM] < limit_ps:
                ahead[0] = hazard_at(table, anchor, marks[REDRAW_FROM]) + generator.standard_exponential()
                marks[NOT_BEFORE] = marks[REDRAW_FROM]
                marks[REDRAW_FROM] = -1
        if marks[REDRAW_FROM] < 0 and not known:
            photo_ps, share = time_of(table, anchor, ahead[0])
            photo_ps = max(photo_ps, marks[NOT_BEFORE])
            known = True
        by_afterpulse = marks[AFTERPULSES] > 0 and pending[0] <= photo_ps
        time_ps = pending[0] if by_afterpulse else photo_ps
        if time_ps >= limit_ps:
            break
        if by_afterpulse:
            marks[AFTERPULSES] -= 1
            for index in range(marks[AFTERPULSES]):
                pending[index] = pending[index + 1]
        able_ps = time_ps
        if gates.period_ps > 0.0:
            if share < 0.0 and not by_afterpulse:
                time_ps += np.int64(np.floor(gates.pulse_ps * generator.standard_normal() + 0.5))
            able_ps = _gate_opened(gates, time_ps, generator)
        if able_ps < marks[DEAD_UNTIL]:
            if not by_afterpulse and photo_ps < marks[DEAD_UNTIL]:
                marks[REDRAW_FROM] = marks[DEAD_UNTIL]
            elif not by_afterpulse:
                ahead[0] += generator.standard_exponential()
                known = False
            continue
        marks[DEAD_UNTIL] = time_ps + law.dead_ps
        delay_ps = law.latency_ps
        if by_afterpulse:
            origins[count] = AFTERPULSE
        elif share < 0.0:
            origins[count] = SIGNAL
            sigmas = generator.standard_normal()
            delay_ps += law.jitter_ps * min(MAXIMUM_SIGMAS, max(-MAXIMUM_SIGMAS, sigmas))
        else:
            origins[count] = _steady_origin(table, share * 256.0)
        times_ps[count] = time_ps + np.int64(np.floor(delay_ps + 0.5))
        count += 1
        if not by_afterpulse:
            ahead[0] += generator.standard_exponential()
            known = False
        if marks[CLICKS_LEFT] < 0:
            marks[CLICKS_LEFT] = _clicks_without_afterpulse(law, generator)
        if marks[CLICKS_LEFT] == 0 and marks[AFTERPULSES] < MAXIMUM_AFTERPULSES:
            _remember_afterpulse(law, state, generator, marks[DEAD_UNTIL])
        marks[CLICKS_LEFT] -= 1
    return count


@numba.njit(cache=True, nogil=True)
def _gate_opened(gates, time_ps, generator):
    """When the gate opened in which an avalanche can start at `time_ps`; before any dead time if none can."""
    since = (time_ps - gates.anchor.whole_ps) - gates.anchor.rest_ps
    within = since - np.floor(since / gates.period_ps) * gates.period_ps
    if within >= gates.width_ps:
        return -FAR_PS
    if gates.edge_ps > 0.0:
        sensitivity = min(within, gates.width_ps - within) / gates.edge_ps
        if sensitivity < 1.0 and generator.random() >= sensitivity:
            return -FAR_PS
    return time_ps - np.int64(within)


@numba.njit(cache=True, nogil=True)
def _steady_origin(table, lot):
    """Where a click that no pulse made comes from: the fraction of `lot` is as good as a random number."""
    fraction = lot - np.floor(lot)
    if fraction < table.dark_below:
        return DARK_COUNT
    if fraction < table.raman_below:
        return RAMAN
    return CROSSTALK if fraction < table.crosstalk_below else STRAY


@numba.njit(cache=True, nogil=True)
def _clicks_without_afterpulse(law, generator):
    """Geometric number of failures before the next success."""
    if law.afterpulse_probability <= 0.0:
        return FAR_PS
    return np.int64(generator.standard_exponential() / -np.log1p(-law.afterpulse_probability))


@numba.njit(cache=True, nogil=True)
def _remember_afterpulse(law, state, generator, from_ps):
    """Put one more afterpulse into its place in the queue."""
    at_ps = from_ps + np.int64(generator.standard_exponential() * law.afterpulse_ps)
    index = state.marks[AFTERPULSES]
    while index > 0 and state.afterpulses[index - 1] > at_ps:
        state.afterpulses[index] = state.afterpulses[index - 1]
        index -= 1
    state.afterpulses[index] = at_ps
    state.marks[AFTERPULSES] += 1


@numba.njit(cache=True, nogil=True)
def tag_clicks(times_ps, codes, delay_ps, jitter_ps, dead_ps, last_ps, generator):
    """Delay clicks by a cable and the tagger's jitter, in place; drop those in the input's dead time.

    Returns the number left and the time of the last one.
    """
    count = 0
    for index in range(times_ps.size):
        shift_ps = delay_ps
        if jitter_ps > 0.0:
            shift_ps += jitter_ps * min(MAXIMUM_SIGMAS, max(-MAXIMUM_SIGMAS, generator.standard_normal()))
        time_ps = times_ps[index] + np.int64(np.floor(shift_ps + 0.5))
        if time_ps - last_ps < dead_ps:
            continue
        times_ps[count] = last_ps = time_ps
        codes[count] = codes[index]
        count += 1
    return count, last_ps


@numba.njit(cache=True, nogil=True)
def merge_two(first_ps, first_codes, second_ps, second_codes, merged_ps, merged_codes):
    """Merge two sorted runs into the beginning of `merged_ps` and `merged_codes`; linear, and free of branches.

    Of equal times the first run's comes first.
    """
    one, other = 0, 0
    both = min(first_ps.size, second_ps.size)
    count = 0
    while both > 0:
        for _ in range(both):
            left_ps, right_ps = first_ps[one], second_ps[other]
            from_first = left_ps <= right_ps
            merged_ps[count] = left_ps if from_first else right_ps
            merged_codes[count] = first_codes[one] if from_first else second_codes[other]
            one += from_first
            count += 1
            other = count - one
        both = min(first_ps.size - one, second_ps.size - other)
    rest = first_ps.size - one
    merged_ps[count : count + rest] = first_ps[one:]
    merged_codes[count : count + rest] = first_codes[one:]
    count += rest
    rest = second_ps.size - other
    merged_ps[count : count + rest] = second_ps[other:]
    merged_codes[count : count + rest] = second_codes[other:]
