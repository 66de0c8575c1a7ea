"""Trainings that begin with a version: its weights, frozen layers, heads anew, and what does not fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.recipe import Recipe
from models.recipe_changes import changed
from tests.unit.models.graphs import model
from tests.unit.trainer.tables import CLOUDS, LINE, SLOPES, clouds, line, recipe, slopes
from trainer.blueprints import blueprint_of
from trainer.errors import BadStart, CheckpointMismatch
from trainer.events import Event, Journal, Noticed, silent
from trainer.exporting.weights import numbers, weights_of
from trainer.fitting.beginning import Beginning, Learning, begun, check_start, fitted
from trainer.fitting.checkpoints import Checkpoint
from trainer.fitting.fit import raw_outputs
from trainer.fitting.lineage import Lineage
from trainer.fitting.rows import Rows
from trainer.fitting.starting import Start, begun_task, unit_of
from trainer.networks.building import build
from trainer.networks.network import Network
from trainer.run import train_on
from trainer.table import Table
from trainer.tasks.task import Regression, task_of
from trainer.tasks.values import Unit

CPU = torch.device("cpu")
DEEP = CLOUDS.replace(
    "[standardize, {linear: 8}, tanh]", "[standardize, {linear: 8}, batch_norm, tanh, {linear: 6}]"
)


def fine_tuned(
    made: Recipe, table: Table, start: Start | None, checkpoint: Checkpoint | None = None
) -> Network:
    learning = Learning(blueprint_of(made), table, table, task_of(made, table), CPU)
    network = fitted(made, learning, silent, Beginning(checkpoint, start))[0]
    assert isinstance(network, Network)
    return network


def loss(network: Network, made: Recipe, table: Table) -> float:
    rows = Rows.of(table, CPU)
    return float(task_of(made, table).loss(raw_outputs(network, rows), rows.targets))


@pytest.fixture(scope="module")
def version() -> Start:
    """A network that was trained, exported and read back."""
    onnx = train_on(recipe(DEEP, epochs=25), clouds()).bundle.onnx
    return Start("clouds", 3, ("left", "right"), weights_of(onnx))


def test_a_training_begins_where_the_version_ended(version: Start) -> None:
    hardly = recipe(DEEP, epochs=1, lr=1e-9)

    begun, anew = fine_tuned(hardly, clouds(), version), fine_tuned(hardly, clouds(), None)

    assert loss(begun, hardly, clouds()) < 0.2 * loss(anew, hardly, clouds())


def test_frozen_layers_stay_as_they_are_to_the_bit(version: Start) -> None:
    made = recipe(DEEP.replace("batch: 16", "batch: 16, from: clouds, freeze: 4"), epochs=5)

    network = fine_tuned(made, clouds(apart=2.0), version)

    state = {name: value.numpy() for name, value in network.state_dict().items()}
    kept = [
        name
        for name in state
        if name in version.weights and np.array_equal(state[name], version.weights[name])
    ]
    assert "branches.0.2.module.running_mean" in kept
    assert [name for name in version.weights if name not in kept] == [
        "branches.0.4.module.weight",
        "branches.0.4.module.bias",
        "head.weight",
        "head.bias",
    ]


def test_a_head_for_other_labels_begins_anew_and_says_so(version: Start) -> None:
    told: list[Event] = []
    others = Recipe.parse(DEEP.replace("[left, right]", "[up, down]"))
    table = clouds()
    learning = Learning(blueprint_of(others), table, table, task_of(others, table), CPU)

    _, history = fitted(others, learning, told.append, Beginning(None, version))

    note = "the head begins anew, clouds version 3 has one for other labels"
    assert history.notes == [note]
    assert Noticed(note) in told


def test_layers_that_do_not_fit_are_named_with_both_shapes(version: Start) -> None:
    wider = Recipe.parse(DEEP.replace("{linear: 6}", "{linear: 7}"))
    shorter = Recipe.parse(CLOUDS)

    with pytest.raises(
        BadStart,
        match=r"clouds version 3 does not fit this network: layer 5 \(linear\): bias is \(6,\) there, \(7,\) "
        r"here; layer 5 \(linear\): weight is \(6, 8\) there, \(7, 8\) here; give the layers the same sizes",
    ):
        check_start(wider, blueprint_of(wider), version)
    with pytest.raises(
        BadStart, match=r"layer 3 \(tanh\): bias is \(8,\) there, absent here; .*; and \d more"
    ):
        check_start(shorter, blueprint_of(shorter), version)


def test_layers_of_several_branches_and_above_them_are_named(version: Start) -> None:
    two = Recipe.parse(
        CLOUDS.replace(
            "[a, b]}]}", '[a, b]}]}\n    - {name: y, sources: [{key: "point:{id}", as: hash, fields: [c]}]}'
        ).replace(
            "[standardize, {linear: 8}, tanh]",
            "{branches: {x: [{linear: 8}], y: [{linear: 2}]}, then: [{linear: 3}]}",
        )
    )

    with pytest.raises(
        BadStart,
        match=r"branch x, layer 1 \(linear\): factor is \(2,\) there, absent here; branch x, .*and \d+ more",
    ):
        check_start(two, blueprint_of(two), version)
    part = {name: value for name, value in version.weights.items() if "head" in name}
    part |= {"branches.0.0.module.weight": np.zeros((8, 2)), "branches.0.0.module.bias": np.zeros(8)}
    part |= {"branches.1.0.module.weight": np.zeros((2, 1)), "branches.1.0.module.bias": np.zeros(2)}
    with pytest.raises(
        BadStart, match=r"network: then, layer 1 \(linear\): bias is absent there, \(3,\) here"
    ):
        check_start(two, blueprint_of(two), Start("clouds", 1, (), part))


def test_a_file_of_another_maker_has_no_weights_to_begin_with() -> None:
    foreign = Start("churn", 1, (), weights_of(model().SerializeToString()))

    with pytest.raises(
        BadStart, match="churn version 1 has no weights to begin with: it was not trained here"
    ):
        check_start(recipe(), blueprint_of(recipe()), foreign)


def test_a_check_draws_no_number_of_the_caller_s(version: Start) -> None:
    torch.manual_seed(4)
    wanted = torch.rand(2)
    torch.manual_seed(4)

    made = recipe(DEEP)
    check_start(made, blueprint_of(made), version)

    assert torch.equal(torch.rand(2), wanted)


def test_another_start_is_another_training(version: Start, tmp_path: Path) -> None:
    made = recipe(DEEP, epochs=2)
    path = tmp_path / "it.checkpoint"
    fine_tuned(made, clouds(), version, Checkpoint(path))
    newer = Start("clouds", 4, version.labels, version.weights)

    with pytest.raises(CheckpointMismatch, match="start is clouds version 3 there, clouds version 4 here"):
        fine_tuned(made, clouds(), newer, Checkpoint(path, resume=True))


def test_a_recurrent_network_begins_with_a_version_too() -> None:
    made = recipe(SLOPES, epochs=20)
    trained = train_on(made, slopes())
    start = Start("slopes", 1, ("down", "up"), weights_of(trained.bundle.onnx))

    again = fine_tuned(recipe(SLOPES, epochs=1, lr=1e-9), slopes(), start)

    assert loss(again, made, slopes()) < 0.35


def test_held_out_rows_that_the_version_may_know_are_told() -> None:
    first = train_on(recipe(DEEP, epochs=2), clouds(400)).bundle
    start = Start("clouds", 1, ("left", "right"), weights_of(first.onnx), lineage=Lineage((first.manifest,)))

    same, other = (
        train_on(recipe(DEEP, epochs=1, seed=seed), clouds(400), beginning=Beginning(start=start))
        for seed in (0, 5)
    )

    held = set(first.manifest.card["held_out"]["keys"])
    known = len(set(other.outcome.held_out.keys) - held)
    assert known > 40
    assert same.outcome.history.notes == []
    (note,) = other.bundle.manifest.card["training"]["notes"]
    assert note == (
        f"clouds version 1 may have learned from {known} of the 80 rows held out, which flatters the scores; "
        "take its seed and shares, or rows that it did not have"
    )


def test_rows_too_many_to_be_listed_are_known_by_their_digest() -> None:
    first = train_on(recipe(epochs=1), clouds(5200)).bundle
    start = Start("clouds", 1, ("left", "right"), weights_of(first.onnx), lineage=Lineage((first.manifest,)))

    same, larger = (
        train_on(recipe(epochs=1, test=share), clouds(5200), beginning=Beginning(start=start))
        for share in (0.2, 0.4)
    )

    assert "keys" not in first.manifest.card["held_out"]
    assert same.outcome.history.notes == []
    assert "may have learned from" in larger.outcome.history.notes[0]


def test_the_networks_of_folds_begin_with_the_version_too(version: Start) -> None:
    made = recipe(DEEP + "split: {folds: 3}\n", epochs=1, lr=1e-9)

    begun, anew = (
        train_on(made, clouds(), beginning=Beginning(start=start)).outcome.folds for start in (version, None)
    )

    assert begun is not None
    assert anew is not None
    assert min(begun.scores) > 0.95
    assert anew.mean < 0.8


def test_a_regression_goes_on_too() -> None:
    made = recipe(LINE)
    start = Start("line", 1, (), weights_of(train_on(made, line(), Journal(silent)).bundle.onnx))

    again = fine_tuned(recipe(LINE, epochs=1, lr=1e-9), line(), start)

    assert loss(again, made, line()) < 0.1


NAMED = "fields: [a, {name: b, categories: [p, q, r], unknown: r}]"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            "fields: [{name: b, categories: [p, q, r], unknown: r}, a]",
            "field b is number 2 there, number 1 here",
        ),
        (
            "fields: [a, {name: b, categories: [q, p, r], unknown: r}]",
            "category of b q is number 2 there, number 1 here; category of b p is number 1 there, number 2 here",
        ),
        ("fields: [b, c]", "field b is number 2 there, number 1 here"),
    ],
)
def test_weights_are_not_taken_for_columns_in_other_places(version: Start, fields: str, told: str) -> None:
    there = Recipe.parse(DEEP.replace("fields: [a, b]", NAMED))
    here = Recipe.parse(DEEP.replace("fields: [a, b]", fields))
    start = replace(version, view=there.features)

    check_start(there, blueprint_of(there), start)
    with pytest.raises(BadStart, match=f"clouds version 3 has weights for other places: {told}"):
        check_start(here, blueprint_of(here), start)


def test_inputs_that_changed_places_are_refused() -> None:
    text = CLOUDS.replace(
        "[a, b]}]}", '[a, b]}]}\n    - {name: y, sources: [{key: "point:{id}", as: hash, fields: [c, d]}]}'
    ).replace("[standardize, {linear: 8}, tanh]", "{branches: {x: [{linear: 4}], y: [{linear: 4}]}}")
    there, here = (
        Recipe.parse(text),
        Recipe.parse(
            text.replace("{name: x", "{name: z")
            .replace("{name: y", "{name: x")
            .replace("{name: z", "{name: y")
        ),
    )
    start = Start("clouds", 3, ("left", "right"), numbers(build(blueprint_of(there))), there.features)

    check_start(there, blueprint_of(there), start)
    with pytest.raises(BadStart, match="input y is number 2 there, number 1 here"):
        check_start(here, blueprint_of(here), start)


def test_a_place_with_another_name_is_told(version: Start) -> None:
    made = recipe(DEEP.replace("fields: [a, b]", "fields: [a, c]"), epochs=1)
    start = replace(version, view=recipe(DEEP).features)
    learning = Learning(blueprint_of(made), clouds(), clouds(), task_of(made, clouds()), CPU)

    _, history = fitted(made, learning, silent, Beginning(None, start))

    assert history.notes == ["other names than in clouds version 3: field 2 of x was b, is c"]


def test_a_head_for_values_in_another_order_begins_anew() -> None:
    made = recipe(LINE.replace("field: y", "fields: [y, z]"))
    start = Start("line", 1, ("z", "y"), numbers(build(blueprint_of(made))))

    anew, kept = (
        begun(build(blueprint_of(made)), blueprint_of(made), one, made)
        for one in (start, replace(start, labels=("y", "z")))
    )

    assert anew == ["the head begins anew, line version 1 has one for other labels"]
    assert kept == []


@pytest.mark.parametrize("quantiles", ["", "\nquantiles: [0.1, 0.5, 0.9]"])
def test_values_go_on_in_the_unit_of_the_version(quantiles: str) -> None:
    """Rows that lie elsewhere on the same line are answered as the version answers them."""
    text = LINE.replace("task: regression", f"task: regression{quantiles}")
    manifest = train_on(recipe(text, epochs=60), line(400)).bundle
    start = Start("line", 1, (), weights_of(manifest.onnx), unit=unit_of(manifest.manifest))
    near = line(400)
    rows = np.abs(near.inputs["x"].x[:, 0]) < 0.5
    near.inputs["x"].x[~rows] *= 0.2
    near = Table(near.keys, near.inputs, 1000 + near.inputs["x"].x @ np.array([50.0, -20.0]))

    again = train_on(recipe(text, epochs=1, lr=1e-9), near, beginning=Beginning(start=start)).bundle.manifest
    anew = train_on(recipe(text, epochs=1, lr=1e-9), near).bundle.manifest

    assert again.metrics["rmse"] < 5
    assert again.card["training"]["unit"] == manifest.manifest.card["training"]["unit"]
    assert anew.card["training"]["unit"] != again.card["training"]["unit"]


def test_a_head_that_begins_anew_has_the_unit_of_its_own_rows() -> None:
    made = recipe(LINE, epochs=1)
    start = Start("line", 1, (), numbers(build(blueprint_of(made))), unit=Unit((7.0,), (3.0,)))
    quantiles = Recipe.parse(LINE.replace("task: regression", "task: regression\nquantiles: [0.1, 0.5, 0.9]"))

    assert begun_task(made, line(), start) == Regression(Unit((7.0,), (3.0,)))
    assert begun_task(quantiles, line(), start) == task_of(quantiles, line())


def test_a_recipe_is_changed_by_its_places() -> None:
    made = changed(
        recipe(DEEP), {"training.from": "clouds:2", "network.2.linear": 5, "name": "other"}, "--from"
    )

    assert made.training.from_ == "clouds:2"
    assert made.name == "other"
    assert made.branches["x"][1].features == 5
