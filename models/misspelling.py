"""The stored model that a name which is not stored may have meant."""

from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from models.errors import RedisRefused, RedisUnavailable
from models.keys import Keys, as_name
from models.redis_failures import connected

COMPARED_MOST = 100  # names; a server compares them between two requests, a thousand alike hold it for 40 ms


async def near_model(redis: Any, keys: Keys, name: str) -> str | None:
    """Return the stored model of the nearest name; among more than 100 it is looked for in 100 of them.

    A courtesy: None where Redis does not tell.
    """
    with suppress(RedisUnavailable, RedisRefused):
        async with connected(redis):
            members = await redis.srandmember(keys.models(), COMPARED_MOST)
            names = sorted(known for member in members if (known := as_name(member)) and known != name)
            near = get_close_matches(name, names, n=1)
            if near and await redis.exists(keys.versions(near[0])):
                return near[0]
    return None
