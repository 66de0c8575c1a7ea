"""Aliases of a model as they are stored: what each means, and what it meant before."""

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from models.keys import Keys, is_alias
from models.redis_failures import connected


def as_aliases(stored: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return alias -> version of what is stored, without what others wrote there."""
    return {
        alias.decode(): int(version)
        for alias, version in stored.items()
        if is_alias(alias) and version.isdigit()
    }


async def read_meant(
    redis: Any,  # Redis or RedisCluster
    keys: Keys,
    name: str,
    alias: str,
) -> set[int]:
    """Return the version that an alias means and those that it is remembered to have meant.

    Raises: BadName, RedisUnavailable, RedisRefused.
    """
    pipeline = redis.pipeline(transaction=False)
    # What it means first: what it leaves between the two is then in the other.
    pipeline.hget(keys.aliases(name), alias)
    pipeline.hget(keys.model(name), f"previous:{alias}")
    async with connected(redis):
        now, previous = await pipeline.execute()
    return {*versions_in(previous), *as_aliases({alias.encode(): now or b""}).values()}


async def read_previous(
    redis: Any,  # Redis or RedisCluster
    keys: Keys,
    name: str,
    aliases: Mapping[str, int],
    stored: Collection[int],
) -> dict[str, int]:
    """Return the version that a rollback of each alias goes to, of those stored; none where there is nowhere to go.

    Raises: BadName, RedisUnavailable, RedisRefused.
    """
    if not aliases:
        return {}
    async with connected(redis):
        lists = await redis.hmget(keys.model(name), [f"previous:{alias}" for alias in aliases])
    there = {
        alias: [version for version in versions_in(kept) if version != now and version in stored]
        for (alias, now), kept in zip(aliases.items(), lists, strict=True)
    }
    return {alias: versions[-1] for alias, versions in there.items() if versions}


def versions_in(previous: bytes | None) -> list[int]:
    """Return the versions of a stored list, none where it cannot be read."""
    try:
        said = orjson.loads(previous or b"[]")
    except orjson.JSONDecodeError:
        return []
    return [version for version in said if type(version) is int] if isinstance(said, list) else []
