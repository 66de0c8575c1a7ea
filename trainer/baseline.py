"""A linear model of scikit-learn on the same rows: what a network has to beat to be worth it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.evaluate import evaluate
from trainer.judging.questions import Scores
from trainer.sampling import evenly
from trainer.table import Table, Values
from trainer.tasks.multilabel import Multilabel
from trainer.tasks.task import Classification, Task
from trainer.tasks.values import Quantiles

ITERATIONS = 2000
ROWS_MOST = 20_000
ROWS_AT_ONCE = 16_384

Answerer = Callable[[NDArray[np.float64]], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A linear model's scores on the held-out rows."""

    name: str
    scores: Scores


def baseline(task: Task, train: Table, held_out: Table) -> Baseline:
    """Fit a linear model to rows that are not held out, and score it on those that are.

    Of more rows than a linear model gains from, an even part is taken.
    """
    sequences = any(values.lengths is not None for values in train.inputs.values())
    about = "mean, deviation, least and most of each channel" if sequences else "the features"
    labels = isinstance(task, Classification | Multilabel)
    name = f"scikit-learn {'logistic' if labels else 'ridge'} regression on {about}, standardised"
    some = thinned(train, ROWS_MOST)
    answer = answerer(task, some, flat_features(some))
    parts = (held_out.slice(start, start + ROWS_AT_ONCE) for start in range(0, len(held_out), ROWS_AT_ONCE))
    answers = np.concatenate([answer(flat_features(part)) for part in parts])
    return Baseline(name, evaluate(task, answers, held_out.targets))


def answerer(task: Task, train: Table, known: NDArray[np.float64]) -> Answerer:
    """Return what gives a linear model's answers in the shape of the task's."""
    if isinstance(task, Classification):
        return chances_of(logistic(known, train.targets))
    if isinstance(task, Multilabel):
        every = [chances(known, column) for column in train.targets.T]
        return lambda asked: np.stack([one(asked) for one in every], 1)
    true = train.targets.reshape(len(train), -1)
    model = make_pipeline(StandardScaler(), Ridge()).fit(known, true)

    def said(asked: NDArray[np.float64]) -> NDArray[Any]:
        return np.asarray(model.predict(asked)).reshape(len(asked), -1)

    if not isinstance(task, Quantiles):
        return said
    apart = np.quantile(true - said(known), task.shares, axis=0)
    return lambda asked: said(asked)[..., None] + apart.T  # (N, columns, Q)


def logistic(known: NDArray[np.float64], targets: NDArray[Any]) -> Any:
    """Return a logistic regression on standardised features."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    with warnings.catch_warnings():
        # A baseline that is not quite at its optimum is still a baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(known, targets)


def chances_of(model: Any) -> Answerer:
    """Return what gives the probabilities of a fitted model."""
    return lambda asked: np.asarray(model.predict_proba(asked))


def chances(known: NDArray[np.float64], targets: NDArray[Any]) -> Answerer:
    """Return what gives the probability of one label; of one that always or never holds as that."""
    if len(np.unique(targets)) < 2:
        always = float(targets[0])
        return lambda asked: np.full(len(asked), always)
    several = chances_of(logistic(known, targets))
    return lambda asked: several(asked)[:, 1]


def mean_row(task: Task, errors: NDArray[np.float32], targets: NDArray[Any]) -> Baseline:
    """Return the scores of giving the mean of the training rows again, whatever the row."""
    return Baseline("the mean of the training rows", evaluate(task, errors, targets))


def thinned(table: Table, most: int) -> Table:
    """Return at most so many rows, evenly out of all."""
    if len(table) <= most:
        return table
    return table.take(evenly(len(table), most))


def flat_features(table: Table) -> NDArray[np.float64]:
    """Return one vector a row: each input as it is, or statistics of each channel of a sequence."""
    return np.concatenate([flat(values) for values in table.inputs.values()], axis=1)


def flat(values: Values) -> NDArray[np.float64]:
    """Return one vector a row of one input."""
    if values.lengths is None:
        return values.x.reshape(len(values.x), -1).astype(np.float64)
    rows = (row[:length] for row, length in zip(values.x, values.lengths, strict=True))
    return np.stack([channel_statistics(row.astype(np.float64)) for row in rows])


def channel_statistics(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape: (T, F) -> (4 * F,): mean, standard deviation, least and most of each channel."""
    return np.concatenate([steps.mean(0), steps.std(0), steps.min(0), steps.max(0)])
