"""The stored model that a name which is not stored may have meant."""

from contextlib import suppress
from difflib import get_close_matches
from heapq import nlargest
from time import monotonic
from typing import Any

from models.errors import RedisRefused, RedisUnavailable
from models.keys import Keys, as_name
from models.redis_failures import connected

# Names that are looked at between two requests, and how many of them, the likeliest, are compared: some milliseconds.
LOOKED_AT_MOST = 1000
COMPARED_MOST = 5
REST = 20  # times as long as that took nobody is told what was meant: a client may ask for a wrong name without a pause


class Misspellings:
    """Finds what names may have meant; a courtesy that takes at most a twentieth of the time."""

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis, self._keys = redis, keys
        self._rests_until = 0.0

    async def near(self, name: str) -> str | None:
        """Return the stored model of the nearest name; among more than 1,000 it is looked for in 1,000 of them.

        None where Redis does not tell, and for a moment after the last time.
        """
        if monotonic() < self._rests_until:
            return None
        with suppress(RedisUnavailable, RedisRefused):
            async with connected(self._redis):
                members = await self._redis.srandmember(self._keys.models(), LOOKED_AT_MOST)
                began = monotonic()
                near = nearest(name, [known for member in members if (known := as_name(member))])
                ended = monotonic()
                self._rests_until = ended + REST * (ended - began)
                if near is not None and await self._redis.exists(self._keys.versions(near)):
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
