"""What a verdict is made from: rows with what a model said of them, scores, and how training went."""

from dataclasses import dataclass, field

import numpy as np

from trainer.judging.questions import Answered, Array, Floats, Question, Scores
from trainer.judging.scoring import HEADLINES


@dataclass(frozen=True, slots=True)
class Course:
    """How training went: the losses of each epoch, the epoch whose weights were kept, counted from 1.

    `chance` is the loss of the best answer that is the same for every row, None where not known.
    """

    train: tuple[float, ...]
    validation: tuple[float, ...] = ()
    best: int = 0
    stopped_early: bool = False
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows: features (N, K), and what the model said of them.

    `names` are those of the K columns, as they may be shown.
    """

    features: Floats
    given: Answered
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.given)


@dataclass(frozen=True, slots=True)
class Size:
    """What the model scores on the held-out rows when it learns from so many rows."""

    rows: int
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a verdict looks at.

    `noise` is how far chance alone moves the headline score on the held-out rows; `forest` what a
    forest of scikit-learn scores on them, None where none was grown; `checked` the rows that chose
    the best epoch: nothing was fitted on them; `decided` the scores under a threshold that was chosen.
    """

    question: Question
    train: Part
    held_out: Part
    on_train: Scores
    on_held_out: Scores
    baseline: Scores
    noise: float
    course: Course
    forest: Scores | None = None
    checked: Part | None = None
    sizes: tuple[Size, ...] = ()
    constant: float = field(default=np.nan)
    decided: Scores | None = None

    @property
    def metric(self) -> str:
        """The score that the verdict is spoken in."""
        return HEADLINES[self.question.kind]

    @property
    def own(self) -> float:
        """The headline score on the rows it learned from."""
        return self.on_train.values.get(self.metric, np.nan)

    @property
    def new(self) -> float:
        """The headline score on the held-out rows."""
        return self.on_held_out.values.get(self.metric, np.nan)

    @property
    def plain(self) -> float:
        """The headline score of the linear baseline on the held-out rows."""
        return self.baseline.values.get(self.metric, np.nan)

    @property
    def tried(self) -> tuple[Scores, ...]:
        """The scores on the held-out rows of all that was tried: the network, the baseline, a forest."""
        return (self.on_held_out, self.baseline, *(() if self.forest is None else (self.forest,)))

    @property
    def unseen(self) -> Answered:
        """Every row that nothing was fitted on, with what the model said of it."""
        if self.checked is None:
            return self.held_out.given
        parts = (self.held_out.given, self.checked.given)
        return Answered(
            np.concatenate([part.answers for part in parts]),
            np.concatenate([part.truth for part in parts]),
            keys=parts[0].keys + parts[1].keys,
        )


def constant_score(question: Question, train: Array, held_out: Array) -> float:
    """Return the headline score of the best answer that is the same for every row, nan where unknown."""
    if question.kind == "classification":
        most = np.bincount(train.astype(np.int64), minlength=len(question.labels)).argmax()
        return float((held_out == most).mean())
    return 0.0 if HEADLINES[question.kind] == "r2" else float("nan")


def constant_loss(question: Question, train: Array) -> float | None:
    """Return the loss of the best answer that is the same for every row: of cross-entropy, or squares in deviations."""
    if question.kind != "classification":
        return 1.0 if question.kind == "regression" else None
    shares = np.bincount(train.astype(np.int64), minlength=len(question.labels)) / len(train)
    return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
