"""Which scoring jobs are kept, and which of them wait for a server; reads what Ledger writes, many a round trip."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from models import ledger
from models.job_errors import JobNotFound, JobUnreadable
from models.keys import Keys, as_job
from models.ledger import RUNNING, Ledger, Standing
from models.redis_failures import connected, replies_by_type

LISTED_LIMIT = 1000  # jobs that one command shows
PAGE = 1000  # names that Redis is asked for at once
SERVER = "server"  # `host` of a job that any server may work on

Facts = tuple[bytes | None, bytes | None, bool]  # state, host, whether some process works on it


async def job_names(redis: Any, keys: Keys) -> list[str]:
    """Return the names of the jobs that were kept, the newest first; some may be gone by now.

    Raises: RedisUnavailable, RedisRefused.
    """
    return [name async for name, _ in listed_jobs(redis, keys)]


async def listed_jobs(redis: Any, keys: Keys) -> AsyncIterator[tuple[str, float]]:
    """Yield every name with when the job began, the newest first; a page of them at a time.

    Raises: RedisUnavailable, RedisRefused.
    """
    first = 0
    while True:
        async with connected(redis):
            pairs = await redis.zrevrange(keys.jobs(), first, first + PAGE - 1, withscores=True)
        for member, begun in pairs:
            name = as_job(member)
            if name is not None:
                yield name, begun
        if len(pairs) < PAGE:
            return
        first += PAGE


async def jobs_kept(redis: Any, keys: Keys) -> list[Standing]:
    """Return the newest jobs that are kept, the newest first; names of those that are gone are forgotten.

    Raises: RedisUnavailable, RedisRefused.
    """
    found, gone = [], []
    for name in (await job_names(redis, keys))[:LISTED_LIMIT]:
        try:
            found.append(await Ledger(redis, keys, name, "").look())
        except JobNotFound:
            gone.append(name)
        except JobUnreadable:  # who asks for it by its name is told
            continue
    await forget(redis, keys, gone)
    return found


async def forget(redis: Any, keys: Keys, gone: Sequence[str]) -> None:
    """List jobs no longer that are gone.

    Raises: RedisUnavailable, RedisRefused.
    """
    if gone:
        async with connected(redis):
            await redis.zrem(keys.jobs(), *gone)


class Waiting:
    """Jobs that any server may work on and that nobody works on; one that has ended is looked at once.

    Names of jobs that are gone are forgotten: nobody else would, where no command lists them.
    """

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis, self._keys = redis, keys
        self._ended: dict[str, float] = {}  # name -> when it began

    async def names(self) -> list[str]:
        """Return their names, the oldest first.

        Raises: RedisUnavailable, RedisRefused.
        """
        newest = {name: at async for name, at in listed_jobs(self._redis, self._keys)}
        begun = dict(reversed(newest.items()))
        now = time.time()
        kept = {name: at for name, at in self._ended.items() if begun.get(name) == at}
        self._ended = {name: at for name, at in kept.items() if now - at < ledger.KEPT_SECONDS}
        open_names = [name for name in begun if name not in self._ended]
        found = await self._facts(open_names)
        for name, (state, _, _) in found.items():
            if state != RUNNING.encode():
                self._ended[name] = begun[name]
        listed = [name for name, (state, _, _) in found.items() if state is None]
        # A job is listed before it is made.
        await forget(
            self._redis, self._keys, [one for one in listed if now - begun[one] > ledger.SILENT_SECONDS]
        )
        return [name for name, facts in found.items() if waits(facts)]

    async def _facts(self, names: list[str]) -> dict[str, Facts]:
        if not names:
            return {}
        async with connected(self._redis):
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.hmget(self._keys.job(name), "state", "host")
                pipeline.exists(self._keys.job_working(name))
            replies = iter(await replies_by_type(pipeline))
        # A key of another type is no job to be worked on; the others are.
        found = zip(names, replies, replies, strict=True)
        return {name: (*facts, bool(attended)) for name, facts, attended in found if facts is not None}


def waits(facts: Facts) -> bool:
    """Whether a job is open to every server, and no process works on it."""
    state, host, attended = facts
    return state == RUNNING.encode() and host == SERVER.encode() and not attended
