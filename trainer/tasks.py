"""What a network is asked for: its head, its loss and the answer that is served."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.recipe import Recipe
from trainer.table import Table


class Task(Protocol):
    """One kind of answer.

    Shape: raw (B, outputs) as the head gives it; targets (B,).
    """

    @property
    def output(self) -> str:
        """Name of the graph's output."""

    @property
    def metric(self) -> str:
        """Name of `score`."""

    @property
    def outputs(self) -> int:
        """How many numbers the head gives."""

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Return what training lowers, the mean over the rows."""

    def answer(self, raw: Tensor) -> Tensor:
        """Return what is served."""

    def score(self, raw: Tensor, targets: Tensor) -> float:
        """Return the metric that a person reads while training runs."""


@dataclass(frozen=True, slots=True)
class Classification:
    """One of several labels: (B, C) probabilities."""

    labels: tuple[str, ...]
    output: str = "probabilities"
    metric: str = "accuracy"

    @property
    def outputs(self) -> int:
        """One number a label."""
        return len(self.labels)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of the logits."""
        return functional.cross_entropy(raw, targets)

    def answer(self, raw: Tensor) -> Tensor:
        """Softmax of the logits."""
        return torch.softmax(raw, -1)

    def score(self, raw: Tensor, targets: Tensor) -> float:
        """Share of the rows whose largest number is the right one."""
        return float((raw.argmax(-1) == targets).float().mean())


@dataclass(frozen=True, slots=True)
class Regression:
    """A number: (B, 1). The network learns it shifted and scaled; the answer is in its own unit."""

    mean: float = 0.0
    deviation: float = 1.0
    output: str = "value"
    metric: str = "rmse"

    @property
    def outputs(self) -> int:
        """One number."""
        return 1

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error in deviations of the training targets."""
        return functional.mse_loss(raw.squeeze(-1), (targets - self.mean) / self.deviation)

    def answer(self, raw: Tensor) -> Tensor:
        """The value in its own unit."""
        return raw * self.deviation + self.mean

    def score(self, raw: Tensor, targets: Tensor) -> float:
        """Root of the mean squared error, in the value's own unit."""
        return float((self.answer(raw).squeeze(-1) - targets).square().mean().sqrt())


def outputs_of(recipe: Recipe) -> int:
    """Return how many numbers a recipe's network ends in."""
    return len(recipe.classes) or 1


def task_of(recipe: Recipe, train: Table) -> Task:
    """Return a recipe's task; a regression's scale is measured on the training rows."""
    if recipe.task == "classification":
        return Classification(recipe.classes)
    values = train.targets.astype(np.float64)
    return Regression(float(values.mean()), float(values.std()) or 1.0)
