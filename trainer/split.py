"""Which rows are trained on, which choose the best epoch and which are held out.

A row's place follows from its key and the seed, not from the order or number of the others: rows
that come later do not push old ones from one part into another, but for a few at the borders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.recipe import Recipe
from trainer.errors import NotEnoughRows
from trainer.table import Indices, Table

ROWS_LEAST = 10
CLASS_ROWS_LEAST = 3


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of each part; together every row once, each part in the order of the table."""

    train: Indices
    validation: Indices
    held_out: Indices


def split(table: Table, recipe: Recipe) -> Split:
    """Part a table as its recipe says.

    Raises: NotEnoughRows, fewer than 10 rows, or than 3 of a class.
    """
    classes = recipe.classes if recipe.task == "classification" else ()
    check_enough(table, classes)
    training = recipe.training
    ranks = ranked(table.keys, training.seed)
    parts: list[list[int]] = [[], [], []]
    for group in groups(table.targets, bool(classes) and training.stratified):
        members = sorted(group.tolist(), key=ranks.__getitem__)
        held = max(1, round(training.test * len(members)))
        chosen = held + (max(1, round(training.validation * len(members))) if training.validation else 0)
        for part, rows in zip(parts, (members[chosen:], members[held:chosen], members[:held]), strict=True):
            part.extend(rows)
    return Split(*(np.array(sorted(part), np.int64) for part in parts))


def groups(targets: NDArray[Any], by_class: bool) -> Iterator[Indices]:
    """Give the rows of each class, or all of them as one group."""
    if not by_class:
        yield np.arange(len(targets))
        return
    for number in np.unique(targets):
        yield np.flatnonzero(targets == number)


def ranked(keys: Sequence[str], seed: int) -> list[bytes]:
    """Return a number for each key that looks drawn by chance and never changes."""
    salt = f"{seed}\0".encode()
    return [blake2b(salt + key.encode(), digest_size=16).digest() for key in keys]


def check_enough(table: Table, classes: Sequence[str]) -> None:
    """Refuse a table that cannot be parted."""
    if len(table) < ROWS_LEAST:
        raise NotEnoughRows(
            f"there are {len(table)} usable rows, training needs {ROWS_LEAST} or more", rows=len(table)
        )
    for number, label in enumerate(classes):
        count = int((table.targets == number).sum())
        if count < CLASS_ROWS_LEAST:
            raise NotEnoughRows(
                f"the label {label!r} has {count} rows, it needs {CLASS_ROWS_LEAST} or more to be trained, "
                "validated and held out; collect more or take the label out of the recipe",
                label=label,
                rows=count,
            )
