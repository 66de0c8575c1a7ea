"""Which numbers of its answers a network as a whole is explained by."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.sampling import evenly
from trainer.tasks.anomaly import Anomaly
from trainer.tasks.multilabel import Multilabel
from trainer.tasks.task import Classification, Regression, Task
from trainer.tasks.values import Forecasting, Quantiles, Unit

NUMBERS_MOST = 8  # of an answer with more, evenly chosen


@dataclass(frozen=True, slots=True)
class Explained:
    """Places in each row's answer, (B,), each with what its size counts; and what they are in words."""

    words: str
    numbers: Sequence[tuple[Tensor, float]]


def explained(task: Task, answers: Tensor) -> Explained:
    """Return what is explained of rows with these answers, (B, numbers).

    The label that is predicted; a value, or its median; the anomaly score; of several values or
    steps their mean, each value of several in its own standard deviations.
    """
    if isinstance(task, Classification | Multilabel):
        return Explained("the likeliest label", [(answers.argmax(-1), 1.0)])
    words, elements, unit = wording(task)
    chosen = [elements[at] for at in evenly(len(elements), NUMBERS_MOST)]
    width = answers.shape[1]
    return Explained(
        words, [(torch.full((len(answers),), at), weight_of(task, unit, at, width)) for at in chosen]
    )


def wording(task: Task) -> tuple[str, Sequence[int], Unit]:
    """Return what numbers are explained, their places in an answer, and the unit of their columns."""
    if isinstance(task, Forecasting):
        steps = f"the mean of {task.steps} steps" if task.steps > 1 else "the next step"
        return several(steps, task.unit), range(task.steps * task.unit.columns), task.unit
    if isinstance(task, Quantiles):
        width = len(task.shares)
        medians = range(task.median, task.unit.columns * width, width)
        return several("the value", task.unit), medians, task.unit
    if isinstance(task, Regression):
        return several("the value", task.unit), range(task.unit.columns), task.unit
    if isinstance(task, Anomaly):
        return "the anomaly score", range(1), Unit()
    raise TypeError(f"a {type(task).__name__} has no numbers to explain")


def several(words: str, unit: Unit) -> str:
    """Return the words for one column, or for the mean of several."""
    if unit.columns == 1:
        return words
    return f"{words.replace('the value', 'the mean')} of {unit.columns} values, in standard deviations"


def weight_of(task: Task, unit: Unit, element: int, width: int) -> float:
    """Return what the size of a number counts: numbers of several units are made alike."""
    if unit.columns == 1:
        return 1.0
    column = element % unit.columns if isinstance(task, Forecasting) else element * unit.columns // width
    return 1 / unit.deviation[column]
