"""What is thought of a model, one thing at a time: what was seen, in numbers, and what to change."""

from dataclasses import dataclass
from typing import Literal

Sign = Literal[
    "leakage suspected",
    "no signal",
    "overfitting",
    "underfitting",
    "too little data",
    "enough data",
    "not converged",
    "learning rate too high",
    "imbalanced labels",
    "noisy labels",
    "far targets",
    "identifier",
    "time",
    "perfect score",
    "rough threshold",
    "unequal groups",
]
# A model has the first of these that was found, else it is good; the other signs are things to know.
VERDICTS: tuple[Sign, ...] = (
    "leakage suspected",
    "no signal",
    "overfitting",
    "underfitting",
    "too little data",
)
GOOD = "good"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sign: `says` what was seen and `change` what to do about it."""

    sign: Sign
    says: str
    change: str = ""

    def __str__(self) -> str:
        return f"{self.says}: {self.change}" if self.change else self.says
