"""What a network is asked for: its head, its loss and the answer that is served."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from models.answers import AnswerSpec
from models.recipe import Recipe
from models.recipe_data import ColumnTarget, Fielded, FollowingTarget, VectorTarget
from models.sources import SequenceSource
from trainer.table import Table
from trainer.tasks.anomaly import USUAL_SHARE, Anomaly
from trainer.tasks.multilabel import Multilabel
from trainer.tasks.values import ONE, Forecasting, Quantiles, Unit


class Task(Protocol):
    """One kind of answer.

    Shape: raw (B, outputs) as the head gives it; targets (B, ...) as the table has them.
    """

    @property
    def output(self) -> str:
        """Name of the graph's output."""

    @property
    def metric(self) -> str:
        """Name of `score`."""

    @property
    def outputs(self) -> int | None:
        """How many numbers the head gives; None when it gives the rows again."""

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
    """A number, or several: (B, columns). Learned shifted and scaled; the answer is in its own unit."""

    unit: Unit = ONE
    output: str = "value"
    metric: str = "rmse"

    @property
    def outputs(self) -> int:
        """One number a column."""
        return self.unit.columns

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error in deviations of the training targets."""
        return functional.mse_loss(raw, self.unit.shifted(targets.reshape(raw.shape)))

    def answer(self, raw: Tensor) -> Tensor:
        """The value in its own unit."""
        return self.unit.own(raw)

    def score(self, raw: Tensor, targets: Tensor) -> float:
        """Root of the mean squared error, in the value's own unit."""
        return float((self.answer(raw) - targets.reshape(raw.shape)).square().mean().sqrt())


Valued = Regression | Quantiles | Forecasting  # tasks whose numbers have a unit


def task_of(recipe: Recipe, train: Table | None = None) -> Task:
    """Return a recipe's task; the unit of its numbers is measured on the training rows, or is given."""
    if recipe.task == "classification":
        return Classification(recipe.classes)
    if recipe.task == "multilabel":
        return Multilabel(recipe.classes)
    if recipe.task == "anomaly":
        return Anomaly(recipe.threshold or USUAL_SHARE)
    unit = unit_of(recipe, train)
    if recipe.task == "forecasting":
        return Forecasting(steps_of(recipe)[0], unit)
    return Quantiles(recipe.quantiles, unit) if recipe.quantiles else Regression(unit)


def outputs_of(recipe: Recipe) -> int | None:
    """Return how many numbers a recipe's network ends in; None when it gives its rows again."""
    return task_of(recipe).outputs


def unit_of(recipe: Recipe, train: Table | None) -> Unit:
    """Return the unit of a recipe's targets: of the training rows, unless they shall not show in it.

    Before they are seen it is one of as many columns.
    """
    if recipe.training.privacy is not None and recipe.training.privacy.within:
        return Unit.within(recipe.training.privacy.within)
    if train is not None:
        return Unit.of(train.targets)
    columns = len(values_of(recipe)) or steps_of(recipe)[1]
    return Unit((0.0,) * max(columns, 1), (1.0,) * max(columns, 1))


def values_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the values of a regression that has several, none of any other task."""
    target = recipe.data.target
    return target.fields if isinstance(target, Fielded) and recipe.task == "regression" else ()


def steps_of(recipe: Recipe) -> tuple[int, int]:
    """Return how many steps a forecast has, and channels each."""
    target = recipe.data.target
    if isinstance(target, VectorTarget | ColumnTarget):
        return target.steps
    if not isinstance(target, FollowingTarget):
        return 1, 1
    entries = (
        one.shape[0]
        for view in recipe.features.inputs
        for one in view.sources
        if isinstance(one, SequenceSource)
    )
    return target.steps, len(target.channels) or next(entries)


def answer_of(task: Task, recipe: Recipe) -> AnswerSpec | None:
    """Return what the numbers of an answer are, None where the task says it all."""
    if isinstance(task, Anomaly):
        return AnswerSpec(threshold=task.threshold)
    spec = AnswerSpec(values=values_of(recipe), quantiles=recipe.quantiles)
    return spec if spec.width else None
