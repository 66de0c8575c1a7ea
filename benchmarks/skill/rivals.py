"""Rivals: what one would take from scikit-learn instead, as it comes; they see the rows that the network saw."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline

from trainer.baseline import Categories, flat_features, places, scaling
from trainer.table import Table

ITERATIONS = 2000
TREES = 300
Features = NDArray[np.float64]
Make = Callable[[int, Any], Any]  # a seed, and what brings features to one scale -> an estimator

CLASSIFIERS: Mapping[str, Make] = {
    "LogisticRegression": lambda seed, scale: make_pipeline(
        scale, LogisticRegression(max_iter=ITERATIONS, random_state=seed)
    ),
    "MLPClassifier": lambda seed, scale: make_pipeline(
        scale, MLPClassifier(max_iter=ITERATIONS, random_state=seed)
    ),
    "RandomForest": lambda seed, _scale: RandomForestClassifier(TREES, random_state=seed),
    "HistGradientBoosting": lambda seed, _scale: HistGradientBoostingClassifier(random_state=seed),
}
REGRESSORS: Mapping[str, Make] = {
    "Ridge": lambda _seed, scale: make_pipeline(scale, Ridge()),
    "MLPRegressor": lambda seed, scale: make_pipeline(
        scale, MLPRegressor(max_iter=ITERATIONS, random_state=seed)
    ),
    "RandomForest": lambda seed, _scale: RandomForestRegressor(TREES, random_state=seed),
    "HistGradientBoosting": lambda seed, _scale: HistGradientBoostingRegressor(random_state=seed),
}


def features(table: Table) -> Features:
    """Return one vector a row; of a sequence the statistics of each channel, and its steps padded with zeros.

    Shape: (N, features).
    """
    steps = [
        values.x.reshape(len(table), -1).astype(np.float64)
        for values in table.inputs.values()
        if values.lengths is not None
    ]
    return np.concatenate([flat_features(table), *steps], axis=1)


def answers(
    make: Make, seed: int, learned: Table, asked: Table, categories: Categories
) -> NDArray[np.float64]:
    """Fit a rival and return what it says of other rows: (N, C) probabilities or (N, 1) values.

    What needs one scale sees each category in a column of its own; trees part their numbers themselves.
    """
    rival = make(seed, scaling(places(learned, categories)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rival.fit(features(learned), learned.targets)
    if hasattr(rival, "predict_proba"):
        said: NDArray[np.float64] = rival.predict_proba(features(asked))
        return said
    return np.asarray(rival.predict(features(asked)), np.float64).reshape(len(asked), -1)
