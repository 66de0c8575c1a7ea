"""Rows between a row and its reference rows."""

import numpy as np
import pytest

from models.named_elements import NamedFeature, features_of
from server.inference.errors import BadInput
from server.inference.explaining.between import Between, value_of
from server.inference.explaining.references import Reference, reference_of
from tests.graphs import bundle, model, node, value

ROW = {
    "x": np.array([[1.0, 2.0, 3.0]], np.float32),
    "word": np.array([["yes", "no"]], object),
    "n": np.array([3], np.int64),
}
FEATURES = features_of({"x": (3,), "word": (2,)}, None)


def test_those_who_are_there_have_the_rows_values_and_the_others_the_references() -> None:
    references = Reference("rows", {"x": np.array([[0, 2, 0], [9, 2, 9]], np.float32)}).like(ROW)
    between = Between(ROW, references, FEATURES)

    present = np.array([[True, False, True, False], [False, True, False, True]])
    feeds = between.feeds(present, np.array([0, 1]))

    assert [one.name for one in between.players] == ["x[0]", "x[2]", "word[0]", "word[1]"]
    assert feeds["x"].tolist() == [[1, 2, 0], [9, 2, 3]]
    assert feeds["word"].tolist() == [["yes", ""], ["", "no"]]
    assert feeds["n"].tolist() == [3, 3]
    assert feeds["x"].dtype == np.float32


def test_an_axis_of_one_stands_for_all_steps_of_the_row() -> None:
    row = {"x": np.arange(6, dtype=np.float32).reshape(1, 3, 2)}

    like = Reference("step", {"x": np.array([[[7, 8]]], np.float32)}).like(row)["x"]

    assert like.tolist() == [[[7, 8], [7, 8], [7, 8]]]


def test_a_shape_that_does_not_become_the_rows_is_refused() -> None:
    with pytest.raises(
        BadInput,
        match=r"reference 'x' of the model card \(rows\) has rows of shape \[2\], the row that is explained has \[3\]",
    ):
        Reference("rows", {"x": np.zeros((1, 2), np.float32)}).like(ROW)


def test_a_number_that_is_no_category_is_shown_as_it_is() -> None:
    feature = NamedFeature("plan", "x", np.array([1]), ("free", "paid"))

    assert value_of(feature, np.array([[5.0, 1.0]])) == "paid"
    assert value_of(feature, np.array([[5.0, 7.0]])) == 7.0
    assert value_of(feature, np.array([[5.0, 0.5]])) == 0.5
    assert value_of(feature, np.array([[5.0, -0.5]])) == -0.5


def test_an_input_of_one_number_a_row_takes_references_without_an_axis() -> None:
    graph = model([node("Identity", "x", "y")], [value("x", ["rows"])], [value("y", ["rows"])])

    reference = reference_of(bundle(graph, "m").manifest, {"x": [1, 2]})

    assert reference.like({"x": np.zeros(1, np.float32)})["x"].tolist() == [1, 2]
