"""What a training came to, before and after it is a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.bundle import Bundle
from trainer.baseline import Baseline
from trainer.diagnose import Diagnosis
from trainer.evaluate import Scores
from trainer.export import Exported
from trainer.fit import History
from trainer.folds import Folds


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The rows that nothing was fitted or chosen on: keys, and what is true of each where that is known."""

    keys: tuple[str, ...]
    targets: tuple[Any, ...]


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

    Units: seconds by stage.
    """

    exported: Exported
    rows: RowCounts
    held_out: HeldOut
    history: History
    scores: Scores
    baseline: Baseline
    diagnosis: Diagnosis
    device: str
    seconds: Mapping[str, float]
    folds: Folds | None = None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A bundle that can be published, and how it came about."""

    bundle: Bundle
    outcome: Outcome
