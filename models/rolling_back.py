"""Rolling back: an alias goes one step back the way it came, once, however often that is sent; part of the store.

The client sends a script again when its reply was lost. So the script says what it has seen of the
alias, and does nothing where that is no longer so; what is there then tells whether it was done.
"""

from dataclasses import dataclass
from typing import Any

from models.alias_reading import versions_in
from models.errors import RedisRefused
from models.keys import Keys
from models.redis_failures import connected
from models.scripts import ROLLBACK

TRIES = 32  # each one in vain means that somebody else has moved the alias meanwhile
NOWHERE, NO_ALIAS, MOVED = -1, -2, -3


@dataclass(frozen=True, slots=True)
class Stood:
    """Where an alias stood, as it is stored, and the versions that it left before, oldest first."""

    now: bytes
    previous: bytes

    def is_back(self, before: "Stood") -> bool:
        """Whether it is one step back from where it stood before."""
        came = versions_in(before.previous)
        left = versions_in(self.previous)
        return any(came[at] == int(self.now) and came[:at] == left for at in range(len(came)))


async def roll_back(
    redis: Any,  # Redis or RedisCluster
    keys: Keys,
    name: str,
    alias: str,
) -> int:
    """Point an alias back and return its version; NOWHERE or NO_ALIAS where it cannot be.

    Of two who ask at the same time, both get the one step back.

    Raises: RedisUnavailable; RedisRefused, also where others move the alias all the time.
    """
    model, aliases = keys.model(name), keys.aliases(name)
    before: Stood | None = None
    for _ in range(TRIES):
        stood = await read(redis, model, aliases, alias)
        if stood is None:
            return NO_ALIAS
        if before is not None and stood.now.isdigit() and stood.is_back(before):
            return int(stood.now)
        before = stood
        facts = (alias, f"{model}:v", stood.now, stood.previous)
        async with connected(redis):
            version = int(await redis.eval(ROLLBACK, 2, model, aliases, *facts))
        if version != MOVED:
            return version
    raise RedisRefused(f"alias {alias!r} of model {name!r} is moved by others again and again; ask once more")


async def read(redis: Any, model: str, aliases: str, alias: str) -> Stood | None:
    """Return where an alias stands; None where it is none."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.hget(aliases, alias)
    pipeline.hget(model, f"previous:{alias}")
    async with connected(redis):
        now, previous = await pipeline.execute()
    return None if now is None else Stood(now, previous or b"")
