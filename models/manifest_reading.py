"""Manifests of many versions, in one round trip to Redis."""

from collections.abc import Sequence
from typing import Any

from models.errors import ManifestUnreadable
from models.keys import Keys
from models.manifest import Manifest
from models.redis_failures import connected


async def read_manifests(
    redis: Any,  # Redis or RedisCluster
    keys: Keys,
    places: Sequence[tuple[str, int]],
) -> list[Manifest | None]:
    """Return the manifests of versions, in their order; None for one that is missing or cannot be read.

    Raises: BadName, RedisUnavailable, RedisRefused.
    """
    pipeline = redis.pipeline(transaction=False)
    for place in places:
        pipeline.get(keys.manifest(*place))
    async with connected(redis):
        found = await pipeline.execute() if places else []
    return [readable(data, *place) for data, place in zip(found, places, strict=True)]


def readable(data: bytes | None, name: str, version: int) -> Manifest | None:
    """Return the manifest of a version, None when it is missing or cannot be read."""
    if data is None:
        return None
    try:
        return Manifest.from_json(data, name, version)
    except ManifestUnreadable:
        return None
