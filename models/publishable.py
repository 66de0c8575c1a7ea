"""Whether a model could be published now; asked by commands of publishing that find nothing to write."""

from typing import Any

from models.keys import Keys
from models.redis_failures import reading
from models.scripts import PUBLISH

NO_VERSION = 0  # versions begin at 1
NO_NAME = ""


async def check_publishable(redis: Any, keys: Keys, name: str) -> None:  # Redis or RedisCluster
    """Ask Redis for what publishing a model takes, and write nothing.

    Rights to the keys and to EVAL, memory, a primary that takes writes; not the room for a file.

    Raises: BadName, RedisUnavailable; RedisRefused, it says no.
    """
    chunk = keys.chunk(name, NO_VERSION, 0)
    model = (keys.model(name), keys.aliases(name), keys.versions(name), keys.manifest(name, NO_VERSION))
    async with reading(redis, {keys.models(): "set"}):
        await redis.set(chunk, b"", xx=True)
        await redis.srem(keys.models(), NO_NAME)
        await redis.eval(PUBLISH, len(model) + 1, *model, chunk, NO_VERSION, b"", "", "", 0, "")
