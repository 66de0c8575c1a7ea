"""Scores of answers, by the kind of question that was asked."""

from collections.abc import Callable

from trainer.judging import labels, values
from trainer.judging.questions import Answered, Kind, Question, Scores

SCORINGS: dict[Kind, Callable[[Question, Answered], Scores]] = {
    "classification": labels.classification,
    "multilabel": labels.multilabel,
    "regression": values.regression,
    "quantiles": values.quantiles,
    "forecast": values.forecast,
    "anomaly": values.anomaly,
}
# What one reads first of each kind, and whether more is better: the verdict is spoken in it.
HEADLINES: dict[Kind, str] = {
    "classification": "accuracy",
    "multilabel": "f1_micro",
    "regression": "r2",
    "quantiles": "r2",
    "forecast": "r2",
    "anomaly": "r2",
}


def score(question: Question, given: Answered) -> Scores:
    """Compare answers with what is true."""
    return SCORINGS[question.kind](question, given)
