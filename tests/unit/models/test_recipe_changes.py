"""Values of a recipe changed by their place: what each path means, and paths that lead nowhere."""

from typing import Any

import pytest

from models.errors import BadRecipe
from models.recipe import Recipe
from models.recipe_changes import changed
from tests.unit.models.test_recipe_fitting import VECTOR

DEEP = VECTOR.replace(
    "[standardize, {linear: 16}, relu]",
    "[standardize, {linear: {features: 16, bias: false}}, relu, dropout, {linear: 8}, {dropout: 0.1}]",
)
BRANCHED = VECTOR.replace(
    "[standardize, {linear: 16}, relu]", "{branches: {x: [standardize]}, then: [{linear: 4}]}"
)


def layers(text: str, **values: Any) -> list[Any]:
    made = changed(
        Recipe.parse(text), {path.replace("__", "."): value for path, value in values.items()}, "here"
    )
    data: list[Any] = made.as_data()["network"]
    return data


def test_a_layer_by_its_number_keeps_its_other_options() -> None:
    assert layers(DEEP, network__2__linear=32)[1] == {"linear": {"features": 32, "bias": False}}
    assert layers(DEEP, network__2__linear__bias=True)[1] == {"linear": {"features": 16}}


def test_a_word_alone_means_every_layer_of_it() -> None:
    changed_layers = layers(DEEP, network__dropout=0.3)

    assert [changed_layers[3], changed_layers[5]] == [{"dropout": {"share": 0.3}}] * 2


def test_sections_presets_and_branches_are_reached() -> None:
    preset = changed(
        Recipe.parse(VECTOR.replace("[standardize, {linear: 16}, relu]", "{preset: mlp, width: 8}")),
        {"network.width": 32, "training.plateau.patience": 2},
        "here",
    )
    branched = changed(Recipe.parse(BRANCHED), {"network.then.1.linear": 9}, "here")

    assert preset.as_data()["network"]["width"] == 32
    assert preset.training.plateau.patience == 2
    assert branched.then[0].features == 9


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("network.9.linear", "there are 6 layers"),
        ("network.0.linear", "there are 6 layers"),
        ("network.gru", "the layers are standardize, linear, relu, dropout, linear, dropout"),
        ("network.3.linear", "layer 3 is relu: write 3.relu or 3.relu.OPTION"),
        ("network.3", "layer 3 is relu"),
        ("network.3.relu", "relu is written with no number of its own"),
        ("network.2.linear.bias.x", "layer 2 is linear"),
        ("name.first", "there is nothing below 'churn'"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_there_is(path: str, told: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        changed(Recipe.parse(DEEP), {path: 1}, "search.space")

    assert str(caught.value).startswith(f"search.space: {path} is no place in this recipe; ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("training.lr", -1, "here: training.lr: should be greater than 0 (got -1)"),
        ("training.rl", 1, "here: training has no key 'rl'"),
        (
            "network.2.linear",
            0,
            "here: network, layer 2: linear.features: should be greater than or equal to 1",
        ),
        ("training.warmup", 500, "here: training.warmup is 500 of 100 epochs"),
    ],
)
def test_a_value_that_cannot_stand_there_is_told(path: str, value: Any, told: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        changed(Recipe.parse(DEEP), {path: value}, "here")

    assert str(caught.value).startswith(told)
