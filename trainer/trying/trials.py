"""What a search came to: every trial, and the best; knows nothing of how trials are chosen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of values: `state` is complete, pruned or failed, `value` what it came to."""

    values: Mapping[str, Any]
    state: str
    value: float | None
    epochs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Trials:
    """Every trial in its order; `by` names the value, `best` the trial that has the best, from 1."""

    by: str
    best: int
    trials: tuple[Trial, ...]

    def as_data(self) -> dict[str, Any]:
        """Return what the card tells."""
        return {"by": self.by, "best": self.best, "trials": [asdict(one) for one in self.trials]}
