"""The compiled sifter against a dictionary of slots, and against itself with the stream cut elsewhere."""

from collections import defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis import KeyedSequence, Receiver, SlotClock, SymbolCode, TagSifter, make_code

CODE = make_code(37, 0.7, 0.6, seed=4)
# Half a picosecond of phase keeps integer tags off the edges of slots and gates, where rounding would decide.
CLOCK = SlotClock(epoch_ps=5_000_000, period_ps=10_000.0, phase_ps=0.5, frame_offset=11)


@dataclass(frozen=True)
class Stream:
    times: np.ndarray
    channels: np.ndarray


def make_stream(seed: int, tags: int, mean_gap: float, disorder_ps: int = 0) -> Stream:
    """Tags of inputs 1 to 5 (5 has no detector) around and between pulses, from some slots before slot 0."""
    rng = np.random.default_rng(seed)
    slots = np.cumsum(rng.geometric(1.0 / mean_gap, tags) - 1) - 20
    times = 5_000_000 + 10_000 * slots + np.rint(rng.normal(0.0, 2_000.0, tags)).astype(np.int64)
    order = np.argsort(times + rng.integers(0, disorder_ps + 1, tags), kind="stable")
    return Stream(times[order], rng.integers(1, 6, tags).astype(np.uint8)[order])


def sift(stream: Stream, receiver: Receiver, cuts: tuple[int, ...] = (), *, tracking: bool = False):
    sifter = TagSifter(CODE, CLOCK, receiver, tracking=tracking)
    for times, channels in zip(np.split(stream.times, cuts), np.split(stream.channels, cuts), strict=True):
        sifter.add(times, channels)
    return sifter.finish()


def hash_bits(slot: int) -> int:
    """SplitMix64 in unbounded integers."""
    wrap = 2**64
    mixed = (slot + 1) * 0x9E3779B97F4A7C15 % wrap
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % wrap
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % wrap
    return (mixed ^ (mixed >> 31)) >> 62


def plainly_sifted(stream: Stream, receiver: Receiver) -> tuple[np.ndarray, np.ndarray]:
    """Detections and errors: a dictionary from slot to the set of detectors, then one slot after the other."""
    period, phase = Fraction(10_000), Fraction(1, 2)
    half_gate = Fraction(receiver.gate_width_ps or 10_000) / 2
    clicked = defaultdict(set)
    for time, channel in zip(stream.times.tolist(), stream.channels.tolist(), strict=True):
        if channel not in receiver.inputs:
            continue
        detector = receiver.inputs.index(channel)
        after = time - CLOCK.epoch_ps - receiver.delays_ps[detector] - phase
        slot = round(after / period)
        if abs(after - slot * period) < half_gate:
            clicked[slot].add(detector)
    n, m = np.zeros((2, 2)), np.zeros((2, 2))
    for slot, detectors in clicked.items():
        place = (slot + CLOCK.frame_offset) % CODE.length
        low, high = hash_bits(slot) & 1, hash_bits(slot) >> 1
        bases = {detector // 2 for detector in detectors}
        if len(bases) == 2:
            if receiver.cross_click == "discard":
                continue
            bases = {high}
        (basis,) = bases
        bits = {detector % 2 for detector in detectors if detector // 2 == basis}
        if len(bits) == 2:
            if receiver.double_click == "discard":
                continue
            bits = {low}
        if basis == CODE.basis[place]:
            n[basis, CODE.intensity[place]] += 1
            m[basis, CODE.intensity[place]] += bits != {int(CODE.bit[place])}
    return n, m


receivers = st.builds(
    Receiver,
    inputs=st.sampled_from([(1, 2, 3, 4), (4, 1, 3, 2)]),
    delays_ps=st.tuples(*[st.integers(-3000, 3000)] * 4),
    gate_width_ps=st.sampled_from([None, 1_000.0, 4_000.0, 10_000.0]),
    double_click=st.sampled_from(["random-bit", "discard"]),
    cross_click=st.sampled_from(["discard", "random-basis"]),
)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    tags=st.integers(0, 400),
    mean_gap=st.sampled_from([1.3, 3.0, 200.0]),
    disorder_ps=st.sampled_from([0, 50_000, 500_000]),
    receiver=receivers,
)
def test_counts_equal_those_of_a_dictionary_of_slots(seed, tags, mean_gap, disorder_ps, receiver):
    stream = make_stream(seed, tags, mean_gap, disorder_ps)
    sifted = sift(stream, receiver)
    n, m = plainly_sifted(stream, receiver)
    counts = sifted.counts(receiver.double_click, receiver.cross_click)
    assert counts.n.tolist() == n.tolist()
    assert counts.m.tolist() == m.tolist()
    assert sifted.late == 0
    assert sifted.foreign == np.count_nonzero(stream.channels == 5)
    assert sifted.singles.tolist() == [np.count_nonzero(stream.channels == i) for i in receiver.inputs]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    receiver=receivers,
    tracking=st.booleans(),
)
def test_the_result_does_not_depend_on_where_the_stream_was_cut(seed, cuts, receiver, tracking):
    stream = make_stream(seed, 5000, 3.0, 60_000)
    whole = sift(stream, receiver, tracking=tracking)
    pieces = sift(stream, receiver, tuple(sorted(cuts)), tracking=tracking)
    assert np.array_equal(whole.outcomes, pieces.outcomes)
    assert np.array_equal(whole.gated, pieces.gated)


def plain_outcomes(slots, channels):
    """Slots by symbol sent, detectors that clicked and two hash bits, from a dictionary."""
    clicked = defaultdict(int)
    for slot, channel in zip(slots.tolist(), channels.tolist(), strict=True):
        if channel != 5:
            clicked[slot] |= 1 << (channel - 1)
    outcomes = np.zeros((8, 16, 4), dtype=np.int64)
    for slot, mask in clicked.items():
        symbol = CODE.symbols[(slot + CLOCK.frame_offset) % CODE.length]
        outcomes[symbol, mask, hash_bits(slot) if mask.bit_count() > 1 else 0] += 1
    return outcomes


@settings(max_examples=25, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(1, 70), st.integers(1, 12)), min_size=1, max_size=30),
    copies=st.sampled_from([1, 40]),
    seed=st.integers(0, 2**32),
    back=st.integers(0, 63),
    cuts=st.lists(
        st.one_of(st.sampled_from([0, 1, 1024, 4095, 4096, 4097, 16384]), st.integers(0, 9000)), max_size=8
    ),
)
def test_runs_of_any_length_in_one_slot_are_merged(runs, copies, seed, back, cuts):
    """Ties and runs of up to 12 tags, some of no detector, over the ends of windows, stretches and portions.

    `back` slots before a click another one may come, 0 leaves the stream in order.
    """
    rng = np.random.default_rng(seed)
    gaps, lengths = (np.tile(column, copies) for column in zip(*runs, strict=True))
    slots = np.repeat(np.cumsum(gaps), lengths) - 50
    order = np.argsort(slots + rng.integers(0, back + 1, slots.size), kind="stable")
    slots, channels = slots[order], rng.integers(1, 6, slots.size).astype(np.uint8)
    times = CLOCK.epoch_ps + 10_000 * slots + rng.choice([-4000, 0, 1], slots.size)
    sifted = sift(Stream(times, channels), Receiver(gate_width_ps=None), tuple(sorted(cuts)))
    assert np.array_equal(sifted.outcomes.reshape(8, 16, 4), plain_outcomes(slots, channels))
    assert (sifted.late, sifted.foreign) == (0, np.count_nonzero(channels == 5))


def test_looking_at_the_counts_meanwhile_changes_nothing():
    stream = make_stream(1, 3000, 1.5)
    receiver = Receiver()
    watched = TagSifter(CODE, CLOCK, receiver)
    for times, channels in zip(np.split(stream.times, 30), np.split(stream.channels, 30), strict=True):
        watched.add(times, channels)
        watched.finish()
    assert np.array_equal(watched.finish().outcomes, sift(stream, receiver, tracking=True).outcomes)


def one_slot_tags(*detectors_by_slot: tuple[int, ...]) -> Stream:
    pairs = [(10_000 * slot, detector + 1) for slot, ds in enumerate(detectors_by_slot) for detector in ds]
    times, channels = zip(*pairs, strict=True)
    return Stream(np.array(times, dtype=np.int64), np.array(channels, dtype=np.uint8))


def test_each_kind_of_coincidence_is_told_apart():
    code = SymbolCode.from_digits("0")  # always Z, bit 0, signal
    stream = one_slot_tags((0,), (1,), (0, 1), (2, 3), (0, 2), (0, 1, 2), (3,), (0, 0))
    sifter = TagSifter(code, SlotClock(epoch_ps=0, period_ps=1e4), Receiver())
    sifter.add(stream.times, stream.channels)
    tags = sifter.finish()
    assert tags.same_basis_doubles == 2
    assert tags.cross_basis_doubles == 2
    strict = tags.counts("discard", "discard")
    assert strict.n.tolist() == [[3, 0], [0, 0]]
    assert strict.m.tolist() == [[1, 0], [0, 0]]
    assert tags.counts("random-bit", "discard").n[0, 0] == 4
    assert tags.clicks()[0, 0, 0].tolist() == [5, 3, 3, 2]


def test_random_assignments_are_fair():
    """20 000 double and 20 000 cross clicks; each share is off by 5 sigma with probability 6e-7."""
    code = SymbolCode.from_digits("0")
    stream = one_slot_tags(*[(0, 1)] * 20_000, *[(0, 2)] * 20_000)
    sifter = TagSifter(code, SlotClock(epoch_ps=0, period_ps=1e4), Receiver())
    sifter.add(stream.times, stream.channels)
    counts = sifter.finish().counts("random-bit", "random-basis")
    five_sigma = 5 * np.sqrt(20_000) / 2
    assert abs(counts.m[0, 0] - 10_000) < five_sigma
    assert abs(counts.n[0, 0] - 20_000 - 10_000) < five_sigma


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    mean_gap=st.sampled_from([1.3, 200.0]),
    key=st.integers(0, 2**64 - 1),
    first=st.sampled_from([0, 12_345_678_901]),
)
def test_a_keyed_sequence_is_sifted_as_its_symbols_say(seed, cuts, mean_gap, key, first):
    """Slot by slot against the sequence's own symbols, of a stream that is cut anywhere."""
    sequence = KeyedSequence(make_code(64, 0.7, 0.6, seed=4), key)
    stream = make_stream(seed, 400, mean_gap)
    sifter = TagSifter(sequence, replace(CLOCK, frame_offset=first), Receiver(), tracking=False)
    for block in zip(*(np.split(c, sorted(cuts)) for c in (stream.times, stream.channels)), strict=True):
        sifter.add(*block)
    clicked = defaultdict(set)
    for time, channel in zip(stream.times.tolist(), stream.channels.tolist(), strict=True):
        if channel != 5:
            clicked[(time - CLOCK.epoch_ps + 4_999) // 10_000 + first].add(channel - 1)
    slots = np.array(sorted(clicked), dtype=np.int64)
    by_kind = np.zeros((8, 16), dtype=np.int64)
    masks = [sum(1 << detector for detector in clicked[slot]) for slot in slots.tolist()]
    np.add.at(by_kind, (sequence.symbols(slots), masks), 1)
    assert np.array_equal(sifter.finish().outcomes.sum(axis=-1).reshape(8, 16), by_kind)


def test_a_keyed_sequence_has_the_composition_of_its_alphabet():
    """65 536 slots of 8 kinds: each count is off by 5 sigma with probability 6e-7; another key gives another order."""
    alphabet = make_code(1024, 0.8, 0.9, seed=1)
    slots = np.arange(-30_000, 35_536)
    one, other = (KeyedSequence(alphabet, key).symbols(slots) for key in (1, 2))
    expected = slots.size * alphabet.composition().ravel() / 1024
    assert (np.abs(np.bincount(one, minlength=8) - expected) < 5 * np.sqrt(expected)).all()
    assert 0.2 < np.mean(one == other) < 0.4


@pytest.mark.parametrize(("length", "key"), [(1000, 0), (1024, -1), (1024, 2**64)])
def test_keyed_sequences_that_make_no_sense_are_refused(length, key):
    with pytest.raises(ValueError, match=r"power of two|2\^64"):
        KeyedSequence(make_code(length, 0.8, 0.9, seed=1), key)


def test_a_click_behind_the_newest_by_all_slots_kept_open_is_late_wherever_it_falls():
    """Ring or not, in whatever stretch: 63 slots behind is merged, 64 is not."""
    for behind, late_and_merged in ((64, (1, 0)), (63, (0, 1))):
        times = 10_000 * np.array([*range(3000), 2999 - behind], dtype=np.int64)
        sifter = TagSifter(SymbolCode.from_digits("0"), SlotClock(0, 1e4), Receiver())
        sifter.add(times, np.array([1] * 3000 + [2], dtype=np.uint8))
        tags = sifter.finish()
        assert (tags.late, tags.same_basis_doubles) == late_and_merged


def test_another_key_assigns_double_clicks_otherwise():
    stream = one_slot_tags(*[(0, 1)] * 100)
    errors = []
    for key in (0, 1):
        sifter = TagSifter(SymbolCode.from_digits("0"), SlotClock(0, 1e4), Receiver(random_key=key))
        sifter.add(stream.times, stream.channels)
        errors.append(sifter.finish().outcomes[0, 0, 0, 3].tolist())
    assert errors[0] != errors[1]


def test_a_click_too_late_to_merge_is_counted_alone_and_reported():
    times = np.array([0, 10_000 * 64, 0], dtype=np.int64)  # the ring has gone on by 64 slots
    sifter = TagSifter(SymbolCode.from_digits("0"), SlotClock(0, 1e4), Receiver())
    sifter.add(times, np.array([1, 1, 2], dtype=np.uint8))
    tags = sifter.finish()
    assert (tags.late, tags.same_basis_doubles) == (1, 0)
    on_time = TagSifter(SymbolCode.from_digits("0"), SlotClock(0, 1e4), Receiver())
    on_time.add(times - np.array([0, 10_000, 0]), np.array([1, 1, 2], dtype=np.uint8))
    assert (on_time.finish().late, on_time.finish().same_basis_doubles) == (0, 1)


def test_the_gate_is_centred_on_the_pulse():
    offsets = np.array([-500, -499, 0, 500, 501], dtype=np.int64)  # and the pulses arrive at + 0.5 ps
    sifter = TagSifter(CODE, SlotClock(0, 1e4, phase_ps=0.5), Receiver(gate_width_ps=1000.0))
    sifter.add(10_000 * np.arange(5) + offsets, np.full(5, 1, np.uint8))
    tags = sifter.finish()
    assert tags.gated.tolist() == [3, 0, 0, 0]
    assert tags.gated_fraction == 0.6


def test_slots_stay_right_over_days_of_picoseconds():
    """Two days after the epoch of an untracked clock with a period that is no binary fraction."""
    clock = SlotClock(epoch_ps=10**17, period_ps=10_000.123_456_789, phase_ps=3.25)
    slots = 17_000_000_000 + np.arange(0, 400_000, 371)
    times = clock.epoch_ps + np.rint(clock.arrival_ps(slots)).astype(np.int64)
    receiver = Receiver(gate_width_ps=10.0)
    sifter = TagSifter(CODE, clock, receiver, tracking=False)
    sifter.add(times, np.full(times.size, 1, np.uint8))
    tags = sifter.finish()
    sent = np.bincount(CODE.symbols[slots % CODE.length], minlength=8).reshape(2, 2, 2)
    assert np.array_equal(tags.clicks()[..., 0], sent)


def test_a_drifting_clock_is_extrapolated_through_every_window():
    clock = SlotClock(epoch_ps=0, period_ps=10_000.0, drift_ppb_per_s=40.0)
    slots = np.sort(np.random.default_rng(3).integers(0, 300_000_000, 20_000))  # 3 s, 1.8 us of drift
    times = np.rint(clock.arrival_ps(slots)).astype(np.int64)
    right = TagSifter(CODE, clock, Receiver(gate_width_ps=20.0), tracking=False)
    right.add(times, np.full(times.size, 1, np.uint8))
    assert right.finish().gated_fraction == 1.0
    wrong = TagSifter(CODE, replace(clock, drift_ppb_per_s=0.0), Receiver(gate_width_ps=20.0), tracking=False)
    wrong.add(times, np.full(times.size, 1, np.uint8))
    assert wrong.finish().gated_fraction < 0.1


@pytest.mark.parametrize("dark_share", [0.0, 0.5])
def test_tracking_follows_a_clock_that_wanders(dark_share):
    """4 s at 100 kcps with an unknown drift of 20 ppb/s: 160 ns in all, 16 periods."""
    rng = np.random.default_rng(12)
    slots = np.sort(rng.integers(0, 400_000_000, 400_000))
    truth = SlotClock(epoch_ps=0, period_ps=10_000.0, drift_ppb_per_s=20.0)
    arrivals = truth.arrival_ps(slots) + rng.normal(0.0, 150.0, slots.size)
    dark = rng.random(slots.size) < dark_share
    arrivals[dark] = rng.uniform(0.0, 4e12, np.count_nonzero(dark))
    times = np.sort(np.rint(arrivals).astype(np.int64))
    sifter = TagSifter(
        CODE, replace(truth, drift_ppb_per_s=0.0), Receiver(gate_width_ps=1000.0), tracking=True
    )
    sifter.add(times, np.full(times.size, 1, np.uint8))
    # 1 ns around a 150 ps Gaussian keeps 99.9 %, and 10 % of what comes at random.
    assert sifter.finish().gated_fraction > 0.995 * (1 - dark_share) + 0.09 * dark_share
    end = sifter.clock
    slot, distance = truth.slots_of(np.array([end.epoch_ps], dtype=np.int64))
    assert abs(distance[0] + end.phase_ps) < 100.0
    assert end.frame_offset == slot[0] % CODE.length


def test_the_clock_handed_on_continues_the_count_of_slots():
    stream = make_stream(5, 6000, 3.0)
    first = TagSifter(CODE, CLOCK, Receiver(), tracking=False)
    first.add(stream.times[:3072], stream.channels[:3072])
    second = TagSifter(CODE, first.clock, Receiver(), tracking=False)
    second.add(stream.times[3072:], stream.channels[3072:])
    apart = sum(part.finish().counts("discard", "discard").n for part in (first, second))
    together = sift(stream, Receiver()).counts("discard", "discard").n
    # Only coincidences across the cut can differ.
    assert np.abs(apart - together).sum() <= 4


def test_mismatched_blocks_are_refused():
    sifter = TagSifter(CODE, CLOCK, Receiver())
    with pytest.raises(ValueError, match="do not go with"):
        sifter.add(np.zeros(3, np.int64), np.zeros(2, np.uint8))


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": (1, 2, 3, 3)},
        {"inputs": (1, 2, 3, 256)},
        {"gate_width_ps": 0.0},
        {"double_click": "keep"},
        {"cross_click": "keep"},
    ],
)
def test_receivers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"input|gate|unknown"):
        Receiver(**wrong)
