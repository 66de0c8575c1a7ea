"""What the rows are like: each feature's least, mean, most and missing values, the labels, the targets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.judging.questions import Array

FEATURES_KEPT = 200
LABELS_KEPT = 200
DIGITS = 6


def features(
    values: Array, names: Sequence[str], missing: Mapping[str, float], defaults: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return a line for each of the first features: values (N, K), missing the share of rows without one.

    The default of one that is missing somewhere counts as no value where it lies outside of all others.
    """
    lines = []
    for name, column in zip(names[:FEATURES_KEPT], values.T, strict=False):
        there = column[np.isfinite(column)]
        share = missing.get(name, 0.0) + (1 - len(there) / len(column) if len(column) else 0.0)
        if name in missing and name in defaults:
            there = without_stand_in(there, defaults[name])
        numbers = (there.min(), there.mean(dtype=np.float64), there.max()) if len(there) else (0.0, 0.0, 0.0)
        facts = dict(zip(("least", "mean", "most"), map(short, numbers), strict=True))
        lines.append({"name": name, **facts, "missing": short(share)})
    return lines


def without_stand_in(numbers: Array, default: float) -> Array:
    """Return numbers without those that stand for none: a default between the others may be one of them."""
    stands = numbers == numbers.dtype.type(default)
    others = numbers[~stands]
    within = not len(others) or others.min() < default < others.max()
    return numbers if within else others


def labels(names: Sequence[str], parts: Mapping[str, Array]) -> dict[str, dict[str, int]]:
    """Return how many rows of each part have each label."""
    counts = {
        part: np.bincount(truth.astype(np.int64), minlength=len(names)) for part, truth in parts.items()
    }
    return {
        name: {part: int(count[at]) for part, count in counts.items()}
        for at, name in enumerate(names[:LABELS_KEPT])
    }


def target(values: Array) -> dict[str, float]:
    """Return what the values of the rows are like."""
    numbers = values.astype(np.float64)
    found = (numbers.min(), numbers.mean(), numbers.max(), numbers.std())
    return dict(zip(("least", "mean", "most", "deviation"), map(short, found), strict=True))


def short(value: float) -> float:
    """Return a number with as many digits as mean anything."""
    return float(f"{value:.{DIGITS}g}")
