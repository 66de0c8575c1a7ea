"""Drift: how far rows of today are from a profile, and how much of that is chance; pure.

PSI, the population stability index, is the sum over bins of (now - then) * ln(now / then), of shares.
Source: Siddiqi, Credit Risk Scorecards (2006), for the index and its words; Yurdakul and Naranjo, Statistical
properties of the population stability index (Journal of Risk Model Validation 14, 2020), for chance: without
drift it is about (1/then + 1/now) times a chi-square number of bins - 1 degrees, of so many rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.columns import Column
from models.histograms import Histogram
from models.privacy import Privacy
from models.profiles import LEAST_ROWS, Bins, Part, Profile, binned, counted, histogram_of, part

SHIFTED, DRIFTED = 0.1, 0.25
FALSE_ALARMS = 0.01  # reports without any drift that name one or more parts
HALF_ROW = 0.5  # added to each bin, so that an empty one is no infinity
DRAWN_CELLS = 12
ROWS_LEAST = 2 * LEAST_ROWS  # of fewer rows a profile has one bin, and nothing differs from it

Verdict = Literal["stable", "chance", "shifted", "drifted", "absent"]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Drawn = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one feature, or one thing that is answered, is from what it was.

    `expected` is the mean PSI of so many rows without drift, `chance` what it stays below then; `ks` the largest
    difference of the cumulative shares (Kolmogorov-Smirnov), looked at where the bins end, None of categories.
    `outside` is the share of numbers beyond all that there were; `new` are categories that no row had, or
    too few to be named, and their shares. `drawn` are shares of then and of now by category, or by equally wide bins.
    """

    then: Part
    now: Part | None = None
    psi: float = 0.0
    expected: float = 0.0
    chance: float = 0.0
    ks: float | None = None
    outside: float = 0.0
    new: tuple[tuple[str, float], ...] = ()
    drawn: tuple[Drawn, Drawn] = ((), ())

    @property
    def name(self) -> str:
        """What it is called."""
        return self.then.name

    @property
    def beyond_chance(self) -> bool:
        """Whether it is more than rows as few differ by."""
        return self.psi > self.chance

    @property
    def verdict(self) -> Verdict:
        """What to think of it."""
        if self.now is None:
            return "absent"
        if self.psi < SHIFTED and min(one.rows - one.absent for one in (self.then, self.now)) >= ROWS_LEAST:
            return "stable"
        if not self.beyond_chance:
            return "chance"
        return "shifted" if self.psi < DRIFTED else "drifted"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of every feature and answer, worst first."""

    features: tuple[Drift, ...]
    answers: tuple[Drift, ...]


def compare(
    profile: Profile, features: Iterable[Column], answers: Iterable[Column], privacy: Privacy
) -> Report:
    """Compare rows of today with a profile; a part that no row has anything of now is told as absent."""
    many = len(profile.features) + len(profile.answers)

    def compared(parts: Sequence[Part], columns: Iterable[Column]) -> tuple[Drift, ...]:
        own = {privacy.alias(one.name): one for one in columns}
        found = [drift(part, own.get(part.name), many, privacy) for part in parts]
        return tuple(sorted(found, key=lambda one: (one.beyond_chance, one.psi), reverse=True))

    return Report(compared(profile.features, features), compared(profile.answers, answers))


def drift(then: Part, column: Column | None, many: int, privacy: Privacy) -> Drift:
    """Compare one part with its column of today, as one of many."""
    if column is None or not column.rows:
        return Drift(then)
    now = part(column, privacy)
    counts = counts_now(then, column, now)
    before, after = weights(counts_then(then), then), weights(counts, now)
    used = (before > 0) | (after > 0)
    spread, degrees = 1 / then.rows + 1 / now.rows, max(1, int(used.sum()) - 1)
    found = Drift(
        then,
        now,
        psi(before[used], after[used]),
        expected=degrees * spread,
        chance=chi_square(1 - FALSE_ALARMS / many, degrees) * spread,
    )
    if then.bins is None:
        drawn = shares(counts_then(then)), shares(counts)
        return replace(found, new=new_categories(then, now, column), drawn=drawn)
    if now.bins is None:
        return found
    return replace(
        found,
        ks=largest_gap(counts_then(then), counts),
        outside=outside(then.bins, column),
        drawn=drawn_bins(then.bins, column),
    )


def psi(then: Floats, now: Floats) -> float:
    """Return the population stability index of two samples.

    Shape: then, now (bins,): how many rows lie in each.
    """
    before, after = ((rows + HALF_ROW) / (rows + HALF_ROW).sum() for rows in (then, now))
    return float(((after - before) * np.log(after / before)).sum())


def chi_square(share: float, degrees: int) -> float:
    """Return the number below which that share of chi-square numbers lies.

    Source: Wilson and Hilferty, The distribution of chi-square (1931); a little too large where degrees are few.
    """
    width = 2 / (9 * degrees)
    return float(degrees * (1 - width + NormalDist().inv_cdf(share) * width**0.5) ** 3)


def counts_then(then: Part) -> Counts:
    """Return how many numbers lay in each bin, or rows in each category and, last, in the others."""
    return np.array(then.bins.counts if then.bins else (*then.categories.values(), then.others))


def counts_now(then: Part, column: Column, now: Part) -> Counts:
    """Return how many numbers of a column lie in the same bins, or rows in the same categories."""
    if then.bins is not None:
        return binned(column.values, np.array(then.bins.cuts).astype(column.values.dtype))
    every = counted(column, private=now.name != column.name)
    kept = [every.get(text, 0) for text in then.categories]
    return np.array([*kept, sum(every.values()) - sum(kept)])


def weights(counts: Counts, of: Part) -> Floats:
    """Return counts of numbers as rows, of which each has the same weight, and last the rows without a number."""
    return np.append(counts * ((of.rows - of.absent) / max(1, counts.sum())), of.absent)


def shares(counts: Counts) -> Drawn:
    """Return the share that each count has of all."""
    return tuple((counts / max(1, counts.sum())).tolist())


def largest_gap(then: Counts, now: Counts) -> float:
    """Return the largest difference of two cumulative shares, looked at where bins end."""
    before, after = (np.cumsum(shares(counts)) for counts in (then, now))
    return float(np.abs(before - after).max())


def outside(then: Bins, column: Column) -> float:
    """Return the share of numbers beyond all that there were."""
    least, most = np.array([then.least, then.most]).astype(column.values.dtype)
    return float(((column.values < least) | (column.values > most)).mean())


def new_categories(then: Part, now: Part, column: Column) -> tuple[tuple[str, float], ...]:
    """Return the categories that none of the rows had, or too few to be named, and the share that has them now."""
    every = counted(column, private=now.name != column.name)
    return tuple((text, count / now.rows) for text, count in every.items() if text not in then.categories)


def drawn_bins(then: Bins, column: Column) -> tuple[Drawn, Drawn]:
    """Return the shares of numbers in equally wide bins, the same for both."""
    before, after = Histogram.from_data(then.drawn), histogram_of(column.values)
    both = Histogram(before.exponent, dict(before.counts))
    both.merge(after)
    both = both.coarser(DRAWN_CELLS)
    cells = range(min(both.counts), max(both.counts) + 1)
    one, other = (each.wider(both.exponent).counts for each in (before, after))
    return shares(np.array([one.get(at, 0) for at in cells])), shares(
        np.array([other.get(at, 0) for at in cells])
    )
