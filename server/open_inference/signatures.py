"""Signatures: what is known of a version without loading it, as metadata and configuration tell it.

A Redis that is silent for `LOOK_UP_SECONDS` counts as away; what is loaded is told from memory.
"""

from dataclasses import dataclass

from models.assembly import Plan
from models.errors import RedisUnavailable
from models.keys import as_version
from models.manifest import Manifest
from models.redis_failures import in_time
from models.store import PRODUCTION
from server.inference.engine import Engine
from server.inference.meanings import LOOK_UP_SECONDS
from server.open_inference.infer import Reference


@dataclass(frozen=True, slots=True)
class Signature:
    """One version, and how its rows are read from Redis."""

    manifest: Manifest
    plan: Plan | None


async def signature_of(engine: Engine, name: str, reference: Reference) -> Signature:
    """Return the signature of the version that requests go to; of what is loaded it asks nobody.

    Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, ManifestUnreadable, RedisUnavailable.
    """
    route = engine.catalogue.route(name, reference)
    if route is not None:
        return Signature(route.serving.manifest, route.serving.plan)
    number = reference if isinstance(reference, int) else as_version(reference or PRODUCTION)
    async with in_time(LOOK_UP_SECONDS):
        if number is None:
            number = await engine.store.resolve(name, reference or PRODUCTION)
        manifest = await engine.store.manifest(name, number)
    return Signature(manifest, Plan(manifest.features) if manifest.features is not None else None)


async def versions_of(engine: Engine, name: str) -> tuple[int, ...]:
    """Return the stored versions of a model, ascending; those that are loaded while Redis is away.

    Raises: ModelNotFound; RedisUnavailable, where none is loaded either.
    """
    try:
        async with in_time(LOOK_UP_SECONDS):
            return tuple(await engine.store.versions(name))
    except RedisUnavailable:
        every = engine.catalogue.loaded()
        loaded = sorted(one.manifest.version for one in every if one.manifest.name == name)
        if not loaded:
            raise
        return tuple(loaded)
