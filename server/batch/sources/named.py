"""Keys that are named in Redis: members of a set or a sorted set, entries of a list or a stream."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import AskError, MovedError

from models.errors import BadRequest, RedisUnavailable, listed, shown
from models.redis_failures import connected
from models.scanning import ENDED, SCAN_COUNT
from models.shards import asked, run_of
from models.store import Client
from server.batch.parts import Part, Step
from server.batch.sources.checking import checked
from server.batch.sources.gathering import gathered
from server.batch.sources.matching import NOT_TOLD
from server.batch.sources.positions import facts_of, written

TYPES = "a set, sorted set, list or stream"
SCANS = {"set": ("SSCAN", "SCARD"), "zset": ("ZSCAN", "ZCARD")}
FIELD = "key"


class NamedKeys:
    """The members or entries of one key, whose TYPE decides how they are read.

    Set, sorted set: what stays in it is found at least once; the walk begins anew when Redis was
    restarted or the key has moved to another node.
    List: read by index. What is put at its end meanwhile is found, what is put at its head makes
    some come twice; when entries before the place that was reached go, as many after it are passed
    over: score a list that nobody takes from.
    Stream: read by ID, so what stays in it is found once, and what is added meanwhile too. An entry
    without the field is refused: its row cannot be told.
    """

    strict = True

    def __init__(self, redis: Client, key: str, field: str | None) -> None:
        self._redis, self._field = redis, field
        self._key, self._name = key.encode(), shown(key)

    def steps(self, position: str) -> AsyncIterator[Step]:
        """Find keys from a position on.

        Raises: BadRequest, the key is not there or holds another type, or an entry of a stream has
                not the field; RedisUnavailable, RedisRefused.
        """
        return gathered(self._found(position), position, once=True)

    async def _found(self, position: str) -> AsyncIterator[Step]:
        if position == ENDED:
            return
        kind = await self._type()
        if kind in SCANS:
            steps = self._scanned(*SCANS[kind], position)
        else:
            steps = self._indexed(position) if kind == "list" else self._streamed(position)
        async for step in steps:
            checked(step.part.keys, self._place)
            yield step

    def _place(self, _at: int) -> str:
        return f"a key that {self._name!r} names"

    async def _type(self) -> str:
        kind = str((await self._ask("TYPE")).decode())
        if kind == "none":
            raise BadRequest(f"{self._name!r} is not in Redis; name {TYPES} whose entries are keys")
        if kind not in (*SCANS, "list", "stream"):
            raise BadRequest(f"{self._name!r} holds a {kind}, which names no keys; name {TYPES}")
        if self._field is not None and kind != "stream":
            raise BadRequest(
                f"`field` is {shown(self._field)!r}, but {self._name!r} is a {kind}; only streams have fields"
            )
        return kind

    async def _ask(self, command: str, *arguments: Any) -> Any:
        return await asked(self._redis, None, command, self._key, *arguments)

    async def _indexed(self, position: str) -> AsyncIterator[Step]:
        at = int(facts_of(position).get("at", 0))
        while position != ENDED:
            entries: Sequence[bytes] = await self._ask("LRANGE", at, at + SCAN_COUNT - 1)
            at += len(entries)
            size = max(at, await self._ask("LLEN"), 1)
            position = written(at=at) if len(entries) == SCAN_COUNT else ENDED
            yield Step(Part(entries), position, at / size if position != ENDED else 1.0)

    async def _streamed(self, position: str) -> AsyncIterator[Step]:
        facts = facts_of(position)
        after, seen = facts.get("after", ""), int(facts.get("seen", 0))
        while position != ENDED:
            entries = await self._ask("XRANGE", f"({after}" if after else "-", "+", "COUNT", SCAN_COUNT)
            keys = [self._of_entry(*entry) for entry in entries]
            seen += len(entries)
            size = max(seen, await self._ask("XLEN"), 1)
            after = entries[-1][0].decode() if entries else after
            position = written(after=after, seen=seen) if len(entries) == SCAN_COUNT else ENDED
            yield Step(Part(keys), position, seen / size if position != ENDED else 1.0)

    def _of_entry(self, name: bytes, fields: dict[bytes, bytes]) -> bytes:
        field = self._field or FIELD
        try:
            return fields[field.encode()]
        except KeyError as error:
            raise BadRequest(
                f"entry {name.decode()} of stream {self._name!r} has no field {shown(field)!r}, it has "
                f"{listed(one.decode('utf-8', 'backslashreplace') for one in fields)}; name the field that "
                "holds the key, or XDEL the entry"
            ) from error

    async def _scanned(self, command: str, counting: str, position: str) -> AsyncIterator[Step]:
        facts, anew = facts_of(position), False
        while position != ENDED:
            home = await self._home()
            run = await run_of(self._redis, home)
            if run is None:
                raise BadRequest(NOT_TOLD)
            if position and facts.get("run") != run:
                facts, anew = {}, True
            cursor, seen = int(facts.get("cursor", 0)), int(facts.get("seen", 0))
            after, found = await self._call(home, command, cursor, "COUNT", SCAN_COUNT)
            if await run_of(self._redis, await self._home()) != run:
                facts, position = {}, written(run="")  # another process answered: nothing it said counts
                continue
            keys = [one[0] for one in found] if command == "ZSCAN" else list(found)
            seen += len(keys)
            facts = {"run": run, "cursor": int(after), "seen": seen}
            position = written(**facts) if int(after) else ENDED
            size = max(seen, await self._ask(counting), 1)
            yield Step(Part(keys), position, seen / size if int(after) else 1.0, anew)
            anew = False

    async def _home(self) -> Any:
        """Return the node of a cluster that has the key, None without one."""
        if not isinstance(self._redis, RedisCluster):
            return None
        async with connected(self._redis):
            return self._redis.get_node_from_key(self._key.decode())

    async def _call(self, home: Any, command: str, *arguments: Any) -> Any:
        """Send a command to the node that its cursor belongs to, and follow it nowhere else.

        Raises: RedisUnavailable, also while the key moves to another node; RedisRefused.
        """
        redis = self._redis
        if not isinstance(redis, RedisCluster):
            return await self._ask(command, *arguments)
        async with connected(redis):
            try:
                return await home.execute_command(command, self._key, *arguments)
            except (AskError, MovedError) as error:
                await redis.nodes_manager.initialize()
                raise RedisUnavailable(f"{self._name!r} moves to another node of the cluster") from error
