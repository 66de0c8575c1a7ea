"""One value becomes exactly the number it says, or is refused by name."""

import math
import re
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import NotANumber
from models.number_marks import cured
from models.values import BOUNDS, Fills, as_text, number, unix_time

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]
HUGE = pytest.param(10**5000, id="5000 digits")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_integer_type_takes_its_limits_and_nothing_beyond(dtype: str) -> None:
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)

    assert [number(value, dtype, "x") for value in (low, high)] == [low, high]
    assert [number(str(value).encode(), dtype, "x") for value in (low, high)] == [low, high]
    for value in (low - 1, high + 1):
        with pytest.raises(NotANumber, match=f"not an? {dtype} number"):
            number(value, dtype, "x")
        with pytest.raises(NotANumber):
            number(str(value), dtype, "x")


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_float_type_takes_what_rounds_to_a_finite_number(dtype: str) -> None:
    largest = float(np.finfo(dtype).max)
    _, high = BOUNDS[dtype]

    assert number(largest, dtype, "x") == largest
    with np.errstate(over="ignore"):
        assert np.isfinite(np.dtype(dtype).type(high))
        assert not np.isfinite(np.dtype(dtype).type(math.nextafter(high, math.inf)))
    with pytest.raises(NotANumber):
        number(math.nextafter(high, math.inf), dtype, "x")


def test_the_largest_float32_is_taken_as_numpy_writes_it() -> None:
    assert np.float32(number(b"3.4028235e+38", "float32", "x")) == np.finfo("float32").max


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool"])
@pytest.mark.parametrize(
    "value",
    ["", " ", "x", "1_0", b"1_0", "0x10", "1e400", "nan", "inf", "-inf", "Infinity", b"\xff", "٣", "²", "1,5", "1 2",
     "--1", "+-1", math.nan, math.inf, [1], {"a": 1}, (1,), object(), b"", "\x00", "1\x00", "\ud800", HUGE],
)  # fmt: skip
def test_what_is_no_number_is_refused_with_its_place(value: object, dtype: str) -> None:
    cure = re.escape(cured(value))
    with pytest.raises(NotANumber, match=f"^field 'age' holds .*, which is not an? {dtype} number{cure}$"):
        number(value, dtype, "field 'age'")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("value", "result"),
    [(b"1.5", 1.5), ("-2", -2.0), (" 3 ", 3.0), ("1e3", 1000.0), (2, 2.0), (True, 1.0), (np.float32(0.5), 0.5),
     (np.int8(3), 3.0), ("+4", 4.0), (".5", 0.5), ("-0", 0.0)],
)  # fmt: skip
def test_a_float_is_read_from_text_and_numbers(value: object, result: float, dtype: str) -> None:
    assert number(value, dtype, "x") == result


@pytest.mark.parametrize(
    ("value", "result"),
    [(b"7", 7), ("7.0", 7), ("7e0", 7), (" 7 ", 7), ("+7", 7), (7.0, 7), (True, 1), ("true", 1), (b"False", 0),
     (np.int16(7), 7), (np.bool(True), 1), (np.float32(7), 7), ("-0", 0)],
)  # fmt: skip
def test_an_integer_is_read_when_it_is_exactly_one(value: object, result: int) -> None:
    assert number(value, "int64", "x") == result


@pytest.mark.parametrize("value", ["7.5", 7.5, "1e-3", "9007199254740993.0", 1e17, "1e300"])
def test_an_integer_is_never_rounded(value: object) -> None:
    with pytest.raises(NotANumber):
        number(value, "int64", "x")


def test_an_integer_keeps_all_its_digits() -> None:
    assert number(b"9007199254740993", "int64", "x") == 9007199254740993
    assert number(9007199254740993, "uint64", "x") == 9007199254740993


@pytest.mark.parametrize(("value", "result"), [(b"1", 1), ("0", 0), ("true", 1), (False, 0), (1.0, 1)])
def test_a_bool_is_one_or_zero(value: object, result: int) -> None:
    assert number(value, "bool", "x") == result


@pytest.mark.parametrize("value", [2, "2", -1, 0.5, "yes"])
def test_anything_else_is_no_bool(value: object) -> None:
    with pytest.raises(NotANumber):
        number(value, "bool", "x")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float64_survives_its_own_text(value: float) -> None:
    assert number(repr(value).encode(), "float64", "x") == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_survives_its_own_text(value: float) -> None:
    assert np.float32(number(str(np.float32(value)), "float32", "x")) == np.float32(value)


@given(st.sampled_from(INTEGERS), st.integers(-(2**70), 2**70))
def test_an_integer_is_taken_exactly_when_it_fits(dtype: str, value: int) -> None:
    limits = np.iinfo(dtype)
    if limits.min <= value <= limits.max:
        assert number(str(value).encode(), dtype, "x") == value
        assert np.array([value], dtype)[0] == value
    else:
        with pytest.raises(NotANumber):
            number(str(value).encode(), dtype, "x")


@given(st.sampled_from([*INTEGERS, *FLOATS, "bool"]), st.text() | st.binary() | st.integers() | st.floats())
def test_a_number_that_is_taken_fits_its_array(dtype: str, value: object) -> None:
    try:
        taken = number(value, dtype, "x")
    except NotANumber:
        return

    assert np.isfinite(np.array([taken], dtype)).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [(b"abc", "abc"), (b"\xff", "\\xff"), ("ü", "ü"), ("a\ud800", "a\\ud800"), (True, "true"), (False, "false"),
     (1, "1"), (1.5, "1.5"), (None, "None"), pytest.param([10**5000], "a very large list", id="huge")],
)  # fmt: skip
def test_every_value_has_a_text_that_utf8_can_write(value: object, text: str) -> None:
    assert as_text(value) == text
    as_text(value).encode()


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [
        (b"1700000000", "s", 1700000000.0),
        (b"1700000000.5", "s", 1700000000.5),
        (b"1700000000500", "ms", 1700000000.5),
        (1700000000, "s", 1700000000.0),
        (b"2023-11-14T22:13:20Z", "s", 1700000000.0),
        (b"2023-11-14T22:13:20+00:00", "s", 1700000000.0),
        (b"2023-11-14T23:13:20+01:00", "ms", 1700000000.0),
        (b"2023-11-14 22:13:20", "s", 1700000000.0),
        ("2023-11-14T22:13:20.250", "s", 1700000000.25),
        (b"2023-11-15", "s", 1700006400.0),
    ],
)
def test_a_time_is_a_number_in_its_unit_or_iso_8601(value: object, unit: str, seconds: float) -> None:
    assert unix_time(value, unit, "x") == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"yesterday",
        b"nan",
        b"inf",
        b"-inf",
        b"1e400",
        b"\xff",
        None,
        [],
        {},
        "true",
        HUGE,
        b"2023-13-45",
    ],
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(NotANumber, match="which is not a Unix or ISO 8601 time"):
        unix_time(value, "s", "field 'at'")


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_survives_iso_8601(moment: datetime) -> None:
    found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=unix_time(moment.isoformat(), "s", "x"))

    assert abs(found - moment) < timedelta(milliseconds=1)


def test_a_default_stands_in_and_its_name_is_kept() -> None:
    fills = Fills(None)

    assert (fills.get("age", 3.0), fills.get("name", None)) == (3.0, None)
    assert fills.names == ["age"]


def test_a_missing_number_stands_in_for_everything() -> None:
    fills = Fills(0)

    assert (fills.get("age", 3.0), fills.get("name", None)) == (0, 0)
    assert fills.names == ["age", "name"]


def test_a_missing_mapping_stands_in_by_name_before_the_default() -> None:
    fills = Fills({"age": 9.0, "country": "DE"})

    assert [fills.get(*one) for one in (("age", 3.0), ("country", None), ("other", 1.0), ("none", None))] == [
        9.0,
        "DE",
        1.0,
        None,
    ]
    assert fills.names == ["age", "country", "other"]


def test_the_bounds_of_float64_are_its_own() -> None:
    assert BOUNDS["float64"] == (-sys.float_info.max, sys.float_info.max)
