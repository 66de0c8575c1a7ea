"""Learning rates: where they begin, where they end, and what PyTorch's own say."""

import pytest
import torch

from models.recipe_training import Plateau, Training
from tests.unit.trainer.tables import CLOUDS, recipe
from trainer.fitting.schedules import Flatness, learning_rate


def rates(training: Training, times: list[float], step: float = 0.5) -> list[float]:
    return [learning_rate(training, time, step) for time in times]


def test_without_a_schedule_the_rate_stays() -> None:
    assert rates(Training(lr=0.1), [0, 50, 99.5]) == [0.1, 0.1, 0.1]


def test_cosine_and_linear_fall_to_nothing() -> None:
    assert rates(Training(lr=0.1, schedule="cosine", epochs=10), [0, 5, 10]) == pytest.approx([0.1, 0.05, 0])
    assert rates(Training(lr=0.1, schedule="linear", epochs=10), [0, 2.5, 10]) == pytest.approx(
        [0.1, 0.075, 0]
    )


def test_step_falls_by_its_factor() -> None:
    steps = recipe(CLOUDS.replace("batch: 16", "batch: 16, schedule: step, step: {every: 2, factor: 0.1}"))

    assert rates(steps.training, [0, 1.5, 2, 4.5]) == pytest.approx([0.02, 0.02, 0.002, 0.0002])


def test_a_warm_up_rises_a_step_at_a_time_and_what_follows_begins_after_it() -> None:
    training = Training(lr=0.1, schedule="linear", warmup=2, epochs=12)

    assert rates(training, [0, 0.5, 1, 1.5, 2, 7]) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.05])


def test_one_cycle_is_that_of_pytorch() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    descent = torch.optim.SGD([parameter], 0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(descent, 0.1, total_steps=101, cycle_momentum=False)
    training = Training(lr=0.1, schedule="one_cycle", epochs=100)

    for epoch in range(100):
        # theirs is at its highest at 29.3 of 100, ours at 30: so they part a little near it
        assert learning_rate(training, epoch, 1) == pytest.approx(descent.param_groups[0]["lr"], abs=0.004)
        descent.step()
        theirs.step()


def test_a_plateau_lowers_the_rate_once_patience_is_over() -> None:
    flat = Flatness(Plateau(patience=2, factor=0.1))

    seen = []
    for loss in (3.0, 2.0, 2.0, 2.5, 2.1, 1.0, 1.0):
        flat.see(loss)
        seen.append(flat.factor)

    assert seen == [1, 1, 1, 1, 0.1, 0.1, 0.1]


def test_without_a_plateau_nothing_is_lowered() -> None:
    flat = Flatness(None)

    for _ in range(50):
        flat.see(1.0)

    assert flat.factor == 1
