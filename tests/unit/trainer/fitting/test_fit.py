"""Fitting: reproducible, the best weights kept, early stopping, and a loss that is no number."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.recipe import Recipe
from models.recipe_augmentation import Augmentation
from models.recipe_training import Training
from tests.unit.trainer.tables import CLOUDS, SLOPES, clouds, recipe, slopes
from trainer.blueprints import blueprint_of
from trainer.errors import TrainingDiverged
from trainer.events import EpochEnded, Event, Noticed, silent
from trainer.fitting.fit import Fit, History, raw_outputs, reproducible
from trainer.fitting.optimizers import optimizer
from trainer.fitting.rows import Rows
from trainer.networks.building import build
from trainer.networks.network import Network
from trainer.table import Table
from trainer.tasks.task import Classification

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


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw"])
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


def test_a_validation_loss_that_is_not_finite_stops_with_the_cure() -> None:
    checked = clouds()
    checked.inputs["x"].x[3, 0] = np.nan

    with pytest.raises(
        TrainingDiverged, match=r"on the validation rows is not finite in epoch 1.* clip or quantile"
    ):
        fitted(recipe(), clouds(), checked)


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


@pytest.mark.parametrize("name", ["none", "cosine", "linear", "one_cycle", "step", "plateau"])
def test_every_schedule_learns(name: str) -> None:
    made = recipe(schedule=name, lr=0.05, epochs=15, warmup=0 if name == "one_cycle" else 2)

    network, history = fitted(made, clouds(), clouds())

    rows = Rows.of(clouds(), CPU)
    assert history.epochs[-1].train_loss < 0.5 * history.epochs[0].train_loss
    assert TASK.score(raw_outputs(network, rows), rows.targets) > 0.97


def test_a_loss_that_does_not_fall_lowers_the_rate_of_plateau() -> None:
    made = recipe(
        CLOUDS.replace("batch: 16", "batch: 16, schedule: plateau, plateau: {patience: 2, factor: 0.5}"),
        lr=0.1,
        epochs=30,
    )

    _, history = fitted(made, clouds(60, apart=0.5), clouds(60, apart=0))

    rates = [epoch.learning_rate for epoch in history.epochs]
    assert set(rates) == {0.1 * 0.5**number for number in range(len(set(rates)))}
    assert len(set(rates)) > 2


def test_accumulated_passes_are_the_step_of_one_large_batch() -> None:
    table = clouds(96)

    whole, _ = fitted(recipe(batch=32, epochs=4, optimizer="sgd", lr=0.1), table)
    passes, _ = fitted(recipe(batch=8, accumulate=4, epochs=4, optimizer="sgd", lr=0.1), table)

    assert torch.allclose(whole.head.weight, passes.head.weight, atol=1e-6)


def test_a_running_mean_of_the_weights_is_judged_and_kept() -> None:
    made = recipe(epochs=30, lr=0.3, optimizer="sgd", ema=0.9)
    noisy = clouds(60, apart=0.5)

    averaged, history = fitted(made, noisy, noisy)
    plain, rough = fitted(recipe(epochs=30, lr=0.3, optimizer="sgd"), noisy, noisy)

    rows = Rows.of(noisy, CPU)
    kept = float(TASK.loss(raw_outputs(averaged, rows), rows.targets))
    assert kept == pytest.approx(history.epochs[history.best - 1].validation_loss, rel=1e-6)
    assert jumps(history) < 0.5 * jumps(rough)
    assert weights(averaged) != weights(plain)


def jumps(history: History) -> float:
    losses = [epoch.validation_loss or 0.0 for epoch in history.epochs]
    return float(np.abs(np.diff(losses[5:])).mean())


def test_the_best_epoch_may_be_that_of_the_metric() -> None:
    made = recipe(lr=0.1, epochs=30, keep="metric")

    _, history = fitted(made, clouds(60, apart=0.5), clouds(60, apart=0.2))

    ranks = [(-(epoch.score or 0), epoch.validation_loss) for epoch in history.epochs]
    assert history.best == ranks.index(min(ranks)) + 1


def test_mixed_precision_without_cuda_is_float32_and_says_so() -> None:
    told: list[Event] = []

    mixed, history = fitted(recipe(epochs=2, precision="mixed"), clouds(), None, told.append)
    plain, _ = fitted(recipe(epochs=2), clouds())

    assert weights(mixed) == weights(plain)
    assert history.notes == ["precision: mixed is for CUDA devices; this training ran in float32 on the CPU"]
    assert told[0] == Noticed(history.notes[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_mixed_precision_learns_on_cuda() -> None:
    made = recipe(epochs=15, lr=0.05, precision="mixed", clip=1.0)
    rows = Rows.of(clouds(), torch.device("cuda"))

    with reproducible(made.training):
        network = build(blueprint_of(made)).to("cuda")
        Fit(network, TASK, made.training, rows, None, silent).run()

    assert TASK.score(raw_outputs(network, rows), rows.targets) > 0.97


def test_class_weights_change_who_is_found() -> None:
    table = clouds(200, apart=1.0)
    few = table.take(np.flatnonzero((table.targets == 0) | (np.arange(200) % 20 == 1)))

    plain, _ = fitted(recipe(epochs=30), few)
    balanced, _ = fitted(recipe(epochs=30, class_weights="balanced"), few)

    rows = Rows.of(table, CPU)
    right = rows.targets == 1
    found = [
        float((raw_outputs(net, rows).argmax(-1) == 1)[right].float().mean()) for net in (plain, balanced)
    ]
    assert found[1] > found[0] + 0.2


def test_rows_to_validate_on_are_never_altered() -> None:
    image = recipe(SLOPES, epochs=2, lr=1e-12)
    noisy = Augmentation.model_validate({"series": {"jitter": 5, "crop": 0.5}})
    altered = image.model_copy(update={"training": image.training.model_copy(update={"augment": noisy})})

    _, plain = fitted(image, slopes(), slopes())
    _, history = fitted(altered, slopes(), slopes())

    assert history.epochs[0].validation_loss == pytest.approx(plain.epochs[0].validation_loss, rel=1e-6)
    assert history.epochs[0].train_loss != pytest.approx(plain.epochs[0].train_loss, rel=1e-3)
