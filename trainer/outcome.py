"""What a training came to, before and after it is a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.bundle import Bundle
from trainer.baseline import Baseline
from trainer.contest.windows import Windows
from trainer.exporting.export import Exported
from trainer.fitting.fit import History
from trainer.judge import Judgement
from trainer.judging.diagnosis import Diagnosis
from trainer.judging.evidence import Size
from trainer.judging.questions import Answered, Question, Scores
from trainer.trying.folds import Folds
from trainer.trying.trials import Trials


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The rows that nothing was fitted or chosen on: keys, and what is true of each where that is known.

    `windows` are those of all series, where the rows are such.
    """

    keys: tuple[str, ...]
    targets: tuple[Any, ...]
    windows: Windows | None = None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows each part had, and why some of those found were left out."""

    train: int
    validation: int
    held_out: int
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything known about one trained model; scores are on the held-out rows, from ONNX Runtime.

    `question` is what was asked of it, `answered` its answers to the held-out rows; `reference`, `profile`
    and `attributions` are the card's entries of that name.

    Units: seconds by stage.
    """

    exported: Exported
    rows: RowCounts
    held_out: HeldOut
    history: History
    judgement: Judgement
    baseline: Baseline
    device: str
    seconds: Mapping[str, float]
    question: Question
    answered: Answered
    reference: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    attributions: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[Size, ...] = ()
    trials: Trials | None = None
    folds: Folds | None = None

    @property
    def scores(self) -> Scores:
        """How good its answers are."""
        return self.judgement.scores

    @property
    def diagnosis(self) -> Diagnosis:
        """What is to be thought of it."""
        return self.judgement.diagnosis


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A bundle that can be published, and how it came about."""

    bundle: Bundle
    outcome: Outcome
