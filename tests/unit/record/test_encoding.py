import enum
import math
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from qdci_lab.errors import RecordError
from qdci_lab.record.encoding import decode, decode_name, encode, encode_document


def same(left: Any, right: Any) -> bool:
    """Equal in value and in every type, with NaN equal to itself and signed zeros apart."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return (
            list(left) == list(right)
            and all(map(same, left.values(), right.values()))
            and same(list(left), list(right))
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, np.ndarray) and left.dtype == object:
        return left.shape == right.shape and same(left.ravel().tolist(), right.ravel().tolist())
    if isinstance(left, np.ndarray):
        return (left.dtype.char, left.dtype, left.shape) == (right.dtype.char, right.dtype, right.shape) and (
            left.tobytes() == right.tobytes()
        )
    if isinstance(left, np.str_ | np.bytes_):
        return left == right
    if isinstance(left, np.generic):
        return left.dtype == right.dtype and left.tobytes() == right.tobytes()
    if isinstance(left, float | complex):
        return repr(left) == repr(right)
    if isinstance(left, datetime):
        return repr(left) == repr(right) and left.fold == right.fold
    return left == right


# the padding of x87's extended precision is undefined memory, so longdouble is looked at on its own below
dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    npst.datetime64_dtypes(endianness="?"),
    npst.timedelta64_dtypes(endianness="?"),
    npst.byte_string_dtypes(),
    npst.unicode_string_dtypes(endianness="?"),
)
arrays = npst.arrays(
    st.one_of(dtypes, npst.array_dtypes(dtypes, min_size=1, max_size=3)),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
scalars = dtypes.flatmap(lambda dtype: npst.arrays(dtype, ())).map(lambda array: array[()])
zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))),
    st.just(timezone(timedelta(hours=1), "CET")),
)
moments = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes(),
    zones,
    st.integers(0, 1),
)
texts = st.text(st.characters(exclude_categories=()))
atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**200), 2**200), st.floats(), texts, st.binary(),
    st.complex_numbers(), moments, scalars, arrays,
)  # fmt: skip
keys = st.one_of(texts, st.integers(), st.binary(), st.tuples(texts, st.integers()))
documents = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4).map(OrderedDict),
    ),
    max_leaves=12,
)


@given(documents)
def test_what_is_encoded_comes_back_with_every_type(document: Any) -> None:
    assert same(decode(encode(document)), document)


@given(documents)
def test_equal_documents_have_equal_bytes(document: Any) -> None:
    assert encode(decode(encode(document))) == encode(document)


@pytest.mark.parametrize(
    "value",
    [math.nan, -0.0, math.inf, 2**63, 2**64, -(2**63) - 1, "\udc80", np.str_("a\0"), np.bytes_(b"a\0"), np.longlong(3),
     np.ulonglong(3), np.bool_(True), np.float64(2.5), np.datetime64("NaT", "ns"), np.zeros((2, 0)), np.array("", "U0"),
     np.array([1, None, (2, "x")], dtype=object), np.array([1, 2], "q"), np.zeros(2, [("a", ">i4", (2,)), ("b", "U3")]),
     np.zeros(2, [("a", "<f8"), ("b", "u1")])[1], (), [()], {"a": ((1,), [2])}, {(1, "a"): 2, 3: 4, b"k": None}],
    ids=repr,
)  # fmt: skip
def test_hard_cases_come_back(value: Any) -> None:
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize("value", [np.longdouble("0.1"), np.clongdouble(1 + 2j)], ids=repr)
def test_extended_precision_keeps_value_and_type(value: np.generic) -> None:
    back = decode(encode(value))
    assert type(back) is type(value)
    assert back == value


def test_restored_arrays_can_be_written_to() -> None:
    array = decode(encode(np.arange(3)))
    array[0] = 7
    assert array.tolist() == [7, 1, 2]


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 1


class Name(str):
    __slots__ = ()


class Reading(float):
    pass


@pytest.mark.parametrize(
    "value",
    [Colour.RED, Level.HIGH, Name("x"), Reading(1.0), {1, 2}, bytearray(b"x"), memoryview(b"x"), PurePosixPath("/a"),
     object(), np.zeros(1, [("a", "i4")]).view(np.recarray), np.ma.masked_array([1], [True]), print],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_types_that_would_not_come_back_are_refused_with_their_place(value: Any) -> None:
    with pytest.raises(
        RecordError, match=r"cannot record plan_args\.x\[1\]: no exact encoding for"
    ) as refusal:
        encode({"plan_args": {"x": [0, value]}})
    assert type(value).__qualname__ in str(refusal.value)


def test_refused_types_inside_object_arrays_are_found() -> None:
    with pytest.raises(RecordError, match="Colour"):
        encode({"a": np.array([1, Colour.RED], dtype=object)})


def test_a_document_that_contains_itself_is_refused() -> None:
    document: dict[str, Any] = {}
    document["self"] = document
    with pytest.raises(RecordError, match="cannot record"):
        encode(document)


@given(st.binary(max_size=40))
def test_foreign_bytes_are_refused_or_are_plain_values(data: bytes) -> None:
    try:
        value = decode(data)
    except RecordError:
        return
    encode(value)


def test_a_refused_document_is_called_by_its_name() -> None:
    with pytest.raises(
        RecordError, match=r"cannot record start\.motors\[0\]: no exact encoding for .*Colour"
    ):
        encode_document("start", {"motors": [Colour.RED]})


def test_the_name_is_read_without_the_document() -> None:
    assert decode_name(encode_document("event", {"x": (1, 2)})) == "event"
    assert decode(encode_document("event", {"x": (1, 2)})) == ["event", {"x": (1, 2)}]
