"""The typical row that explanations compare with."""

from typing import Any

import numpy as np

from models.features import FeatureView
from models.reference import from_card, in_words
from tests.unit.trainer.tables import SLOPES, clouds, recipe, slopes
from trainer.reference import ELEMENTS_MOST, reference
from trainer.run import train_on


def view(*sources: dict[str, Any], **said: Any) -> FeatureView:
    return FeatureView.read({"inputs": [{"name": "x", "sources": list(sources), **said}]})


def of(x: Any, *sources: dict[str, Any]) -> Any:
    return reference({"x": x}, view(*sources))["inputs"]["x"]


def test_a_training_keeps_the_medians_of_its_training_rows_on_the_card() -> None:
    table = clouds()

    card = train_on(recipe(epochs=1), table).bundle.manifest.card

    inputs = from_card(card)
    rows = card["data"]["rows"]["train"]
    assert in_words(card) == f"median of {rows} training rows"
    assert inputs is not None
    assert np.abs(np.array(inputs["x"]) - np.median(table.inputs["x"].x, 0)).max() < 1


def test_a_category_is_the_most_frequent_and_a_number_the_median() -> None:
    fields = ["age", {"name": "plan", "categories": ["free", "paid", "gone"]}]
    x = np.array([[30, 0], [40, 2], [41, 2], [90, 0], [95, 2]], np.float32)

    assert of(x, {"key": "customer:{id}", "as": "hash", "fields": fields}) == [[41.0, 2.0]]


def test_digits_that_float32_does_not_have_are_left_out() -> None:
    x = np.array([[0.1], [0.1], [0.3]], np.float32)

    assert of(x, {"key": "customer:{id}", "as": "hash", "fields": ["age"]}) == [[0.1]]


def test_whole_numbers_stay_whole() -> None:
    x = np.array([[1], [2], [2], [7]], np.int64)

    assert of(x, {"key": "customer:{id}", "as": "hash", "fields": ["age"]}) == [[2]]


def test_a_sequence_has_one_typical_step_without_its_padding() -> None:
    table = slopes()
    card = train_on(recipe(SLOPES, epochs=1), table).bundle.manifest.card

    inputs = from_card(card)

    assert inputs is not None
    assert list(inputs) == ["x"]
    assert np.shape(inputs["x"]) == (1, 1, 2)
    assert inputs["x"][0][0][1] != 0  # the padding would be the median of the second channel


def test_a_large_row_is_typical_by_channel() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3, 64, 64)).astype(np.float32)
    x[:, 1] += 100

    row = np.array(of(x, {"key": "image:{id}", "as": "vector", "shape": [3, 64, 64]}))

    assert row.shape == (1, 3, 1, 64)
    assert row.size <= ELEMENTS_MOST
    assert (row[0, 1] > 90).all()


def test_a_card_without_reference_rows_says_none() -> None:
    assert from_card({}) is None
    assert from_card({"reference": "odd"}) is None
    assert from_card({"reference": {"inputs": {}}}) is None
    assert in_words({"reference": {}}) == in_words({}) == "stored rows"
