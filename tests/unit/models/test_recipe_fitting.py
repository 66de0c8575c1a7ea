"""What a recipe may ask of its training: refused with the line and the cure where it cannot be."""

import pytest

from models.errors import BadRecipe
from models.recipe import Recipe
from models.recipe_fitting import kind_of

VECTOR = """\
name: churn
task: classification
data: {source: redis, match: "user:*", target: {key: "user:{id}:truth", as: hash, field: left}}
features:
  inputs:
    - {name: x, sources: [{key: "user:{id}", as: hash, fields: [age, visits]}]}
labels: {"0": stays, "1": leaves}
network: [standardize, {linear: 16}, relu]
training:
  lr: 0.01
"""
REGRESSION = VECTOR.replace("classification", "regression").replace('labels: {"0": stays, "1": leaves}\n', "")
SERIES = VECTOR.replace(
    'sources: [{key: "user:{id}", as: hash, fields: [age, visits]}]',
    'lengths: x_length, sources: [{key: "user:{id}", as: list, shape: [1], last: 9}]',
)
OF_NAMES = SERIES.replace("[standardize, {linear: 16}, relu]", "[{embedding: {count: 5, size: 3}}, {gru: 4}]")
IMAGE = VECTOR.replace("as: hash, fields: [age, visits]", "as: vector, shape: [8, 8]").replace(
    "[standardize, {linear: 16}, relu]", "[{residual: [{conv2d: {channels: 2, padding: 1}}]}, flatten]"
)


def refused(text: str) -> str:
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(text, "churn.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "asked", "problem"),
    [
        (
            REGRESSION,
            "class_weights: balanced",
            "training.class_weights is for classification; task is regression",
        ),
        (REGRESSION, "focal: 2", "training.focal is for classification; task is regression, take it out"),
        (REGRESSION, "label_smoothing: 0.1", "training.label_smoothing is for classification"),
        (
            VECTOR,
            "class_weights: ballanced",
            "training.class_weights: should be balanced, or {label: number above 0} of every label (got 'ballanced')",
        ),
        (VECTOR, "class_weights: {stays: 1, leaves: yes}", "training.class_weights: should be balanced, or"),
        (VECTOR, "class_weights: {stays: 1, leaves: 0}", "training.class_weights: should be balanced, or"),
        (
            VECTOR,
            "class_weights: {stays: 1, leafs: 2}",
            "training.class_weights.leafs is no label; there are: stays, leaves",
        ),
        (VECTOR, "class_weights: {stays: 1}", "training.class_weights has no weight for leaves"),
        (
            VECTOR,
            "label_smoothing: 0.6",
            "training.label_smoothing: should be less than or equal to 0.5 (got 0.6)",
        ),
        (
            VECTOR,
            "augment: {image: {shift: 1}}",
            "training.augment.image has nothing to alter; no input of the view is an image",
        ),
        (VECTOR, "augment: {series: {crop: 0.5}}", "training.augment.series has nothing to alter"),
        (
            VECTOR.replace("relu]", "{residual: [{linear: 16}, batch_norm]}]"),
            "batch: 1",
            "training.batch is 1, and `batch_norm` has nothing to measure on one row; take 2 or more, or `layer_norm`",
        ),
        (
            VECTOR.replace("[standardize, {linear: 16}, relu]", "{preset: deep_mlp}"),
            "batch: 1",
            "training.batch is 1, and `batch_norm` has nothing to measure on one row",
        ),
        (VECTOR, "augment: {image: {spin: 1}}", "training.augment.image has no key 'spin'"),
        (
            OF_NAMES,
            "mixup: 0.2",
            "training.mixup changes numbers, and the numbers read by `embedding` are numbers that",
        ),
        (
            OF_NAMES,
            "augment: {series: {jitter: 0.1}}",
            "training.augment changes numbers, and the numbers read by `embedding`",
        ),
        (
            VECTOR.replace("visits", "{name: plan, categories: [free, paid]}"),
            "mixup: 0.2",
            "training.mixup changes numbers, and the categories of plan are numbers that stand for something",
        ),
        (
            VECTOR.replace("[standardize,", "[{columns: {age: {missing: {value: -1}}}},"),
            "mixup: 0.2",
            "training.mixup changes numbers, and the numbers read by `missing`",
        ),
        (
            VECTOR,
            "from: cust omer",
            "training.from: should be MODEL, MODEL:VERSION or MODEL:ALIAS, such as churn:3",
        ),
        (VECTOR, "from: churn:Three", "training.from: should be MODEL, MODEL:VERSION or MODEL:ALIAS"),
        (
            VECTOR,
            "freeze: 2",
            "training.freeze needs weights to keep; name the version that has them with `from`",
        ),
        (VECTOR, "warmup: 100", "training.warmup is 100 of 100 epochs; take fewer"),
        (
            VECTOR,
            "warmup: 3\n  schedule: one_cycle",
            "training.warmup is for the other schedules; one_cycle rises by itself, leave it out",
        ),
        (
            VECTOR,
            "keep: metric\n  validation: 0",
            "training.keep is metric, which needs a validation share above 0",
        ),
        (VECTOR, "schedule: cosin", "training.schedule: should be 'none', 'cosine', 'linear'"),
        (VECTOR, "accumulate: 0", "training.accumulate: should be greater than or equal to 1 (got 0)"),
        (VECTOR, "ema: 1", "training.ema: should be less than 1 (got 1)"),
        (VECTOR, "precision: float16", "training.precision: should be 'float32' or 'mixed' (got 'float16')"),
    ],
)
def test_what_cannot_be_trained_so_is_told_by_its_line(text: str, asked: str, problem: str) -> None:
    told = refused(f"{text}  {asked}\n")

    assert problem in told
    assert told.startswith(f"churn.yaml, line {text.count(chr(10)) + 1}: ")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("quantize: int4", "quantize.to: should be 'int8', 'fp16' or 'auto' (got 'int4')"),
        ("quantize: {to: int8, max_loss: 2}", "quantize.max_loss: should be less than or equal to 1 (got 2)"),
        ("quantize: {too: int8}", "quantize has no key 'too'; did you mean 'to'?"),
    ],
)
def test_a_quantisation_that_is_none_is_told_by_its_line(asked: str, problem: str) -> None:
    assert f"churn.yaml, line 11: {problem}" in refused(f"{VECTOR}{asked}\n")


def test_what_can_be_trained_so_survives_a_manifest() -> None:
    asked = """\
  class_weights: {stays: 1, leaves: 2.5}
  focal: 2
  mixup: 0.2
  ema: 0.99
  schedule: plateau
  plateau: {patience: 3}
"""

    recipe = Recipe.parse(VECTOR + asked)

    assert recipe.training.class_weights == {"stays": 1.0, "leaves": 2.5}
    assert Recipe.model_validate(recipe.as_data()) == recipe


@pytest.mark.parametrize(
    ("text", "kind", "augment"),
    [
        (VECTOR, "vector", None),
        (SERIES, "series", "series: {crop: 0.8}"),
        (IMAGE, "image", "image: {shift: 1}"),
    ],
    ids=["vector", "series", "image"],
)
def test_an_input_is_what_the_network_reads(text: str, kind: str, augment: str | None) -> None:
    recipe = Recipe.parse(f"{text}  augment: {{{augment}}}\n" if augment else text)

    assert kind_of(recipe.features.inputs[0], recipe.branches["x"]) == kind


def test_an_image_of_colours_is_one_whatever_reads_it() -> None:
    recipe = Recipe.parse(IMAGE.replace("[8, 8]", "[3, 8, 8]").replace("padding: 1", "padding: 1, kernel: 3"))

    assert kind_of(recipe.features.inputs[0], ()) == "image"
