"""Values of the request become rows, or errors that name what is wrong."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.assembly import Plan
from models.errors import FeatureError, InstanceIncomplete, NotANumber, UnknownCategory
from tests.unit.models.views import assembled, plan

COUNTRY = {"name": "country", "categories": ["DE", "FR"]}
HUGE = pytest.param(10**5000, id="huge")


def inline(*fields: Any, dtype: str | None = None) -> Plan:
    return plan({"inline": True, "fields": list(fields)}, dtype=dtype)


def only(compiled: Plan, instance: Any, missing: Any = None) -> Any:
    """The tensor of a single row, or its error."""
    found = assembled(compiled, [], missing, [instance])
    return found.errors[0] if found.errors else found.groups[0].feeds["x"][0]


def test_values_of_the_request_become_a_row() -> None:
    found = assembled(
        inline("hour", "rate"), [], None, [{"hour": 3, "rate": 0.5}, {"hour": True, "rate": -1, "z": "?"}]
    )

    assert found.groups[0].rows == [0, 1]
    assert found.groups[0].feeds["x"].tolist() == [[3.0, 0.5], [1.0, -1.0]]


def test_no_command_is_sent_for_them() -> None:
    assert inline("hour").prepare([{"hour": 1}]).commands == []


@pytest.mark.parametrize("value", [np.float32(2), np.int8(2), np.bool(1), 2, 2.0])
def test_numbers_of_numpy_are_numbers(value: object) -> None:
    assert only(inline("hour"), {"hour": value}).dtype == np.float32


@pytest.mark.parametrize(
    "value", ["3", b"3", "abc", [3], {"a": 1}, object(), float("nan"), float("inf"), 1e39, HUGE, 1j]
)
def test_text_where_a_number_belongs_is_refused(value: object) -> None:
    error = only(inline("hour"), {"hour": value})

    assert isinstance(error, NotANumber)
    assert str(error).startswith("'hour' of the instance holds ")


@pytest.mark.parametrize("value", [3, 1.5, True, b"x", ["x"]])
def test_a_number_where_text_belongs_is_refused(value: object) -> None:
    error = only(inline("word", dtype="string"), {"word": value})

    assert str(error).endswith("which is not text")


@pytest.mark.parametrize(
    ("value", "kept"), [("abc", "abc"), ("", ""), ("a\ud800", "a\\ud800"), ("a\x00", "a\x00")]
)
def test_text_is_kept_in_a_form_that_utf8_can_write(value: str, kept: str) -> None:
    row = only(inline("word", "other", dtype="string"), {"word": value, "other": "x"})

    assert row.tolist() == [kept, "x"]


@pytest.mark.parametrize(("value", "number"), [("DE", 0.0), ("FR", 1.0)])
def test_a_category_is_its_number(value: str, number: float) -> None:
    assert only(inline(COUNTRY, "hour"), {"country": value, "hour": 5}).tolist() == [number, 5.0]


@pytest.mark.parametrize("value", ["XX", 0, True, [], b"XX", HUGE])
def test_an_unknown_category_is_named(value: object) -> None:
    error = only(inline(COUNTRY), {"country": value})

    assert isinstance(error, UnknownCategory)
    assert str(error).startswith("'country' of the instance holds ")


def test_an_unknown_category_counts_as_the_one_that_unknown_names() -> None:
    assert only(inline({**COUNTRY, "unknown": "FR"}), {"country": "XX"}).tolist() == [1.0]


@pytest.mark.parametrize("instance", [{}, {"hour": None}, {"Hour": 3}])
def test_a_value_that_is_not_given_is_named(instance: dict[str, Any]) -> None:
    error = only(inline("hour"), instance)

    assert isinstance(error, InstanceIncomplete)
    assert str(error) == "the instance gives no 'hour'; give it, or ask with `missing`"


def test_a_default_and_the_requests_missing_stand_in() -> None:
    compiled = inline({"name": "hour", "default": 12}, "rate")

    found = assembled(compiled, [], {"rate": 0.25}, [{}, {"hour": 3}])

    assert found.groups[0].feeds["x"].tolist() == [[12.0, 0.25], [3.0, 0.25]]
    assert found.filled == {0: ["hour", "rate"], 1: ["rate"]}


def test_a_stand_in_that_is_no_number_is_named_as_one() -> None:
    assert str(only(inline("hour"), {}, {"hour": "noon"})).startswith("the stand-in for 'hour' holds 'noon'")


def test_a_nested_list_becomes_an_array_of_its_shape() -> None:
    compiled = inline({"name": "image", "shape": [2, 3]}, dtype="uint8")

    row = only(compiled, {"image": [[1, 2, 3], [4, 5, 6]]})

    assert (row.dtype, row.tolist()) == (np.uint8, [[1, 2, 3], [4, 5, 6]])


def test_lists_and_numbers_are_joined_along_the_last_axis() -> None:
    compiled = inline({"name": "a", "shape": [2]}, "b", {"name": "c", "shape": [1], "default": 9})

    assert only(compiled, {"a": [1, 2], "b": 3}).tolist() == [1.0, 2.0, 3.0, 9.0]


def test_a_default_fills_a_whole_shape() -> None:
    assert only(inline({"name": "a", "shape": [2, 2], "default": 1}), {}).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    text = only(inline({"name": "a", "shape": [2], "default": "x"}, dtype="string"), {})
    assert text.tolist() == ["x", "x"]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([1], "'a' of the instance has shape [1], the model wants [2]"),
        ([[1, 2]], "'a' of the instance has shape [1, 2], the model wants [2]"),
        (5, "'a' of the instance has shape [], the model wants [2]"),
        ({}, "'a' of the instance has shape [], the model wants [2]"),
        ("ab", "'a' of the instance has shape [], the model wants [2]"),
        ([], "'a' of the instance has shape [0], the model wants [2]"),
        ([[1], [1, 2]], "'a' of the instance is ragged, not of shape [2]"),
        ([1, [2]], "'a' of the instance is ragged, not of shape [2]"),
    ],
)
def test_a_list_of_another_shape_is_named_with_both(value: object, fault: str) -> None:
    error = only(inline({"name": "a", "shape": [2]}), {"a": value})

    assert isinstance(error, InstanceIncomplete)
    assert str(error) == fault


@pytest.mark.parametrize("value", [["x", 1], [None, 1], [1, {}], [1, float("nan")], [1, 1e39], [1, 10**5000]],
                         ids=["text", "null", "object", "nan", "overflow", "huge"])  # fmt: skip
def test_an_element_that_is_no_number_is_named(value: object) -> None:
    error = only(inline({"name": "a", "shape": [2]}), {"a": value})

    assert isinstance(error, NotANumber)
    assert "'a' of the instance holds " in str(error)


@pytest.mark.parametrize(("value", "at"), [([1, 300], 1), ([-1, 3], 0), ([0.5, 3], 0)])
def test_an_element_that_does_not_fit_is_named_by_its_place(value: object, at: int) -> None:
    error = only(inline({"name": "a", "shape": [2]}, dtype="uint8"), {"a": value})

    assert str(error).startswith(f"element {at} of 'a' of the instance holds ")


def test_a_list_nested_beyond_reason_is_refused() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]

    assert isinstance(only(inline({"name": "a", "shape": [2]}), {"a": deep}), InstanceIncomplete)


def test_nested_text_is_taken_where_the_graph_takes_text() -> None:
    compiled = inline({"name": "a", "shape": [2]}, dtype="string")

    assert only(compiled, {"a": ["x", "a\ud800"]}).tolist() == ["x", "a\\ud800"]
    assert str(only(compiled, {"a": ["x", 5]})).endswith("holds '5', which is not text")
    assert isinstance(only(compiled, {"a": ["x"]}), InstanceIncomplete)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=8,
)


@given(
    values=st.dictionaries(st.sampled_from("abc"), ANYTHING),
    missing=ANYTHING.filter(lambda value: isinstance(value, float | int | dict | None)),
    dtype=st.sampled_from(["bool", "int8", "int64", "float16", "float32", "string"]),
    shape=st.sampled_from([[], [2], [1, 2]]),
)
def test_whatever_a_request_says_a_row_is_an_array_or_an_error(
    values: dict[str, Any], missing: Any, dtype: str, shape: list[int]
) -> None:
    compiled = plan({"inline": True, "fields": ["a", {"name": "b", "shape": []}]}, dtype=dtype)
    shaped = plan({"inline": True, "fields": [{"name": "c", "shape": shape}]}, dtype=dtype)

    for one in (compiled, shaped):
        row = only(one, values, missing)

        assert isinstance(row, np.ndarray | FeatureError)
        if isinstance(row, np.ndarray) and row.dtype != object:
            assert np.isfinite(row).all()
