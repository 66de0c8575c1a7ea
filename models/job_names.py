"""Which scoring jobs are kept, and which of them wait for a server; reads what Ledger writes, many a round trip."""

import time
from typing import Any

from models import ledger
from models.job_errors import JobNotFound
from models.keys import Keys, as_job
from models.ledger import RUNNING, Ledger, Standing
from models.redis_failures import connected

LISTED_LIMIT = 1000
SERVER = "server"  # `host` of a job that any server may work on

Facts = tuple[bytes | None, bytes | None, bytes | None]  # state, host, beat


async def job_names(redis: Any, keys: Keys) -> list[str]:
    """Return the names of the jobs that were kept, the newest first; some may be gone by now.

    Raises: RedisUnavailable, RedisRefused.
    """
    async with connected(redis):
        names = await redis.zrevrange(keys.jobs(), 0, LISTED_LIMIT - 1)
    return [*filter(None, map(as_job, names))]


async def jobs_kept(redis: Any, keys: Keys) -> list[Standing]:
    """Return the jobs that are kept, the newest first; names of those that are gone are forgotten.

    Raises: RedisUnavailable, RedisRefused.
    """
    found, gone = [], []
    for name in await job_names(redis, keys):
        try:
            found.append(await Ledger(redis, keys, name, "").look())
        except JobNotFound:
            gone.append(name)
    if gone:
        async with connected(redis):
            await redis.zrem(keys.jobs(), *gone)
    return found


class Waiting:
    """Jobs that any server may work on and that nobody works on; one that has ended is looked at once."""

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis, self._keys = redis, keys
        self._ended: dict[str, float] = {}  # name -> when it began

    async def names(self) -> list[str]:
        """Return their names, the oldest first.

        Raises: RedisUnavailable, RedisRefused.
        """
        begun = await self._begun()
        self._ended = {name: at for name, at in self._ended.items() if begun.get(name) == at}
        open_names = [name for name in begun if name not in self._ended]
        found = await self._facts(open_names)
        for name, (state, _, _) in found.items():
            if state != RUNNING.encode():
                self._ended[name] = begun[name]
        return [name for name, facts in found.items() if waits(facts)]

    async def _begun(self) -> dict[str, float]:
        async with connected(self._redis):
            pairs = await self._redis.zrevrange(self._keys.jobs(), 0, LISTED_LIMIT - 1, withscores=True)
        named = ((as_job(member), at) for member, at in reversed(pairs))
        return {name: at for name, at in named if name is not None}

    async def _facts(self, names: list[str]) -> dict[str, Facts]:
        if not names:
            return {}
        async with connected(self._redis):
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.hmget(self._keys.job(name), "state", "host", "beat")
            return dict(zip(names, await pipeline.execute(), strict=True))


def waits(facts: Facts) -> bool:
    """Whether a job is open to every server, and no process works on it."""
    state, host, beat = facts
    if state != RUNNING.encode() or host != SERVER.encode():
        return False
    return time.time() - float(beat or 0) >= ledger.SILENT_SECONDS
