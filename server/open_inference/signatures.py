"""Signatures: what is known of a version without loading it, as metadata and configuration tell it."""

from dataclasses import dataclass

from models.assembly import Plan
from models.errors import RedisUnavailable
from models.keys import as_version
from models.manifest import Manifest
from models.store import PRODUCTION
from server.inference.engine import Engine
from server.open_inference.infer import Reference


@dataclass(frozen=True, slots=True)
class Signature:
    """One version, how its rows are read from Redis, and the versions that are stored beside it, ascending."""

    manifest: Manifest
    plan: Plan | None
    versions: tuple[int, ...]


async def signature_of(engine: Engine, name: str, reference: Reference) -> Signature:
    """Return the signature of the version that requests go to; what is loaded is told while Redis is away.

    Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, ManifestUnreadable, RedisUnavailable.
    """
    route = engine.catalogue.route(name, reference)
    if route is not None:
        serving = route.serving
        return Signature(serving.manifest, serving.plan, await versions_of(engine, name))
    number = reference if isinstance(reference, int) else as_version(reference or PRODUCTION)
    if number is None:
        number = await engine.store.resolve(name, reference or PRODUCTION)
    manifest = await engine.store.manifest(name, number)
    plan = Plan(manifest.features) if manifest.features is not None else None
    return Signature(manifest, plan, tuple(await engine.store.versions(name)))


async def versions_of(engine: Engine, name: str) -> tuple[int, ...]:
    """Return the stored versions of a model; those that are loaded while Redis is away."""
    try:
        return tuple(await engine.store.versions(name))
    except RedisUnavailable:
        every = engine.catalogue.loaded()
        return tuple(one.manifest.version for one in every if one.manifest.name == name)
