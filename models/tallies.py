"""Tally: what became of the rows of a scoring job, so far; tallies of several processes can be added."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from models.errors import InsituError, shown
from models.histograms import Histogram
from models.privacy import OPEN, Privacy

LABELS_KEPT = 256  # each counted by name; rows of any further label are counted together
OTHER_LABELS = "(other labels)"
EXAMPLE_CHARACTERS = 400


@dataclass(slots=True)
class Tally:
    """Rows by what became of them.

    `skipped` counts rows by error code, `examples` has a message of each. `passed` counts rows that
    were passed over: they had an answer, or no new features. Numbers are a row's value or probability.
    """

    scored: int = 0
    passed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    numbers: int = 0
    total: float = 0.0
    lowest: float | None = None
    highest: float | None = None
    histogram: Histogram = field(default_factory=Histogram)

    @property
    def rows(self) -> int:
        """Every row that was looked at."""
        return self.scored + self.passed + self.skipped.total()

    def add_labels(self, labels: Counter[str]) -> None:
        """Count rows by what they were told."""
        for label, count in labels.items():
            known = label in self.labels or len(self.labels) < LABELS_KEPT
            self.labels[label if known else OTHER_LABELS] += count

    def add_numbers(self, numbers: NDArray[np.floating[Any]]) -> None:
        """Count finite numbers."""
        if not numbers.size:
            return
        self._widen(float(numbers.min()), float(numbers.max()))
        self.numbers += numbers.size
        self.total += float(numbers.sum(dtype=np.float64))
        self.histogram.add(numbers)

    def skip(self, error: InsituError, rows: int = 1, privacy: Privacy = OPEN) -> None:
        """Count rows that could not be scored; the message that is kept has no private names."""
        self.skipped[error.code] += rows
        if error.code not in self.examples:
            self.examples[error.code] = shown(privacy.text(str(error)), EXAMPLE_CHARACTERS)

    def merge(self, other: "Tally") -> None:
        """Add the counts of another."""
        self.scored += other.scored
        self.passed += other.passed
        self.skipped.update(other.skipped)
        self.examples = {**other.examples, **self.examples}
        self.add_labels(other.labels)
        self.numbers += other.numbers
        self.total += other.total
        if other.lowest is not None and other.highest is not None:
            self._widen(other.lowest, other.highest)
        self.histogram.merge(other.histogram)

    def _widen(self, low: float, high: float) -> None:
        self.lowest = low if self.lowest is None else min(self.lowest, low)
        self.highest = high if self.highest is None else max(self.highest, high)

    def to_data(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "scored": self.scored,
            "passed": self.passed,
            "skipped": dict(self.skipped),
            "examples": self.examples,
            "labels": dict(self.labels),
            "numbers": self.numbers,
            "total": self.total,
            "lowest": self.lowest,
            "highest": self.highest,
            "histogram": self.histogram.to_data(),
        }

    def to_json(self) -> bytes:
        """Return it as it lies in Redis."""
        return orjson.dumps(self.to_data())

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read what `to_json` gave."""
        data = orjson.loads(text)
        return cls(
            scored=data["scored"],
            passed=data["passed"],
            skipped=Counter(data["skipped"]),
            examples=data["examples"],
            labels=Counter(data["labels"]),
            numbers=data["numbers"],
            total=data["total"],
            lowest=data["lowest"],
            highest=data["highest"],
            histogram=Histogram.from_data(data["histogram"]),
        )
