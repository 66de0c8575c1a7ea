"""The stored model that a name which is not stored may have meant."""

from contextlib import suppress
from difflib import get_close_matches
from heapq import nlargest
from typing import Any

from models.errors import RedisRefused, RedisUnavailable
from models.keys import Keys, as_name
from models.redis_failures import connected

LOOKED_AT_MOST = (
    1000  # names; a server looks at them between two requests, and holds it for some milliseconds
)
COMPARED_MOST = 5  # of them, the likeliest; two long names that are much alike take up to 3 ms


async def near_model(redis: Any, keys: Keys, name: str) -> str | None:
    """Return the stored model of the nearest name; among more than 1,000 it is looked for in 1,000 of them.

    A courtesy: None where Redis does not tell.
    """
    with suppress(RedisUnavailable, RedisRefused):
        async with connected(redis):
            members = await redis.srandmember(keys.models(), LOOKED_AT_MOST)
            near = nearest(name, [known for member in members if (known := as_name(member))])
            if near is not None and await redis.exists(keys.versions(near)):
                return near
    return None


def nearest(name: str, known: list[str]) -> str | None:
    """Return the name nearest to another one, None where none is near: of those that begin and end most like it."""

    def likeness(other: str) -> int:
        return alike(name, other) + alike(name[::-1], other[::-1])

    others = nlargest(COMPARED_MOST, (other for other in known if other != name), key=likeness)
    return next(iter(get_close_matches(name, others, n=1)), None)


def alike(one: str, other: str) -> int:
    """Return how many characters two names have in common at their beginning, by halves: names are long."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if other.startswith(one[:middle]) else (least, middle - 1)
    return least
