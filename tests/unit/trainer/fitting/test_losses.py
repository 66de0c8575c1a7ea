"""Losses: what weights, focus and smoothing make of a cross-entropy, beside formulas written out."""

import pytest
import torch
from torch.nn import functional

from models.recipe_training import Training
from trainer.fitting.losses import ClassLoss, loss_of
from trainer.tasks.task import Classification, Regression

TASK = Classification(("a", "b", "c"))
RAW = torch.tensor([[2.0, 0.0, 1.0], [0.5, 0.5, -1.0], [0.0, 3.0, 0.2], [1.0, 1.0, 1.0]])
TARGETS = torch.tensor([0, 1, 1, 2])


def test_nothing_asked_for_is_the_task_s_own_loss() -> None:
    assert loss_of(TASK, Training(), TARGETS) == TASK.loss
    regression = Regression()
    assert loss_of(regression, Training(), torch.rand(3)) == regression.loss


def test_weights_are_one_on_average_over_the_rows() -> None:
    given = loss_of(TASK, Training(class_weights={"a": 1, "b": 3, "c": 2}), TARGETS)
    balanced = loss_of(TASK, Training(class_weights="balanced"), TARGETS)

    assert isinstance(given, ClassLoss)
    assert isinstance(balanced, ClassLoss)
    assert given.weights is not None
    assert balanced.weights is not None
    assert given.weights[TARGETS].mean() == pytest.approx(1)
    assert (given.weights / given.weights[0]).tolist() == pytest.approx([1, 3, 2])
    assert balanced.weights.tolist() == pytest.approx([4 / 3, 2 / 3, 4 / 3])


def test_weights_of_a_private_training_do_not_tell_how_many_rows_a_label_has() -> None:
    private = Training(class_weights={"a": 1, "b": 3, "c": 2}, privacy={"epsilon": 3})

    for targets in (TARGETS, torch.tensor([0, 0, 0, 1, 2])):
        loss = loss_of(TASK, private, targets)
        assert isinstance(loss, ClassLoss)
        assert loss.weights is not None
        assert loss.weights.tolist() == [0.5, 1.5, 1.0]


def test_a_weighted_loss_is_the_weighted_mean_of_the_rows() -> None:
    loss = loss_of(TASK, Training(class_weights={"a": 1, "b": 3, "c": 2}), TARGETS)

    rows = functional.cross_entropy(RAW, TARGETS, reduction="none")
    weights = torch.tensor([1.0, 3.0, 3.0, 2.0])
    assert float(loss(RAW, TARGETS)) == pytest.approx(float((rows * weights).sum() / weights.sum()))


def test_smoothing_is_that_of_pytorch() -> None:
    loss = loss_of(TASK, Training(label_smoothing=0.1), TARGETS)

    assert float(loss(RAW, TARGETS)) == pytest.approx(
        float(functional.cross_entropy(RAW, TARGETS, label_smoothing=0.1))
    )


def test_focus_plays_down_what_is_right_already() -> None:
    loss = loss_of(TASK, Training(focal=2), TARGETS)

    right = functional.softmax(RAW, -1).gather(1, TARGETS[:, None])[:, 0]
    assert float(loss(RAW, TARGETS)) == pytest.approx(float((-((1 - right) ** 2) * right.log()).mean()))


def test_focus_and_smoothing_go_together() -> None:
    almost = ClassLoss(None, 1e-9, 0.2)

    plain = functional.cross_entropy(RAW, TARGETS, label_smoothing=0.2)
    assert float(almost(RAW, TARGETS)) == pytest.approx(float(plain), rel=1e-5)


def test_a_label_without_training_rows_has_a_weight() -> None:
    loss = loss_of(TASK, Training(class_weights="balanced"), torch.tensor([0, 0, 1]))

    assert isinstance(loss, ClassLoss)
    assert loss.weights is not None
    assert torch.isfinite(loss.weights).all()
