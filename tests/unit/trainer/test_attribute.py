"""What a network looks at as a whole, against what it is known to look at."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch

from models.features import FeatureView
from models.recipe import Recipe
from tests.unit.trainer.tables import LINE, SLOPES, clouds, keys, line, recipe, slopes
from tests.unit.trainer.test_branches import MIXED, things
from trainer.attribute import attributions
from trainer.exporting.export import Input, Served, Signature
from trainer.networks.forms import Entry, Form
from trainer.networks.network import Inputs, Network
from trainer.run import train_on
from trainer.table import Table, Values
from trainer.tasks.task import Regression
from trainer.tasks.values import Forecasting, Quantiles, Unit

ANOMALIES = """\
name: odd
task: anomaly
data: {source: redis, match: "point:*"}
features:
  inputs:
    - {name: x, sources: [{key: "point:{id}", as: hash, fields: [a, b]}]}
network: [standardize, {linear: 1}]
training: {lr: 0.02, epochs: 10, batch: 16}
"""
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


def two_views() -> FeatureView:
    sources = [{"key": f"{name}:{{id}}", "as": "hash", "fields": ["a", "b"]} for name in ("x", "z")]
    return FeatureView.read(
        {"inputs": [{"name": name, "sources": [one]} for name, one in zip("xz", sources, strict=True)]}
    )


def two_rows(x: Any, z: Any) -> Table:
    inputs = {"x": Values(np.array(x, np.float32)), "z": Values(np.array(z, np.float32))}
    return Table(keys(len(x)), inputs, np.zeros(len(x)))


TWO = Signature((Input("x", "float32", None), Input("z", "float32", None)), "value")
TYPICAL = {"reference": {"of": "medians", "inputs": {"x": [[1, 1]], "z": [[0, 2]]}}}


def test_a_linear_network_of_two_inputs_looks_at_both_by_their_weights() -> None:
    head = torch.nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, -2.0, 10.0, 0.5]]))
    entries = tuple(Entry(name, Form((2,))) for name in "xz")
    served = Served(Network(entries, ((), ()), (), head), Regression()).eval()
    random = np.random.default_rng(0)
    x, z = random.normal(size=(2, 40, 2))

    found = attributions(served, two_rows(x, z), TWO, TYPICAL, two_views())

    expected = {
        "a (x:{id})": 3 * np.abs(x[:, 0] - 1).mean(),
        "b (x:{id})": 2 * np.abs(x[:, 1] - 1).mean(),
        "a (z:{id})": 10 * np.abs(z[:, 0]).mean(),
        "b (z:{id})": 0.5 * np.abs(z[:, 1] - 2).mean(),
    }
    assert found["features"] == pytest.approx(expected, abs=1e-4)
    assert found["of"] == "the value"
    assert found["gap"] < 1e-4


class Product(torch.nn.Module):
    """x[0] * z[0]: neither input says anything without the other."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = tuple(Entry(name, Form((2,))) for name in "xz")

    def forward(self, inputs: Inputs) -> torch.Tensor:
        return inputs["x"][0][:, :1] * inputs["z"][0][:, :1]


def test_what_two_inputs_do_together_is_shared_between_them() -> None:
    """Along a straight way each of two factors has half of what their changes do together."""
    served = Served(cast(Network, Product()), Regression()).eval()

    found = attributions(served, two_rows([[3, 0]], [[4, 0]]), TWO, TYPICAL, two_views())

    assert found["features"]["a (x:{id})"] == pytest.approx((3 - 1) * (4 - 0) / 2 + (3 - 1) * 0, abs=1e-4)
    assert found["features"]["a (z:{id})"] == pytest.approx((3 - 1) * 4 / 2 + 4 * 1, abs=1e-4)
    assert found["gap"] < 1e-4


def test_an_input_that_no_gradient_reaches_is_measured_by_difference() -> None:
    class Beside(Product):
        """x[0] plus what a table says of the whole number z[0]."""

        table = torch.nn.Embedding.from_pretrained(torch.arange(5.0)[:, None] * 10)

        def forward(self, inputs: Inputs) -> torch.Tensor:
            found: torch.Tensor = inputs["x"][0][:, :1] + self.table(inputs["z"][0][:, 0].long())
            return found

    served = Served(cast(Network, Beside()), Regression()).eval()

    found = attributions(served, two_rows([[3, 0], [5, 0]], [[4, 0], [1, 0]]), TWO, TYPICAL, two_views())

    assert found["features"] == pytest.approx(
        {"a (z:{id})": 25.0, "a (x:{id})": 3.0, "b (x:{id})": 0.0, "b (z:{id})": 0.0}, abs=1e-4
    )
    assert found["by_difference"] == ["a (z:{id})", "b (z:{id})"]


def test_a_card_that_lacks_the_typical_row_of_an_input_says_nothing() -> None:
    served = Served(cast(Network, Product()), Regression()).eval()

    assert attributions(served, two_rows([[3, 0]], [[4, 0]]), TWO, card(1, 1), two_views()) == {}


def test_a_vector_a_sequence_and_an_image_are_looked_at_together() -> None:
    table = things()
    made = train_on(Recipe.parse(MIXED.replace("epochs: 25", "epochs: 3")), table).bundle.manifest.card

    assert set(made["reference"]["inputs"]) == {"x", "series", "image"}
    found = made["attributions"]
    assert {name.partition("[")[0] for name in found["features"]} == {
        "a",
        "b",
        "thing:{id}:s",
        "thing:{id}:i",
    }
    assert found["by_difference"] == []
    assert 0 < found["gap"] < 0.05


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


def weighted(*rows_: Sequence[float]) -> Network:
    """rows_ @ x, one number a row of the weights."""
    head = torch.nn.Linear(len(rows_[0]), len(rows_), bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor(rows_))
    return Network((Entry("x", Form((len(rows_[0]),))),), ((),), (), head)


def test_of_quantiles_the_value_is_what_is_looked_at() -> None:
    """The second quantile is softplus(5b) above the first: far from 0 that is 5b."""
    x = [[1, 9], [1, 11]]
    task = Quantiles((0.1, 0.5, 0.9))
    served = Served(weighted((3, 0), (0, 5), (100, 100)), task).eval()

    found = attributions(served, rows(x), SIGNATURE, card(0, 8), view("a", "b"))

    assert found["features"] == pytest.approx({"b": 5 * 2, "a": 3}, abs=1e-3)
    assert found["of"] == "the value"


def test_of_several_values_each_counts_in_its_own_deviations() -> None:
    served = Served(weighted((1, 0), (0, 1)), Regression(Unit((0.0, 0.0), (1.0, 1000.0)))).eval()

    found = attributions(served, rows([[3, 5], [5, 7]]), SIGNATURE, card(0, 0), view("a", "b"))

    assert found["features"] == pytest.approx({"a": 4 / 2, "b": 6 / 2}, rel=1e-4)
    assert found["of"] == "the mean of 2 values, in standard deviations"


def test_of_a_forecast_all_steps_are_looked_at() -> None:
    served = Served(weighted((1, 0), (2, 0), (0, 6)), Forecasting(3)).eval()

    found = attributions(served, rows([[2, 1]]), SIGNATURE, card(0, 0), view("a", "b"))

    assert found["features"] == pytest.approx({"a": (2 + 4) / 3, "b": 6 / 3}, abs=1e-4)
    assert found["of"] == "the mean of 3 steps"


def test_of_anomalies_the_score_is_looked_at() -> None:
    recipe_ = Recipe.parse(ANOMALIES)
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2)) * [1.0, 0.001] + [0, 7]
    found = train_on(recipe_, rows(x)).bundle.manifest.card["attributions"]

    assert found["of"] == "the anomaly score"
    assert set(found["features"]) == {"a", "b"}
    assert 0 <= found["gap"] < 0.1


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
