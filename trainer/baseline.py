"""A linear model of scikit-learn on the same rows: what a network has to beat to be worth it."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.recipe import Recipe
from trainer.blueprints import columns_of
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
Categories = Mapping[str, Mapping[int, int]]  # of each input: a column of categories, and how many there are


@dataclass(frozen=True, slots=True)
class Baseline:
    """A linear model's scores on the held-out rows."""

    name: str
    scores: Scores


def baseline(task: Task, train: Table, held_out: Table, categories: Categories | None = None) -> Baseline:
    """Fit a linear model to rows that are not held out, and score it on those that are.

    Of more rows than a linear model gains from, an even part is taken.
    """
    some, few = thinned(train, ROWS_MOST), places(train, categories or {})
    answer = answerer(task, some.targets, flat_features(some), scaling(few))
    parts = (held_out.slice(start, start + ROWS_AT_ONCE) for start in range(0, len(held_out), ROWS_AT_ONCE))
    answers = np.concatenate([answer(flat_features(part)) for part in parts])
    return Baseline(name_of(task, train, bool(few)), evaluate(task, answers, held_out.targets))


def name_of(task: Task, train: Table, categories: bool) -> str:
    """Return what the linear model of a task is called, and what it sees."""
    sequences = any(values.lengths is not None for values in train.inputs.values())
    about = "mean, deviation, least and most of each channel" if sequences else "the features"
    kind = "logistic" if isinstance(task, Classification | Multilabel) else "ridge"
    ending = ", categories one-hot" if categories else ""
    return f"scikit-learn {kind} regression on {about}, standardised{ending}"


def categories_of(recipe: Recipe) -> Categories:
    """Return which columns of the inputs of a recipe hold the number of a category."""
    return {
        view.name: {at: one.categories for at, one in enumerate(columns_of(view)) if one.categories}
        for view in recipe.features.inputs
    }


def places(table: Table, categories: Categories) -> dict[int, int]:
    """Return where in `flat_features` a number of a category stands, and how many categories there are."""
    found, before = {}, 0
    for name, values in table.inputs.items():
        found.update({before + at: count for at, count in categories.get(name, {}).items()})
        before += flat(values.slice(0, 1)).shape[1]
    return found


def scaling(few: Mapping[int, int]) -> Any:
    """Return what brings features to one scale: numbers standardised, each category a column of its own."""
    if not few:
        return StandardScaler()
    kinds = OneHotEncoder(categories=[range(count) for count in few.values()], handle_unknown="ignore")
    return ColumnTransformer([("categories", kinds, list(few))], remainder=StandardScaler())


def answerer(task: Task, true: NDArray[Any], known: NDArray[np.float64], scaled: Any) -> Answerer:
    """Return what gives a linear model's answers in the shape of the task's."""
    if isinstance(task, Classification):
        return chances_of(logistic(known, true, scaled))
    if isinstance(task, Multilabel):
        every = [chances(known, column, scaled) for column in true.T]
        return lambda asked: np.stack([one(asked) for one in every], 1)
    values = true.reshape(len(true), -1)
    model = make_pipeline(scaled, Ridge()).fit(known, values)

    def said(asked: NDArray[np.float64]) -> NDArray[Any]:
        return np.asarray(model.predict(asked)).reshape(len(asked), -1)

    if not isinstance(task, Quantiles):
        return said
    apart = np.quantile(values - said(known), task.shares, axis=0)
    return lambda asked: said(asked)[..., None] + apart.T  # (N, columns, Q)


def logistic(known: NDArray[np.float64], targets: NDArray[Any], scaled: Any) -> Any:
    """Return a logistic regression on features brought to one scale."""
    model = make_pipeline(clone(scaled), LogisticRegression(max_iter=ITERATIONS))
    with warnings.catch_warnings():
        # A baseline that is not quite at its optimum is still a baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(known, targets)


def chances_of(model: Any) -> Answerer:
    """Return what gives the probabilities of a fitted model."""
    return lambda asked: np.asarray(model.predict_proba(asked))


def chances(known: NDArray[np.float64], targets: NDArray[Any], scaled: Any) -> Answerer:
    """Return what gives the probability of one label; of one that always or never holds as that."""
    if len(np.unique(targets)) < 2:
        always = float(targets[0])
        return lambda asked: np.full(len(asked), always)
    several = chances_of(logistic(known, targets, scaled))
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
