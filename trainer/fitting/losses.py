"""What training lowers: the task's own loss, or a classification's with weights, focus and smoothing."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.recipe_training import Training
from trainer.tasks.task import Classification, Task

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class ClassLoss:
    """Cross-entropy, each row by the weight of its label; a mean over the rows.

    Shape: weights (C,) or None; raw (B, C); targets (B,) class numbers.
    Source: Lin et al. 2017, Focal Loss for Dense Object Detection; Szegedy et al. 2016, section 7,
    for smoothing.
    """

    weights: Tensor | None = None
    focal: float | None = None
    smoothing: float = 0.0

    def __call__(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Return the loss."""
        if self.focal is None:
            rows = functional.cross_entropy(raw, targets, reduction="none", label_smoothing=self.smoothing)
        else:
            rows = self._focused(raw, targets, self.focal)
        return (rows if self.weights is None else rows * self.weights[targets]).mean()

    def _focused(self, raw: Tensor, targets: Tensor, power: float) -> Tensor:
        certain = functional.log_softmax(raw, -1)
        played_down = certain * (1 - certain.exp()).pow(power)
        right = played_down.gather(-1, targets[:, None]).squeeze(-1)
        return -(1 - self.smoothing) * right - self.smoothing * played_down.mean(-1)


def loss_of(task: Task, training: Training, targets: Tensor) -> Loss:
    """Return the loss of a recipe; weights are measured on the targets of the training rows."""
    plain = training.class_weights is None and training.focal is None and not training.label_smoothing
    if plain or not isinstance(task, Classification):
        return task.loss
    weights = class_weights(task, training, targets)
    return ClassLoss(weights, training.focal, training.label_smoothing)


def class_weights(task: Classification, training: Training, targets: Tensor) -> Tensor | None:
    """Return a weight for each class, 1 on average over the rows: the learning rate keeps its meaning.

    In private training it is 1 on average over the classes, since how many rows each has is not to show.
    """
    given = training.class_weights
    if given is None:
        return None
    if training.privacy is not None and not isinstance(given, str):
        weights = torch.tensor([given[label] for label in task.labels], device=targets.device)
        return weights / weights.mean()
    counts = torch.bincount(targets, minlength=task.outputs).float()
    if isinstance(given, str):
        weights = 1 / counts.clamp(min=1)
    else:
        weights = torch.tensor([given[label] for label in task.labels], device=targets.device)
    return weights * (counts.sum() / (weights * counts).sum())
