"""Presets: each is trained, exported and answers as PyTorch does; none is taken for rows it cannot read."""

from typing import Any

import pytest

from models.errors import BadRecipe
from models.layers.presets import PRESETS, Preset, Rows, expanded
from models.recipe import Recipe
from tests.unit.trainer.tables import CLOUDS, SLOPES, clouds, slopes
from trainer.blueprints import blueprint_of
from trainer.networks.building import check
from trainer.run import train_on

WRITTEN = "network: [standardize, {linear: 8}, tanh]"
STEPS = "network: [standardize, {gru: 8}]"
PICTURE = CLOUDS.replace("as: hash, fields: [a, b]", "as: vector, shape: [SIDES]").replace(
    WRITTEN, "network: {preset: PRESET, width: 4}"
)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_reads_the_fields_of_a_stream_step_by_step(name: str) -> None:
    stream = "as: stream, last: 8, pad: left, fields: [a, {name: b, categories: [x, y]}]"
    text = CLOUDS.replace("as: hash, fields: [a, b]", stream).replace(
        WRITTEN, f"network: {{preset: {name}, width: 8}}"
    )

    check(blueprint_of(Recipe.parse(text)))


@pytest.mark.parametrize("options", ["mlp", "deep_mlp, dropout: 0.1", "mlp, batch_norm: true, depth: 3"])
def test_a_preset_over_vectors_learns(options: str) -> None:
    recipe = Recipe.parse(CLOUDS.replace(WRITTEN, f"network: {{preset: {options}, width: 8}}"))

    result = train_on(recipe, clouds())

    assert result.bundle.manifest.metrics["accuracy"] > 0.95
    assert result.bundle.manifest.card["parity"]["largest_difference"] < 1e-5
    assert Recipe.model_validate(result.bundle.manifest.recipe) == recipe


@pytest.mark.parametrize(
    "options",
    [
        "lstm",
        "gru, depth: 2, dropout: 0.1",
        "rnn",
        "tcn, depth: 2, dropout: 0.1",
        "cnn, width: 16",
        "tcn, depth: 1, batch_norm: true",
    ],
)
def test_a_preset_over_sequences_learns(options: str) -> None:
    width = "" if "width" in options else ", width: 8"
    recipe = Recipe.parse(SLOPES.replace(STEPS, f"network: {{preset: {options}{width}}}"))

    result = train_on(recipe, slopes())

    assert result.bundle.manifest.metrics["accuracy"] > 0.8
    assert result.bundle.manifest.card["parity"]["largest_difference"] < 1e-5


def test_the_card_lists_the_layers_that_a_preset_stands_for() -> None:
    recipe = Recipe.parse(CLOUDS.replace(WRITTEN, "network: {preset: mlp, width: 8, depth: 1}"))

    result = train_on(recipe, clouds(40))

    assert result.bundle.manifest.card["network"] == {
        "x": ["standardize", {"clip": {"low": -10.0, "high": 10.0}}, {"linear": {"features": 8}}, "relu"]
    }


@pytest.mark.parametrize("sides", ["1, 8, 8", "8, 8", "3, 40, 20", "1, 3", "5, 1, 1"])
@pytest.mark.parametrize("preset", ["cnn", "mlp", "deep_mlp"])
def test_images_of_every_size_fit(preset: str, sides: str) -> None:
    recipe = Recipe.parse(PICTURE.replace("SIDES", sides).replace("PRESET", preset))

    assert check(blueprint_of(recipe)) > 0


@pytest.mark.parametrize("preset", PRESETS)
def test_width_and_depth_make_a_network_larger(preset: Any) -> None:
    rows = Rows((None, 3) if preset not in ("mlp", "deep_mlp") else (3,), "sequence")
    sizes = []

    for width, depth in ((8, 1), (16, 1), (16, 3)):
        layers = expanded(Preset(preset=preset, width=width, depth=depth), rows)
        sizes.append(len(str([one.model_dump() for one in layers])))

    assert sizes[0] < sizes[2]
    assert "16" in str([one.model_dump() for one in expanded(Preset(preset=preset, width=16), rows)])


def test_the_deepest_and_widest_preset_is_still_made_of_layers_that_exist() -> None:
    for preset in PRESETS:
        assert expanded(Preset(preset=preset, width=4096, depth=16), Rows((None, 3), "sequence"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            CLOUDS.replace(WRITTEN, "network: {preset: gru}"),
            "network, preset gru reads a sequence; take mlp or cnn",
        ),
        (CLOUDS.replace(WRITTEN, "network: {preset: cnn}"), "cnn reads a sequence or an image; take mlp or"),
        (
            SLOPES.replace(STEPS, "network: {preset: mlp}"),
            "mlp reads rows of one size; take gru, lstm, rnn, tcn",
        ),
        (SLOPES.replace(STEPS, "network: {preset: gru, batch_norm: true}"), "takes no batch_norm: gru is a"),
        (
            CLOUDS.replace(WRITTEN, "network: {preset: mpl}"),
            "should be 'mlp', 'deep_mlp', 'cnn', 'lstm', 'gru'",
        ),
        (
            CLOUDS.replace(WRITTEN, "network: {preset: mlp, widht: 8}"),
            "has no key 'widht'; did you mean 'width'?",
        ),
        (
            CLOUDS.replace(WRITTEN, "network: {preset: mlp, depth: 0}"),
            "depth: should be greater than or equal to 1",
        ),
        (
            CLOUDS.replace(WRITTEN, "network: {branches: {x: {preset: gru}}}"),
            "network, branch x.preset gru reads a sequence; take mlp or cnn (input x)",
        ),
    ],
)
def test_a_preset_that_does_not_suit_its_rows_is_refused_with_the_cure(text: str, said: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(text)

    assert said in str(caught.value)
