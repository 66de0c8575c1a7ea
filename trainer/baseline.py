"""A linear model of scikit-learn on the same rows: what a network has to beat to be worth it."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.evaluate import Scores, evaluate
from trainer.table import Table, Values
from trainer.tasks import Classification, Task

ITERATIONS = 2000
ROWS_MOST = 20_000
ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class Baseline:
    """A linear model's scores on the held-out rows."""

    name: str
    scores: Scores


def baseline(task: Task, train: Table, held_out: Table) -> Baseline:
    """Fit a linear model to rows that are not held out, and score it on those that are.

    Of more rows than a linear model gains from, an even part is taken.
    """
    classifies = isinstance(task, Classification)
    linear = LogisticRegression(max_iter=ITERATIONS) if classifies else Ridge()
    model = make_pipeline(StandardScaler(), linear)
    with warnings.catch_warnings():
        # A baseline that is not quite at its optimum is still a baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        some = thinned(train, ROWS_MOST)
        model.fit(flat_features(some), some.targets)
    answer = model.predict_proba if classifies else model.predict
    parts = (held_out.slice(start, start + ROWS_AT_ONCE) for start in range(0, len(held_out), ROWS_AT_ONCE))
    answers = np.concatenate([answer(flat_features(part)) for part in parts]).reshape(len(held_out), -1)
    sequences = any(values.lengths is not None for values in train.inputs.values())
    about = "mean, deviation, least and most of each channel" if sequences else "the features"
    name = f"scikit-learn {'logistic' if classifies else 'ridge'} regression on {about}, standardised"
    return Baseline(name, evaluate(task, np.asarray(answers), held_out.targets))


def thinned(table: Table, most: int) -> Table:
    """Return at most so many rows, evenly out of all."""
    if len(table) <= most:
        return table
    return table.take(np.linspace(0, len(table) - 1, most, dtype=np.int64))


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
