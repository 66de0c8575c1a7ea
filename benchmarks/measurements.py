"""Measurements: what every round of every case gave, and what they say together."""

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Series:
    """What is measured again in every round: who, in which case, under which conditions."""

    case: str
    who: str
    setting: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One round of one series; `samples` are (seconds, value) pairs where a case has a course over time."""

    series: Series
    round: int
    figures: Figures
    samples: tuple[tuple[float, float], ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return the measurement for a file."""
        told = {"round": self.round, "figures": self.figures}
        return {**asdict(self.series), **told, **({"samples": self.samples} if self.samples else {})}


@dataclass
class Measurements:
    """All measurements of a run, in the order they were made."""

    made: list[Measurement] = field(default_factory=list)

    def of(self, series: Series, figure: str) -> list[float]:
        """Return one figure of a series, one value a round; empty when it was not measured."""
        return [one.figures[figure] for one in self.made if one.series == series and figure in one.figures]

    def median(self, series: Series, figure: str) -> float | None:
        """Return the median over the rounds, None when it was not measured."""
        values = self.of(series, figure)
        return statistics.median(values) if values else None

    def ratio(self, ours: tuple[Series, str], theirs: tuple[Series, str]) -> list[float]:
        """Return our figure over theirs, round by round: a round shares its noise."""
        pairs = zip(self.of(*ours), self.of(*theirs), strict=False)
        return [mine / other for mine, other in pairs if other]

    def case(self, name: str) -> list[Measurement]:
        """Return the measurements of one case."""
        return [one for one in self.made if one.series.case == name]


def spread(values: Iterable[float]) -> float:
    """Return how far the rounds lie apart: (most - least) / median, 0 for a single one."""
    known = list(values)
    middle = statistics.median(known) if known else 0.0
    return (max(known) - min(known)) / middle if middle else 0.0
