"""From sifted tags to the counts and numbers of three-state BB84."""

import numpy as np
import pytest

from qdci_lab.analysis.code import X, Z, make_code, make_three_state_code
from qdci_lab.analysis.receiver import Receiver
from qdci_lab.analysis.three_state_result import three_state_counts
from qdci_lab.analysis.timetags import SiftedTags

Z0, Z1, X0, X1 = 1, 2, 4, 8


def tags_of(*slots: tuple[int, int, int, int, int]) -> SiftedTags:
    """Slots by (basis, intensity, bit, mask of detectors, how many), random bits 0."""
    outcomes = np.zeros((2, 2, 2, 16, 4), dtype=np.int64)
    for basis, intensity, bit, mask, count in slots:
        outcomes[basis, intensity, bit, mask, 0] += count
    nothing = np.zeros(4, dtype=np.int64)
    return SiftedTags(outcomes, nothing, nothing, 0, 0)


def test_every_preparation_and_result_goes_to_its_place():
    tags = tags_of(
        (Z, 0, 0, Z0, 100), (Z, 0, 0, Z1, 3), (Z, 0, 1, Z1, 90), (Z, 0, 1, Z0, 4), (Z, 1, 0, Z0, 20),
        (Z, 0, 0, X0, 40), (Z, 0, 1, X0, 41), (Z, 0, 0, X1, 50), (Z, 1, 1, X1, 7),
        (X, 0, 0, X0, 30), (X, 0, 0, X1, 2), (X, 1, 0, X0, 9), (X, 0, 0, Z0, 1000),
    )  # fmt: skip
    counts = three_state_counts(tags, Receiver())
    assert list(counts.n_z) == [197, 20]
    assert list(counts.m_z) == [7, 0]
    assert list(counts.z_as_plus) == [81, 0]
    assert list(counts.z_as_minus) == [50, 7]
    assert list(counts.plus_as_plus) == [30, 9]
    assert list(counts.plus_as_minus) == [2, 0]


def test_counts_of_equal_bases_are_those_of_four_states():
    receiver = Receiver()
    generator = np.random.default_rng(5)
    tags = tags_of()
    tags.outcomes[:] = generator.integers(0, 50, tags.outcomes.shape)
    tags.outcomes[X, :, 1] = 0
    sifted = tags.counts(receiver.double_click, receiver.cross_click)
    ours = three_state_counts(tags, receiver).sifted()
    assert np.array_equal(ours.n, sifted.n)
    assert np.array_equal(ours.m, sifted.m)


@pytest.mark.parametrize(("cross", "found"), [("discard", 0), ("random-basis", 10)])
def test_clicks_in_both_bases_follow_the_convention(cross, found):
    counts = three_state_counts(tags_of((Z, 0, 0, Z0 | X0, 10)), Receiver(cross_click=cross))
    assert counts.n_z.sum() + counts.z_as_plus.sum() == found


def test_the_code_has_the_shares_of_four_states_and_no_minus():
    code, four = make_three_state_code(1024, 0.7, 0.9, 1), make_code(1024, 0.7, 0.9, 1)
    assert not np.any(code.bit[code.basis == X])
    assert (code.p_signal, code.p_z) == (four.p_signal, four.p_z)
    assert np.array_equal(code.bit[code.basis == Z], four.bit[four.basis == Z])
