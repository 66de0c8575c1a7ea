"""Numbers written as text are read as float() reads them, however many at once and whatever stands beside them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors import NotANumber
from models.fields import numbers_within, plain_numbers, regular_numbers
from tests.unit.models.views import assembled, plan

FLOATS = ["float16", "float32", "float64"]
JSON_NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?\Z")
WRITTEN = (
    st.floats(allow_nan=False).map(repr)
    | st.floats(allow_nan=False).map(lambda value: f"{value:.17g}")
    | st.floats(allow_nan=False, width=32).map(lambda value: f"{value:e}")
    | st.integers().map(str)
    | st.integers(-(2**70), 2**70).map(str)
    | JSON_NUMBERS
)
ANYTHING = st.text("0123456789+-.eE,", max_size=8) | st.text(max_size=8) | WRITTEN
CHARACTERS = st.text("0123456789+-.eE,_ \t\n[]{}\":'ntrufalsiINF\x00٣", max_size=6)


def joined(texts: list[str]) -> tuple[bytes, int]:
    return ",".join(texts).encode("utf-8", "surrogatepass"), len(texts)


@given(texts=st.lists(WRITTEN, min_size=1, max_size=20))
@example(texts=["9007199254740993", "18446744073709551616", "-9223372036854775809", "-0.0", "1E5", "1e-400"])
def test_what_is_read_quickly_is_what_float_reads(texts: list[str]) -> None:
    read = plain_numbers(*joined(texts))

    if read is not None:
        expected = [float(text) for text in texts]
        assert [float(value) for value in read] == expected
        for dtype in FLOATS:
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(np.array(read, dtype), np.array(expected, dtype))


@given(texts=st.lists(JSON_NUMBERS.filter(lambda text: abs(float(text)) < 1e300), min_size=1, max_size=20))
def test_whatever_is_written_as_in_json_is_read_quickly(texts: list[str]) -> None:
    assert plain_numbers(*joined(texts)) is not None


@given(texts=st.lists(ANYTHING | CHARACTERS, min_size=1, max_size=6))
@example(texts=["1,2", "", "3"])
@example(texts=["1", "[2]"])
@example(texts=["1]", "[2"])
@example(texts=["1],[2", "3"])
@example(texts=["true"])
@example(texts=["", ""])
def test_no_text_is_taken_for_other_numbers_than_its_own(texts: list[str]) -> None:
    read = plain_numbers(*joined(texts))

    if read is not None:
        assert [float(value) for value in read] == [float(text) for text in texts]


@given(
    texts=st.lists(ANYTHING | CHARACTERS, min_size=1, max_size=6), dtype=st.sampled_from(["float32", "int32"])
)
def test_a_text_is_read_beside_others_as_it_is_alone(texts: list[str], dtype: str) -> None:
    replies = [[text.encode("utf-8", "surrogatepass")] for text in texts]
    compiled = plan({"key": "p:{id}", "as": "hash", "fields": ["a"]}, dtype=dtype)

    together = assembled(compiled, replies)
    alone = [assembled(compiled, [reply]) for reply in replies]

    assert sorted(together.errors) == [row for row, one in enumerate(alone) if one.errors]
    assert [value for group in together.groups for value in group.feeds["x"].ravel().tolist()] == [
        value for one in alone for group in one.groups for value in group.feeds["x"].ravel().tolist()
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"+1", 1.0),
        (b".5", 0.5),
        (b"1.", 1.0),
        (b"01", 1.0),
        (b" 1", 1.0),
        (b"1\n", 1.0),
        (b"-0", 0.0),
        (b"1e-400", 0.0),
        (b"1E5", 1e5),
        (b"16777217", 16777216.0),
    ],
)
def test_a_number_that_is_not_written_as_in_json_is_read_all_the_same(text: bytes, number: float) -> None:
    compiled = plan({"key": "p:{id}", "as": "hash", "fields": ["a", "b"]})

    found = assembled(compiled, [[b"7", text], [text, b"7"]])

    assert found.groups[0].feeds["x"].tolist() == [[7.0, number], [number, 7.0]]


@pytest.mark.parametrize(
    "text",
    [
        b"1_0",
        b"nan",
        b"inf",
        b"-Infinity",
        b"NaN",
        b"true",
        b"null",
        b"1,2",
        b",",
        b"",
        b" ",
        b"1e400",
        b"-1e400",
        b"1e39",
        b"1" * 500,
        "٣".encode(),
        b"1\x00",
        b"\x00",
        b"[1]",
        b'"1"',
        b"0x10",
        b"1e",
        b"--1",
        b"1-1",
        b"1 2",
        b"\xff",
    ],
)
def test_a_text_that_is_no_number_is_its_rows_error_alone(text: bytes) -> None:
    compiled = plan({"key": "p:{id}", "as": "hash", "fields": ["a", "b"]})

    found = assembled(compiled, [[b"1", b"2"], [b"3", text], [b"5", b"6"]])

    assert found.groups[0].feeds["x"].tolist() == [[1.0, 2.0], [5.0, 6.0]]
    assert isinstance(found.errors[1], NotANumber)
    assert "field 'b'" in str(found.errors[1])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([b"1"], "string"),
        ([b"1"], "bool"),
        ([None], "float32"),
        ([True], "float32"),
        ([1.5], "int32"),
        ([b"1", "1"], "float32"),
        ([b"1.5"], "int32"),
        ([b"1_0"], "int32"),
    ],
)
def test_what_needs_a_closer_look_is_not_read_at_once(values: list[Any], dtype: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        regular_numbers(values, dtype)


@pytest.mark.parametrize(
    ("values", "dtype", "read"),
    [
        ([b"1", b"2.5"], "float32", [1, 2.5]),
        ([1, 2.5], "float32", [1, 2.5]),
        ([b"7"], "int8", [7]),
        ([b"128"], "int8", None),
        ([b"-1"], "uint8", None),
        ([b"3.4028236e38"], "float32", None),
        ([b"x"], "float32", None),
        ([b"18446744073709551615"], "uint64", [2**64 - 1]),
    ],
)
def test_numbers_are_read_at_once_where_all_fit_the_type(
    values: list[Any], dtype: str, read: list[Any] | None
) -> None:
    assert numbers_within(values, dtype) == read
