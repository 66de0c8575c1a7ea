"""Metrics of classifiers: one label of several, or several at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from trainer.judging.questions import EVEN, Answered, Array, Floats, Question, Scores, said_labels
from trainer.judging.reliability import calibration_error

SMALLEST_PROBABILITY = 1e-15  # so that one certain mistake does not make the log loss infinite


def classification(question: Question, given: Answered) -> Scores:
    """Return the scores of one label of several; a curve's area is left out where a label has no rows."""
    truth, weights = given.truth.astype(np.int64), given.weights
    every = np.arange(len(question.labels))
    said = said_labels(question, given.answers)
    precision, recall, f1, rows = precision_recall_fscore_support(
        truth, said, labels=every, zero_division=0, sample_weight=weights
    )
    probabilities = given.answers.astype(np.float64)
    values = {
        "accuracy": float(accuracy_score(truth, said, sample_weight=weights)),
        "balanced_accuracy": float(recall[rows > 0].mean()),
        "f1": float(f1.mean()),
        "log_loss": float(np.average(log_losses(probabilities, truth), weights=weights)),
        "brier": float(np.average(brier_scores(probabilities, truth), weights=weights)),
        "ece": calibration_error(probabilities.max(-1), probabilities.argmax(-1) == truth, weights),
    }
    if len(np.unique(truth)) == len(question.labels):
        values |= mean_areas(question, given)
    matrix = confusion_matrix(truth, said, labels=every)
    table = zip(question.labels, precision, recall, f1, np.bincount(truth, minlength=len(every)), strict=True)
    return Scores(
        values,
        tuple(tuple(map(int, row)) for row in matrix),
        {
            label: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
            for label, p, r, f, n in table
        },
    )


def multilabel(question: Question, given: Answered) -> Scores:
    """Return the scores of several labels at once, each said from the threshold on."""
    truth, weights = given.truth.astype(np.int64), given.weights
    said = (given.answers >= (EVEN if question.threshold is None else question.threshold)).astype(np.int64)
    probabilities = given.answers.astype(np.float64)
    right = np.where(truth == 1, probabilities, 1 - probabilities)
    losses = -np.log(np.maximum(right, SMALLEST_PROBABILITY))
    values = {
        "accuracy": float(accuracy_score(truth, said, sample_weight=weights)),
        "hamming": float(np.average((truth != said).mean(1), weights=weights)),
        "f1": float(f1_score(truth, said, average="macro", zero_division=0, sample_weight=weights)),
        "f1_micro": float(f1_score(truth, said, average="micro", zero_division=0, sample_weight=weights)),
        "log_loss": float(np.average(losses.mean(1), weights=weights)),
        "brier": float(np.average(np.square(1 - right).mean(1), weights=weights)),
        "ece": calibration_error(
            np.maximum(probabilities, 1 - probabilities).reshape(-1),
            ((probabilities >= EVEN) == truth).reshape(-1),
            None if weights is None else np.repeat(weights, truth.shape[1]),
        ),
    }
    areas = list(label_areas(probabilities, truth, weights))
    if areas:
        values["roc_auc"], values["pr_auc"] = (float(one) for one in np.mean(areas, axis=0))
    precision, recall, f1, rows = precision_recall_fscore_support(truth, said, average=None, zero_division=0)
    table = zip(question.labels, precision, recall, f1, rows, strict=True)
    return Scores(
        values,
        classes={
            label: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
            for label, p, r, f, n in table
        },
    )


def label_areas(
    probabilities: Floats, truth: NDArray[np.int64], weights: Floats | None
) -> Iterator[tuple[float, float]]:
    """Give the areas under the ROC and the precision-recall curve of each label that is there and not everywhere."""
    for column, true in zip(probabilities.T, truth.T, strict=True):
        if 0 < true.sum() < len(true):
            yield areas(true == 1, column, weights)


def mean_areas(question: Question, given: Answered) -> dict[str, float]:
    """Return the areas of the label that is looked for, of more than two the mean of one against the rest."""
    probabilities, truth = given.answers.astype(np.float64), given.truth
    every = (question.positive,) if question.binary else range(len(question.labels))
    found = [areas(truth == label, probabilities[:, label], given.weights) for label in every]
    roc, precision = np.mean(found, axis=0)
    return {"roc_auc": float(roc), "pr_auc": float(precision)}


def areas(true: Array, column: Floats, weights: Floats | None) -> tuple[float, float]:
    """Return the areas under the ROC and the precision-recall curve of one label."""
    roc = roc_auc_score(true, column, sample_weight=weights)
    return float(roc), float(average_precision_score(true, column, sample_weight=weights))


def log_losses(probabilities: Floats, truth: Array) -> Floats:
    """Return each row's loss: (N, C), (N,) -> (N,)."""
    right = probabilities[np.arange(len(truth)), truth.astype(np.int64)].astype(np.float64)
    losses: Floats = -np.log(np.maximum(right, SMALLEST_PROBABILITY))
    return losses


def brier_scores(probabilities: Floats, truth: Array) -> Floats:
    """Return each row's squared distance to the truth, for two labels that of one of them (Brier 1950)."""
    there = np.eye(probabilities.shape[1])[truth.astype(np.int64)]
    squares: Floats = np.square(probabilities - there).sum(1)
    return squares / 2 if probabilities.shape[1] == 2 else squares
