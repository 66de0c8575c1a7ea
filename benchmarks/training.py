"""Trains the ready recipes of a CNN and a GRU for two epochs and publishes them: the network counts, not its skill.

python -m benchmarks.training REDIS_URL RECIPE...
"""

import asyncio
import sys

from models.connecting import connect
from models.recipe import Recipe, ready_recipe
from models.store import ModelStore
from trainer.datasets.catalogue import dataset
from trainer.datasets.loading import load_into
from trainer.run import train

EPOCHS = 2


async def load(url: str, recipe: Recipe) -> None:
    """Put the data of a recipe into Redis."""
    async with connect(url) as client:
        await load_into(client, dataset(recipe.data.dataset or recipe.name))


async def publish(url: str, recipe: Recipe) -> None:
    """Train and publish."""
    result = await asyncio.to_thread(train, recipe, url)
    async with connect(url) as client:
        await ModelStore(client).publish(result.bundle)


def main() -> None:
    """Load, train and publish every recipe named."""
    url, *names = sys.argv[1:]
    for name in names:
        recipe = ready_recipe(name)
        short = recipe.training.model_copy(update={"epochs": EPOCHS})
        asyncio.run(load(url, recipe))
        asyncio.run(publish(url, recipe.model_copy(update={"training": short})))


if __name__ == "__main__":
    main()
