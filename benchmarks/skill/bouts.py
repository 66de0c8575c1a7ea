"""Bouts: one recipe trained with one seed, and its rivals on the same parts of the same rows."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.skill.rivals import CLASSIFIERS, REGRESSORS, answers
from models.connecting import connect
from models.recipe import Recipe
from trainer.baseline import categories_of
from trainer.datasets.catalogue import dataset
from trainer.datasets.loading import load_into
from trainer.evaluate import evaluate
from trainer.events import Journal
from trainer.reading.rows import read_rows
from trainer.table import Table
from trainer.training import Training

NETWORK = "Insitu"
Scores = Mapping[str, float]  # by the name of the score


@dataclass(frozen=True, slots=True)
class Bout:
    """What everybody reached with one seed, by name.

    Units: seconds, the whole training of the network, its export and judgement included.
    """

    seed: int
    scores: Mapping[str, Scores]
    rows: tuple[int, int]  # learned from, held out
    seconds: float


def rows_of(recipe: Recipe, url: str) -> Table:
    """Put the data set of a recipe into Redis, and read it back as a training does."""

    async def loaded() -> None:
        async with connect(url) as client:
            await load_into(client, dataset(str(recipe.data.dataset)))

    asyncio.run(loaded())
    return read_rows(recipe, url, Journal())


def fought(recipe: Recipe, table: Table, seed: int) -> Bout:
    """Train with a seed and let the rivals learn from the same rows, those that choose the epoch included."""
    seeded = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": seed})})
    journal = Journal()
    training = Training(seeded, table.copy(), journal)
    learned, asked = training.train.joined_with(training.validation), training.held_out
    made = training.result()
    categories = categories_of(recipe)
    scores: dict[str, Scores] = {NETWORK: made.outcome.scores.values}
    for name, make in (CLASSIFIERS if recipe.classes else REGRESSORS).items():
        scores[name] = evaluate(
            training.task, answers(make, seed, learned, asked, categories), asked.targets
        ).values
    return Bout(seed, scores, (len(learned), len(asked)), sum(journal.seconds.values()))
