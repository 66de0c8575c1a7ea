"""Shards: the Redis processes that hold the keys between them, and whether keys move from one to another.

One Redis is one shard. Of a cluster every primary is asked who has which slots and which it is
handing over: they have to agree, or a walk over all of them would miss what is on its way.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from redis.asyncio.cluster import RedisCluster

from models.errors import RedisRefused, RedisUnavailable
from models.redis_failures import connected
from models.store import Client

NAME_CHARACTERS = 16  # of the 40 that Redis gives a node and a process: 64 bits

Views = Mapping[str, Mapping[str, Any]]  # CLUSTER NODES as redis-py reads it: by address


@dataclass(frozen=True, slots=True)
class Shard:
    """One process: its node of the cluster, and what changes whenever it is started.

    `run` is None where Redis does not tell. `size` is the number of its keys.
    """

    name: str
    run: str | None
    size: int = 0
    node: Any = None

    async def ask(self, redis: Client, *command: Any) -> Any:
        """Send a command that names no key.

        Raises: RedisUnavailable, RedisRefused.
        """
        return await asked(redis, self.node, *command)

    async def restarted(self, redis: Client) -> bool:
        """Whether another process answers there now: what this one said of cursors means nothing to it.

        Raises: RedisUnavailable.
        """
        return self.run is not None and await run_of(redis, self.node) != self.run


@dataclass(frozen=True, slots=True)
class Shards:
    """All of them. `slots` says who has which; None where that is not told, "" of one Redis."""

    every: tuple[Shard, ...]
    slots: str | None = ""

    @property
    def told(self) -> bool:
        """Whether Redis tells everything by which a restart and a move of keys are noticed."""
        return self.slots is not None and all(one.run is not None for one in self.every)


async def asked(redis: Client, node: Any, *command: Any) -> Any:
    """Send a command to one node, to the only Redis when it is None.

    Raises: RedisUnavailable, RedisRefused.
    """
    client: Any = redis
    where = {} if node is None else {"target_nodes": node}
    async with connected(redis):
        return await client.execute_command(*command, **where)


async def run_of(redis: Client, node: Any = None) -> str | None:
    """Return what tells a process from the one that was there before, None when it does not tell.

    Raises: RedisUnavailable.
    """
    try:
        facts = await asked(redis, node, "INFO", "server")
    except RedisRefused:
        return None
    run = str(facts.get("run_id", ""))[:NAME_CHARACTERS]
    return run or None


async def shards_of(redis: Client) -> Shards:
    """Return who holds the keys now.

    Raises: RedisUnavailable, also while slots of a cluster move; RedisRefused.
    """
    if not isinstance(redis, RedisCluster):
        return Shards((await shard(redis, "", None),))
    slots, nodes = await cluster_slots(redis)
    every = await asyncio.gather(*(shard(redis, name, node) for name, node in nodes.items()))
    return Shards(tuple(every), slots)


async def shard(redis: Client, name: str, node: Any) -> Shard:
    """Ask one process for what tells it from others."""
    return Shard(name, await run_of(redis, node), int(await asked(redis, node, "DBSIZE")), node)


def lie_apart(redis: Client) -> bool:
    """Whether keys lie on several processes, of which one may be away while the others answer."""
    return isinstance(redis, RedisCluster)


def holder(redis: Client, key: str) -> str:
    """Return which process holds a key, as far as the client knows; "" of one Redis."""
    if not isinstance(redis, RedisCluster):
        return ""
    owners = redis.nodes_manager.slots_cache.get(redis.keyslot(key))
    return owners[0].name if owners else ""


async def slots_now(redis: Client) -> str | None:
    """Return `Shards.slots` as they are now.

    Raises: RedisUnavailable, also while slots move; RedisRefused.
    """
    return (await cluster_slots(redis))[0] if isinstance(redis, RedisCluster) else ""


async def cluster_slots(redis: RedisCluster) -> tuple[str | None, dict[str, Any]]:
    """Return who has which slots, and the primaries by name.

    Raises: RedisUnavailable, the primaries do not agree, or one is handing slots over.
    """
    async with connected(redis):
        pass  # the client knows its nodes from here on
    try:
        return await agreed(redis)
    except RedisUnavailable:
        async with connected(redis):
            await redis.nodes_manager.initialize()  # what it knows may be older than the last move
    return await agreed(redis)


async def agreed(redis: RedisCluster) -> tuple[str | None, dict[str, Any]]:
    """Ask every primary that the client knows."""
    nodes: list[Any] = list(redis.get_primaries())
    try:
        views: list[Views] = await asyncio.gather(*(asked(redis, one, "CLUSTER NODES") for one in nodes))
    except RedisRefused:
        return None, {node.name: node for node in nodes}
    own = [myself(view) for view in views]
    names = {one["node_id"][:NAME_CHARACTERS]: node for one, node in zip(own, nodes, strict=True)}
    told = {owners(view) for view in views}
    if any(one["migrations"] for one in own):
        raise RedisUnavailable(
            "slots of the cluster move between its nodes; the walk waits for the end of it"
        )
    if len(told) > 1 or {name for name, _ in next(iter(told))} != set(names):
        raise RedisUnavailable("the nodes of the cluster do not agree yet on who has which slots")
    return sha256(repr(next(iter(told))).encode()).hexdigest()[:NAME_CHARACTERS], names


def myself(view: Views) -> Mapping[str, Any]:
    """Return what a node says of itself."""
    return next(one for one in view.values() if "myself" in one["flags"])


def owners(view: Views) -> tuple[tuple[str, str], ...]:
    """Return who has which slots, as one node sees it."""
    having = [one for one in view.values() if one["slots"]]
    return tuple(sorted((one["node_id"][:NAME_CHARACTERS], repr(one["slots"])) for one in having))
