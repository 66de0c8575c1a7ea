"""How good answers are, measured on rows that were held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from trainer.anomaly import Anomaly
from trainer.multilabel import Multilabel
from trainer.table import Indices
from trainer.tasks import Classification, Task
from trainer.values import Quantiles

HALF = 0.5
SMALLEST = 1e-15  # so that one certain mistake does not make the log loss infinite


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics by name, and for a classifier who was taken for whom: rows are true, columns said."""

    values: dict[str, float]
    confusion: tuple[tuple[int, ...], ...] = ()


def evaluate(task: Task, answers: NDArray[np.float32], targets: NDArray[np.generic]) -> Scores:
    """Compare answers with what is true.

    Shape: answers (N, ...) as the task gives them; targets (N, ...) as the table has them.
    """
    if isinstance(task, Classification):
        return classification_scores(answers, targets.astype(np.int64), task.labels)
    if isinstance(task, Multilabel):
        return multilabel_scores(answers.astype(np.float64), targets.astype(np.float64) > HALF)
    if isinstance(task, Anomaly):
        return anomaly_scores(task, answers.astype(np.float64))
    if isinstance(task, Quantiles):
        return quantile_scores(task, answers, targets)
    return regression_scores(answers, targets)


def classification_scores(
    probabilities: NDArray[np.float32], targets: Indices, labels: Sequence[str]
) -> Scores:
    """Return accuracy, macro F1, log loss, ROC-AUC and the confusion matrix."""
    said = probabilities.argmax(-1)
    right = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    values = {
        "accuracy": float((said == targets).mean()),
        "f1": float(f1_score(targets, said, labels=range(len(labels)), average="macro", zero_division=0)),
        "log_loss": float(-np.log(np.maximum(right, SMALLEST)).mean()),
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


def multilabel_scores(probabilities: NDArray[np.float64], targets: NDArray[np.bool_]) -> Scores:
    """Return the share of rows right in every label, mean F1 and that of all labels together, log loss."""
    said = probabilities >= HALF
    values = {
        "accuracy": float((said == targets).all(1).mean()),
        "f1": float(f1_score(targets, said, average="macro", zero_division=0)),
        "f1_micro": float(f1_score(targets, said, average="micro", zero_division=0)),
        "log_loss": float(
            -np.log(np.maximum(np.where(targets, probabilities, 1 - probabilities), SMALLEST)).mean()
        ),
    }
    both = targets.any(0) & ~targets.all(0)  # without one of the two there is no such curve
    if both.any():
        values["roc_auc"] = float(roc_auc_score(targets[:, both], probabilities[:, both], average="macro"))
    return Scores(values)


def regression_scores(answers: NDArray[np.float32], targets: NDArray[np.generic]) -> Scores:
    """Return root mean squared error, mean absolute error and R2, of several values the mean R2."""
    true = targets.astype(np.float64).reshape(len(targets), -1)
    errors = answers.astype(np.float64).reshape(true.shape) - true
    spread = np.square(true - true.mean(0)).sum(0)
    apart = np.square(errors).sum(0)
    return Scores(
        {
            "rmse": float(np.sqrt(np.square(errors).mean())),
            "mae": float(np.abs(errors).mean()),
            "r2": float(np.where(spread > 0, 1 - apart / np.where(spread > 0, spread, 1), 0.0).mean()),
        }
    )


def quantile_scores(task: Quantiles, answers: NDArray[np.float32], targets: NDArray[np.generic]) -> Scores:
    """Return the pinball loss, how many truths lie between the outer quantiles, and the scores of the median."""
    true = targets.astype(np.float64).reshape(len(targets), -1)
    said = answers.astype(np.float64).reshape(*true.shape, len(task.shares))
    above, shares = true[..., None] - said, np.array(task.shares)
    between = (true >= said[..., 0]) & (true <= said[..., -1])
    return Scores(
        {
            "pinball": float(np.maximum(shares * above, (shares - 1) * above).mean()),
            "coverage": float(between.mean()),
            **regression_scores(said[..., task.median].astype(np.float32), targets).values,
        }
    )


def anomaly_scores(task: Anomaly, errors: NDArray[np.float64]) -> Scores:
    """Return the mean error, its share of what the mean row would miss, and how many rows are over the threshold."""
    values = {"mean_score": float(errors.mean()), "r2": 1 - float(errors.mean()) / task.spread}
    if task.threshold is not None:
        values["flagged"] = float((errors > task.threshold).mean())
    return Scores(values)
