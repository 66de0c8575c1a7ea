"""How good answers are, measured on rows that were held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from trainer.table import Indices
from trainer.tasks import Classification, Task

SMALLEST_PROBABILITY = 1e-15  # so that one certain mistake does not make the log loss infinite


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics by name, and for a classifier who was taken for whom: rows are true, columns said."""

    values: dict[str, float]
    confusion: tuple[tuple[int, ...], ...] = ()


def evaluate(task: Task, answers: NDArray[np.float32], targets: NDArray[np.generic]) -> Scores:
    """Compare answers with what is true.

    Shape: answers (N, C) probabilities or (N, 1) values; targets (N,).
    """
    if isinstance(task, Classification):
        return classification_scores(answers, targets.astype(np.int64), task.labels)
    return regression_scores(answers.reshape(-1), targets)


def classification_scores(
    probabilities: NDArray[np.float32], targets: Indices, labels: Sequence[str]
) -> Scores:
    """Return accuracy, macro F1, log loss, ROC-AUC and the confusion matrix."""
    said = probabilities.argmax(-1)
    right = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    values = {
        "accuracy": float((said == targets).mean()),
        "f1": float(f1_score(targets, said, labels=range(len(labels)), average="macro", zero_division=0)),
        "log_loss": float(-np.log(np.maximum(right, SMALLEST_PROBABILITY)).mean()),
    }
    if len(np.unique(targets)) == len(labels):  # without one of the classes there is no such curve
        values["roc_auc"] = roc_auc(probabilities.astype(np.float64), targets)
    matrix = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(matrix, (targets, said), 1)
    return Scores(values, tuple(tuple(map(int, row)) for row in matrix))


def roc_auc(probabilities: NDArray[np.float64], targets: Indices) -> float:
    """Return the area under the ROC curve; for more than two labels the mean of one against the rest."""
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(targets, probabilities[:, 1]))
    areas = [roc_auc_score(targets == label, column) for label, column in enumerate(probabilities.T)]
    return float(np.mean(areas))


def regression_scores(answers: NDArray[np.float32], targets: NDArray[np.generic]) -> Scores:
    """Return root mean squared error, mean absolute error and R2."""
    true = targets.astype(np.float64)
    errors = answers.astype(np.float64) - true
    spread = float(np.square(true - true.mean()).sum())
    return Scores(
        {
            "rmse": float(np.sqrt(np.square(errors).mean())),
            "mae": float(np.abs(errors).mean()),
            "r2": 1 - float(np.square(errors).sum()) / spread if spread else 0.0,
        }
    )
