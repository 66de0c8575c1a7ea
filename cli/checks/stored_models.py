"""The stored models: every version that an alias points to is whole, and ONNX Runtime runs it."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from cli.checks.findings import Finding, fail, ok, warn
from cli.connection import ANSWER_SECONDS
from cli.listing import signers
from cli.trial import tried
from models.errors import InsituError, ModelNotFound
from models.nodes_away import Walk, names_to_walk
from models.redis_failures import in_time
from models.signing_errors import NotTrusted
from models.store import ModelStore

AREA = "models"
MODELS_LIMIT = 200

Progress = Callable[[int, int], None]


async def check_models(store: ModelStore, progress: Progress) -> list[Finding]:
    """Look at the models one by one; `progress` gets how many are done of how many.

    Raises: RedisUnavailable, RedisRefused.
    """
    async with in_time(ANSWER_SECONDS):
        names = await names_to_walk(store)
    if not names:
        return [ok(AREA, "none are stored yet; `insitu demo` makes three")]
    findings = []
    walk = Walk(store)
    for done, name in enumerate(names[:MODELS_LIMIT]):
        progress(done, min(len(names), MODELS_LIMIT))
        with suppress(ModelNotFound):  # deleted meanwhile
            aliases = await walk.at(name, partial(aliases_of, store))
            findings += [] if aliases is None else await check_model(store, name, aliases)
    if walk.left:
        cure = "start the node that has them again, or let a replica take its place"
        findings.append(fail(AREA, f"not looked at: {walk.told}", cure))
    if len(names) > MODELS_LIMIT:
        findings.append(
            warn(AREA, f"the first {MODELS_LIMIT} of {len(names)} were looked at", "look at the rest")
        )
    return findings


async def aliases_of(store: ModelStore, name: str) -> dict[str, int]:
    """Return what the aliases of a model point to.

    Raises: BadName, ModelNotFound, RedisUnavailable, RedisRefused.
    """
    async with in_time(ANSWER_SECONDS):
        aliases = await store.aliases(name)
        if not aliases:
            await store.versions(name)
    return aliases


async def check_model(store: ModelStore, name: str, aliases: dict[str, int]) -> list[Finding]:
    """Look at the versions of one model that aliases point to."""
    if not aliases:
        cure = f"`insitu promote {name} VERSION` sets production; until then requests must name a version"
        return [warn(AREA, f"{name} has no alias", cure)]
    versions = sorted(set(aliases.values()))
    return [await check_version(store, name, version, pointing(aliases, version)) for version in versions]


def pointing(aliases: dict[str, int], version: int) -> str:
    """Return the aliases that point to a version, as text."""
    return ", ".join(sorted(alias for alias, to in aliases.items() if to == version))


async def check_version(store: ModelStore, name: str, version: int, aliases: str) -> Finding:
    """Load one version, compare its SHA-256, verify its signature, and run it once in a process of its own."""
    what = f"{name} version {version} ({aliases})"
    cure = f"publish it again, or `insitu rollback {name} --alias {aliases.partition(',')[0]}`"
    try:
        bundle = await store.load(name, version)
        signed = (await signers(store, name, [version])).get(version)
        whole = f"{what} is whole" + (f", signed by {signed}" if signed else "")
        return ok(AREA, whole + (", and runs" if await tried(bundle) else ""))
    except NotTrusted as error:
        told, _, sign = str(error).partition("; ")
        return fail(AREA, told, sign)
    except InsituError as error:
        return fail(AREA, f"{what}: {error}", cure)
