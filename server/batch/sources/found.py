"""Keys that an index of Redis' search finds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from redis.asyncio.cluster import RedisCluster

from models.errors import BadRequest, InsituError, RedisRefused, listed, shown
from models.redis_failures import connected
from models.scanning import ENDED, CursorsLost
from models.shards import asked
from models.store import Client
from server.batch.parts import Part, Step
from server.batch.sources.checking import checked
from server.batch.sources.gathering import gathered
from server.batch.sources.positions import written

READ_COUNT = 1000  # rows Redis finds per call: it answers nobody else meanwhile
DIALECT = 2
# Then a row of a cursor is read: Redis drops one that idles for five minutes, as it comes.
IDLE_SECONDS = 30.0
# What Redis says of a cursor that idled too long, or of a process before, and of one whose index was dropped.
CURSOR_LOST = ("cursor not found", "dropped while the cursor")


class FoundKeys:
    """FT.AGGREGATE with a cursor.

    A cursor gives each row once and cannot be turned back: a walk that is taken up, or whose cursor
    Redis has dropped (Redis was restarted, the index made anew under its alias), begins anew. While
    nobody takes what was found, the cursor is kept alive, or a slow job would begin anew for ever. What
    an index that is being built has not read yet is not found.
    """

    strict = True

    def __init__(self, redis: Client, index: str, query: str) -> None:
        self._redis, self._index, self._query = redis, index, query

    def steps(self, position: str) -> AsyncIterator[Step]:
        """Find keys; anew where `position` is not the beginning.

        Raises: BadRequest, no search in this Redis, no such index, or no such query;
                RedisUnavailable, RedisRefused.
        """
        return gathered(self._found(position), position, once=True)

    async def _found(self, position: str) -> AsyncIterator[Step]:
        anew = position != ""
        while position != ENDED:
            try:
                async for step in self._walk():
                    position = step.position
                    yield replace(step, anew=True) if anew else step
                    anew = False
            except CursorsLost:
                anew = True

    async def _walk(self) -> AsyncIterator[Step]:
        """Walk from the beginning.

        Raises: CursorsLost; what `steps` raises.
        """
        node, seen = await self._node(), 0
        total = max(1, await self._count(node))
        rows, cursor = await self._first(node)
        while True:
            keys = [key for row in rows if (key := key_of(row)) is not None]
            checked(keys, lambda _at: f"a key that index {shown(self._index)!r} finds")
            seen += len(keys)
            if not cursor:
                yield Step(Part(keys), ENDED, 1.0)
                return
            taken = asyncio.Event()
            alive = asyncio.create_task(self._kept_alive(node, cursor, taken))
            try:
                yield Step(Part(keys), written(seen=seen), min(1.0, seen / total))
            finally:
                taken.set()
            rows, cursor = await alive
            if cursor:
                more, cursor = await self._next(node, cursor)
                rows += more

    async def _kept_alive(self, node: Any, cursor: int, taken: asyncio.Event) -> tuple[list[Any], int]:
        """Read a row now and then until `taken`, and return them and the cursor, 0 at the end of the rows."""
        rows: list[Any] = []
        while cursor and not taken.is_set():
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await taken.wait()
            except TimeoutError:
                with suppress(CursorsLost, InsituError):  # whoever reads on is told
                    more, cursor = await self._next(node, cursor, 1)
                    rows += more
        return rows, cursor

    async def _node(self) -> Any:
        """Return the node that keeps the cursor: any one, None without a cluster."""
        if not isinstance(self._redis, RedisCluster):
            return None
        async with connected(self._redis):
            return self._redis.get_default_node()

    async def _count(self, node: Any) -> int:
        """Return how many rows there are, about; it also shows whether there is such a query at all."""
        command = ("FT.SEARCH", self._index, self._query, "LIMIT", 0, 0, "DIALECT", DIALECT)
        try:
            reply = await asked(self._redis, node, *command)
        except RedisRefused as error:
            raise await self._refusal(node, error) from error
        return int(reply[b"total_results"] if isinstance(reply, dict) else reply[0])

    async def _refusal(self, node: Any, error: RedisRefused) -> BadRequest:
        """Word what Redis said of a query."""
        said = error.details["reason"]
        try:
            names = [
                one.decode("utf-8", "backslashreplace") for one in await asked(self._redis, node, "FT._LIST")
            ]
        except RedisRefused:
            return BadRequest(
                f"this Redis has no search that can be read from ({said}); it takes Redis 8, or the search "
                "module of Redis Stack; or name the keys by a pattern, a set or a file"
            )
        if "index" in str(said).lower() and not await self._is_there(node):
            return BadRequest(f"there is no index {shown(self._index)!r}; there are: {listed(names)}")
        return BadRequest(
            f"the query {shown(self._query)!r} on index {shown(self._index)!r} is refused: {said}"
        )

    async def _is_there(self, node: Any) -> bool:
        """Whether there is such an index, or alias of one."""
        try:
            await asked(self._redis, node, "FT.INFO", self._index)
        except RedisRefused:
            return False
        return True

    async def _first(self, node: Any) -> tuple[list[Any], int]:
        # TIMEOUT 0: by default Redis ends a query after half a second and says nothing of the rest.
        options = ("WITHCURSOR", "COUNT", READ_COUNT, "TIMEOUT", 0, "DIALECT", DIALECT)
        command = ("FT.AGGREGATE", self._index, self._query, "LOAD", 1, "@__key", *options)
        return rows_of(await asked(self._redis, node, *command))

    async def _next(self, node: Any, cursor: int, count: int | None = None) -> tuple[list[Any], int]:
        command = ("FT.CURSOR", "READ", self._index, cursor, "COUNT", count or READ_COUNT)
        try:
            return rows_of(await asked(self._redis, node, *command))
        except RedisRefused as error:
            if any(words in str(error).lower() for words in CURSOR_LOST):
                raise CursorsLost from error
            raise


def rows_of(reply: Any) -> tuple[list[Any], int]:
    """Return the rows of a reply and its cursor, 0 at the end; RESP3 has names where RESP2 has places."""
    found, cursor = reply
    return (found[b"results"] if isinstance(found, dict) else list(found[1:])), int(cursor)


def key_of(row: Any) -> bytes | None:
    """Return the key of a row, None where it was deleted meanwhile."""
    if isinstance(row, dict):
        row = row.get(b"extra_attributes", {})
    fields = row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))
    key = fields.get(b"__key")
    return key if isinstance(key, bytes) else None
