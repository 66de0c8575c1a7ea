"""The numbers of rows by feature, and by what was answered."""

from typing import Any

import numpy as np
import pytest

from models.answers import AnswerSpec
from models.columns import Column, Gaps, Wording, answers_in, features_in
from models.features import FeatureView
from tests.unit.models.views import view

HASH = {
    "key": "customer:{id}",
    "as": "hash",
    "fields": ["age", {"name": "plan", "categories": ["free", "paid"]}],
}


def found(seen: FeatureView, gaps: Gaps | None = None, **feeds: Any) -> dict[str, list[float]]:
    given = {name: np.asarray(one) for name, one in feeds.items()}
    columns = features_in(seen, given) if gaps is None else features_in(seen, given, gaps)
    return {one.name: one.values.tolist() for one in columns}


def said(wording: Wording, output: Any) -> dict[str, list[float]]:
    return {one.name: one.values.tolist() for one in answers_in(wording, np.asarray(output))}


def test_a_field_is_a_column_and_knows_the_texts_of_its_numbers() -> None:
    columns = [*features_in(view(HASH), {"x": np.array([[41, 1], [30, 0]], np.float32)})]

    assert [(one.name, one.values.tolist(), one.categories) for one in columns] == [
        ("age", [41, 30], ()),
        ("plan", [1, 0], ("free", "paid")),
    ]
    assert {(one.rows, one.present, one.filled, one.absent) for one in columns} == {(2, 2, 0, 0)}


def test_a_row_without_a_field_has_no_number_of_it_and_a_default_is_one() -> None:
    gaps = Gaps({"plan": [1]}, {"age": [0]})

    age, plan = features_in(view(HASH), {"x": np.array([[0, 1], [30, 0]], np.float32)}, gaps)

    assert (age.values.tolist(), age.absent, age.present) == ([30], 1, 1)
    assert (plan.values.tolist(), plan.filled, plan.present) == ([1, 0], 1, 2)


def test_fields_of_one_name_say_where_they_are_read_from_and_share_their_gaps() -> None:
    other = {"key": "account:{id}", "as": "hash", "fields": ["age"]}

    both = found(view(HASH, other), Gaps({}, {"age": [0]}), x=[[1.0, 0, 2], [3, 0, 4]])

    assert both == {"age (customer:{id})": [3], "plan": [0, 0], "age (account:{id})": [4]}


def test_the_elements_of_a_large_vector_are_columns_by_blocks() -> None:
    image = {"key": "digit:{id}", "as": "vector", "dtype": "uint8", "shape": [28, 28]}

    columns = [*features_in(view(image, dtype="uint8"), {"x": np.ones((3, 28, 28), np.uint8)})]

    assert len(columns) == 49
    assert {len(one.values) for one in columns} == {3 * 16}
    assert {(one.rows, one.present, one.values.dtype.kind) for one in columns} == {(3, 3, "i")}


def test_each_channel_of_a_sequence_is_a_column_of_all_its_steps_and_so_is_their_number() -> None:
    seen = view({"key": "walk:{id}", "as": "list", "shape": [2], "last": 9}, lengths="x_length")
    x = np.array([[[1, 10], [2, 20]], [[3, 30], [0, 0]]], np.float32)

    assert found(seen, x=x, x_length=[2, 1]) == {
        "walk:{id}[:,0]": [1, 2, 3],
        "walk:{id}[:,1]": [10, 20, 30],
        "steps of x": [2, 1],
    }


def test_a_sequence_of_one_channel_goes_by_its_key_and_without_lengths_all_steps_are_its_own() -> None:
    seen = view({"key": "walk:{id}", "as": "list", "shape": [1], "last": 9})

    assert found(seen, x=np.array([[[1], [2]]], np.float32)) == {"walk:{id}": [1, 2], "steps of x": [2]}
    assert found(seen, Gaps({}, {"walk:{id}": [0]}), x=np.array([[[1]], [[2]]], np.float32)) == {
        "walk:{id}": [2],
        "steps of x": [1, 1],
    }


def test_a_padded_list_has_no_number_of_steps_and_a_view_may_give_it_a_shape() -> None:
    padded = {"key": "walk:{id}", "as": "list", "shape": [1], "last": 2, "pad": "left"}

    assert found(view(padded), x=np.array([[[1], [2]]], np.float32)) == {"walk:{id}": [1, 2]}
    assert found(view(padded, shape=[2]), x=np.array([[1, 2]], np.float32)) == {
        "walk:{id}[0]": [1],
        "walk:{id}[1]": [2],
    }


def test_a_vector_beside_a_list_is_of_its_own_channels() -> None:
    beside = {"key": "about:{id}", "as": "vector", "shape": [2, 1]}
    steps = {"key": "walk:{id}", "as": "list", "shape": [1], "last": 2, "pad": "left"}

    assert found(view(steps, beside), x=np.array([[[1, 5], [2, 6]]], np.float32)) == {
        "walk:{id}": [1, 2],
        "about:{id}": [5, 6],
    }


def test_fields_of_a_stream_are_columns_of_all_its_steps_and_lack_what_the_stream_lacks() -> None:
    fields = ["temp", {"name": "mode", "categories": ["idle", "run"]}]
    seen = view({"key": "sensor:{id}", "as": "stream", "fields": fields, "last": 3}, lengths="n")
    x = np.array([[[20, 0], [21, 1]], [[19, 1], [0, 0]], [[0, 0], [0, 0]]], np.float32)
    gaps = Gaps({"mode": [0]}, {"sensor:{id}": [2]})

    temp, mode, steps = features_in(seen, {"x": x, "n": np.array([2, 1, 1])}, gaps)

    assert (temp.name, temp.values.tolist(), temp.absent, temp.filled) == ("temp", [20, 21, 19], 1, 0)
    assert (mode.name, mode.values.tolist(), mode.filled) == ("mode", [0, 1, 1], 1)
    assert (mode.categories, steps.name) == (("idle", "run"), "steps of x")


def test_texts_have_no_column() -> None:
    words = {"key": "note:{id}", "as": "hash", "fields": ["text"]}

    assert found(view(words, dtype="string"), x=np.array([["good"]], object)) == {}


def test_columns_of_one_name_are_joined() -> None:
    one = Column("age", np.array([1.0]), 2, (), 1, 1, "age")

    both = Column.joined([one, Column("age", np.array([2.0, 3.0]), 2, (), 0, 0, "age")])

    assert both.values.tolist() == [1, 2, 3]
    assert (both.rows, both.filled, both.absent, both.present, both.field) == (4, 1, 1, 3, "age")
    assert Column("age", np.array([]), 2).present == 0


PAIR = Wording("classification", ("stays", "leaves"))


@pytest.mark.parametrize(
    ("wording", "output", "columns"),
    [
        (PAIR, [[0.75], [0.25]], {"label": [1, 0], "probability of leaves": [0.75, 0.25]}),
        (PAIR, [[0.75, 0.25]], {"label": [0], "probability of leaves": [0.25]}),
        (
            Wording("classification", ("stays", "leaves"), 0.125),
            [[0.75, 0.25]],
            {"label": [1], "probability of leaves": [0.25]},
        ),
        (
            Wording("classification", ("a", "b", "c")),
            [[0.25, 0.5, 0.25]],
            {"label": [1], "probability of the label": [0.5]},
        ),
        (PAIR, np.array([1, 7]), {"label": [1, 2]}),
        (PAIR, np.array(["leaves", "else"], object), {"label": [1, 2]}),
        (Wording("tensor"), np.array(["a"], object), {}),
        (
            Wording("multilabel", ("a", "b")),
            [[0.5, 0.25]],
            {"probability of a": [0.5], "probability of b": [0.25]},
        ),
        (Wording("regression"), [[1.5], [2.5]], {"value": [1.5, 2.5]}),
        (Wording("regression"), [[1.5, 2.5]], {"value[0]": [1.5], "value[1]": [2.5]}),
        (
            Wording("regression", spec=AnswerSpec(values=("low", "high"), quantiles=(0.25, 0.5))),
            [[1.0, 2, 3, 4]],
            {"low": [2], "high": [4]},
        ),
        (Wording("forecasting"), [[[1.0], [2.0]]], {"forecast": [1, 2]}),
        (Wording("tensor"), [[1.0, 2.0]], {"output": [1, 2]}),
        (Wording("anomaly"), [1.0, 3.0], {"anomaly_score": [1, 3]}),
        (
            Wording("anomaly", spec=AnswerSpec(threshold=2.0)),
            [1.0, 3.0],
            {"anomaly_score": [1, 3], "anomaly": [0, 1]},
        ),
    ],
)
def test_each_thing_that_is_said_is_a_column(wording: Wording, output: Any, columns: Any) -> None:
    assert said(wording, output) == columns


def test_a_row_whose_answer_is_not_finite_has_none() -> None:
    (column,) = answers_in(Wording("regression"), np.array([[1.0], [np.nan]]))

    assert (column.values.tolist(), column.rows, column.absent) == ([1.0], 2, 1)
