"""Cross-validation: the rows that are not held out, parted into folds, each scored by a network of its own.

What is published is trained afterwards, as without folds; they tell how far its score moves with
the rows it happened to be given. Groups stay whole; by time each fold is scored by what was
trained on the rows before it. Windows that share steps to come with those of a fold are not learned from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from models.recipe import Recipe
from models.recipe_data import FollowingTarget
from models.scores import four_digits
from trainer.blueprints import blueprint_of
from trainer.errors import NotEnoughRows
from trainer.evaluate import evaluate
from trainer.events import Journal, Noticed, silent
from trainer.fitting.beginning import Beginning, Learning, facts_of, fitted
from trainer.fitting.checkpoints import Checkpoint
from trainer.fitting.fit import raw_outputs
from trainer.fitting.rows import Rows
from trainer.fitting.starting import Start, begun_task
from trainer.judging.questions import Scores
from trainer.split import Shares, check_taught, groups, oldest_first, part, ranked
from trainer.table import Indices, Table


@dataclass(frozen=True, slots=True)
class Folds:
    """The score of each fold, and of all of them the mean and the deviation."""

    metric: str
    rows: tuple[int, ...]
    scores: tuple[float, ...]
    mean: float
    deviation: float


def cross_validate(
    recipe: Recipe, table: Table, learning: Learning, journal: Journal, beginning: Beginning | None = None
) -> Folds | None:
    """Score a network on each fold of a table, begun as the published one is; None when the recipe asks for no folds.

    `learning` is what the published one is fitted to. With a checkpoint every fold is kept when it is done.

    Raises: NotEnoughRows, fewer rows, groups or times than folds; BadCheckpoint, CheckpointMismatch.
    """
    count, begin = recipe.split.folds, beginning or Beginning()
    if count is None:
        return None
    checkpoint, metric = begin.checkpoint, learning.task.metric
    rows, scores = known_scores(checkpoint, facts_of(recipe, learning, begin.start))
    with journal.stage("folds", count) as stage:
        if scores:
            journal.events(Noticed(f"goes on after fold {len(scores)} of {count}"))
            stage.advance(len(scores))
        for known, asked in islice(folds(table, recipe, count), len(scores), None):
            found = scored(recipe, (table.take(known), table.take(asked)), learning.device, begin.start)
            rows.append(len(asked))
            scores.append(found.values[metric])
            if checkpoint is not None:
                checkpoint.scored({"rows": rows[-1], "score": scores[-1]})
            stage.advance(len(scores))
        mean, deviation = float(np.mean(scores)), float(np.std(scores, ddof=1))
        stage.result = f"{metric} {four_digits(mean)} ± {four_digits(deviation)} over {count} folds"
    return Folds(metric, tuple(rows), tuple(scores), mean, deviation)


def known_scores(checkpoint: Checkpoint | None, facts: Mapping[str, object]) -> tuple[list[int], list[float]]:
    """Return the rows and the score of each fold that a checkpoint has."""
    done = [] if checkpoint is None else checkpoint.begin_folds(facts)["folds"]
    return [fold["rows"] for fold in done], [fold["score"] for fold in done]


def scored(
    recipe: Recipe, rows: tuple[Table, Table], device: torch.device, start: Start | None = None
) -> Scores:
    """Fit a network to some rows and score it on others; its best epoch is chosen on the former."""
    known, asked = rows
    parts = part(known, recipe, Shares(recipe.training.validation, 0))
    check_taught(known, recipe.classes if recipe.task == "classification" else (), parts.train)
    train, validation = known.take(parts.train), known.take(parts.validation)
    task = begun_task(recipe, train, start)
    learning = Learning(blueprint_of(recipe), train, validation, task, device)
    network, _ = fitted(recipe, learning, silent, Beginning(start=start))
    answers = task.answer(raw_outputs(network, Rows.of(asked, device)))
    return evaluate(task, answers.cpu().numpy(), asked.targets)


def folds(table: Table, recipe: Recipe, count: int) -> Iterator[tuple[Indices, Indices]]:
    """Give the rows that are known and those that are asked for, of each fold.

    Windows of one series stand together, the newest first.

    Raises: NotEnoughRows.
    """
    target = recipe.data.target
    for number, (known, asked) in enumerate(parted(table, recipe, count), 1):
        if not isinstance(target, FollowingTarget):
            yield known, asked
            continue
        left = known[~sharing(table.keys, known, asked, (target.steps - 1) // target.every)]
        if not len(left):
            raise NotEnoughRows(
                f"split.folds is {count}, but every window beside fold {number} shares some of its {target.steps} "
                f"steps to come with one in it; take fewer folds, more `windows`, or `every: {target.steps}`, whose "
                "windows share none",
                rows=len(table),
            )
        yield left, asked


def sharing(keys: Sequence[str], known: Indices, asked: Indices, apart: int) -> NDArray[np.bool_]:
    """Return which of the windows that are known stand at most `apart` from one of their series that is asked for."""
    series = np.unique(np.asarray(keys), return_inverse=True)[1]
    # Windows of two series are never near: between their places are more than `apart` numbers.
    places = np.arange(len(keys)) + series * (len(keys) + apart + 1)
    held = np.sort(places[asked])
    after = np.searchsorted(held, places[known])
    before = held[np.maximum(after - 1, 0)]
    nearest = np.minimum(
        abs(places[known] - before), abs(held[np.minimum(after, len(held) - 1)] - places[known])
    )
    near: NDArray[np.bool_] = nearest <= apart
    return near


def parted(table: Table, recipe: Recipe, count: int) -> Iterator[tuple[Indices, Indices]]:
    """Give the rows beside each fold, by time those before it, and those in it.

    Raises: NotEnoughRows.
    """
    if recipe.split.time is not None and table.marks is not None:
        numbers = by_time(table, recipe, count)
        for number in range(1, count + 1):
            yield np.flatnonzero(numbers < number), np.flatnonzero(numbers == number)
        return
    numbers = by_group(table, recipe, count) if recipe.split.group else by_chance(table, recipe, count)
    for number in range(count):
        yield np.flatnonzero(numbers != number), np.flatnonzero(numbers == number)


def by_chance(table: Table, recipe: Recipe, count: int) -> Indices:
    """Return the fold of each row; each class is spread over all of them, rows of one key are together where they fit.

    Windows of one series have one key, and share most of their steps.
    """
    ranks, numbers = ranked(table.keys, recipe.training.seed), np.zeros(len(table), np.int64)
    for members in groups(table.targets, recipe.task == "classification" and recipe.training.stratified):
        if len(members) < count:
            raise NotEnoughRows(
                f"split.folds is {count}, but a label has {len(members)} rows that are not held out; "
                "take fewer folds",
                rows=len(members),
            )
        order = members[np.argsort(ranks[members], kind="stable")]
        numbers[order] = np.arange(len(members)) * count // len(members)
    return numbers


def by_group(table: Table, recipe: Recipe, count: int) -> Indices:
    """Return the fold of each row; each group, the largest first, goes where the fewest rows are."""
    marks: NDArray[np.uint64] = np.zeros(0, np.uint64) if table.marks is None else table.marks
    _, members, sizes = np.unique(marks, return_inverse=True, return_counts=True)
    if len(sizes) < count:
        raise NotEnoughRows(
            f"split.folds is {count}, but the rows that are not held out have {len(sizes)} groups of "
            f"{recipe.split.group}; take fewer folds",
            groups=len(sizes),
        )
    filled, chosen = np.zeros(count, np.int64), np.zeros(len(sizes), np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        chosen[group] = int(filled.argmin())
        filled[chosen[group]] += sizes[group]
    return chosen[members]


def by_time(table: Table, recipe: Recipe, count: int) -> Indices:
    """Return the stretch of time of each row, 0 the oldest, which is only learned from."""
    marks: NDArray[np.float64] = np.zeros(0) if table.marks is None else table.marks
    order = oldest_first(marks, ranked(table.keys, recipe.training.seed))
    numbers = np.zeros(len(table), np.int64)
    numbers[order] = np.arange(len(table)) * (count + 1) // len(table)
    if len(np.unique(numbers)) < count + 1:
        raise NotEnoughRows(
            f"split.folds is {count}, but {len(table)} rows are not held out; take fewer folds"
        )
    return numbers
