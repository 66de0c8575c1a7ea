"""What was asked of a network and what came back, as arrays; the words the rest of this folder shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["classification", "multilabel", "regression", "quantiles", "forecast", "anomaly"]
Floats = NDArray[np.float64]
Array = NDArray[Any]
EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Question:
    """What one answer says.

    `threshold` is the probability from which the second of two labels (or any of a multilabel) is
    said, or the score above which a row is an anomaly; `positive` the label of two that is looked
    for; `quantiles` the shares of a quantile regression, ascending; `spread` the mean score of giving
    the mean row again, where scores are errors of giving rows again.
    """

    kind: Kind
    labels: tuple[str, ...] = ()
    quantiles: tuple[float, ...] = ()
    threshold: float | None = None
    positive: int = 1
    spread: float | None = None

    @property
    def binary(self) -> bool:
        """Whether there are exactly two labels and one of them is said."""
        return self.kind == "classification" and len(self.labels) == 2


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers of a model beside the truth, row by row.

    Shape: answers (N, C) probabilities of labels; (N, L) of a multilabel; (N, 1) or (N, D) values;
        (N, Q) quantiles; (N, H) or (N, H, F) steps of a forecast; (N,) or (N, 1) anomaly scores.
        targets (N,) label numbers, (N, L) of 0 and 1, (N,) or (N, D) values, as the answers of a
        forecast, (N,) 1 for an anomaly and 0 for none; None where nobody knows.
        weights (N,), None where every row counts once; naive, the forecast of the last known value.
    """

    answers: Array
    targets: Array | None
    weights: Floats | None = None
    naive: Array | None = None
    keys: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, rows: NDArray[np.int64]) -> "Answered":
        """Return some of the rows, in the order given."""
        targets, weights, naive = (
            None if one is None else one[rows] for one in (self.targets, self.weights, self.naive)
        )
        return Answered(
            self.answers[rows],
            targets,
            weights,
            naive,
            tuple(self.keys[row] for row in rows) if self.keys else (),
        )

    @property
    def truth(self) -> Array:
        """The targets of a kind of question that always has them."""
        if self.targets is None:
            raise ValueError("these answers come without the truth")
        return self.targets


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics by name; for one label of several also who was taken for whom, rows true, columns said."""

    values: dict[str, float]
    confusion: tuple[tuple[int, ...], ...] = ()
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def said_labels(question: Question, probabilities: Array) -> NDArray[np.int64]:
    """Return the label number that a server says of each row: (N, C) -> (N,)."""
    if question.binary and question.threshold is not None:
        return (probabilities[:, 1] >= question.threshold).astype(np.int64)
    said: NDArray[np.int64] = probabilities.argmax(-1).astype(np.int64)
    return said
