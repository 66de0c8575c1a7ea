"""The rows that a recipe names, wherever they lie, as a table.

Only Redis is waited for, so only reading from it is asynchronous.
"""

import asyncio
from pathlib import Path

from models.connecting import connect
from models.recipe import Recipe
from models.recipe_data import RedisRows
from trainer.datasets.from_redis import read_table
from trainer.errors import BadData
from trainer.events import Journal, Stage
from trainer.reading.table import read_columns
from trainer.table import Table


def read_rows(recipe: Recipe, redis_url: str | None, journal: Journal, folder: Path | None = None) -> Table:
    """Read the rows of a recipe from its Redis, file or function.

    Raises: NoRows, BadData, TooManyBadRows, TooMuchData, RedisUnavailable.
    """
    with journal.stage("read") as stage:
        if isinstance(recipe.data, RedisRows):
            table = asyncio.run(read_redis(recipe, redis_url, stage))
        else:
            table = read_columns(recipe, recipe.data, folder, stage)
        skipped = sum(table.skipped.values())
        stage.result = f"{len(table)} rows of {recipe.data.place}" + (
            f", {skipped} skipped" if skipped else ""
        )
    return table


async def read_redis(recipe: Recipe, redis_url: str | None, stage: Stage) -> Table:
    """Read the rows of a recipe from a Redis.

    Raises: NoRows, BadData without a URL, TooManyBadRows, TooMuchData, RedisUnavailable.
    """
    if redis_url is None:
        raise BadData(f"the rows of recipe {recipe.name} lie in Redis; give the URL of one")
    async with connect(redis_url) as client:
        return await read_table(client, recipe, stage)
