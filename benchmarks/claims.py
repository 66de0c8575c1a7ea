"""Claims: what the figures shall reach, worked out of one run, and whether they do."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.measurements import Measurements, Series

Verdict = Literal["met", "missed", "not measured"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure or ratio with its bound; `values` gives one value a round, and the median counts."""

    text: str
    values: Callable[[Measurements], list[float]]
    least: float | None = None
    most: float | None = None
    unit: str = "x"

    @property
    def target(self) -> str:
        """The bound in words."""
        if self.least is not None:
            return f"at least {shown(self.least, self.unit)}"
        return f"at most {shown(self.most or 0.0, self.unit)}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim with what the run gave for it."""

    claim: Claim
    value: float | None

    @property
    def verdict(self) -> Verdict:
        """Whether the claim holds in this run."""
        if self.value is None:
            return "not measured"
        least, most = self.claim.least, self.claim.most
        low = least is not None and self.value < least
        high = most is not None and self.value > most
        return "missed" if low or high else "met"

    @property
    def text(self) -> str:
        """The value in words."""
        return "" if self.value is None else shown(self.value, self.claim.unit)


def judge(claim: Claim, measurements: Measurements) -> Judged:
    """Work a claim out of the measurements."""
    values = claim.values(measurements)
    return Judged(claim, statistics.median(values) if values else None)


def shown(value: float, unit: str) -> str:
    """Return a value as it is read: 1.62x, 300,000 rows/s, 96 %."""
    if unit == "x":
        return f"{value:.2f}x"
    if unit == "%":
        return f"{value * 100:.1f} %"
    if value >= 1000 or value == int(value):
        return f"{value:,.0f} {unit}".rstrip()
    return f"{value:.2f} {unit}"


def ratio(ours: tuple[Series, str], theirs: tuple[Series, str]) -> Callable[[Measurements], list[float]]:
    """Return what works out one figure over another, round by round."""
    return lambda measurements: measurements.ratio(ours, theirs)


def figure(series: Series, name: str) -> Callable[[Measurements], list[float]]:
    """Return what looks one figure up."""
    return lambda measurements: measurements.of(series, name)
