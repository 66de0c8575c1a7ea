"""Which rows are trained on, which choose the best epoch and which are held out.

By chance, a row's place follows from its key and the seed, a group's from its name and the seed, not
from the order or number of the others: rows that come later do not push old ones from one part into
another, but for a few at the borders. By time, the newest rows are held out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b, sha256
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.recipe import Recipe
from models.recipe_data import FollowingTarget
from trainer.errors import NotEnoughRows
from trainer.table import Indices, Table

ROWS_LEAST = 10
CLASS_ROWS_LEAST = 3
PART_NAMES = ("train", "validation", "test")

Ranks = NDArray[np.uint64]


def no_rows() -> Indices:
    """Return the numbers of no rows."""
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of each part; together every row once, each part in the order of the table.

    `left_out` are in no part: windows of a series that share steps to come with those of another.
    """

    train: Indices
    validation: Indices
    held_out: Indices
    left_out: Indices = field(default_factory=no_rows)


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of the rows that choose the best epoch and that are held out."""

    validation: float
    test: float

    def counts(self, rows: int) -> tuple[int, int]:
        """Return how many rows validate and how many are held out: one at least of a share above 0."""
        validation, test = (
            max(1, round(share * rows)) if share else 0 for share in (self.validation, self.test)
        )
        return validation, test


def split(table: Table, recipe: Recipe) -> Split:
    """Part a table as its recipe says.

    Raises: NotEnoughRows, fewer than 10 rows, or than 3 of a class; too few groups or times; a part
        without rows.
    """
    classes = recipe.classes if recipe.task == "classification" else ()
    check_enough(table, classes)
    if recipe.task == "regression":
        check_varied(table.targets)
    shares = Shares(recipe.training.validation, recipe.training.test)
    parts = part(table, recipe, shares)
    check_taught(table, classes, parts.train)
    return parts


def part(table: Table, recipe: Recipe, shares: Shares) -> Split:
    """Part a table as its recipe says; of windows of series those are left out that share steps to come.

    Raises: NotEnoughRows.
    """
    parts, target = parted_by_rule(table, recipe, shares), recipe.data.target
    return spaced(parts, table.keys, target, shares) if isinstance(target, FollowingTarget) else parts


def parted_by_rule(table: Table, recipe: Recipe, shares: Shares) -> Split:
    """Part a table by chance, group or time, or as its marks say.

    Raises: NotEnoughRows.
    """
    how, marks = recipe.split, table.marks
    if marks is None:
        return by_chance(table, recipe, shares)
    if how.group is not None:
        return by_group(marks, recipe.training.seed, shares, how.group)
    if how.time is not None:
        return by_time(marks, ranked(table.keys, recipe.training.seed), shares, how.time)
    return as_marked(table, recipe, shares)


def parted(table: Table, parts: Split) -> tuple[Table, Table, Table]:
    """Return the rows to train on, to validate with and held out, in the table's own memory."""
    first, second = len(parts.train), len(parts.train) + len(parts.validation)
    third = second + len(parts.held_out)
    table.arrange(np.concatenate([parts.train, parts.validation, parts.held_out, parts.left_out]))
    return table.slice(0, first), table.slice(first, second), table.slice(second, third)


def by_chance(table: Table, recipe: Recipe, shares: Shares) -> Split:
    """Part rows by their keys, each class on its own where the recipe says so."""
    ranks = ranked(table.keys, recipe.training.seed)
    parts: list[list[Indices]] = [[], [], []]
    for group in groups(table.targets, recipe.task == "classification" and recipe.training.stratified):
        members = group[np.argsort(ranks[group], kind="stable")]
        validation, held = shares.counts(len(members))
        cuts = (members[held + validation :], members[held : held + validation], members[:held])
        for rows, cut in zip(parts, cuts, strict=True):
            rows.append(cut)
    return Split(*(np.sort(np.concatenate(rows)) for rows in parts))


def by_group(marks: NDArray[Any], seed: int, shares: Shares, name: str) -> Split:
    """Part whole groups: they are held out in an order drawn by chance until their rows are enough.

    Raises: NotEnoughRows, fewer groups than parts.
    """
    names, members, sizes = np.unique(marks, return_inverse=True, return_counts=True)
    wanted = (shares.test, shares.validation)
    needed = 1 + sum(share > 0 for share in wanted)
    if len(names) < needed:
        raise NotEnoughRows(
            f"split.group: {name} has {len(names)} different values, {needed} parts need one each; "
            "choose another field, or part the rows by chance",
            groups=len(names),
        )
    order = np.argsort(ranked([str(one) for one in names], seed), kind="stable").tolist()
    parts = np.zeros(len(names), np.int64)
    left = needed
    for number, share in ((2, shares.test), (1, shares.validation)):
        rows, left = 0, left - 1 if share else left
        while share and len(order) > left and (rows == 0 or rows + sizes[order[0]] / 2 < share * len(marks)):
            group = order.pop(0)
            parts[group] = number
            rows += int(sizes[group])
    return of_parts(parts[members])


def by_time(marks: NDArray[Any], ranks: Ranks, shares: Shares, name: str) -> Split:
    """Hold out the newest rows; those before them validate.

    Raises: NotEnoughRows, one time for all.
    """
    if len(np.unique(marks)) < 2:
        raise NotEnoughRows(f"split.time: {name} is the same in every row; choose another field")
    order = oldest_first(marks, ranks)
    validation, held = shares.counts(len(marks))
    first = len(order) - held - validation
    return Split(*map(np.sort, (order[:first], order[first : len(order) - held], order[len(order) - held :])))


def oldest_first(marks: NDArray[Any], ranks: Ranks) -> Indices:
    """Return the order of rows by time, those of one time by rank; of one series the newest window comes last."""
    return np.lexsort((-np.arange(len(marks)), ranks, marks))  # in a table it comes first


def as_marked(table: Table, recipe: Recipe, shares: Shares) -> Split:
    """Part rows as they say themselves; without validation rows some of the others validate.

    Raises: NotEnoughRows, no row of a part; none need be held out where the share for that is 0, as in folds.
    """
    marks = np.zeros(0) if table.marks is None else table.marks
    for number in (0, 2) if shares.test else (0,):
        if not (marks == number).any():
            raise NotEnoughRows(
                f"split.part: no row says {PART_NAMES[number]!r} in {recipe.split.part}; mark some, or part the "
                "rows by chance"
            )
    parts = of_parts(marks)
    if len(parts.validation) or not shares.validation:
        return parts
    inner = by_chance(table.take(parts.train), recipe, Shares(shares.validation, 0))
    return Split(parts.train[inner.train], parts.train[inner.validation], parts.held_out)


def of_parts(numbers: NDArray[Any]) -> Split:
    """Return the parts of rows numbered 0 to train on, 1 to validate with, 2 held out."""
    return Split(*(np.flatnonzero(numbers == number) for number in range(3)))


def spaced(parts: Split, keys: Sequence[str], target: FollowingTarget, shares: Shares) -> Split:
    """Leave windows out that share steps to come with those of a newer part: of their series, the newest come first.

    A series of which one part has windows is left as it is.

    Raises: NotEnoughRows, none are left to learn from, or to choose the best epoch by.
    """
    numbers = np.full(len(keys), -1)
    for number, rows in enumerate((parts.train, parts.validation, parts.held_out)):
        numbers[rows] = number
    begins = [0, *(row for row in range(1, len(keys)) if keys[row] != keys[row - 1]), len(keys)]
    for start, stop in pairwise(begins):
        own = numbers[start:stop]
        if own.min() < own.max():
            own[:] = windows_apart(own, (target.steps - 1) // target.every)
    made = replace(of_parts(numbers), left_out=np.flatnonzero(numbers < 0))
    if not len(made.train) or (shares.validation and not len(made.validation)):
        lacking = "validate" if len(made.train) else "learn from"
        raise NotEnoughRows(
            f"windows of one series that lie apart less than the {target.steps} steps to come share some of them, and "
            f"without the {len(made.left_out)} that share some with another part none are left to {lacking}; take more "
            f"`windows`, or `every: {target.steps}`, whose windows share none",
            rows=len(keys),
        )
    return made


def windows_apart(own: Indices, apart: int) -> Indices:
    """Return the parts of one series' windows, newest first, with so many in no part (-1) between two parts."""
    placed, at = np.full(len(own), -1), 0
    for number in (2, 1, 0):
        size = int(np.count_nonzero(own == number))
        if not size:
            continue
        at += apart if at else 0
        end = at + size if number else len(own)
        placed[at:end] = number
        at = end
    return placed


def groups(targets: NDArray[Any], by_class: bool) -> Iterator[Indices]:
    """Give the rows of each class, or all of them as one group."""
    if not by_class:
        yield np.arange(len(targets))
        return
    for number in np.unique(targets):
        yield np.flatnonzero(targets == number)


def ranked(keys: Sequence[str], seed: int) -> Ranks:
    """Return a number for each key that looks drawn by chance and never changes."""
    salt = blake2b(f"{seed}\0".encode(), digest_size=16)
    digests = bytearray()
    for key in keys:
        one = salt.copy()
        one.update(key.encode())
        digests += one.digest()[:8]
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def digest(keys: Sequence[str]) -> str:
    """Return what proves which rows were held out, where their keys are too many to keep."""
    return sha256("\n".join(keys).encode()).hexdigest()


def check_enough(table: Table, classes: Sequence[str]) -> None:
    """Refuse a table that cannot be parted."""
    if len(table) < ROWS_LEAST:
        raise NotEnoughRows(
            f"there are {len(table)} usable rows, training needs {ROWS_LEAST} or more", rows=len(table)
        )
    counts = np.bincount(table.targets, minlength=len(classes)) if classes else ()
    if classes and np.count_nonzero(counts) == 1:
        only = classes[int(np.argmax(counts))]
        raise NotEnoughRows(
            f"every row has the label {only!r}: there is nothing to tell apart; check the target", label=only
        )
    for label, count in zip(classes, counts, strict=True):
        if count < CLASS_ROWS_LEAST:
            raise NotEnoughRows(
                f"the label {label!r} has {count} rows, it needs {CLASS_ROWS_LEAST} or more to be trained, "
                "validated and held out; collect more or take the label out of the recipe",
                label=label,
                rows=int(count),
            )


def check_varied(targets: NDArray[Any]) -> None:
    """Refuse values that are all the same."""
    if float(np.ptp(targets)) == 0:
        value = targets.flat[0]
        raise NotEnoughRows(
            f"every row has the target {value:g} in float32, which keeps nothing finer than "
            f"{np.spacing(abs(value)):.2g} there: there is nothing to learn; check the target, or take away from "
            "it what all rows have in common"
        )


def check_taught(table: Table, classes: Sequence[str], train: Indices) -> None:
    """Refuse parts by which a class would never be seen in training."""
    seen = set(np.unique(table.targets[train]).tolist()) if classes else set()
    for number, label in enumerate(classes):
        if number not in seen:
            raise NotEnoughRows(
                f"no row with the label {label!r} is left to train on: the split puts all of them into "
                "other parts; part the rows otherwise",
                label=label,
            )
