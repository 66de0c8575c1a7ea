"""How good a network's answers are, measured on rows that were held out: a task in the words of judging."""

from typing import Any

from numpy.typing import NDArray

from trainer.judging.questions import Answered, Question, Scores
from trainer.judging.scoring import score
from trainer.tasks import Classification, Task


def question_of(task: Task) -> Question:
    """Return what a task asks."""
    if isinstance(task, Classification):
        return Question("classification", task.labels)
    return Question("regression")


def evaluate(task: Task, answers: NDArray[Any], targets: NDArray[Any]) -> Scores:
    """Compare answers with what is true.

    Shape: answers (N, C) probabilities or (N, 1) values; targets (N,).
    """
    return score(question_of(task), Answered(answers, targets))
