"""From a recipe to a bundle: its rows read, and a training made of them.

train       a recipe and where its rows are -> TrainResult
train_on    the same for rows that are already in memory
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from models.connecting import connect
from models.keys import Keys
from models.privacy import Privacy
from models.recipe import Recipe
from models.store import ModelStore
from models.trust import NO_SIGNING, Signing
from trainer.blueprints import blueprint_of
from trainer.errors import BadData
from trainer.events import Events, Journal, silent
from trainer.fitting.beginning import Beginning, check_start
from trainer.fitting.checkpoints import Checkpoint
from trainer.fitting.starting import Start, read_start
from trainer.networks.building import check
from trainer.outcome import TrainResult
from trainer.reading.rows import read_rows
from trainer.table import Table
from trainer.training import Training


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training is at home.

    `folder` is the recipe's own, from where its paths are seen; without one a recipe runs no code.
    `checkpoint` keeps it while it runs; `keys` are those of the versions that it may begin with, and `signing` says
    whose signatures these need.
    """

    folder: Path | None = None
    checkpoint: Checkpoint | None = None
    keys: Keys | None = None
    signing: Signing = NO_SIGNING


NOWHERE = Place()


def train(
    recipe: Recipe, redis_url: str | None, events: Events = silent, place: Place = NOWHERE
) -> TrainResult:
    """Train a recipe's model on the rows that it names; with a checkpoint it can be gone on with later.

    Raises: BadNetwork, before anything is read; NoRows, BadData, TooManyBadRows, TooMuchData,
        NotEnoughRows, TrainingDiverged, ExportFailed, ExportMismatch, RedisUnavailable, BadCheckpoint,
        CheckpointMismatch, BadStart; ModelNotFound and such, the version it shall begin with.
    """
    check(blueprint_of(recipe), recipe.training.ensemble)
    journal = Journal(events)
    with Privacy.of(recipe.as_data()).in_errors():
        start = asyncio.run(begun(recipe, redis_url, place))
        recipe = recipe if start is None else pinned(recipe, start)
        table = read_rows(recipe, redis_url, journal, place.folder)
        return Training(recipe, table, journal, Beginning(place.checkpoint, start)).result()


async def begun(recipe: Recipe, redis_url: str | None, place: Place) -> Start | None:
    """Read the weights that a recipe begins with, if it names any.

    Raises: BadStart, they do not fit; BadData, no Redis to read them from; ModelNotFound,
        VersionNotFound, AliasNotFound, NotTrusted, RedisUnavailable.
    """
    if recipe.training.from_ is None:
        return None
    if redis_url is None:
        raise BadData(f"recipe {recipe.name} begins with a version, which lies in Redis; give the URL of one")
    async with connect(redis_url) as client:
        store = ModelStore(client, place.keys, signing=place.signing)
        start = await read_start(store, recipe.training.from_)
    check_start(recipe, blueprint_of(recipe), start)
    return start


def pinned(recipe: Recipe, start: Start) -> Recipe:
    """Return a recipe that names the version it begins with by its number: an alias moves on."""
    training = recipe.training.model_copy(update={"from_": f"{start.name}:{start.version}"})
    return recipe.model_copy(update={"training": training})


def train_on(
    recipe: Recipe, table: Table, journal: Journal | None = None, beginning: Beginning | None = None
) -> TrainResult:
    """Train a recipe's model on a copy of a table.

    Raises: as `train`, but for what concerns reading.
    """
    return Training(recipe, table.copy(), journal or Journal(), beginning).result()
