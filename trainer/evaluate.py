"""How good a network's answers are, measured on rows that were held out: a task in the words of judging."""

from typing import Any

from numpy.typing import NDArray

from trainer.judging.questions import Answered, Question, Scores
from trainer.judging.scoring import score
from trainer.tasks.anomaly import Anomaly
from trainer.tasks.multilabel import Multilabel
from trainer.tasks.task import Classification, Task
from trainer.tasks.values import Forecasting, Quantiles


def question_of(task: Task) -> Question:
    """Return what a task asks."""
    match task:
        case Classification():
            return Question("classification", task.labels)
        case Multilabel():
            return Question("multilabel", task.labels)
        case Quantiles():
            return Question("quantiles", quantiles=task.shares)
        case Forecasting():
            return Question("forecast")
        case Anomaly():
            return Question("anomaly", threshold=task.threshold, spread=task.spread)
        case _:
            return Question("regression")


def evaluate(task: Task, answers: NDArray[Any], targets: NDArray[Any]) -> Scores:
    """Compare answers with what is true.

    Shape: answers (N, ...) as the task gives them; targets (N, ...) as the table has them.
    """
    known = None if isinstance(task, Anomaly) else targets
    return score(question_of(task), Answered(answers, known))
