"""Two answers compared: labels and numbers that differ, and what is no difference."""

import math
from typing import Any

import numpy as np
import pytest

from models.errors import KeyMissing
from models.tensors import numpy_dtype
from server.inference.asking import Answer, Row
from server.inference.shadow import Comparison, compared, difference


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"value": 1.0}, {"value": 1.0}, (False, 0.0)),
        ({"value": 1.0}, {"value": 1.000001}, (False, 1e-6)),
        ({"value": 1.0}, {"value": 1.0001}, (True, 1e-4)),
        ({"value": 1e6}, {"value": 1e6 + 5}, (False, 5.0)),
        ({"value": 1e6}, {"value": 1e6 + 50}, (True, 50.0)),
        ({"value": 1e-9}, {"value": 3e-9}, (False, 2e-9)),
        ({"value": [1.0, 2.0]}, {"value": [1.0, 2.5]}, (True, 0.5)),
        ({"value": [1.0, 2.0]}, {"value": [1.0]}, (True, math.inf)),
        ({"value": 1.0}, {"value": [1.0]}, (True, math.inf)),
        ({"value": None}, {"value": None}, (False, 0.0)),
        ({"value": math.nan}, {"value": float("nan")}, (False, 0.0)),
        ({"value": math.nan}, {"value": 1.0}, (True, math.inf)),
        ({"value": math.inf}, {"value": math.inf}, (False, 0.0)),
        ({"label": "a"}, {"label": "a"}, (False, 0.0)),
        ({"label": "a"}, {"label": "b"}, (True, math.inf)),
        ({"label": "a"}, {"value": 1.0}, (True, math.inf)),
        ({"labels": ["a", "b"]}, {"labels": ["a"]}, (True, math.inf)),
        ({"outputs": {"y": [[1, 2]]}}, {"outputs": {"y": [[1, 4]]}}, (True, 2.0)),
        ({"outputs": {"y": [True]}}, {"outputs": {"y": [1]}}, (False, 0.0)),
    ],
)
def test_what_differs_is_told_with_its_distance(one: Any, other: Any, found: tuple[bool, float]) -> None:
    assert difference(one, other) == pytest.approx(found, rel=1e-3)
    assert difference(other, one) == pytest.approx(found, rel=1e-3)


def test_another_label_is_a_difference_as_large_as_its_probabilities() -> None:
    one = {"label": "a", "probabilities": {"a": 0.51, "b": 0.49}}
    other = {"label": "b", "probabilities": {"a": 0.49, "b": 0.51}}

    assert difference(one, other) == pytest.approx((True, 0.02))


def test_probabilities_that_differ_under_one_label_are_a_difference() -> None:
    one = {"label": "a", "probabilities": {"a": 0.9, "b": 0.1}}
    other = {"label": "a", "probabilities": {"a": 0.8, "b": 0.2}}

    assert difference(one, other) == pytest.approx((True, 0.1))


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ([1.0, math.nan, math.inf], [1.0, math.nan, math.inf], Comparison(3, 0, 0.0)),
        ([1.0, 2.0], [1.0, 2.5], Comparison(2, 1, 0.5)),
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_outputs_of_every_float_are_compared_by_their_distance(
    one: list[float], other: list[float], found: Comparison, dtype: str
) -> None:
    kind = numpy_dtype(dtype)
    rows = [Row() for _ in one]

    answers = [Answer("m", 1, rows, {"y": np.array(values).astype(kind)}) for values in (one, other)]

    assert compared(*answers) == found


def row(value: float) -> Row:
    one = Row()
    one.body = {"value": value}
    return one


def test_rows_are_compared_one_by_one() -> None:
    answer = Answer("m", 1, [row(1.0), row(2.0), row(3.0)])
    beside = Answer("m", 2, [row(1.0), row(2.5), row(1.0)])

    assert compared(answer, beside) == Comparison(3, 2, 2.0)


def test_a_row_that_failed_in_either_is_not_compared() -> None:
    absent = Row(error=KeyMissing("k:1"))
    answer = Answer("m", 1, [absent, row(2.0), row(3.0)])
    beside = Answer("m", 2, [row(1.0), absent, row(3.0)])

    assert compared(answer, beside) == Comparison(1, 0, 0.0)


def test_a_version_that_answers_all_rows_as_one_is_compared_where_rows_meet() -> None:
    answer = Answer("m", 1, [row(1.0), row(2.0)])
    beside = Answer("m", 2, [row(1.0)])

    assert compared(answer, beside) == Comparison(1, 0, 0.0)
