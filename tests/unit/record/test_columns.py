from typing import Any

import numpy as np
import pytest

from qdci_lab.record.columns import TEXT, Column


def column(values: list[Any], declared: dict[str, Any] | None = None) -> np.ndarray:
    found = Column(declared or {})
    for value in values:
        found.include(value)
    return found.type(len(values)).array(values)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1.5, 2], np.float64, [1.5, 2.0]),
        ([1, -2], np.int64, [1, -2]),
        ([0, 2**64 - 1], np.uint64, [0, 2**64 - 1]),
        ([True, False], np.bool_, [True, False]),
        ([True, 3], np.int64, [1, 3]),
        ([np.int16(3), np.uint8(4)], np.int64, [3, 4]),
        ([np.float32(0.1), 1], np.float64, [float(np.float32(0.1)), 1.0]),
        ([1 + 2j, 3.0], np.complex128, [1 + 2j, 3 + 0j]),
        (["a", np.str_("b")], np.object_, ["a", "b"]),
        ([[1, 2], [3, 4]], np.int64, [[1, 2], [3, 4]]),
        (
            [np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)],
            np.uint8,
            [[[0, 0], [0, 0]], [[1, 1], [1, 1]]],
        ),
        ([(1.5, 2), (3, 4)], np.float64, [[1.5, 2.0], [3.0, 4.0]]),
        ([np.array([1], ">f4")], np.float32, [[1.0]]),
    ],
)
def test_values_get_the_type_that_holds_them_all(values: list, dtype: type, expected: list) -> None:
    array = column(values)
    assert array.dtype == dtype
    assert array.tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2**70, 1], [str(2**70), "1"]),
        ([2**53 + 1, 0.5], [str(2**53 + 1), "0.5"]),
        ([-1, 2**64 - 1], ["-1", str(2**64 - 1)]),
        (["a", 1], ["a", "1"]),
        ([[1, 2], [3]], ["[1, 2]", "[3]"]),
        ([np.array([1, 2]), np.array([3])], ["[1, 2]", "[3]"]),
        ([{"a": (1, 2)}], ['{"a": [1, 2]}']),
        ([b"x"], ["\"b'x'\""]),
        ([["a", "b"]], ['["a", "b"]']),
        (["a\0b", "\udc80"], ["a\\x00b", "\\udc80"]),
        ([{(1, 2): {3: None}}], ['{"(1, 2)": {"3": null}}']),
        ([[[1], [2, 3]]], ["[[1], [2, 3]]"]),
        ([np.array([2**63], np.uint64), np.array([-1])], [f"[{2**63}]", "[-1]"]),
    ],
)
def test_what_no_array_holds_exactly_becomes_text(values: list, expected: list[str]) -> None:
    array = column(values)
    assert array.dtype == TEXT
    assert array.tolist() == expected


def test_missing_values_are_not_a_number_or_an_empty_text() -> None:
    assert np.isnan(column([None, 1.0])[0])
    assert column([None, 3]).tolist()[1] == 3.0
    assert column([None, "a"]).tolist() == ["", "a"]
    assert column([None, 2**60]).tolist() == ["", str(2**60)]


def test_missing_rows_of_wide_integers_become_text_and_of_narrow_ones_numbers() -> None:
    assert column([np.array([1, 2**60]), None]).tolist() == [f"[1, {2**60}]", ""]
    narrow = column([np.array([1, 2]), None])
    assert narrow.dtype == np.float64
    assert np.isnan(narrow[1]).all()


@pytest.mark.parametrize(
    ("declared", "dtype"),
    [("integer", np.int64), ("number", np.float64), ("string", np.object_), ("array", np.float64)],
)
def test_an_empty_column_has_the_declared_type(declared: str, dtype: type) -> None:
    assert column([], {"dtype": declared}).dtype == dtype
