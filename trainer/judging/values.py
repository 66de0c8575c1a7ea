"""Metrics of numbers: values, quantiles, forecasts and anomaly scores."""

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)

from trainer.judging.questions import Answered, Array, Floats, Question, Scores


def regression(_question: Question, given: Answered) -> Scores:
    """Return root mean squared error, mean absolute error and R2, each the mean over the values of a row."""
    truth, said, weights = columns(given.truth), columns(given.answers), given.weights
    return Scores(
        {
            "rmse": float(np.sqrt(mean_squared_error(truth, said, sample_weight=weights))),
            "mae": float(mean_absolute_error(truth, said, sample_weight=weights)),
            "r2": explained(truth, said, weights),
        }
    )


def explained(truth: Floats, said: Floats, weights: Floats | None) -> float:
    """Return R2, 0 where the truth is all alike: then there is nothing to explain."""
    varied = np.ptp(truth, axis=0) > 0
    if not varied.any():
        return 0.0
    return float(r2_score(truth[:, varied], said[:, varied], sample_weight=weights))


def quantiles(question: Question, given: Answered) -> Scores:
    """Return the pinball losses, how many rows fall between the outer two, and the middle's errors."""
    truth, weights = columns(given.truth), given.weights
    said = given.answers.astype(np.float64).reshape(*truth.shape, len(question.quantiles))
    losses = {
        f"pinball_{share:g}": float(
            mean_pinball_loss(truth, said[..., at], alpha=share, sample_weight=weights)
        )
        for at, share in enumerate(question.quantiles)
    }
    middle = int(np.argmin(np.abs(np.array(question.quantiles) - 0.5)))
    scores = regression(question, Answered(said[..., middle], truth, weights))
    values = scores.values | {"pinball": float(np.mean(list(losses.values()))), **losses}
    if len(question.quantiles) > 1:
        inside = ((truth >= said.min(-1)) & (truth <= said.max(-1))).mean(-1)
        values["coverage"] = float(np.average(inside, weights=weights))
        values["coverage_wanted"] = max(question.quantiles) - min(question.quantiles)
    return Scores(values)


def forecast(question: Question, given: Answered) -> Scores:
    """Return the errors over all steps, and how they compare with the naive forecast: the last known value.

    Source: MASE as Hyndman and Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001, scaled by the
        naive forecast of the same steps.
    """
    truth = given.truth.reshape(len(given), -1).astype(np.float64)
    said = given.answers.reshape(len(given), -1).astype(np.float64)
    values = regression(question, Answered(said, truth, given.weights)).values
    if given.naive is not None:
        naive = np.broadcast_to(given.naive, given.truth.shape).reshape(len(given), -1)
        scale = float(mean_absolute_error(truth, naive.astype(np.float64), sample_weight=given.weights))
        values["naive_mae"] = scale
        if scale:
            values["mase"] = values["mae"] / scale
    return Scores(values)


def anomaly(question: Question, given: Answered) -> Scores:
    """Return the mean score, the share that is flagged and, where the truth is known, how well scores tell it.

    `r2` is the share of what the mean row misses that the network does not.
    """
    scores, weights = given.answers.reshape(-1).astype(np.float64), given.weights
    values = {"mean_score": float(np.average(scores, weights=weights))}
    if question.spread:
        values["r2"] = 1 - values["mean_score"] / question.spread
    if question.threshold is not None:
        values["flagged"] = float(np.average(scores > question.threshold, weights=weights))
    if given.targets is not None and len(np.unique(given.targets)) == 2:
        values["roc_auc"] = float(roc_auc_score(given.targets, scores, sample_weight=weights))
        values["pr_auc"] = float(average_precision_score(given.targets, scores, sample_weight=weights))
    return Scores(values)


def columns(values: Array) -> Floats:
    """Return values as (N, D) in double precision."""
    return values.reshape(len(values), -1).astype(np.float64)
