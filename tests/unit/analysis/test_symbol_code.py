"""Symbol codes: exact composition, sharp autocorrelation, text form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis import SymbolCode, expected_pattern, make_code


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(8, 300),
    p_signal=st.floats(0.05, 0.95),
    p_z=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32),
)
def test_classes_get_their_share_to_within_one_slot_and_bits_are_balanced(length, p_signal, p_z, seed):
    composition = make_code(length, p_signal, p_z, seed).composition()
    shares = length * np.outer([p_z, 1 - p_z], [p_signal, 1 - p_signal])
    assert composition.sum() == length
    assert np.all(np.abs(composition.sum(axis=2) - shares) < 1.0)
    assert np.all(np.abs(composition[..., 0] - composition[..., 1]) <= 1)
    assert abs(int(composition[..., 0].sum()) - int(composition[..., 1].sum())) <= 1


def test_the_code_of_the_link_has_the_fractions_that_a_full_quota_allows():
    code = make_code(1024, 0.798, 0.898, seed=1)
    assert code.composition().sum(axis=2).tolist() == [[734, 186], [83, 21]]
    assert code.p_signal == 817 / 1024
    assert code.p_z == 920 / 1024


def test_the_same_seed_gives_the_same_code_and_another_seed_another():
    assert make_code(256, 0.8, 0.9, seed=5) == make_code(256, 0.8, 0.9, seed=5)
    assert make_code(256, 0.8, 0.9, seed=5) != make_code(256, 0.8, 0.9, seed=6)


def _sidelobe(code: SymbolCode) -> float:
    pattern = expected_pattern(code, (1.0, 0.25))
    pattern = pattern - pattern.mean(axis=1, keepdims=True)
    correlations = [float(np.sum(pattern * np.roll(pattern, s, axis=1))) for s in range(code.length)]
    return max(np.abs(correlations[1:])) / correlations[0]


def test_the_chosen_order_has_lower_sidelobes_than_common_shuffles():
    code = make_code(512, 0.798, 0.898, seed=3)
    rng = np.random.default_rng(8)
    shuffles = [SymbolCode.from_digits("".join(rng.permutation(list(code.digits)))) for _ in range(20)]
    # A common shuffle beats the best of 64 with probability 1/65; 20 of them rarely show four.
    assert sum(_sidelobe(shuffle) < _sidelobe(code) for shuffle in shuffles) <= 3


@settings(deadline=None)
@given(st.text(alphabet="01234567", min_size=1, max_size=50))
def test_digits_carry_the_whole_code(digits):
    code = SymbolCode.from_digits(digits)
    assert code.digits == digits
    assert SymbolCode(basis=code.basis, bit=code.bit, intensity=code.intensity) == code
    assert hash(SymbolCode.from_digits(digits)) == hash(code)


def test_expected_pattern_of_a_passive_receiver():
    code = SymbolCode.from_digits("0167")  # Z0 signal, Z1 signal, X0 decoy, X1 decoy
    pattern = expected_pattern(code, (0.8, 0.2))
    assert pattern.tolist() == [
        pytest.approx([0.4, 0.0, 0.05, 0.05]),
        pytest.approx([0.0, 0.4, 0.05, 0.05]),
        pytest.approx([0.2, 0.2, 0.1, 0.0]),
        pytest.approx([0.2, 0.2, 0.0, 0.1]),
    ]


def test_a_code_cannot_be_changed_afterwards():
    code = make_code(16, 0.5, 0.5, seed=0)
    with pytest.raises(ValueError, match="read-only"):
        code.basis[0] = 1


@pytest.mark.parametrize("digits", ["", "018", "Z0"])
def test_other_text_is_not_a_code(digits):
    with pytest.raises(ValueError, match="digits"):
        SymbolCode.from_digits(digits)


def test_arrays_must_agree():
    with pytest.raises(ValueError, match="one value per slot"):
        SymbolCode(basis=np.zeros(4, np.uint8), bit=np.zeros(3, np.uint8), intensity=np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="only 0 and 1"):
        SymbolCode(basis=np.full(4, 2, np.uint8), bit=np.zeros(4, np.uint8), intensity=np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="no code"):
        make_code(10, 1.0, 0.9, seed=0)
