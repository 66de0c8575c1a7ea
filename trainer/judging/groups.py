"""Rows parted by a sensitive field: texts as they are, many numbers in quarters, absent values apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.judging.questions import Array

NUMBERS_MANY = 8  # different numbers beyond which quarters are compared
GROUPS_MOST = 12
MISSING, OTHER = "missing", "others"


@dataclass(frozen=True, slots=True)
class Grouping:
    """The group of each row: `codes` (N,) into `names`."""

    names: tuple[str, ...]
    codes: NDArray[np.int64]


def grouping(values: Sequence[str | None]) -> Grouping:
    """Part rows by what their field holds."""
    quarters = in_quarters(values)
    texts = quarters if quarters is not None else [MISSING if value is None else value for value in values]
    counts = Counter(texts)
    kept = {name for name, _ in counts.most_common(GROUPS_MOST - (len(counts) > GROUPS_MOST))}
    texts = [text if text in kept else OTHER for text in texts]
    order = quarter_order(texts) if quarters is not None else sorted(set(texts))
    numbers = {name: at for at, name in enumerate(order)}
    return Grouping(tuple(order), np.array([numbers[text] for text in texts], np.int64))


def in_quarters(values: Sequence[str | None]) -> list[str] | None:
    """Return the quarter of each row by its number, None where these are no numbers or only a few."""
    try:
        numbers = np.array([np.nan if value is None else float(value) for value in values])
    except ValueError:
        return None
    there = numbers[np.isfinite(numbers)]
    if len(np.unique(there)) <= NUMBERS_MANY:
        return None
    limits = np.unique(np.quantile(there, [0.25, 0.5, 0.75]))
    return [MISSING if np.isnan(number) else quarter(number, limits) for number in numbers]


def quarter(number: float, limits: Array) -> str:
    """Return the words for the quarter that a number is in."""
    at = int(np.searchsorted(limits, number, side="right"))
    if at == 0:
        return f"under {limits[0]:g}"
    return f"{limits[-1]:g} and over" if at == len(limits) else f"{limits[at - 1]:g} to {limits[at]:g}"


def quarter_order(texts: Sequence[str]) -> list[str]:
    """Return the quarters from low to high, what is missing last."""

    def place(text: str) -> tuple[float, float]:
        if text == MISSING:
            return (2, 0)
        return (0, 0) if text.startswith("under ") else (1, float(text.split(" ", maxsplit=1)[0]))

    return sorted(set(texts), key=place)
