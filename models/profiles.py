"""Profile: what the rows were like that a model was trained on, and what it answered; kept in its model card.

    Profile > Part (one feature, or one thing that is answered) > Bins of numbers, or counts of categories

It is made to be compared with rows of today (`models/drift.py`) and shows no row: a bin or a category of
fewer than LEAST_ROWS rows is counted with its neighbours.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from models.columns import Column
from models.histograms import Histogram
from models.privacy import Privacy

ENTRY = "profile"
BINS = 10
LEAST_ROWS = 10  # of a bin or a category that is kept by itself
PARTS_MOST = 256  # of features, and of answers
CATEGORIES_MOST = 64
DRAWN_BINS = (16, 8, 4, 2)  # at most so many, the most that show DRAWN_SHARE of the numbers
DRAWN_SHARE = 0.9
TAIL = 0.005  # of the numbers, at either end, is not drawn
DIGITS = 6
NOT_LISTED = "(none of its categories)"

Count = Annotated[int, Field(ge=0)]
Numbers = NDArray[np.floating[Any]]


class Kept(BaseModel):
    """Part of a model card: immutable, and a misspelt word is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bins(Kept):
    """Numbers: bin i holds those above cut i - 1 and up to cut i, the first has no lower end, the last no upper one.

    `drawn` is a histogram of equally wide bins as `Histogram.to_data` gives it.
    """

    cuts: Annotated[tuple[FiniteFloat, ...], Field(max_length=BINS + 1)] = ()
    counts: Annotated[tuple[Count, ...], Field(min_length=1, max_length=BINS + 2)]
    least: FiniteFloat
    most: FiniteFloat
    mean: FiniteFloat
    median: FiniteFloat
    drawn: dict[str, Any] = {}


class Part(Kept):
    """One feature, or one thing that is answered: `bins` of numbers, or `categories` and how many rows have each.

    `rows` are all that were looked at, `filled` those where a default stood in, `absent` those where there was
    nothing that could be read. `others` are rows of categories that are too rare to be named, 0 where they are few.
    """

    name: Annotated[str, Field(max_length=2048)]
    rows: Count
    filled: Count = 0
    absent: Count = 0
    bins: Bins | None = None
    categories: Annotated[dict[str, Count], Field(max_length=CATEGORIES_MOST)] = {}
    others: Count = 0


class Profile(Kept):
    """Features and answers of some rows; `left_out` is how many features more there are than are kept."""

    of: Annotated[str, Field(max_length=512)] = ""
    features: Annotated[tuple[Part, ...], Field(max_length=PARTS_MOST)] = ()
    answers: Annotated[tuple[Part, ...], Field(max_length=PARTS_MOST)] = ()
    left_out: Count = 0

    @classmethod
    def made(cls, of: str, features: Iterable[Column], answers: Iterable[Column], privacy: Privacy) -> Self:
        """Return the profile of columns, private names by their aliases."""
        every = [*features]
        kept = [part(one, privacy) for one in every[:PARTS_MOST] if one.present]
        said = [part(one, privacy) for one in [*answers][:PARTS_MOST] if one.present]
        return cls(of=of, features=tuple(kept), answers=tuple(said), left_out=max(0, len(every) - PARTS_MOST))

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> Self | None:
        """Return the profile of a model card, None where it has none that can be read."""
        entry = card.get(ENTRY)
        if not isinstance(entry, Mapping):
            return None
        try:
            return cls.model_validate(dict(entry))
        except ValidationError:
            return None

    def as_entry(self) -> dict[str, Any]:
        """Return it as a card keeps it: plain data, without what says nothing."""
        return self.model_dump(mode="json", exclude_defaults=True)


def part(column: Column, privacy: Privacy) -> Part:
    """Return what is kept of a column that has something."""
    name = privacy.alias(column.name)
    facts = {"name": name, "rows": column.rows, "filled": column.filled, "absent": column.absent}
    if not column.categories:
        return Part(**facts, bins=bins(column.values, column.present) if column.present else None)
    named = counted(column, private=name != column.name)
    frequent = sorted(named.items(), key=lambda one: -one[1])[:CATEGORIES_MOST]
    kept = {text: count for text, count in frequent if count >= LEAST_ROWS}
    others = sum(named.values()) - sum(kept.values())
    return Part(**facts, categories=kept, others=others if others >= LEAST_ROWS else 0)


def counted(column: Column, *, private: bool) -> dict[str, int]:
    """Return how many rows have each category; those of a private feature go by their numbers."""
    words = [f"category {at}" for at in range(len(column.categories))] if private else column.categories
    counts = np.bincount(column.values.astype(np.int64), minlength=len(words)).tolist()
    return {words[at] if at < len(words) else NOT_LISTED: count for at, count in enumerate(counts) if count}


def bins(values: Numbers, rows: int) -> Bins:
    """Return finite numbers in bins, of which `rows` rows have one or more each."""
    least_share = LEAST_ROWS / rows
    cuts = cuts_of(values, least_share)
    return Bins(
        cuts=tuple(map(shortest, cuts)),
        counts=tuple(binned(values, cuts).tolist()),
        least=shortest(values.min()),
        most=shortest(values.max()),
        mean=float(
            f"{(values / len(values)).sum(dtype=np.float64):.{DIGITS}g}"
        ),  # no sum of them is infinite
        median=shortest(np.quantile(values, 0.5, method="inverted_cdf")),
        drawn=drawn_of(values, least_share * len(values)).to_data(),
    )


def drawn_of(values: Numbers, least: float) -> Histogram:
    """Return what is drawn of numbers: no bin with fewer than `least`, which leaves nearly all where bins are wide."""
    every, shown = histogram_of(values), Histogram()
    for most in DRAWN_BINS:
        every = every.coarser(most)
        shown = Histogram(every.exponent, {at: count for at, count in every.counts.items() if count >= least})
        if sum(shown.counts.values()) >= DRAWN_SHARE * sum(every.counts.values()):
            break
    return shown


def histogram_of(values: Numbers) -> Histogram:
    """Return the middle of numbers in few bins, equally wide: what lies far out would leave one for the rest."""
    low, high = np.quantile(values, (TAIL, 1 - TAIL), method="inverted_cdf")
    found = Histogram()
    found.add(values[(values >= low) & (values <= high)].astype(np.float64))
    return found.coarser(DRAWN_BINS[0])


def shortest(number: Any) -> float:
    """Return a number in as few digits as give it back in its own type."""
    return float(str(number))


def cuts_of(values: Numbers, least_share: float) -> Numbers:
    """Return where bins end: at each of a few values, else at tenths, none with less than that share of the numbers.

    A constant is a bin by itself, between one below and one above it.
    """
    few = distinct(values)
    if len(few) == 1:
        below = np.nextafter(few, few.dtype.type(-np.inf)) if few.dtype.kind == "f" else few - 1
        return np.concatenate([below, few])
    tenths = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    cuts = few[:-1] if few.size else np.unique(tenths)
    if cuts[-1] == values.max():  # most of the numbers are the largest
        cuts = np.append(cuts[:-1], values[values < cuts[-1]].max())
    return merged(values, cuts, least_share * len(values))


def distinct(values: Numbers) -> Numbers:
    """Return the numbers that occur, ascending, where they are few; none where they are many."""
    found = np.unique(values[:: max(1, len(values) // 1000)])
    if len(found) > BINS:
        return found[:0]
    found = np.unique(values)
    return found if len(found) <= BINS else found[:0]


def merged(values: Numbers, cuts: Numbers, least: float) -> Numbers:
    """Return as many of the cuts as leave so many numbers in every bin: a small bin goes to its smaller neighbour."""
    while len(cuts):
        counts = binned(values, cuts)
        at = int(counts.argmin())
        if counts[at] >= least:
            break
        left = counts[at - 1] if at else np.inf
        right = counts[at + 1] if at < len(cuts) else np.inf
        cuts = np.delete(cuts, at - 1 if left < right else at)
    return cuts


def binned(values: Numbers, cuts: Numbers) -> NDArray[np.int64]:
    """Return how many numbers lie in each bin."""
    return np.bincount(np.searchsorted(cuts, values, side="left"), minlength=len(cuts) + 1)
