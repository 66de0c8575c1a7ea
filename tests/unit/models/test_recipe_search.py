"""The search section: what may be searched, and how, told by line where it may not."""

import pytest

from models.errors import BadRecipe
from models.recipe import Recipe
from tests.unit.models.test_recipe_fitting import VECTOR


def refused(space: str, more: str = "") -> str:
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(f"{VECTOR}{more}search:\n  space:\n    {space}\n", "churn.yaml")
    return str(caught.value)


FORMS = "should be a list of values, {log: [from, to]}, {uniform: [from, to]} or {int: [from, to]}"


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ("training.lr: 0.1", f"search.space.training.lr: {FORMS} (got 0.1)"),
        ("training.lr: []", f"search.space.training.lr: {FORMS}"),
        ("training.lr: {logs: [0.1, 1]}", FORMS),
        ("training.lr: {log: [0.1]}", FORMS),
        ("training.lr: {log: [0.1, yes]}", FORMS),
        ("network.linear: {int: [1, 2.5]}", FORMS),
        ("training.lr: {log: [1, 0.1]}", "should rise from the first number to the second; a log above 0"),
        ("training.lr: {log: [0, 0.1]}", "should rise from the first number to the second; a log above 0"),
        (
            "training.lr: {log: [0.1, 1000]}",
            "search.space.training.lr cannot be 1000: with this value: training.lr: should be less than or equal",
        ),
        (
            "network.gru: [3]",
            "search.space.network.gru cannot be 3: with this value: network.gru is no place in this recipe",
        ),
        (
            "network.linear: [8, 0]",
            "search.space.network.linear cannot be 0: with this value: network, layer 2",
        ),
        (
            "training.rl: [3]",
            "search.space.training.rl cannot be 3: with this value: training has no key 'rl'",
        ),
        (
            "training.seed: [1, 2]",
            "search.space.training.seed cannot be searched; it is a value of training or network",
        ),
        (
            "training.focal: {uniform: [1, 3]}",
            "search.space.training.focal changes what the validation loss is, so its trials cannot be compared",
        ),
        (
            "training.ensemble: [1, 3]",
            "search.space.training.ensemble cannot be searched; trials are judged by",
        ),
        ("data.max_rows: [100]", "search.space.data.max_rows cannot be searched"),
    ],
)
def test_what_cannot_be_searched_is_told_by_its_line(space: str, problem: str) -> None:
    told = refused(space)

    assert problem in told
    assert told.startswith("churn.yaml, line 13: ")


def test_a_search_without_validation_rows_is_refused() -> None:
    assert "search needs a validation share above 0" in refused("training.lr: [0.1]", "  validation: 0\n")


def test_a_search_without_a_space_is_refused() -> None:
    with pytest.raises(BadRecipe, match=r"search\.space"):
        Recipe.parse(f"{VECTOR}search: {{trials: 3}}\n")


def test_a_search_survives_being_written() -> None:
    recipe = Recipe.parse(
        f"{VECTOR}search: {{trials: 3, space: {{training.lr: {{log: [0.001, 0.1]}}, network.linear: [8, 16]}}}}\n"
    )

    assert Recipe.model_validate(recipe.as_data()) == recipe
    assert recipe.search is not None
    assert recipe.search.space["training.lr"].kind == "log"
