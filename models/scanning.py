"""Keys of one pattern and type, in bounded parts; every node of a Redis Cluster is walked.

SCAN returns every key that is there from beginning to end at least once, some perhaps twice.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio.cluster import RedisCluster

from models.redis_failures import connected
from models.sources import Keyed
from models.store import Client

SCAN_COUNT = 2000  # keys Redis looks at per call: about 1 ms of its time
REDIS_TYPES = {"hash": "hash", "json": "ReJSON-RL", "vector": "string", "list": "list"}


@dataclass(frozen=True, slots=True)
class Scanned:
    """One part: the keys found, and the share of the walk done with it, 0 to 1 (an estimate)."""

    keys: list[bytes]
    share: float


def redis_type(source: Keyed) -> str:
    """Return what TYPE says of the keys of a source."""
    return REDIS_TYPES[source.kind]


async def scan(redis: Client, pattern: str, kind: str | None) -> AsyncIterator[Scanned]:
    """Walk the keys of a pattern and a TYPE, any when None.

    Raises: RedisUnavailable, RedisRefused.
    """
    client: Any = redis
    async with connected(redis):
        pass  # a cluster knows its nodes from here on
    nodes: list[Any] = list(client.get_primaries()) if isinstance(redis, RedisCluster) else [None]
    for number, node in enumerate(nodes):
        where = {} if node is None else {"target_nodes": node}
        async with connected(redis):
            total = max(1, int(await client.dbsize(**where)))
        cursor, calls = 0, 0
        while calls == 0 or cursor:
            async with connected(redis):
                after, keys = await client.scan(cursor, pattern, SCAN_COUNT, kind, **where)
            cursor = after[node.name] if isinstance(after, dict) else after
            calls += 1
            done = min(1.0, calls * SCAN_COUNT / total) if cursor else 1.0
            yield Scanned(list(keys), (number + done) / len(nodes))
