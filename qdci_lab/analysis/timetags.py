"""From time tags to sifted counts: a streaming accumulator with the conventions kept apart from the counting.

The stream is first reduced to a histogram over (symbol sent, set of detectors that clicked, two random bits),
which is complete for everything that follows; what a double click counts as is decided afterwards.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.code import SymbolCode, X, Z
from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.jobs import Run, one_after_the_other
from qdci_lab.analysis.keyed_sequence import KeyedSequence
from qdci_lab.analysis.ordering import check_columns
from qdci_lab.analysis.receiver import CrossClick, DoubleClick, Receiver
from qdci_lab.analysis.slot_clock import SlotClock

if TYPE_CHECKING:
    from qdci_lab.analysis.sifting_kernel import CountState
    from qdci_lab.analysis.slot_kernel import SlotState

NOTHING = 2
_FIRST_SLOT = -(2**60)
_SHARE = 1 << 17
_MASKS = np.arange(16)
_Z_PART, _X_PART = _MASKS & 3, _MASKS >> 2


@dataclass(frozen=True, eq=False)
class SiftedTags:
    """What was in the tags, whatever the conventions.

    `outcomes`[basis, intensity, bit, mask, random] counts slots by what Alice sent, by the detectors that
    clicked (bit d of the mask for detector d of Z0, Z1, X0, X1) and by two hash bits of the slot. `singles`
    are all clicks per detector, `gated` those within the gate. `late` clicks came so far out of order that a
    double click with them would have been missed, `foreign` tags are of inputs without a detector.
    """

    outcomes: NDArray[np.int64]
    singles: NDArray[np.int64]
    gated: NDArray[np.int64]
    late: int
    foreign: int

    @property
    def gated_fraction(self) -> float:
        """Clicks within the gate over all clicks, 0 without any."""
        return float(self.gated.sum() / max(self.singles.sum(), 1))

    @property
    def cross_basis_doubles(self) -> int:
        """Slots with clicks in both bases."""
        return self._slots((_Z_PART > 0) & (_X_PART > 0))

    @property
    def same_basis_doubles(self) -> int:
        """Slots in which both detectors of one basis clicked and none of the other."""
        return self._slots((_MASKS == 3) | (_MASKS == 12))

    def clicks(self) -> NDArray[np.int64]:
        """Slots by what was sent and by detector, shape [basis, intensity, bit, detector]; doubles in both."""
        by_mask = self.outcomes.sum(axis=-1)
        return np.stack([by_mask[..., (_MASKS >> d) & 1 == 1].sum(axis=-1) for d in range(4)], axis=-1)

    def counts(self, double_click: DoubleClick, cross_click: CrossClick) -> SiftedCounts:
        """Detections and errors under the given conventions; clicks in the basis not sent are sifted away."""
        measured_basis, measured_bit = _readings(double_click, cross_click)
        n = np.zeros((2, 2))
        m = np.zeros((2, 2))
        for basis in (Z, X):
            matched = measured_basis == basis
            for bit in (0, 1):
                n[basis] += self.outcomes[basis, :, bit][:, matched & (measured_bit != NOTHING)].sum(axis=-1)
                m[basis] += self.outcomes[basis, :, bit][:, matched & (measured_bit == 1 - bit)].sum(axis=-1)
        return SiftedCounts(n=n, m=m)

    def readings(self, double_click: DoubleClick, cross_click: CrossClick) -> NDArray[np.int64]:
        """Slots by what was sent and by what they are read as under the given conventions.

        Shape [basis, intensity, bit, basis measured, bit measured]; discarded slots are left out.
        """
        measured_basis, measured_bit = _readings(double_click, cross_click)
        found = np.zeros((2, 2, 2, 2, 2), dtype=np.int64)
        for basis in (Z, X):
            for bit in (0, 1):
                chosen = (measured_basis == basis) & (measured_bit == bit)
                found[..., basis, bit] = self.outcomes[..., chosen].sum(axis=-1)
        return found

    def _slots(self, chosen: NDArray[np.bool_]) -> int:
        return int(self.outcomes[..., chosen, :].sum())


class TagSifter:
    """Accumulates blocks of tags of any size; the result does not depend on where the stream was cut.

    Tags may be out of order by up to 63 slot periods (630 ns at 100 MHz): that many slots are kept open.
    With `tracking` the clock follows the pulses: after every 1024 tags its phase and period are corrected by the
    mean distance of the clicks from their pulses, so that an acquisition may outlast the precision of its
    first synchronisation. Without it the given clock holds for good. What was sent is a periodic code, or a keyed
    sequence, of which the clock's `frame_offset` is then the number of slot 0.
    """

    def __init__(
        self,
        code: SymbolCode | KeyedSequence,
        clock: SlotClock,
        receiver: Receiver,
        *,
        tracking: bool = True,
        run: Run = one_after_the_other,
    ) -> None:
        from qdci_lab.analysis import sifting_kernel, slot_kernel

        self._kernel, self._slots = sifting_kernel, slot_kernel
        self._first_clock = clock
        self._run = run
        self._keyed = isinstance(code, KeyedSequence)
        alphabet = code.alphabet if isinstance(code, KeyedSequence) else code
        self._length = alphabet.length
        self._slot_rule = slot_kernel.SlotRule(
            inputs=receiver.inputs,
            delays=receiver.delays_ps,
            length=self._length,
            keyed=self._keyed,
            sequence_key=np.uint64(code.key if isinstance(code, KeyedSequence) else 0),
            gate_width_ps=float("inf") if receiver.gate_width_ps is None else float(receiver.gate_width_ps),
            tracking=tracking,
        )
        self._slot_state = self._new_slot_state(clock)
        # Slot 0 of the loop is the first slot of a code period, so that the place in the code is a remainder.
        turn = 0 if self._keyed else clock.frame_offset
        symbols = np.roll(alphabet.symbols, -turn).astype(np.int64) << sifting_kernel.SYMBOL_SHIFT
        self._count_rule = sifting_kernel.CountRule(
            symbols.astype(np.uint16), np.uint64(receiver.random_key % 2**64)
        )
        self._count_state = self._new_count_state()

    def _new_slot_state(self, clock: SlotClock) -> "SlotState":
        kernel = self._slots
        whole_ps = int(np.floor(clock.phase_ps))
        state = kernel.SlotState(
            clock=np.zeros(kernel.CLOCK_STATE),
            reference=np.zeros(kernel.REFERENCE_STATE, dtype=np.int64),
            tallies=np.zeros(kernel.LOCATED_TALLIES, dtype=np.int64),
        )
        state.clock[kernel.PERIOD] = clock.period_ps
        state.clock[kernel.DRIFT] = clock.drift_ps_per_slot2
        state.clock[kernel.REMAINDER] = clock.phase_ps - whole_ps
        state.reference[kernel.TIME] = clock.epoch_ps + whole_ps
        state.reference[kernel.SLOT] = clock.frame_offset if self._keyed else 0
        return state

    def _new_count_state(self) -> "CountState":
        kernel = self._kernel
        state = kernel.CountState(
            ring_slot=_FIRST_SLOT + np.arange(kernel.RING_SLOTS, dtype=np.int64),
            ring_mask=np.zeros(kernel.RING_SLOTS, dtype=np.int64),
            tallies=np.zeros(kernel.COUNTED_TALLIES, dtype=np.int64),
            outcomes=np.zeros(kernel.TURNS * kernel.OUTCOMES, dtype=np.int64),
        )
        state.tallies[kernel.NEWEST] = _FIRST_SLOT
        return state

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Sift the next tags of the stream: int64 ps and the tagger's input numbers, equally many.

        Tags are located in one job while those before them are counted in another.
        """
        times, inputs = check_columns(times_ps, channels)
        locate_by, count_by = (self._slot_rule, self._slot_state), (self._count_rule, self._count_state)
        if self._run is one_after_the_other:
            self._kernel.sift(times, inputs, *locate_by, *count_by)
            return
        before = None
        for start in range(0, times.size, _SHARE):
            stretch = times[start : start + _SHARE], inputs[start : start + _SHARE]
            room = self._slots.room(stretch[0].size)
            jobs = [partial(self._slots.locate, *stretch, *locate_by, room)]
            if before is not None:
                jobs.append(partial(self._kernel.count, before, *count_by))
            self._run(jobs)
            before = room
        if before is not None:
            self._kernel.count(before, *count_by)

    def finish(self) -> SiftedTags:
        """Everything up to now; the stream may go on afterwards."""
        located, counted = self._slots, self._kernel
        table = self._count_state.outcomes.reshape(counted.TURNS, 2, 2, 2, 16, 4).sum(axis=0)
        table[:, :, :, 0, :] = 0
        tallies = self._slot_state.tallies
        singles = tallies[located.SINGLES : located.SINGLES + 4].copy()
        return SiftedTags(
            outcomes=table,
            singles=singles,
            gated=tallies[located.GATED : located.GATED + 4].copy(),
            late=int(self._count_state.tallies[counted.LATE]),
            foreign=int(tallies[located.TAGS] - singles.sum()),
        )

    @property
    def clock(self) -> SlotClock:
        """The clock as it stands now: as given, or where tracking has brought it."""
        kernel, clock, reference = self._slots, self._slot_state.clock, self._slot_state.reference
        return SlotClock(
            epoch_ps=int(reference[kernel.TIME]),
            period_ps=float(clock[kernel.PERIOD]),
            phase_ps=float(clock[kernel.REMAINDER]),
            frame_offset=self._frame_offset(int(reference[kernel.SLOT])),
            drift_ppb_per_s=self._first_clock.drift_ppb_per_s,
        )

    def _frame_offset(self, slot: int) -> int:
        return slot if self._keyed else (slot + self._first_clock.frame_offset) % self._length


def _readings(
    double_click: DoubleClick, cross_click: CrossClick
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Basis and bit that a slot is read as, each of shape [mask, random]; `NOTHING` if it is discarded.

    The lower random bit decides between the two bits of a double click, the upper one between the bases.
    """
    basis = np.full((16, 4), NOTHING, dtype=np.int64)
    bit = np.full((16, 4), NOTHING, dtype=np.int64)
    for mask in range(1, 16):
        parts = (mask & 3, mask >> 2)
        for random in range(4):
            if 0 not in parts and cross_click == "discard":
                continue
            chosen = random >> 1 if 0 not in parts else int(parts[Z] == 0)
            if parts[chosen] == 3 and double_click == "discard":
                continue
            basis[mask, random] = chosen
            bit[mask, random] = random & 1 if parts[chosen] == 3 else parts[chosen] - 1
    return basis, bit
