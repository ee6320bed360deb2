"""The relay of a trusted node against one that keeps two buffers and passes keys on one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.analysis.key_relay import KeyDeposits, relay

deposits = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2000)), max_size=25).map(
    lambda pairs: KeyDeposits(
        np.array([float(time) for time, _ in sorted(pairs)]),
        np.array([bits for _, bits in sorted(pairs)], int),
    )
)


def walked(left, right, key_bits):
    """(time, end to end, left buffer, right buffer) after each time, by passing keys on."""
    rows, passed, buffers = [], 0, [0, 0]
    for time in sorted({*left.times_s, *right.times_s}):
        for side, link in enumerate((left, right)):
            buffers[side] += int(sum(b for t, b in zip(link.times_s, link.bits, strict=True) if t == time))
        while min(buffers) >= key_bits:
            buffers = [buffer - key_bits for buffer in buffers]
            passed += key_bits
        rows.append((time, passed, *buffers))
    return rows


@given(deposits, deposits, st.sampled_from([1, 7, 256]))
def test_the_relay_is_that_of_two_buffers(left, right, key_bits):
    found = relay(left, right, key_bits=key_bits)
    assert list(
        zip(found.times_s, found.end_to_end_bits, found.left_surplus, found.right_surplus, strict=True)
    ) == (walked(left, right, key_bits))


@given(deposits, deposits)
def test_key_is_conserved_and_no_buffer_is_ever_below_zero(left, right):
    found = relay(left, right)
    assert np.array_equal(found.end_to_end_bits, np.minimum(found.left_bits, found.right_bits))
    assert (np.minimum(found.left_surplus, found.right_surplus) == 0).all()
    assert (found.left_surplus >= 0).all()
    assert (found.right_surplus >= 0).all()
    assert (np.diff(found.end_to_end_bits) >= 0).all()
    if found.times_s.size:
        assert (found.left_bits[-1], found.right_bits[-1]) == (left.total, right.total)


@given(deposits, deposits)
def test_which_end_is_left_does_not_matter(left, right):
    one, other = relay(left, right), relay(right, left)
    assert np.array_equal(one.end_to_end_bits, other.end_to_end_bits)
    assert np.array_equal(one.left_surplus, other.right_surplus)


@given(deposits, deposits, st.integers(0, 40))
def test_what_came_later_changes_nothing_before(left, right, time):
    """So that a relay may be followed while the links go on."""
    whole, part = relay(left, right), relay(left.until(time), right.until(time))
    assert np.array_equal(part.end_to_end_bits, whole.end_to_end_bits[whole.times_s <= time])


def test_a_stored_surplus_bridges_a_pause_of_the_richer_link():
    """Clason et al., Fig. 3(e), first day: one link stagnates, and what it has stored is used up meanwhile."""
    rich = KeyDeposits(np.array([1.0, 2.0, 9.0]), np.array([500, 500, 500]))
    poor = KeyDeposits(np.arange(1.0, 10.0), np.full(9, 100))
    found = relay(rich, poor)
    assert found.end_to_end_bits.tolist() == [100, 200, 300, 400, 500, 600, 700, 800, 900]
    assert found.left_surplus.tolist() == [400, 800, 700, 600, 500, 400, 300, 200, 600]
    assert rich.longest_gap() == (7.0, 9.0)
    assert poor.until(4.0).total == 400
    assert KeyDeposits(np.array([1.0]), np.array([5])).longest_gap() == (0.0, 0.0)


@pytest.mark.parametrize(
    ("times", "bits", "told"),
    [
        ([1.0, 0.5], [1, 1], "in order"),
        ([1.0, np.nan], [1, 1], "finite"),
        ([1.0], [-1], "none below zero"),
        ([1.0], [0.5], "whole numbers"),
        ([1.0, 2.0], [1], "one time for each"),
    ],
)
def test_what_is_no_key_is_refused(times, bits, told):
    with pytest.raises(ValueError, match=told):
        KeyDeposits(np.array(times), np.array(bits))


def test_a_relayed_key_has_bits():
    nothing = KeyDeposits(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="at least one bit"):
        relay(nothing, nothing, key_bits=0)
