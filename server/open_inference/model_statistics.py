"""Statistics of models as Triton's extension words them: since the server began, of all its workers together."""

import asyncio
from collections.abc import Set as AbstractSet
from typing import Any

from models.keys import as_version
from models.redis_failures import in_time
from server.counting.version_statistics import NOTHING, BatchStatistics, Spent, Statistics
from server.inference.catalogue import Reference
from server.inference.engine import Engine
from server.inference.loading import Serving
from server.inference.meanings import LOOK_UP_SECONDS
from server.open_inference.signatures import versions_of

COMPUTE = ("compute_input", "compute_infer", "compute_output")
Facts = dict[str, Any]
Place = tuple[str, int]


async def model_statistics(engine: Engine, name: str = "", reference: Reference = None) -> Facts:
    """Return the statistics of a model's versions, or of one; of all models where none is named.

    Those are told that are loaded or have counted something; where a model has none, those that are stored.

    Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound; RedisUnavailable and RedisRefused, where
            nothing is known here of what was asked for.
    """
    counted = await asyncio.to_thread(engine.metrics.every_statistics, name or None)
    loaded = {(one.manifest.name, one.manifest.version): one for one in engine.catalogue.loaded()}
    places = {place for place in (*counted, *loaded) if not name or place[0] == name}
    if reference:
        places = {(name, await version_of(engine, name, reference, places))}
    elif name and not places:
        places = {(name, version) for version in await versions_of(engine, name)}
    told = (told_of(place, counted.get(place, Statistics()), loaded.get(place)) for place in sorted(places))
    return {"model_stats": [*told]}


async def version_of(engine: Engine, name: str, reference: str | int, known: AbstractSet[Place]) -> int:
    """Return the version that is asked for, from Redis where it is not known here, or shared by a traffic rule.

    Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, RedisUnavailable, RedisRefused.
    """
    number = reference if isinstance(reference, int) else as_version(reference)
    if number is not None and (name, number) in known:
        return number
    route = engine.catalogue.route(name, reference)
    if number is None and route is not None and route.split is None:
        return route.serving.manifest.version
    async with in_time(LOOK_UP_SECONDS):
        return await engine.store.resolve(name, reference)


def told_of(place: Place, counted: Statistics, serving: Serving | None) -> Facts:
    """Return one version's statistics; memory is told of what is loaded here, as it was estimated."""
    durations = {"success": counted.success, "fail": counted.fail, "queue": counted.queue}
    durations |= {name: getattr(counted, name) for name in COMPUTE}
    durations |= {"cache_hit": NOTHING, "cache_miss": NOTHING}
    return {
        "name": place[0],
        "version": str(place[1]),
        "last_inference": counted.last_inference_ms,
        "inference_count": counted.inference_count,
        "execution_count": counted.execution_count,
        "inference_stats": {name: spent(one) for name, one in durations.items()},
        "response_stats": {},
        "batch_stats": [batch(one) for one in counted.batches],
        "memory_usage": [] if serving is None else [memory(serving)],
    }


def spent(one: Spent) -> dict[str, int]:
    """Return a count and the time it took."""
    return {"count": one.count, "ns": one.ns}


def batch(one: BatchStatistics) -> Facts:
    """Return the batches of one size."""
    return {"batch_size": one.size, **{name: spent(getattr(one, name)) for name in COMPUTE}}


def memory(serving: Serving) -> Facts:
    """Return the memory of a loaded version, by where it runs."""
    where = "CPU" if serving.provider.startswith("CPU") else "GPU"
    return {"type": where, "id": 0, "byte_size": serving.memory_bytes}
