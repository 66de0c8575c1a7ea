"""Private training: the epsilon that was spent, never the same noise twice, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from models.recipe import Recipe, ready_recipe
from models.recipe_changes import changed
from tests.unit.trainer.tables import CLOUDS, clouds, recipe
from trainer.blueprints import blueprint_of
from trainer.events import EpochEnded, Event, silent
from trainer.fitting.beginning import Beginning, Learning, fitted
from trainer.fitting.checkpoints import Checkpoint
from trainer.fitting.fit import History
from trainer.networks.network import Network
from trainer.run import train_on
from trainer.table import Table, Values
from trainer.tasks.task import task_of

pytest.importorskip("opacus", reason="the extra `privacy` is not installed")

PRIVATE = CLOUDS.replace("standardize", "{scale: 4}").replace(
    "batch: 16", "batch: 32, privacy: {epsilon: 3, delta: 0.001}"
)


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


def test_without_the_word_nothing_is_spent() -> None:
    assert learned(recipe(epochs=2), clouds())[1].privacy is None
