"""Columns treated by name inside the graph: what each becomes, on rows as they are stored."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer, RobustScaler

from models.errors import BadRecipe
from models.recipe import Recipe
from models.tensors import Tensor as Array
from tests.unit.trainer.networks import TASK, ask, network
from tests.unit.trainer.tables import keys
from trainer.blueprints import blueprint_of
from trainer.errors import BadNetwork
from trainer.networks import fitted
from trainer.networks.building import build, check
from trainer.run import train_on
from trainer.table import Table, Values

TEXT = """\
name: churn
task: classification
data: {source: redis, match: "user:*", target: {key: "user:{id}:truth", as: hash, field: left}}
features:
  inputs:
    - name: x
      sources:
        - key: "user:{id}"
          as: hash
          fields:
            - {name: age, default: -1}
            - spend
            - visits
            - {name: plan, categories: [free, paid, gold]}
            - {name: city, categories: [Bonn, Ulm], default: Ulm}
        - {key: "user:{id}:v", as: vector, shape: [2]}
labels: [stays, leaves]
network:
  - columns:
      age: [missing, standardize]
      plan: one_hot
  - linear: 8
"""
COLUMNS = "      age: [missing, standardize]\n      plan: one_hot\n"
ROWS = np.array(
    [
        [20, 5, 1e9, 0, 1, 1, 2],
        [40, 9, 1e9, 2, 0, 3, 4],
        [-1, 7, 1e9, 1, 0, 5, 9],
    ],
    np.float32,
)


def recipe(written: str = COLUMNS) -> Recipe:
    assert COLUMNS in TEXT
    return Recipe.parse(TEXT.replace(COLUMNS, written))


def treated(written: str, rows: Array = ROWS) -> Array:
    """What the first layer makes of rows that it was fitted on."""
    net = build(blueprint_of(recipe(written)))
    x = torch.from_numpy(rows)
    net.fit_scaling({"x": (x, None)})
    first: Any = net.branches[0]
    result: Array = first[0](x, None)[0].detach().numpy()
    return result


def test_numbers_are_standardized_and_categories_one_hot_unless_something_is_said() -> None:
    table = treated("      age: none\n")

    assert table.shape == (3, 1 + 2 + 2 + 3 + 2)
    assert table[:, 0].tolist() == [20, 40, -1]
    np.testing.assert_allclose(table[:, 1:5].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(table[:, [1, 3, 4]].std(0), 1, rtol=1e-5)
    assert table[:, 2].tolist() == [0, 0, 0]  # the same in every row: shifted, not blown up
    assert table[:, 5:].tolist() == [[1, 0, 0, 0, 1], [0, 0, 1, 1, 0], [0, 1, 0, 1, 0]]


def test_a_stand_in_becomes_an_indicator_and_the_mean_of_what_was_there() -> None:
    table = treated("      age: missing\n      rest: none\n")

    assert table[:, 0].tolist() == [20, 40, 30]
    assert table[:, 1].tolist() == [0, 0, 1]


def test_a_stand_in_may_be_named_and_filled_with_the_median() -> None:
    rows = np.repeat(ROWS, [5, 1, 2], axis=0)

    table = treated("      spend: {missing: {value: 7, fill: median}}\n      rest: none\n", rows)

    at = table.shape[1] - 2
    assert sorted(set(table[:, at].tolist())) == [5, 9]
    assert table[-1, at:].tolist() == [5, 1]


def test_a_column_of_stand_ins_alone_is_filled_with_nothing() -> None:
    rows = ROWS.copy()
    rows[:, 0] = -1

    for fill in ("mean", "median"):
        assert (
            treated(f"      age: {{missing: {fill}}}\n      rest: none\n", rows)[:, :2].tolist()
            == [[0, 1]] * 3
        )


def test_a_name_may_stand_for_several_fields_and_a_full_name_comes_first() -> None:
    table = treated("      spend: {scale: 10}\n      '*i*': none\n      rest: {clip: {low: 0, high: 1}}\n")

    assert sorted(map(tuple, table.T.tolist())) == sorted(
        [
            (0.5, np.float32(0.9), np.float32(0.7)),  # spend
            (1e9, 1e9, 1e9),  # visits
            (1, 0, 0),  # city
            (1, 1, 0),  # age
            (0, 1, 1),  # plan
            (1, 1, 1),
            (1, 1, 1),
        ]
    )


def test_embeddings_are_learned_for_each_category() -> None:
    net = build(
        blueprint_of(recipe("      plan: {embedding: 3}\n      visits: {embedding: {size: 2, count: 4}}\n"))
    )

    first: Any = net.branches[0]

    assert [tuple(one.shape) for one in first[0].parameters()] == [(4, 2), (3, 3)]
    assert first[1].module.in_features == 3 + 2 + 2 + 2 + 2


def test_a_category_that_is_none_gives_zeros_and_never_an_error() -> None:
    rows = ROWS.copy()
    rows[0, 3] = 7

    assert treated("      rest: none\n      plan: one_hot\n", rows)[0, 6:].tolist() == [0, 0, 0]


PLANS = ("free", "paid", "gold")


def users(count: int = 240) -> Table:
    """A generated problem: who pays leaves when young, and absent ages leave too."""
    random = np.random.default_rng(4)
    age = random.uniform(18, 80, count).round()
    absent = random.random(count) < 0.2
    plan = random.integers(0, 3, count)
    leaves = np.where(absent, 1, (plan > 0) & (age < 50))
    x = np.stack([np.where(absent, -1, age), np.exp(random.normal(size=count) * 9), age * 0 + 1e9, plan], 1)
    rest = np.stack([random.integers(0, 2, count), random.normal(size=count), random.normal(size=count)], 1)
    table = np.concatenate([x, rest], 1).astype(np.float32)
    return Table(keys(count, "user"), {"x": Values(table)}, leaves.astype(np.int64))


@pytest.mark.parametrize(
    "written",
    [
        "      age: [missing, quantile]\n      spend: [log1p, robust]\n      plan: {embedding: 3}\n",
        "      age: [{missing: median}, min_max]\n      spend: {quantile: normal}\n      city: none\n",
        "      age: [missing, {clip: {low: 0, high: 90}}, {scale: 90}]\n      spend: [log1p, robust, tanh]\n",
    ],
)
def test_every_treatment_is_trained_exported_and_answers_as_in_pytorch(written: str) -> None:
    made = recipe(written + "  - relu\n  - linear: 16\n  - relu\n")
    made = made.model_copy(update={"training": made.training.model_copy(update={"lr": 0.02, "epochs": 40})})

    result = train_on(made, users())

    assert result.bundle.manifest.metrics["accuracy"] > 0.85
    assert result.bundle.manifest.card["parity"]["largest_difference"] < 1e-5
    assert Recipe.model_validate(result.bundle.manifest.recipe) == made


def scaled(word: Any, column: Array) -> Array:
    net = network((column.shape[1],), word)
    x = torch.from_numpy(column.astype(np.float32))
    net.fit_scaling({"x": (x, None)})
    first: Any = net.branches[0]
    result: Array = first[0](x, None)[0].numpy()
    return result


NUMBERS = np.random.default_rng(5).lognormal(size=(500, 3)) * [1, 100, 1e6]


def test_robust_scaling_is_that_of_scikit_learn() -> None:
    np.testing.assert_allclose(
        scaled("robust", NUMBERS), RobustScaler().fit_transform(NUMBERS), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("to", ["uniform", "normal"])
def test_quantiles_are_those_of_scikit_learn(to: str) -> None:
    theirs = QuantileTransformer(n_quantiles=100, output_distribution=to, random_state=0).fit_transform(
        NUMBERS
    )

    ours = scaled({"quantile": to}, NUMBERS)

    inner = np.abs(theirs) < 2 if to == "normal" else theirs >= 0
    assert np.abs(ours - theirs)[inner].max() < 0.02
    assert np.isfinite(ours).all()


def test_numbers_that_are_often_the_same_stand_in_the_middle_of_their_share() -> None:
    column = np.array([[0.0]] * 60 + [[value] for value in range(1, 41)])

    ours = scaled("quantile", column)

    assert ours.min() == 0  # the least of all, though there are many of them
    assert ours.max() == pytest.approx(1)
    assert ours[60, 0] > 0.5


@pytest.mark.parametrize(
    "word",
    [
        "standardize",
        "robust",
        "min_max",
        "quantile",
        {"quantile": "normal"},
        "log1p",
        {"clip": {"low": 0, "high": 1}},
    ],
)
@pytest.mark.parametrize(
    "column",
    [
        [1e9, 1e9, 1e9],
        [1e9, 1e9 + 64, 1e9 + 128],
        [0, 0, 0],
        [-3.4e37, 0, 3.4e37],
        [1e-30, 2e-30, 3e-30],
        [5, 5, 1e30],
    ],
)
def test_large_tiny_and_constant_columns_stay_finite(word: Any, column: list[float]) -> None:
    result = scaled(word, np.array(column)[:, None])

    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1e2


def test_sequences_and_images_have_quantiles_of_each_channel() -> None:
    steps = network((None, 2), "quantile", "global_avg_pool")
    x = torch.tensor([[[1.0, 10], [2, 20], [9, 9]], [[3.0, 30], [9, 9], [9, 9]]])
    steps.fit_scaling({"x": (x, torch.tensor([2, 1]))})
    image = network((2, 2, 2), "quantile", "flatten")
    pixels = torch.arange(16.0).reshape(2, 2, 2, 2)
    image.fit_scaling({"x": (pixels, None)})

    first: Any = steps.branches[0]
    other: Any = image.branches[0]

    assert first[0](x, None)[0][0, :2].flatten().tolist() == pytest.approx([0, 0, 0.5, 0.5])
    assert other[0](pixels, None)[0][0, 0].flatten().tolist()[0] == 0
    assert ask(image, pixels).shape == (2, TASK.outputs)


def test_many_numbers_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted, "SAMPLE_LIMIT", 64)
    parts = [(torch.arange(start, start + 100.0)[:, None], None) for start in range(0, 1000, 100)]

    values = fitted.sample(lambda: iter(parts))

    assert 32 <= len(values) <= 64
    assert np.median(values) == pytest.approx(500, abs=40)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    whole = torch.from_numpy(NUMBERS)

    mean, deviation = fitted.mean_and_deviation(lambda: ((part, None) for part in whole.split(70)))

    np.testing.assert_allclose(mean, NUMBERS.mean(0))
    np.testing.assert_allclose(deviation, NUMBERS.std(0))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("      plan: [one_hot, clip: {low: 0, high: 1}]\n", "`one_hot` and `embedding` come last"),
        ("      age: [log1p, missing]\n", "`missing` comes first: later the stand-in is not known any more"),
        (
            "      age: lgo1p\n",
            "line 20: network, layer 1: columns.age, layer 1: 'lgo1p' is not known; did you mean",
        ),
        (
            "      age: {clip: {low: 0, hihg: 1}}\n",
            "columns.age, layer 1: clip has no key 'hihg'; did you mean 'high'",
        ),
        (
            "      age: {embedding: {size: 2, cuont: 1}}\n",
            "embedding has no key 'cuont'; did you mean 'count'?",
        ),
        ("      age: {linear: 4}\n", "columns.age, layer 1: 'linear' is not known"),
        ("      age: {missing: mode}\n", "missing.fill: should be 'mean' or 'median' (got 'mode')"),
        (
            "      age: {quantile: {knots: 1}}\n",
            "quantile.knots: should be greater than or equal to 2 (got 1)",
        ),
    ],
)
def test_a_treatment_that_is_none_is_refused_with_its_place(written: str, said: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        recipe(written)

    assert said in str(caught.value)


def test_a_layer_for_columns_among_the_others_says_where_it_belongs() -> None:
    with pytest.raises(
        BadRecipe, match=r"one_hot is for single columns; write `- columns: \{FIELD: one_hot\}`"
    ):
        Recipe.parse(TEXT.replace("  - linear: 8", "  - one_hot"))
    with pytest.raises(BadRecipe, match=r"columns takes a mapping \{field: layers, rest: layers\}"):
        Recipe.parse(TEXT.replace("  - linear: 8", "  - columns: one_hot"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            TEXT.replace("age: [m", "agge: [m"),
            "takes the fields age, spend, visits, plan, city; 'agge' is none of",
        ),
        (
            TEXT.replace("age: [m", "spend: [m"),
            "'spend' has none; give it one in the view, {name: spend, default",
        ),
        (
            TEXT.replace("age: [m", "city: [m"),
            "'city' has none; its categories may name one for it, take `one_hot`",
        ),
        (
            TEXT.replace("plan: one", "age: one").replace("age: [m", "plan: [m"),
            "list them in the view: {name: age,",
        ),
        (
            TEXT.replace("plan: one_hot", "spend: {embedding: 2}"),
            "fields with categories for `embedding`, 'spend'",
        ),
        (
            TEXT.replace("  - columns", "  - relu\n  - columns"),
            "layer 2 (columns) is fitted on the training rows",
        ),
        (
            TEXT.replace("  - columns", "  - log1p\n  - columns"),
            "layer 2 (columns) takes the fields of a hash or",
        ),
        (
            TEXT.replace("plan: one_hot", "plan: {embedding: 2}").replace("- linear: 8", "- standardize"),
            "layer 2 (standardize) is fitted on the training rows before anything is learned",
        ),
        (
            TEXT.replace("- name: x\n", "- name: x\n      shape: [7]\n"),
            "layer 1 (columns) takes the fields of a",
        ),
    ],
)
def test_columns_that_cannot_be_treated_so_are_named(text: str, said: str) -> None:
    with pytest.raises(BadNetwork) as caught:
        check(blueprint_of(Recipe.parse(text)))

    assert said in str(caught.value)
