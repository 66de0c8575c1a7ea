"""Fitting: reproducible, the best weights kept, early stopping, and a loss that is no number."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.recipe import Recipe
from models.recipe_training import Training
from tests.unit.trainer.tables import CLOUDS, SLOPES, clouds, recipe, slopes
from trainer.blueprints import blueprint_of
from trainer.errors import TrainingDiverged
from trainer.events import EpochEnded, Event, silent
from trainer.fit import Fit, History, Rows, raw_outputs, reproducible, shuffled
from trainer.networks.building import build
from trainer.networks.network import Network
from trainer.optimizers import learning_rate, optimizer
from trainer.table import Table
from trainer.tasks import Classification

TASK = Classification(("left", "right"))
CPU = torch.device("cpu")


def fitted(
    made: Recipe, table: Table, validation: Table | None = None, events: Callable[[Event], None] = silent
) -> tuple[Network, History]:
    with reproducible(made.training):
        network = build(blueprint_of(made))
        part = None if validation is None else Rows.of(validation, CPU)
        history = Fit(network, TASK, made.training, Rows.of(table, CPU), part, events).run()
    return network, history


def weights(network: Network) -> bytes:
    return b"".join(one.numpy().tobytes() for one in network.state_dict().values())


@pytest.mark.parametrize(
    ("text", "table"), [(CLOUDS, clouds()), (SLOPES, slopes())], ids=["vectors", "sequences"]
)
def test_the_same_seed_gives_the_same_weights_bit_for_bit(text: str, table: Table) -> None:
    made = recipe(text, epochs=3, seed=7)

    torch.manual_seed(1)
    first, _ = fitted(made, table, table)
    torch.manual_seed(2)
    second, _ = fitted(made, table, table)
    other, _ = fitted(recipe(text, epochs=3, seed=8), table, table)

    assert weights(first) == weights(second)
    assert weights(first) != weights(other)


def test_the_caller_s_random_numbers_and_threads_stay_as_they_are() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()

    with reproducible(Training(seed=1, threads=2)):
        torch.rand(10)

    assert torch.equal(torch.rand(3), wanted)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_every_optimizer_learns(name: str) -> None:
    made = recipe(optimizer=name, lr=0.05, epochs=15)

    network, history = fitted(made, clouds())

    rows = Rows.of(clouds(), CPU)
    assert history.epochs[-1].train_loss < 0.5 * history.epochs[0].train_loss
    assert TASK.score(raw_outputs(network, rows), rows.targets) > 0.97


def test_weight_decay_spares_biases() -> None:
    network = build(blueprint_of(recipe()))

    decayed, spared = optimizer(network, Training(weight_decay=0.1)).param_groups

    assert {one.ndim for one in decayed["params"]} == {2}
    assert {one.ndim for one in spared["params"]} == {1}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    noise = clouds(60, apart=0)
    made = recipe(lr=0.1, epochs=30)

    network, history = fitted(made, clouds(60, apart=0.5), noise)

    rows = Rows.of(noise, CPU)
    kept = float(TASK.loss(raw_outputs(network, rows), rows.targets))
    losses = [epoch.validation_loss or np.inf for epoch in history.epochs]
    assert kept == pytest.approx(min(losses), rel=1e-6)
    assert history.best == int(np.argmin(losses)) + 1


def test_without_validation_the_last_weights_are_kept() -> None:
    _, history = fitted(recipe(epochs=4), clouds())

    assert history.best == 4
    assert history.epochs[-1].validation_loss is None


def test_training_stops_when_nothing_got_better_for_long_enough() -> None:
    made = recipe(lr=0.1, epochs=200, patience=5)

    _, history = fitted(made, clouds(60, apart=0.5), clouds(60, apart=0))

    assert history.stopped_early
    assert len(history.epochs) == history.best + 5


def test_a_loss_that_is_no_number_stops_with_the_cure() -> None:
    table = clouds()
    table.inputs["x"].x[3, 0] = np.inf

    with pytest.raises(TrainingDiverged, match=r"in epoch 1; take a smaller training\.lr than 0\.02"):
        fitted(recipe(), table)


def test_clipping_bounds_the_step() -> None:
    wild, _ = fitted(recipe(optimizer="sgd", lr=50, epochs=1), clouds())
    tame, _ = fitted(recipe(optimizer="sgd", lr=50, epochs=1, clip=1e-4), clouds())

    assert wild.head.weight.abs().max() > 1
    assert tame.head.weight.abs().max() < 1


def test_every_epoch_is_told() -> None:
    told: list[Event] = []

    _, history = fitted(recipe(epochs=3), clouds(), clouds(), told.append)

    epochs = [event for event in told if isinstance(event, EpochEnded)]
    assert [event.epoch for event in epochs] == [1, 2, 3]
    assert [event.train_loss for event in epochs] == [epoch.train_loss for epoch in history.epochs]
    assert epochs[-1].best is (history.best == 3)
    assert epochs[-1].seconds_left == 0
    assert epochs[0].metric == "accuracy"


def test_a_listener_that_raises_stops_the_work() -> None:
    def stop(_event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(recipe(), clouds(), None, stop)


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (9, 4), (5, 4), (4, 4), (1, 4), (3, 1)])
def test_every_row_comes_once_an_epoch_and_none_alone_if_it_can_be_helped(count: int, batch: int) -> None:
    batches = list(shuffled(count, batch))

    assert sorted(int(row) for rows in batches for row in rows) == list(range(count))
    assert all(len(rows) > 1 for rows in batches) or min(count, batch) == 1


def test_the_learning_rate_follows_its_schedule() -> None:
    steps = recipe(CLOUDS.replace("batch: 16", "batch: 16, schedule: step, step: {every: 2, factor: 0.1}"))

    assert learning_rate(Training(lr=0.1), 7) == 0.1
    assert learning_rate(Training(lr=0.1, schedule="cosine", epochs=10), 1) == 0.1
    assert learning_rate(Training(lr=0.1, schedule="cosine", epochs=10), 6) == pytest.approx(0.05)
    assert [learning_rate(steps.training, epoch) for epoch in (1, 2, 3, 5)] == pytest.approx(
        [0.02, 0.02, 0.002, 0.0002]
    )
