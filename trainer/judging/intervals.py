"""How far chance alone moves a score: confidence intervals by bootstrap, many resamples at once.

A resample is a count for each row. Every score here is a function of sums over rows or of an
order of rows, so a block of resamples is one matrix product and no row is ever copied.
Source: Efron and Tibshirani 1993, percentile intervals; with very many rows the m-out-of-n bootstrap.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from trainer.judging.questions import Array, Floats

RESAMPLES_MOST = 1000
RESAMPLES_LEAST = 200
WORK = 10_000_000  # row counts drawn in all; a second or two
BLOCK = 200_000  # row counts held at once: 1.6 MB, and some copies of them
ROWS_MOST = WORK // RESAMPLES_LEAST
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a score lies with 95% confidence, and the deviation that chance alone gives it."""

    low: float
    high: float
    deviation: float


class Statistic(Protocol):
    """A score of resampled rows."""

    def over(self, counts: Floats) -> Floats:
        """Shape: counts (R, N), how often each row was drawn -> (R,)."""

    def take(self, rows: Array) -> "Statistic":
        """Return the same score of some of the rows."""


@dataclass(frozen=True, slots=True)
class Sums:
    """A score that follows from sums over the rows: columns (N, K), finish (R, K) -> (R,)."""

    columns: Floats
    finish: Callable[[Floats], Floats]

    def over(self, counts: Floats) -> Floats:
        """Return the score of each resample."""
        return self.finish(counts @ self.columns)

    def take(self, rows: Array) -> "Sums":
        """Return the same score of some of the rows."""
        return Sums(self.columns[rows], self.finish)


@dataclass(slots=True)
class Area:
    """The area under the ROC curve, or under that of precision over recall, of one label."""

    scores: Floats
    positive: Array
    precision: bool = False
    order: Array = field(init=False)
    starts: Array = field(init=False)

    def __post_init__(self) -> None:
        self.order = np.argsort(-self.scores, kind="stable")
        self.starts = np.flatnonzero(np.diff(self.scores[self.order], prepend=np.inf))

    def over(self, counts: Floats) -> Floats:
        """Return the area of each resample; rows that score alike count as one step of the curve."""
        drawn, positive = counts[:, self.order], self.positive[self.order]
        hits = np.add.reduceat(drawn * positive, self.starts, axis=1)
        misses = np.add.reduceat(drawn * ~positive, self.starts, axis=1)
        every = np.cumsum(hits, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.precision:
                share = every / (every + np.cumsum(misses, axis=1))
                result: Floats = (hits * np.nan_to_num(share)).sum(1) / every[:, -1]
            else:
                result = (misses * (every - hits / 2)).sum(1) / (every[:, -1] * misses.sum(1))
        return result

    def take(self, rows: Array) -> "Area":
        """Return the same area of some of the rows."""
        return Area(self.scores[rows], self.positive[rows], self.precision)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of several scores."""

    parts: tuple[Statistic, ...]

    def over(self, counts: Floats) -> Floats:
        """Return the mean of each resample."""
        result: Floats = np.mean([part.over(counts) for part in self.parts], axis=0)
        return result

    def take(self, rows: Array) -> "Mean":
        """Return the same mean of some of the rows."""
        return Mean(tuple(part.take(rows) for part in self.parts))


def intervals(
    statistics: Mapping[str, Statistic], strata: Array, seed: int = 0, weights: Floats | None = None
) -> dict[str, Interval]:
    """Return an interval for each score, on the same resamples; the same seed gives the same numbers.

    Rows are drawn within each stratum (N,), so every label keeps its share.
    """
    random = np.random.default_rng(seed)
    count = len(strata)
    rows = np.sort(random.choice(count, ROWS_MOST, replace=False)) if count > ROWS_MOST else np.arange(count)
    shrink = np.sqrt(len(rows) / count)
    chosen = {name: one.take(rows) for name, one in statistics.items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in chosen}
    for counts in resamples(strata[rows], random):
        weighted = counts if weights is None else counts * weights[rows]
        for name, one in chosen.items():
            drawn[name].append(one.over(weighted))
    return {name: interval(np.concatenate(parts), shrink) for name, parts in drawn.items()}


def resamples(strata: Array, random: np.random.Generator) -> Iterator[Floats]:
    """Give blocks of resamples, (R, N): how often each row was drawn."""
    count = len(strata)
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    left = int(np.clip(WORK // count, RESAMPLES_LEAST, RESAMPLES_MOST))
    while left:
        size = min(left, max(1, BLOCK // count))
        counts = np.zeros((size, count))
        for group in groups:
            places = random.integers(0, len(group), (size, len(group)))
            places += np.arange(size)[:, None] * len(group)
            drawn = np.bincount(places.reshape(-1), minlength=size * len(group))
            counts[:, group] = drawn.reshape(size, len(group))
        yield counts
        left -= size


def interval(drawn: Floats, shrink: float = 1.0) -> Interval:
    """Return the middle 95% of the resampled scores; those that have no value are left out."""
    values = drawn[np.isfinite(drawn)]
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    middle = float(values.mean())
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(
        float(middle + shrink * (low - middle)),
        float(middle + shrink * (high - middle)),
        float(shrink * values.std()),
    )


def deviation_of_share(share: float, rows: int) -> float:
    """Return how far chance moves a share of so many rows; where none of few is wrong, a bootstrap says not at all.

    Source: Agresti and Coull 1998, two more rows of either kind.
    """
    seen = (share * rows + 2) / (rows + 4)
    return float(np.sqrt(seen * (1 - seen) / (rows + 4)))
