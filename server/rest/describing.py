"""What is stored and what is loaded -> the answers of the catalogue routes."""

from bisect import bisect_right
from datetime import UTC, datetime
from functools import partial
from typing import Any

from models.alias_reading import read_previous
from models.errors import BadTraffic, ModelNotFound
from models.features import FeatureView
from models.manifest import Manifest
from models.nodes_away import Walk
from models.redis_failures import in_time
from models.signatures import StoredVersion
from models.store import PRODUCTION, Pointers
from models.traffic import Traffic
from server.inference.engine import Engine
from server.inference.loading import Serving
from server.inference.meanings import LOOK_UP_SECONDS

Facts = dict[str, Any]


async def summary(engine: Engine, name: str) -> Facts:
    """Return one model of the list.

    Raises: BadName, ModelNotFound, RedisUnavailable.
    """
    async with in_time(LOOK_UP_SECONDS):
        versions = await engine.store.versions(name)
        pointers = await engine.store.pointers(name)
        aliases = pointers.aliases
        meant = aliases.get(PRODUCTION, versions[-1])
        shown = await engine.readable_manifest(name, meant)
    loaded = [version for version in versions if engine.catalogue.find(name, version) is not None]
    return {
        "name": name,
        "description": shown.description if shown else "",
        "task": shown.task if shown else None,
        "versions": versions,
        "aliases": aliases,
        "traffic": shares(name, pointers),
        "loaded": loaded,
        "metrics": shown.metrics if shown else {},
        "provider": provider(engine.catalogue.find(name, meant)),
    }


async def detail(engine: Engine, name: str, limit: int) -> Facts:
    """Return one model with its newest versions, `limit` of them.

    Raises: BadName, ModelNotFound, RedisUnavailable.
    """
    facts = await summary(engine, name)
    store, versions = engine.store, facts["versions"]
    facts["previous"] = await read_previous(store.redis, store.keys, name, facts["aliases"], versions)
    newest = versions[: -limit - 1 : -1]
    told = await problems(engine, name, newest)
    facts["history"] = [await brief(engine, facts, version) for version in newest]
    for one in facts["history"]:
        one["problem"] = told.get(one["version"], one["problem"])
    return facts


async def brief(engine: Engine, model: Facts, version: int) -> Facts:
    """Return one version of a model's list; one whose manifest cannot be read says so."""
    name = model["name"]
    async with in_time(LOOK_UP_SECONDS):
        manifest = await engine.readable_manifest(name, version)
    return {
        "version": version,
        "created": manifest.created if manifest else None,
        "task": manifest.task if manifest else None,
        "description": manifest.description if manifest else "",
        "metrics": manifest.metrics if manifest else {},
        "aliases": pointing(model["aliases"], version),
        "traffic": (model["traffic"] or {}).get(str(version)),
        "provider": provider(engine.catalogue.find(name, version)),
        "size_bytes": manifest.size_bytes if manifest else 0,
        "problem": None if manifest else "its manifest cannot be read",
    }


async def version_detail(engine: Engine, name: str, version: int) -> Facts:
    """Return everything about one version.

    Raises: BadName, ModelNotFound, VersionNotFound, ManifestUnreadable, RedisUnavailable.
    """
    async with in_time(LOOK_UP_SECONDS):
        manifest = await engine.store.manifest(name, version)
        pointers = await engine.store.pointers(name)
        signed = await engine.store.signatures.of(name, [version])
    serving = engine.catalogue.find(name, version)
    return {
        **stored_facts(manifest),
        "aliases": pointing(pointers.aliases, version),
        "traffic": (shares(name, pointers) or {}).get(str(version)),
        "problem": (await problems(engine, name, [version])).get(version),
        "loaded": serving is not None,
        "provider": provider(serving),
        "loaded_at": datetime.fromtimestamp(round(serving.loaded_at), UTC) if serving else None,
        "memory_bytes": serving.memory_bytes if serving else None,
        **signature_facts(engine, version, signed),
    }


def signature_facts(engine: Engine, version: int, signed: dict[int, StoredVersion]) -> Facts:
    """Return whose signature a version has, and whether this server trusts it; nothing where it has none."""
    if version not in signed:
        return {}
    one, trust = signed[version], engine.store.signing.trust
    trusted = trust and one.key in trust.keys and one.fits()
    return {"signature": {"key": one.key and one.key.fingerprint, "trusted": trusted}}


def stored_facts(manifest: Manifest) -> Facts:
    """Return what a manifest says, the feature view as its YAML would be."""
    facts = manifest.model_dump(exclude={"format", "chunks", "features"})
    view = manifest.features
    facts["features"] = view_facts(view) if view else None
    facts["keys"] = list(dict.fromkeys(source.key for source in view.keyed)) if view else []
    return facts


def view_facts(view: FeatureView) -> Facts:
    """Return a view as short as a person would write it; it reads back as the same view."""
    facts = view.model_dump(by_alias=True, exclude_defaults=True)
    for one in facts["inputs"]:
        one["sources"] = [
            {"inline": True, **source} if "as" not in source else source for source in one["sources"]
        ]
    return facts


def provider(serving: Serving | None) -> str | None:
    """Return the execution provider that really runs a version."""
    return serving.provider if serving else None


async def problems(engine: Engine, name: str, versions: list[int]) -> dict[int, str]:
    """Return why versions are not loaded: as this server found when it last tried, or as another one kept it."""
    async with in_time(LOOK_UP_SECONDS):
        kept = await engine.store.refusals.of(name, versions)
    return {version: str(refusal) for version, refusal in kept.items()} | engine.catalogue.failures(name)


def shares(name: str, pointers: Pointers) -> dict[str, float] | None:
    """Return the percent of each version under the stored rule; what is no rule shares nothing out."""
    try:
        rule = Traffic.from_json(name, pointers.rule) if pointers.rule is not None else None
    except BadTraffic:
        return None
    return None if rule is None else {str(version): share for version, share in rule.percent.items()}


def pointing(aliases: dict[str, int], version: int) -> list[str]:
    """Return the aliases that mean a version."""
    return sorted(alias for alias, target in aliases.items() if target == version)


async def listing(engine: Engine, limit: int, after: str) -> Facts:
    """Return so many models by name, and where to go on; in a cluster also the names of those whose node is away.

    Raises: RedisUnavailable, where a node tells nothing and is the only one, or has the names.
    """
    names = await engine.catalogue.stored()
    start = bisect_right(names, after)
    page = names[start : start + limit]
    walk = Walk(engine.store)
    found = [one for name in page if (one := await walk.at(name, partial(there, engine))) is not None]
    more = page[-1] if start + limit < len(names) else None
    return {"models": found, "next": more, **({"missing": walk.left} if walk.left else {})}


async def there(engine: Engine, name: str) -> Facts | None:
    """Return one model of the list, None where it is deleted meanwhile.

    Raises: BadName, RedisUnavailable.
    """
    try:
        return await summary(engine, name)
    except ModelNotFound:
        return None
