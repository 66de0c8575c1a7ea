"""Anomaly: how badly a network that knows the training rows gives a row again."""

from dataclasses import dataclass

from torch import Tensor

USUAL_SHARE = 0.99  # of the training rows, below the threshold


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A score a row, (B, 1): the mean squared error of the row given again, scaled as the network scales.

    `share` of the training rows lie below `threshold`; `spread` is what the mean row would miss
    the training rows by.
    """

    share: float = USUAL_SHARE
    threshold: float | None = None
    spread: float = 1.0
    output: str = "anomaly_score"
    metric: str = "mean_score"
    outputs: int | None = None

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Mean score: the network gives it itself."""
        return raw.mean()

    def answer(self, raw: Tensor) -> Tensor:
        """The score as it is."""
        return raw

    def score(self, raw: Tensor, targets: Tensor) -> float:
        """Mean score."""
        return float(raw.mean())
