"""Recipes: what they hold, and how they say what is wrong with one."""

import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BadRecipe
from models.layers.activations import Activation
from models.layers.columns import Columns
from models.layers.dense import Linear
from models.layers.network import LAYERS, Residual
from models.layers.scaling import Log1p
from models.layers.windows import Conv2d
from models.recipe import Recipe, ready_recipe, ready_recipes

RECIPE = """\
name: churn
task: classification
data:
  source: redis
  match: "user:*"
  target: {key: "user:{id}:truth", as: hash, field: left}
features:
  inputs:
    - name: x
      sources:
        - {key: "user:{id}", as: hash, fields: [age, visits]}
labels: {"0": stays, "1": leaves}
network:
  - standardize
  - linear: 16
  - relu
training:
  lr: 0.01
  epochs: 20
"""


def refused(text: str) -> str:
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(text, "churn.yaml")
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert old in RECIPE
    return RECIPE.replace(old, new)


def test_a_recipe_is_read_with_its_defaults() -> None:
    recipe = Recipe.parse(RECIPE)

    assert recipe.classes == ("stays", "leaves")
    assert (recipe.rows.text, recipe.features.inputs[0].name) == ("user:{id}", "x")
    assert [layer.layer for layer in recipe.branches["x"]] == ["standardize", "linear", "relu"]
    assert (recipe.training.lr, recipe.training.epochs, recipe.training.batch) == (0.01, 20, 64)
    assert recipe.data.max_rows == 1_000_000


def test_rows_in_redis_are_parted_by_a_field_of_any_of_their_hashes() -> None:
    recipe = Recipe.parse(changed("labels:", "split: {group: clinic, key: 'user:{id}:meta'}\nlabels:"))

    assert (recipe.split.field, recipe.split.key, recipe.data.place) == ("clinic", "user:{id}:meta", "user:*")
    assert "split.key is 'user:{nr}' and needs nr, which the rows' key 'user:{id}' does not give" in refused(
        changed("labels:", "split: {group: clinic, key: 'user:{nr}'}\nlabels:")
    )
    assert "is no placeholder; write {name}" in refused(
        changed("labels:", "split: {key: 'user:{nr'}\nlabels:")
    )


def test_a_target_that_is_missing_says_how_one_is_written() -> None:
    message = refused(changed('  target: {key: "user:{id}:truth", as: hash, field: left}\n', ""))

    assert "data.target is missing; classification learns from {key: ..., as: hash, field: ...}" in message


def test_a_recipe_never_changes() -> None:
    recipe = Recipe.parse(RECIPE)

    with pytest.raises(ValueError, match="frozen"):
        recipe.name = "other"  # type: ignore[misc]  # that it cannot is the point


@pytest.mark.parametrize("name", ready_recipes())
def test_every_ready_recipe_survives_a_manifest(name: str) -> None:
    recipe = ready_recipe(name)

    again = Recipe.model_validate(recipe.as_data())

    assert again == recipe
    assert again.as_data() == recipe.as_data()


def test_seven_recipes_are_ready() -> None:
    assert ready_recipes() == (
        "basic_motions",
        "breast_cancer",
        "caravan",
        "diabetes",
        "digits",
        "japanese_vowels",
        "wine",
    )


def test_no_ready_recipe_has_that_name() -> None:
    with pytest.raises(
        BadRecipe,
        match=r"no ready recipe is called 'digit'; did you mean 'digits'\? there are basic_motions, b",
    ):
        ready_recipe("digit")


def test_a_recipe_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "churn.yaml"
    path.write_text(RECIPE)

    assert Recipe.load(path) == Recipe.parse(RECIPE)


def test_a_file_that_is_not_there_names_the_ready_recipes(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"cannot be read .* ready recipes: basic_motions, breast_cancer"):
        Recipe.load(tmp_path / "nowhere.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "churn.yaml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(BadRecipe, match="cannot be read"):
        Recipe.load(path)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("  epochs: 20", "  epoch: 20", 19, "training has no key 'epoch'; did you mean 'epochs'?"),
        ("training:", "trainin:", 17, "has no key 'trainin'; did you mean 'training'?"),
        ("lr: 0.01", "lr: -1", 18, "training.lr: should be greater than 0 (got -1)"),
        ("lr: 0.01", "lr: true", 18, "training.lr: should be a number, not yes or no (got True)"),
        ("lr: 0.01", "lr: .nan", 18, "training.lr: should be a finite number (got nan)"),
        ("epochs: 20", "epochs: 2.5", 19, "training.epochs: should be a valid integer"),
        (
            "epochs: 20",
            "optimizer: adm",
            19,
            "training.optimizer: should be 'sgd', 'momentum', 'nesterov', 'adam' or 'adamw' (got 'adm')",
        ),
        (
            "epochs: 20",
            "patience: 3\n  validation: 0",
            19,
            "training.patience needs a validation share above 0",
        ),
        ("- relu", "- rellu", 16, "network, layer 3: 'rellu' is not known; did you mean 'relu'?"),
        (
            "- relu",
            "- xyz",
            16,
            "network, layer 3: 'xyz' is not known; there are: adaptive_avg_pool, adaptive_max",
        ),
        ("- relu", "- relu: 3", 16, "relu takes no single value; write the word alone"),
        ("- relu", "- embedding: 3", 16, "embedding takes no single value; name what it sets: count, size"),
        (
            "- relu",
            "- conv2d: {chanels: 3}",
            16,
            "layer 3: conv2d has no key 'chanels'; did you mean 'channels'?",
        ),
        ("- relu", "- conv2d: {kernel: 3}", 16, "network, layer 3: conv2d.channels is missing"),
        ("- relu", "- clip: {low: 2, high: 1}", 16, "low is at or above high; swap them"),
        ("- relu", "- {relu: , tanh: }", 16, "a layer is one word, or one word with its options"),
        ("- relu", "- residual: [{linear: 0}]", 16, "layer 3: residual, layer 1: linear.features: should be"),
        (
            "- relu",
            "- residual: [relu, rleu]",
            16,
            "layer 3: residual, layer 2: 'rleu' is not known; did you",
        ),
        ("- relu", "- residual: []", 16, "network, layer 3: residual: the list should have at least 1 item"),
        (
            "- relu",
            "- conv1d: {channels: 3, padding: full}",
            16,
            "conv1d.padding: should be a whole number from",
        ),
        ("- relu", "- conv1d: {channels: 3, padding: -1}", 16, "from 0 to 1024, or `same`; along steps also"),
        ("- relu", "- attention: {heads: 0}", 16, "attention.heads: should be greater than or equal to 1"),
        ("- relu", "- adaptive_avg_pool", 16, "adaptive_avg_pool.size is missing"),
        ("- relu", "- group_norm", 16, "group_norm.groups is missing"),
        ("- relu", "- dropout2d: 1", 16, "dropout2d.share: should be less than 1 (got 1)"),
        ("- relu", "- 7", 16, "a layer is one word, or one word with its options"),
        ("linear: 16", "linear: 0", 15, "linear.features: should be greater than or equal to 1 (got 0)"),
        ("linear: 16", "linear: yes", 15, "linear.features: should be a valid integer (got True)"),
        ("as: hash, fields", "as: hsh, fields", 11, "'hsh' is not known; did you mean 'hash'?"),
        ("fields: [age, visits]", "feilds: [age]", 11, "did you mean 'fields'?"),
        ("fields: [age, visits]", "fields: [age, age, {nam: x}]", 11, "did you mean 'name'?"),
        ('"user:{id}", as', '"user:{id", as', 11, "is no placeholder; write {name}"),
        ("user:{id}:truth", "user:{i d}", 6, "is no placeholder; write {name}"),
        ("user:{id}:truth", "user:{nr}:truth", 6, "needs nr, which the rows' key 'user:{id}' does not give"),
        ("source: redis", "source: sql", 4, "data.source: 'sql' is not known; there are: csv, numpy"),
        ('  match: "user:*"\n', "", 3, "data.match is missing"),
        ("task: classification", "task: regression", 12, "labels are for classification; task is regression"),
        (
            "task: classification",
            "task: forecasting",
            6,
            "data.target is no target for forecasting, which learns from",
        ),
        (
            "task: classification",
            "task: anomaly",
            6,
            "data.target is not read: an anomaly score is learned from",
        ),
        (
            "task: classification",
            "task: clustering",
            2,
            "task: should be 'classification', 'multilabel', 'regress",
        ),
        (
            "task: classification",
            "task: multilabel",
            6,
            "data.target.field holds several labels: say what parts them",
        ),
        ("field: left", "fields: [left]", 6, "data.target.fields are several; classification has one field"),
        ("field: left", "fields: [left, left]", 6, "data.target.fields names a field twice"),
        ("field: left", "feild: left", 6, "data.target has no key 'feild'; did you mean 'field'?"),
        ("field: left", "field: left, fields: [right]", 6, "names no field, or both `field` and `fields`"),
        ("field: left", "separator: ','", 6, "data.target names no field, or both"),
        (
            "field: left",
            "field: left, separator: ','",
            6,
            "data.target.separator parts one field into labels",
        ),
        (
            "field: left",
            "field: left, separator: ''",
            6,
            "data.target.separator: should have at least 1 character",
        ),
        (
            "as: hash, field: left",
            "as: hsh, field: left",
            6,
            "data.target: 'hsh' is not known; did you mean 'hash'?",
        ),
        ("as: hash, field: left", "as: vector, shape: [3]", 6, "data.target is no target for classification"),
        (
            "as: hash, field: left",
            "as: vector, shape: [0]",
            6,
            "data.target.shape.0: should be greater than or",
        ),
        (
            '  target: {key: "user:{id}:truth", as: hash, field: left}\n',
            "",
            3,
            "data.target is missing; classification",
        ),
        (
            "task: classification",
            "task: classification\nthreshold: 0.9",
            3,
            "threshold is for anomaly; task is class",
        ),
        (
            "task: classification",
            "task: classification\nquantiles: [0.5]",
            3,
            "quantiles are for regression; task is",
        ),
        (
            '{"0": stays, "1": leaves}',
            "[stays]",
            12,
            "labels name 1 classes, classification needs two or more",
        ),
        (
            '{"0": stays, "1": leaves}',
            "[no, leaves]",
            12,
            'False is no text in YAML, which reads no, off and false so; quote the label, "no"',
        ),
        (
            '{"0": stays, "1": leaves}',
            '{"0": stays, "1": yes}',
            12,
            'True is no text in YAML, which reads yes, on and true so; quote the label, "yes"',
        ),
        ('{"0": stays, "1": leaves}', '["no", 1.5]', 12, "labels: should be a list, or a mapping"),
        ("as: hash, fields", "fields", 11, "its kind is missing: `as:` for a source"),
        (
            '{"0": stays, "1": leaves}',
            "stays",
            12,
            "labels: should be a list, or a mapping {stored value: label} (got 'stays')",
        ),
        ("user:{id}:truth", "user:{nr", 6, "is no placeholder"),
        ("name: churn", "name: my churn", 1, "name is 'my churn'; a model's name is 1 to 128 of"),
        ("lr: 0.01", "lr: 0.01\n  lr: 0.02", 19, "the key 'lr' is given twice"),
        (
            "lr: 0.01",
            "lr: &rate 0.01\n  weight_decay: *rate",
            19,
            "the alias *rate is not followed; write it out",
        ),
        ("- standardize", "- [standardize", 15, "no YAML"),
        (
            "fields: [age, visits]}",
            "fields: [age]}\n        - {inline: true, fields: [hour]}",
            12,
            "is inline; rows in Redis have no request",
        ),
        ("as: hash, fields: [age, visits]", "as: list, shape: [2], last: 9", 9, "lengths: x_length"),
        ("    - name: x\n", "    - name: x\n      dtype: string\n", 10, "is text; a network takes numbers"),
    ],
)
def test_a_fault_is_named_with_its_line_and_cure(old: str, new: str, line: int, said: str) -> None:
    message = refused(changed(old, new))

    assert said in message
    assert f"churn.yaml, line {line}: " in message


def test_one_look_shows_every_fault() -> None:
    message = refused(
        changed("lr: 0.01", "lr: 0").replace("epochs: 20", "epochs: 0").replace("- relu", "- rlu")
    )

    assert [line.split(": ")[0] for line in message.splitlines()] == [
        "churn.yaml, line 16",
        "churn.yaml, line 18",
        "churn.yaml, line 19",
    ]


def test_a_file_full_of_faults_shows_the_first_ones() -> None:
    text = changed("- relu", "\n".join(["- rlu"] * 9).replace("\n", "\n  "))

    assert refused(text).splitlines()[4:] == [
        "churn.yaml, line 20: network, layer 7: 'rlu' is not known; did you mean 'relu'?",
        "and 4 more",
    ]


def test_what_is_wrong_is_also_there_for_programs() -> None:
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(changed("lr: 0.01", "lr: 0"), "churn.yaml")

    assert caught.value.details["line"] == 18
    assert caught.value.details["where"] == "churn.yaml"


TWO_INPUTS = changed(
    "labels",
    '    - {name: y, sources: [{key: "user:{id}:v", as: vector, shape: [3]}]}\nlabels',
).replace(
    "network:\n  - standardize\n  - linear: 16\n  - relu\n",
    """\
network:
  branches:
    x: [standardize, {linear: 16}]
    y: [{conv1d: 4}, {linear: 8}]
  then: [relu]
""",
)


def test_each_input_has_its_branch_in_the_order_of_the_view() -> None:
    recipe = Recipe.parse(TWO_INPUTS.replace("    x: [stand", "    z: [stand").replace("z:", "x:"))

    assert {name: [one.layer for one in layers] for name, layers in recipe.branches.items()} == {
        "x": ["standardize", "linear"],
        "y": ["conv1d", "linear"],
    }
    assert [one.layer for one in recipe.then] == ["relu"]
    assert Recipe.model_validate(recipe.as_data()) == recipe


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            "    x: [standardize",
            "    z: [standardize",
            16,
            "network, branch z is no input of the view; there are: x, y",
        ),
        ("    y: [{conv1d: 4}, {linear: 8}]\n", "", 15, "network has no branch for the input y"),
        ("{linear: 8}", "{linar: 8}", 17, "network, branch y, layer 2: 'linar' is not known; did you mean"),
        (
            "{conv1d: 4}",
            "{conv1d: {chanels: 4}}",
            17,
            "network, branch y, layer 1: conv1d has no key 'chanels'",
        ),
        ("{conv1d: 4}", "{conv1d: 0}", 17, "network, branch y, layer 1: conv1d.channels: should be greater"),
        (
            "then: [relu]",
            "then: [rleu]",
            18,
            "network, then, layer 1: 'rleu' is not known; did you mean 'relu'",
        ),
        ("then: [relu]", "than: [relu]", 18, "network has no key 'than'; did you mean 'then'?"),
        ("then: [relu]", "then: relu", 18, "network, then: should be a list (got 'relu')"),
    ],
)
def test_a_fault_in_a_branch_is_named_with_its_line(old: str, new: str, line: int, said: str) -> None:
    assert old in TWO_INPUTS

    message = refused(TWO_INPUTS.replace(old, new))

    assert said in message
    assert f"churn.yaml, line {line}: " in message


def test_a_list_of_layers_reads_one_input() -> None:
    more = '    - {name: y, sources: [{key: "user:{id}", as: hash, fields: [age]}]}\nlabels'

    message = refused(changed("labels", more))

    assert "line 14: network reads one input as it is written, and the view has 2: write" in message
    assert "`branches: {x: [...], y: [...]}`" in message


def test_sources_that_cannot_be_joined_are_refused() -> None:
    more = '[age]}\n        - {key: "user:{id}:v", as: vector, shape: [2, 2]}\nlabels'

    assert "cannot be joined" in refused(changed("[age, visits]}\nlabels", more))


@pytest.mark.parametrize("text", ["", "5", "[]", "text"])
def test_what_is_no_mapping_is_no_recipe(text: str) -> None:
    assert "the recipe: should be a mapping" in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "[" * 200,
        "? [a]\n: 1",
        "a: !!python/object:os.system x",
        "a: 2020-99-99",
        "a: " + "9" * 5000,
        "x" * (1 << 21),
    ],
    ids=["control", "deep", "key", "object", "date", "number", "large"],
)
def test_hostile_text_is_refused_and_never_raises_anything_else(text: str) -> None:
    assert "churn.yaml, line" in refused(text)


def test_small_numbers_may_be_written_as_people_write_them() -> None:
    assert math.isclose(Recipe.parse(changed("0.01", "1e-3")).training.lr, 0.001)


def test_labels_may_be_a_list() -> None:
    recipe = Recipe.parse(changed('{"0": stays, "1": leaves}', "[0, 1, other]"))

    assert recipe.labels == {"0": "0", "1": "1", "other": "other"}


def test_two_stored_values_may_be_one_label() -> None:
    recipe = Recipe.parse(changed('{"0": stays, "1": leaves}', "{n: stays, N: stays, y: leaves}"))

    assert recipe.classes == ("stays", "leaves")


def test_a_regression_needs_no_labels() -> None:
    text = changed("task: classification", "task: regression").replace(
        'labels: {"0": stays, "1": leaves}\n', ""
    )

    assert Recipe.parse(text).classes == ()


@pytest.mark.parametrize(
    ("written", "layer"),
    [
        ("linear: 8", Linear(layer="linear", features=8)),
        ("linear: {features: 8}", Linear(layer="linear", features=8)),
        ("relu:", Activation(layer="relu")),
        ("conv2d: 4", Conv2d(layer="conv2d", channels=4)),
        ("columns:", Columns(layer="columns")),
        (
            "columns: {age: log1p, rest: []}",
            Columns(layer="columns", fields={"age": (Log1p(layer="log1p"),)}, rest=()),
        ),
        (
            "residual: [relu, {linear: 8}]",
            Residual(
                layer="residual",
                layers=(Activation(layer="relu"), Linear(layer="linear", features=8)),
            ),
        ),
        ("conv2d: {channels: 4, kernel: 5}", Conv2d(layer="conv2d", channels=4, kernel=5)),
    ],
)
def test_a_layer_is_a_word_a_number_or_a_mapping(written: str, layer: Any) -> None:
    recipe = Recipe.parse(changed("- relu", f"- {written}"))

    assert recipe.branches["x"][-1] == layer
    assert Recipe.model_validate(recipe.as_data()) == recipe


def test_every_layer_word_is_described() -> None:
    assert all(layer.__doc__ for layer in LAYERS.values())
    assert {"linear", "gru", "conv2d", "swish", "maxout", "prelu", "standardize"} <= set(LAYERS)


REGRESSION = changed("task: classification", "task: regression").replace(
    'labels: {"0": stays, "1": leaves}\n', ""
)
FORECASTING = (
    REGRESSION.replace("task: regression", "task: forecasting")
    .replace('{key: "user:{id}:truth", as: hash, field: left}', "{as: following, steps: 3}")
    .replace("as: hash, fields: [age, visits]", "as: list, shape: [2], last: 9")
    .replace("name: x\n", "name: x\n      lengths: n\n")
    .replace("- relu", "- gru: 4")
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (REGRESSION + "quantiles: [0.1, 0.9]\n", "quantiles should have 0.5 among them: it is the value"),
        (REGRESSION + "quantiles: [0.5, 0.5]\n", "quantiles has one twice"),
        (REGRESSION + "quantiles: [0.5, 1]\n", "quantiles.1: should be less than 1 (got 1)"),
        (REGRESSION + "quantiles: median\n", "quantiles: should be a list (got 'median')"),
        (REGRESSION + "threshold: 2\n", "threshold: should be less than 1 (got 2)"),
        (FORECASTING + "quantiles: [0.5]\n", "quantiles are for regression; task is forecasting"),
        (
            FORECASTING.replace("steps: 3", "steps: 0"),
            "data.target.steps: should be greater than or equal to 1",
        ),
        (
            FORECASTING.replace("steps: 3", "steps: 3, channels: [2]"),
            "data.target.channels names a channel that an",
        ),
        (
            FORECASTING.replace("shape: [2]", "shape: [2, 2]").replace("gru: 4", "relu"),
            "takes a list whose entries are rows of channels, not of shape [2, 2]",
        ),
        (FORECASTING.replace("steps: 3", "step: 3"), "data.target has no key 'step'; did you mean 'steps'?"),
        (
            FORECASTING.replace("as: list, shape: [2], last: 9", "as: hash, fields: [a]").replace(
                "lengths: n", "dtype: float32"
            ),
            "data.target takes the end off a row's own list or stream, and the view has 0 of these sources",
        ),
        (
            REGRESSION.replace("task: regression", "task: multilabel").replace(
                "field: left", "field: left, separator: ','"
            ),
            "labels are missing; multilabel needs those that the target's field may hold",
        ),
        (
            changed("task: classification", "task: multilabel").replace("field: left", "fields: [a, b]"),
            "labels are the names of the target's fields; take them out",
        ),
    ],
)
def test_a_task_and_what_it_learns_from_go_together(text: str, said: str) -> None:
    assert said in refused(text)


def test_quantiles_are_put_in_order() -> None:
    assert Recipe.parse(REGRESSION + "quantiles: [0.9, 0.5, 0.1]\n").quantiles == (0.1, 0.5, 0.9)


def test_the_fields_of_a_multilabel_target_are_its_labels() -> None:
    text = REGRESSION.replace("task: regression", "task: multilabel").replace(
        "field: left", "fields: [spam, urgent]"
    )

    assert Recipe.parse(text).classes == ("spam", "urgent")


def test_a_target_may_go_without_saying_that_it_is_a_hash() -> None:
    assert Recipe.parse(changed("as: hash, field: left", "field: left")) == Recipe.parse(RECIPE)


@pytest.mark.parametrize("text", [REGRESSION, FORECASTING])
def test_recipes_of_other_tasks_survive_a_manifest(text: str) -> None:
    recipe = Recipe.parse(text)

    assert Recipe.model_validate(recipe.as_data()) == recipe


@given(
    name=st.sampled_from(ready_recipes()),
    cuts=st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 40), st.text(max_size=12)), min_size=1, max_size=4
    ),
)
@settings(max_examples=150, deadline=None)
def test_a_recipe_spoilt_anywhere_is_read_or_refused_with_a_line(
    name: str, cuts: list[tuple[int, int, str]]
) -> None:
    text = (files("models") / "recipes" / f"{name}.yaml").read_text()
    for start, length, other in cuts:
        at = start * len(text) // 400
        text = text[:at] + other + text[at + length :]

    refusal = refusal_of(text)

    assert refusal is None or str(refusal).startswith("spoilt.yaml, line ")


def refusal_of(text: str) -> BadRecipe | None:
    try:
        Recipe.parse(text, "spoilt.yaml")
    except BadRecipe as refusal:
        return refusal
    return None
