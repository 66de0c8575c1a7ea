"""Histogram: how many numbers lie where, counted exactly while they come, in a bounded number of bins.

A bin is as wide as a power of two and begins at a multiple of its width. When the numbers need more
bins than there may be, neighbours are joined and the width doubles: so any two histograms can be
added, and the order in which numbers come changes nothing.
"""

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

MOST_BINS = 64
FINEST = -40  # 2^FINEST is the width of the finest bins
COARSEST = 1024


class Histogram:
    """Counts by bin: bin `at` holds the numbers in [at, at + 1) times 2^`exponent`."""

    __slots__ = ("counts", "exponent")

    def __init__(self, exponent: int = FINEST, counts: dict[int, int] | None = None) -> None:
        self.exponent = exponent
        self.counts = counts or {}

    def add(self, numbers: NDArray[np.floating[Any]]) -> None:
        """Count finite numbers of any shape."""
        if not numbers.size:
            return
        wide = numbers.astype(np.float64, copy=False).reshape(-1)
        self._coarsen(max(self.exponent, needed(float(wide.min()), float(wide.max()))))
        bins, counts = np.unique(np.floor(np.ldexp(wide, -self.exponent)), return_counts=True)
        for at, count in zip(bins.tolist(), counts.tolist(), strict=True):
            self.counts[int(at)] = self.counts.get(int(at), 0) + count
        self._fit()

    def merge(self, other: "Histogram") -> None:
        """Add the counts of another."""
        if not other.counts:
            return
        theirs = Histogram(other.exponent, dict(other.counts))
        theirs._coarsen(max(self.exponent, other.exponent))
        self._coarsen(theirs.exponent)
        for at, count in theirs.counts.items():
            self.counts[at] = self.counts.get(at, 0) + count
        self._fit()

    def coarser(self, bins: int) -> "Histogram":
        """Return the same counts in at most so many bins, two at the least: nothing joins those beside zero."""
        copy = Histogram(self.exponent, dict(self.counts))
        copy._fit(max(bins, 2))
        return copy

    def wider(self, exponent: int) -> "Histogram":
        """Return the same counts in bins that are at least as wide as 2^`exponent`."""
        copy = Histogram(self.exponent, dict(self.counts))
        copy._coarsen(exponent)
        return copy

    def _fit(self, most: int = MOST_BINS) -> None:
        """Join bins until there are few enough between the first and the last."""
        while self.counts and max(self.counts) - min(self.counts) >= most:
            self._coarsen(self.exponent + 1)

    def _coarsen(self, exponent: int) -> None:
        """Join bins up to a width; a bin goes into the one it lies in."""
        by = exponent - self.exponent
        if by <= 0:
            return
        joined: dict[int, int] = {}
        for at, count in self.counts.items():
            joined[at >> by] = joined.get(at >> by, 0) + count
        self.exponent, self.counts = exponent, joined

    @property
    def bins(self) -> list[tuple[float, float, int]]:
        """Every bin from the first that has a number to the last: begin, end, count."""
        if not self.counts:
            return []
        return [
            (
                math.ldexp(float(at), self.exponent),
                math.ldexp(float(at + 1), self.exponent),
                self.counts.get(at, 0),
            )
            for at in range(min(self.counts), max(self.counts) + 1)
        ]

    def to_data(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {"exponent": self.exponent, "counts": {str(at): count for at, count in self.counts.items()}}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Read what `to_data` gave."""
        return cls(int(data["exponent"]), {int(at): int(count) for at, count in data["counts"].items()})


def needed(low: float, high: float) -> int:
    """Return an exponent with which both ends lie in bins that a float counts exactly."""
    largest = max(abs(low), abs(high))
    span = high - low
    exponent = FINEST
    if largest:
        exponent = max(exponent, math.frexp(largest)[1] - 52)
    if span and math.isfinite(span):
        exponent = max(exponent, math.frexp(span / MOST_BINS)[1] - 1)
    return min(exponent, COARSEST)
