"""Private training: the epsilon that was spent, never the same noise twice, and nothing left behind."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from models.recipe import Recipe, ready_recipe
from models.recipe_changes import changed
from tests.unit.trainer.tables import CLOUDS, LINE, clouds, keys, line, recipe
from trainer.blueprints import blueprint_of
from trainer.events import EpochEnded, Event, silent
from trainer.exporting.weights import weights_of
from trainer.fitting.beginning import Beginning, Learning, fitted
from trainer.fitting.checkpoints import Checkpoint
from trainer.fitting.descent import Descent
from trainer.fitting.fit import History
from trainer.fitting.rows import Rows
from trainer.fitting.starting import Start, spent_by
from trainer.networks.building import build
from trainer.networks.network import Network
from trainer.run import train_on
from trainer.table import Table, Values
from trainer.tasks.task import Regression, task_of

pytest.importorskip("opacus", reason="the extra `privacy` is not installed")

PRIVATE = CLOUDS.replace("standardize", "{scale: 4}").replace(
    "batch: 16", "batch: 32, privacy: {epsilon: 3, delta: 0.001}"
)


BATCH = ("batch: 16", "batch: 32, privacy: {epsilon: 3, delta: 0.001, within: [900, 1100]}")
PRIVATE_LINE = LINE.replace("standardize", "{scale: 2}").replace(*BATCH)


def learned(
    made: Recipe, table: Table, checkpoint: Checkpoint | None = None, events: Callable[[Event], None] = silent
) -> tuple[Network, History]:
    learning = Learning(blueprint_of(made), table, table, task_of(made, table), torch.device("cpu"))
    network, history = fitted(made, learning, events, Beginning(checkpoint))
    assert isinstance(network, Network)
    return network, history


def test_the_epsilon_spent_is_within_the_one_asked_for_and_on_the_card() -> None:
    result = train_on(recipe(PRIVATE, epochs=30, lr=0.05), clouds(400))

    spent = result.bundle.manifest.card["training"]["privacy"]
    assert 2.7 < spent["epsilon"] <= 3.0
    assert (spent["delta"], spent["clip"]) == (0.001, 1.0)
    assert spent["noise"] > 0.5
    assert result.bundle.manifest.metrics["accuracy"] > 0.9
    assert result.bundle.manifest.card["parity"]["largest_difference"] < 1e-5


def test_fewer_epochs_spend_less() -> None:
    _, all_of_them = learned(recipe(PRIVATE, epochs=30), clouds(400))
    _, stopped = learned(recipe(PRIVATE, epochs=30, patience=1, lr=1e-9), clouds(400))

    assert all_of_them.privacy is not None
    assert stopped.privacy is not None
    assert stopped.stopped_early
    assert stopped.privacy.epsilon < all_of_them.privacy.epsilon
    assert stopped.privacy.noise == all_of_them.privacy.noise


def test_the_seed_does_not_give_the_noise_away() -> None:
    first, _ = learned(recipe(PRIVATE, epochs=1), clouds())
    second, _ = learned(recipe(PRIVATE, epochs=1), clouds())

    assert not torch.equal(first.head.weight, second.head.weight)


def test_one_row_moves_the_weights_no_further_than_its_clipped_gradient() -> None:
    """Without noise to speak of, a row that is far off may move one step by lr times clip over the batch."""
    quiet = recipe(
        PRIVATE.replace("epsilon: 3,", "epsilon: 1000,"), epochs=1, optimizer="sgd", lr=1.0, batch=120
    )
    wild = clouds()
    wild.inputs["x"].x[0] = 1e6

    before, _ = learned(
        quiet.model_copy(update={"training": quiet.training.model_copy(update={"lr": 1e-30})}), wild
    )
    after, history = learned(quiet, wild)

    assert history.privacy is not None
    moved = torch.cat(
        [(a - b).detach().flatten() for a, b in zip(after.parameters(), before.parameters(), strict=True)]
    )
    noise = history.privacy.noise * np.sqrt(moved.numel()) / 120
    assert float(moved.norm()) < 1.0 + 3 * noise


def test_a_private_training_resumes_with_what_it_has_spent(tmp_path: Path) -> None:
    path = tmp_path / "it.checkpoint"

    def stop(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.epoch == 5:
            kept.stop()

    kept = Checkpoint(path)
    with pytest.raises(KeyboardInterrupt):
        learned(recipe(PRIVATE, epochs=12), clouds(400), kept, stop)
    _, resumed = learned(recipe(PRIVATE, epochs=12), clouds(400), Checkpoint(path, resume=True))
    _, whole = learned(recipe(PRIVATE, epochs=12), clouds(400))

    assert resumed.privacy == whole.privacy


def test_a_value_is_learned_privately_in_a_unit_that_no_row_shows_in() -> None:
    made = recipe(PRIVATE_LINE, epochs=60, lr=0.05)

    result = train_on(made, line(600))
    task, other = task_of(made, line(600)), task_of(made, line(50))

    assert isinstance(task, Regression)
    assert task == other
    assert task.unit.mean == (1000.0,)
    assert result.bundle.manifest.card["training"]["privacy"]["epsilon"] <= 3.0
    assert result.bundle.manifest.metrics["r2"] > 0.7
    assert result.bundle.manifest.card["reference"] == {}


def test_quantiles_are_learned_privately() -> None:
    text = PRIVATE_LINE.replace("task: regression", "task: regression\nquantiles: [0.1, 0.5, 0.9]")

    result = train_on(recipe(text, epochs=40, lr=0.05), line(600))

    assert result.bundle.manifest.card["training"]["privacy"]["epsilon"] <= 3.0
    assert result.outcome.scores.values["pinball"] < result.outcome.baseline.scores.values["pinball"] + 10


def test_a_value_that_is_far_off_moves_the_weights_no_further_than_its_clipped_gradient() -> None:
    text = PRIVATE_LINE.replace("epsilon: 3,", "epsilon: 1000,")
    quiet = recipe(text, epochs=1, optimizer="sgd", lr=1.0, batch=120)
    still = recipe(text, epochs=1, optimizer="sgd", lr=1e-30, batch=120)
    table, wild = line(), line()
    wild.targets[0] = 1e9

    (start, _), (calm, history), (moved, _) = (
        learned(still, table),
        learned(quiet, table),
        learned(quiet, wild),
    )

    assert history.privacy is not None
    change = torch.cat(
        [(a - b).detach().flatten() for a, b in zip(moved.parameters(), calm.parameters(), strict=True)]
    )
    assert start.head.out_features == 1
    noise = history.privacy.noise * np.sqrt(2 * change.numel()) / 120
    assert float(change.norm()) < 2 / 120 + 3 * noise


def test_several_labels_are_learned_privately() -> None:
    text = (
        PRIVATE.replace("task: classification", "task: multilabel")
        .replace("as: hash, field: side", "as: hash, fields: [left, far]")
        .replace("labels: [left, right]\n", "")
    )
    x = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    table = Table(keys(600), {"x": Values(x)}, np.stack([x[:, 0] < 0, x[:, 1] > 0.5], 1).astype(np.float32))

    result = train_on(recipe(text, epochs=60, lr=0.1), table)

    assert result.bundle.manifest.card["training"]["privacy"]["epsilon"] <= 3.0
    assert result.bundle.manifest.metrics["f1_micro"] > 0.8


def test_real_images_are_learned_privately() -> None:
    made = changed(
        ready_recipe("digits"),
        {
            "network": [
                {"scale": 16},
                {"conv2d": 8},
                "layer_norm",
                "relu",
                "flatten",
                {"linear": 32},
                "tanh",
            ],
            "training.privacy": {"epsilon": 8},
            "training.batch": 128,
            "training.epochs": 6,
            "training.lr": 0.01,
        },
        "test",
    )
    data = load_digits()
    keys = tuple(f"digit:{number}" for number in range(len(data.target)))
    table = Table(keys, {"image": Values(data.images.astype(np.uint8))}, data.target.astype(np.int64))

    network, history = learned(made, table)

    assert history.epochs[-1].score is not None
    assert history.epochs[-1].score > 0.8
    assert history.privacy is not None
    assert history.privacy.epsilon <= 8
    assert not any(hasattr(one, "grad_sample") for one in network.parameters())


def test_what_the_version_spent_that_a_training_begins_with_counts_too() -> None:
    made = recipe(PRIVATE, epochs=2)
    first = train_on(made, clouds(400)).bundle
    start = Start("clouds", 1, ("left", "right"), weights_of(first.onnx), spent=spent_by(first.manifest))
    public = replace(start, spent=None)

    second, alone = (
        train_on(made, clouds(400), beginning=Beginning(start=one)).bundle.manifest.card["training"]
        for one in (start, public)
    )

    spent = first.manifest.card["training"]["privacy"]
    assert second["privacy"]["epsilon"] == pytest.approx(2 * spent["epsilon"])
    assert second["privacy"]["delta"] == 0.002
    assert second["notes"] == [
        f"the epsilon and the delta include the {spent['epsilon']:.3g} and 0.001 that clouds version 1 spent"
    ]
    assert alone["privacy"] == spent
    assert alone["notes"] == [
        "the epsilon is of this training alone: clouds version 1 was trained without privacy"
    ]


def test_the_learning_rate_follows_the_steps_and_not_how_many_rows_they_drew() -> None:
    """One step more than fit into the rows: what was drawn by chance would often end below a rate of 0."""
    made = recipe(PRIVATE, epochs=2, schedule="linear", lr=1.0, batch=57)
    table = clouds(400)
    network = build(blueprint_of(made))
    descent = Descent(network, task_of(made, table), made.training, Rows.of(table, torch.device("cpu")))

    rates = []
    for number in (1, 2):
        descent.epoch(number)
        rates.append(descent.rate)

    assert rates == pytest.approx([1 - 7 * 57 / 800, 0.5 - 7 * 57 / 800])


def test_without_the_word_nothing_is_spent() -> None:
    assert learned(recipe(epochs=2), clouds())[1].privacy is None
