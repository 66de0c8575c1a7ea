"""Keys of one pattern and type, in bounded parts; every node of a Redis Cluster is walked.

SCAN returns every key that is there from beginning to end at least once, some perhaps twice. Its
cursors mean something to the process that gave them alone, and only while no slot of a cluster
changes hands: a walk that meets either begins anew, and so keeps that promise.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from models.feast_keys import EntityTemplate, template_of
from models.patterns import Pattern
from models.shards import Shard, Shards, shards_of, slots_now
from models.sources import Keyed
from models.store import Client

SCAN_COUNT = 2000  # keys Redis looks at per call: about 1 ms of its time
GENTLE_COUNT = 200  # the same where others must be answered in between
CHECK_SECONDS = 5.0  # between two looks at the slots of a cluster
REDIS_TYPES = {
    "hash": "hash",
    "json": "ReJSON-RL",
    "vector": "string",
    "list": "list",
    "stream": "stream",
    "feast": "hash",
}
ENDED = '"ended"'  # the position after the last key


@dataclass(frozen=True, slots=True)
class Scanned:
    """One part: the keys found, and the share of the walk done with it, 0 to 1 (an estimate).

    A walk goes on after it from `position`, which is "" where Redis does not tell what it takes to
    know that it can. `anew` says that everything found before will be found again.
    """

    keys: list[bytes]
    share: float
    position: str = ""
    anew: bool = False


def redis_type(source: Keyed) -> str:
    """Return what TYPE says of the keys of a source."""
    return REDIS_TYPES[source.kind]


class Search:
    """What SCAN is asked to find the rows of a source, and what callers name by the keys that it finds.

    Keys that Feast has written are bytes: all of a project and an entity are asked for, and the
    pattern holds for their names.
    """

    def __init__(self, source: Keyed, pattern: str | None = None) -> None:
        """Take the pattern; the whole of the source's template when it is None."""
        template = template_of(source)
        self.type = redis_type(source)
        """What TYPE says of the keys."""
        self.pattern: str | bytes = pattern or template.glob
        """The pattern that Redis compares keys with."""
        self._entities = template if isinstance(template, EntityTemplate) else None
        self._wanted = Pattern((pattern or "*").encode())
        if self._entities is not None:
            self.pattern = self._entities.pattern

    def names(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return what callers name by keys that were found; a key of something else names nothing."""
        if self._entities is None:
            return [*keys]
        found = [name.encode() for name in map(self._entities.name, keys) if name is not None]
        return [name for name in found if self._wanted.matches(name)]


class CursorsLost(Exception):
    """Cursors mean nothing any more."""


async def scan(
    redis: Client, pattern: str | bytes, kind: str | None, position: str = "", count: int | None = None
) -> AsyncIterator[Scanned]:
    """Walk the keys of a pattern and a TYPE, any when None, from a position on; `count` keys are looked at per call.

    Raises: RedisUnavailable, also while slots of a cluster move; RedisRefused.
    """
    anew = False
    while position != ENDED:
        walk = Walk(
            redis,
            await shards_of(redis),
            ("MATCH", pattern, *(("TYPE", kind) if kind else ())),
            count or SCAN_COUNT,
        )
        anew = anew or not walk.taken_up(position)
        try:
            async for part in walk.parts():
                yield replace(part, anew=True) if anew else part
                anew = False
            return
        except CursorsLost:
            anew, position = True, ""


@dataclass(slots=True)
class Place:
    """How far one process is walked: the cursor, None at its end, and keys that were looked at so far."""

    cursor: int | None = 0
    seen: int = 0

    def share(self, size: int) -> float:
        """Return the share of its keys that is done, an estimate."""
        return min(1.0, self.seen / max(1, size)) if self.cursor is not None else 1.0


class Walk:
    """One walk over all processes side by side, one SCAN in flight on each."""

    def __init__(self, redis: Client, shards: Shards, wanted: tuple[str | bytes, ...], count: int) -> None:
        self._redis, self._shards = redis, shards
        self._options, self._count = (*wanted, "COUNT", count), count
        self._places = {one.name: Place() for one in shards.every}
        self._checked_at = time.monotonic()

    def taken_up(self, position: str) -> bool:
        """Go on from a position; False when its cursors mean nothing to who is there now."""
        if not position:
            return True
        try:
            slots, at = orjson.loads(position)
            runs = {name: run for name, (run, _, _) in at.items()}
            if slots != self._shards.slots or runs != {one.name: one.run for one in self._shards.every}:
                return False
            self._places = {name: Place(cursor, seen) for name, (_, cursor, seen) in at.items()}
        except (ValueError, TypeError, AttributeError):  # not written by this program
            return False
        return True

    async def parts(self) -> AsyncIterator[Scanned]:
        """Find keys.

        Raises: CursorsLost; RedisUnavailable, RedisRefused.
        """
        calls = {self._called(one): one for one in self._shards.every if self._left(one)}
        try:
            while calls:
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                call = next(one for one in calls if one.done())
                shard = calls.pop(call)
                after, keys = call.result()
                seen = self._places[shard.name].seen + self._count
                self._places[shard.name] = Place(after or None, seen)
                if self._left(shard):
                    calls[self._called(shard)] = shard
                await self._check(at_end=not calls)
                yield Scanned(keys, self._share(), self._position())
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    def _left(self, shard: Shard) -> bool:
        return self._places[shard.name].cursor is not None

    def _called(self, shard: Shard) -> "asyncio.Task[tuple[int, list[bytes]]]":
        return asyncio.create_task(self._call(shard, self._places[shard.name].cursor))

    async def _call(self, shard: Shard, cursor: int | None) -> tuple[int, list[bytes]]:
        after, keys = await shard.ask(self._redis, "SCAN", cursor, *self._options)
        # Asked after each call: a client opens a lost connection again and says nothing.
        if await shard.restarted(self._redis):
            raise CursorsLost
        return int(after[shard.node.name] if isinstance(after, dict) else after), list(keys)

    async def _check(self, at_end: bool) -> None:
        """Look whether slots changed hands; at the end in any case, for only that proves the whole walk."""
        slots: Any = self._shards.slots
        if not slots or not (at_end or time.monotonic() - self._checked_at > CHECK_SECONDS):
            return
        if await slots_now(self._redis) != slots:
            raise CursorsLost
        self._checked_at = time.monotonic()

    def _share(self) -> float:
        shares = [self._places[one.name].share(one.size) for one in self._shards.every]
        return sum(shares) / len(shares)

    def _position(self) -> str:
        if not self._shards.told:
            return ""
        if not any(map(self._left, self._shards.every)):
            return ENDED
        at = {}
        for one in self._shards.every:
            place = self._places[one.name]
            at[one.name] = [one.run, place.cursor, place.seen]
        return orjson.dumps([self._shards.slots, at]).decode()
