"""Several labels at once: each with a probability of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Multilabel:
    """Any number of labels: (B, L) probabilities."""

    labels: tuple[str, ...]
    output: str = "probabilities"
    metric: str = "f1_micro"

    @property
    def outputs(self) -> int:
        """One number a label."""
        return len(self.labels)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Mean binary cross-entropy of the logits."""
        return functional.binary_cross_entropy_with_logits(raw, targets)

    def answer(self, raw: Tensor) -> Tensor:
        """Sigmoid of each logit."""
        return torch.sigmoid(raw)

    def score(self, raw: Tensor, targets: Tensor) -> float:
        """F1 over all labels of all rows together."""
        said, true = raw > 0, targets > EVEN
        hits = float((said & true).sum())
        return 2 * hits / max(float(said.sum() + true.sum()), 1.0)
