"""A verdict on a fitted network, in words and numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

from trainer.evaluate import Scores
from trainer.fit import History
from trainer.multilabel import Multilabel
from trainer.tasks import Classification, Task

HELD_OUT_FEW = 50  # below this one row is worth 2 points of accuracy or more
ROWS_PER_CLASS_FEW = 20
GAP_LARGE = 0.05
NOISE_DEVIATIONS = 2.0
JUDGED_BY = {Classification: "accuracy", Multilabel: "f1_micro"}


@dataclass(frozen=True, slots=True)
class Parts:
    """Scores of the network on the rows it learned from and on those held out, and of the baseline."""

    train: Scores
    held_out: Scores
    baseline: Scores
    train_rows: int
    held_out_rows: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is to be thought of a model.

    `verdict` is one of good, overfitting, underfitting, too little data; `gap` is the score on the
    training rows less that on the held-out rows, `noise` how far chance alone moves the latter
    (accuracy, F1 or R2).
    """

    verdict: str
    metric: str
    gap: float
    noise: float
    findings: tuple[str, ...]


def diagnose(task: Task, parts: Parts, history: History) -> Diagnosis:
    """Say whether a network learned too much, too little, or from too few rows."""
    metric = JUDGED_BY.get(type(task), "r2")
    train, held_out, plain = (
        scores.values[metric] for scores in (parts.train, parts.held_out, parts.baseline)
    )
    noise = sqrt(max(held_out * (1 - held_out), 0.0) / parts.held_out_rows)
    gap = train - held_out
    overfits = gap > max(GAP_LARGE, NOISE_DEVIATIONS * noise)
    underfits = train < plain - max(GAP_LARGE, NOISE_DEVIATIONS * noise)
    scarce = tuple(scarcity(task, parts))
    summary = (
        f"{metric} {train:.3f} on the rows it learned from, {held_out:.3f} on those held out "
        f"(give or take {noise:.3f} by chance), {plain:.3f} for the linear baseline"
    )
    findings = (
        summary,
        *overfitting(gap, overfits),
        *underfitting(train, plain, underfits),
        *unfinished(history),
        *scarce,
    )
    verdict = next(
        (
            word
            for word, holds in (
                ("overfitting", overfits),
                ("underfitting", underfits),
                ("too little data", bool(scarce)),
            )
            if holds
        ),
        "good",
    )
    return Diagnosis(verdict, metric, round(gap, 4), round(noise, 4), findings)


def overfitting(gap: float, holds: bool) -> Iterator[str]:
    """Say what to do about a network that remembers its rows."""
    if holds:
        yield (
            f"it is {gap:.3f} better on rows it has seen: take more dropout or weight_decay, "
            "a smaller network, or more rows"
        )


def underfitting(train: float, plain: float, holds: bool) -> Iterator[str]:
    """Say what to do about a network that did not learn."""
    if holds:
        yield (
            f"it knows its own rows less well ({train:.3f}) than the linear baseline knows new ones "
            f"({plain:.3f}): take more epochs, a larger lr or network, or begin with standardize"
        )


def unfinished(history: History) -> Iterator[str]:
    """Say when training ended while it still paid."""
    count = len(history.epochs)
    losses = [epoch.validation_loss for epoch in history.epochs if epoch.validation_loss is not None]
    if not losses or history.stopped_early or history.best < count or count < 5:
        return
    earlier = losses[-1 - count // 5]
    if losses[-1] < 0.9 * earlier:
        yield f"the last epoch of {count} was the best and the loss still fell: take more epochs"


def scarcity(task: Task, parts: Parts) -> Iterator[str]:
    """Say when there are too few rows to learn from or to judge by."""
    if parts.held_out_rows < HELD_OUT_FEW:
        yield f"only {parts.held_out_rows} rows were held out: the score is a rough guess"
    classes = len(task.labels) if isinstance(task, Classification) else 1
    if parts.train_rows < ROWS_PER_CLASS_FEW * classes:
        yield f"only {parts.train_rows} rows to learn from, {ROWS_PER_CLASS_FEW} a label is little already"
