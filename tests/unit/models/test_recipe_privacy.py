"""Private trainings that cannot be: each told with what to take instead."""

import pytest

from models.errors import BadRecipe
from models.recipe import Recipe

PRIVATE = """\
name: clouds
task: classification
data: {source: redis, match: "point:*", target: {key: "point:{id}", as: hash, field: side}}
features:
  inputs:
    - {name: x, sources: [{key: "point:{id}", as: hash, fields: [a, b]}]}
labels: [left, right]
network: [{scale: 4}, {linear: 8}, tanh]
training: {lr: 0.02, batch: 32, privacy: {epsilon: 3, delta: 0.001}}
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "{scale: 4}",
            "standardize",
            "cannot be had with `standardize`, which is measured on the rows themselves",
        ),
        (
            "tanh]",
            "batch_norm]",
            "cannot be had with `batch_norm`, which mixes the rows of a batch; take `layer_norm`",
        ),
        (
            "tanh]",
            "{reshape: [4, 2]}, {gru: 3}]",
            "cannot be had with `gru`, which gives no gradient a row here",
        ),
        (
            "lr:",
            "mixup: 0.2, lr:",
            "does not go together with training.mixup: a gradient would be of two rows",
        ),
        ("lr:", "accumulate: 2, lr:", "does not go together with training.accumulate: take a larger batch"),
        (
            "lr:",
            "clip: 1, lr:",
            "does not go together with training.clip: privacy.clip holds for each row already",
        ),
        (
            "lr:",
            "precision: mixed, lr:",
            "does not go together with training.precision: noise is added in float32",
        ),
        (
            "lr:",
            "class_weights: balanced, lr:",
            "does not go together with training.class_weights: it counts the rows",
        ),
        (
            "batch: 32",
            "batch: 8",
            "does not go together with training.batch: 8 rows drown in the noise, take 16 or more",
        ),
        (
            "task: classification",
            "task: regression",
            "within has 0 ranges; give one for the value, from where to where it lies",
        ),
    ],
)
def test_what_stands_in_the_way_is_named_with_the_cure(old: str, new: str, told: str) -> None:
    text = PRIVATE.replace(old, new, 1)
    text = text.replace("labels: [left, right]\n", "") if "regression" in new else text

    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(text)

    joint = "." if told.startswith("within") else " "
    assert f"training.privacy{joint}{told}" in str(caught.value)


def test_a_search_would_spend_the_epsilon_again_and_again() -> None:
    with pytest.raises(BadRecipe, match="search spends the epsilon in every trial"):
        Recipe.parse(PRIVATE + "search: {space: {training.lr: [0.1, 0.2]}}\n")


def test_what_can_be_private_survives_a_manifest() -> None:
    recipe = Recipe.parse(PRIVATE)

    assert recipe.training.privacy is not None
    assert Recipe.model_validate(recipe.as_data()) == recipe


def values(target: str, within: str, task: str = "regression") -> Recipe:
    text = PRIVATE.replace("task: classification", f"task: {task}").replace("labels: [left, right]\n", "")
    text = text.replace("as: hash, field: side", f"as: hash, {target}")
    return Recipe.parse(text.replace("delta: 0.001", f"delta: 0.001, within: {within}"))


def test_the_range_of_a_value_survives_a_manifest() -> None:
    recipe = values("field: y", "[0, 500]")

    several = values("fields: [a1, b1]", "[[0, 1], [-5, 5]]")

    assert [one.training.privacy and one.training.privacy.within for one in (recipe, several)] == [
        ((0, 500),),
        ((0, 1), (-5, 5)),
    ]
    assert Recipe.model_validate(recipe.as_data()) == recipe


@pytest.mark.parametrize(
    ("target", "within", "told"),
    [
        ("field: y", "[5, 5]", "training.privacy.within goes from 5 to 5; write the lower end first"),
        ("fields: [a1, b1]", "[0, 5]", "has 1 ranges; give one for each of the 2 values"),
        ("field: y", "[1, 2, 3]", "training.privacy.within"),
        ("field: y", "5", "training.privacy.within"),
    ],
)
def test_a_range_that_is_none_is_refused(target: str, within: str, told: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        values(target, within)

    assert told in str(caught.value)


def test_a_range_is_for_values() -> None:
    with pytest.raises(BadRecipe, match="within is for regression; task is classification, take it out"):
        Recipe.parse(PRIVATE.replace("delta: 0.001", "delta: 0.001, within: [0, 1]"))


@pytest.mark.parametrize(
    ("task", "target", "told"),
    [
        (
            "forecasting",
            ', target: {key: "point:{id}:n", as: vector, shape: [2]}',
            "takes several ends off one",
        ),
        ("anomaly", "", "has a threshold that is measured on the rows"),
    ],
)
def test_other_tasks_are_not_private(task: str, target: str, told: str) -> None:
    text = PRIVATE.replace("task: classification", f"task: {task}").replace("labels: [left, right]\n", "")
    text = text.replace(', target: {key: "point:{id}", as: hash, field: side}', target)

    with pytest.raises(BadRecipe, match=f"is for classification, multilabel and regression; {task} {told}"):
        Recipe.parse(text)
