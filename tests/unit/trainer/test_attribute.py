"""What a network looks at as a whole, against what it is known to look at."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from models.features import FeatureView
from tests.unit.trainer.tables import LINE, SLOPES, clouds, keys, line, recipe, slopes
from trainer.attribute import attributions
from trainer.exporting.export import Input, Served, Signature
from trainer.networks.forms import Entry, Form
from trainer.networks.network import Inputs, Network
from trainer.run import train_on
from trainer.table import Table, Values
from trainer.tasks.task import Regression

SIGNATURE = Signature((Input("x", "float32", None),), "value")


def card(*typical: float) -> dict[str, Any]:
    return {"reference": {"of": "medians", "inputs": {"x": [list(typical)]}}}


def view(*fields: Any) -> FeatureView:
    source = {"key": "row:{id}", "as": "hash", "fields": list(fields)}
    return FeatureView.read({"inputs": [{"name": "x", "sources": [source]}]})


def linear(*weights: float) -> Served:
    """value = weights @ x."""
    head = torch.nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([weights]))
    entry = Entry("x", Form((len(weights),)))
    return Served(Network((entry,), ((),), (), head), Regression()).eval()


def rows(x: Any) -> Table:
    return Table(keys(len(x)), {"x": Values(np.array(x, np.float32))}, np.zeros(len(x)))


def test_a_linear_network_looks_at_features_by_their_weights() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))

    found = attributions(linear(3, -2, 0), rows(x), SIGNATURE, card(1, 1, 1), view("a", "b", "c"))

    expected = np.abs(np.array([3, -2, 0]) * (x - 1)).mean(0)
    assert found["features"] == pytest.approx(dict(zip("abc", expected, strict=True)), abs=1e-4)
    assert list(found["features"]) == ["a", "b", "c"]
    assert found["gap"] < 1e-4
    assert (found["rows"], found["compared_with"], found["by_difference"]) == (40, "medians", [])


def test_a_category_is_measured_by_the_difference_that_it_makes() -> None:
    x = [[2, 0], [2, 1], [2, 2], [2, 1]]
    plan = {"name": "plan", "categories": ["free", "paid", "gone"]}

    found = attributions(linear(1, 10), rows(x), SIGNATURE, card(1, 1), view("age", plan))

    assert found["features"] == pytest.approx({"plan": 5.0, "age": 1.0}, abs=1e-5)
    assert found["by_difference"] == ["plan"]


class Embedded(torch.nn.Module):
    """A number a category: 0, 10, 20, ...; no gradient reaches the category itself."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding.from_pretrained(torch.arange(5.0)[:, None] * 10)
        self.entries = (Entry("x", Form((1,))),)

    def forward(self, inputs: Inputs) -> torch.Tensor:
        found: torch.Tensor = self.table(inputs["x"][0][:, 0].long())
        return found


def test_a_network_of_categories_alone_is_measured_without_gradients() -> None:
    served = Served(cast(Network, Embedded()), Regression()).eval()
    plan = {"name": "plan", "categories": ["free", "paid", "gone"]}

    found = attributions(served, rows([[0], [1], [2], [2]]), SIGNATURE, card(2), view(plan))

    assert found["features"] == {"plan": 7.5}
    assert found["gap"] == 0


def test_a_training_keeps_what_its_network_looks_at_on_the_card() -> None:
    made = train_on(recipe(LINE), line()).bundle.manifest.card["attributions"]

    assert list(made["features"]) == ["a", "b"]
    assert made["features"]["a"] / made["features"]["b"] == pytest.approx(50 / 20, rel=0.3)
    assert made["compared_with"].startswith("median of ")
    assert made["gap"] < 0.05 * made["features"]["b"]


def test_steps_of_a_sequence_are_named_and_its_padding_adds_nothing() -> None:
    table = slopes()
    made = train_on(recipe(SLOPES, epochs=5), table).bundle.manifest.card["attributions"]

    assert {f"walk:{{id}}[{at}]" for at in range(11)} >= set(made["features"])
    assert made["features"]["walk:{id}[0]"] > 0
    assert made["gap"] < 0.02


def test_classes_are_explained_where_they_are_predicted() -> None:
    made = train_on(recipe(epochs=6), clouds()).bundle.manifest.card["attributions"]

    assert set(made["features"]) == {"a", "b"}
    assert all(0 < size < 1 for size in made["features"].values())


def test_without_a_typical_row_nothing_is_said() -> None:
    assert attributions(linear(1), rows([[1]]), SIGNATURE, {}, view("a")) == {}


def test_only_the_largest_are_kept() -> None:
    weights = np.arange(1, 301, dtype=float)
    fields = [f"f{at}" for at in range(300)]

    found = attributions(
        linear(*weights), rows(np.ones((2, 300))), SIGNATURE, card(*np.zeros(300)), view(*fields)
    )

    assert len(found["features"]) == 256
    assert next(iter(found["features"].items())) == ("f299", 300.0)
