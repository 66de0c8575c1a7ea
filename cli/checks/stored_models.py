"""The stored models: every version that an alias points to is whole, and ONNX Runtime runs it."""

from collections.abc import Callable

from cli.checks.findings import Finding, fail, ok, warn
from cli.trial import tried
from models.errors import InsituError
from models.store import ModelStore

AREA = "models"
MODELS_LIMIT = 200

Progress = Callable[[int, int], None]


async def check_models(store: ModelStore, progress: Progress) -> list[Finding]:
    """Look at the models one by one; `progress` gets how many are done of how many."""
    names = await store.names()
    if not names:
        return [ok(AREA, "none are stored yet; `insitu demo` makes three")]
    findings = []
    for done, name in enumerate(names[:MODELS_LIMIT]):
        progress(done, min(len(names), MODELS_LIMIT))
        findings += await check_model(store, name)
    if len(names) > MODELS_LIMIT:
        findings.append(
            warn(AREA, f"the first {MODELS_LIMIT} of {len(names)} were looked at", "look at the rest")
        )
    return findings


async def check_model(store: ModelStore, name: str) -> list[Finding]:
    """Look at the versions of one model that aliases point to."""
    aliases = await store.aliases(name)
    if not aliases:
        cure = f"`insitu promote {name} VERSION` sets production; until then requests must name a version"
        return [warn(AREA, f"{name} has no alias", cure)]
    versions = sorted(set(aliases.values()))
    return [await check_version(store, name, version, pointing(aliases, version)) for version in versions]


def pointing(aliases: dict[str, int], version: int) -> str:
    """Return the aliases that point to a version, as text."""
    return ", ".join(sorted(alias for alias, to in aliases.items() if to == version))


async def check_version(store: ModelStore, name: str, version: int, aliases: str) -> Finding:
    """Load one version, compare its SHA-256, and run it once in a process of its own."""
    what = f"{name} version {version} ({aliases})"
    cure = f"publish it again, or `insitu rollback {name} --alias {aliases.partition(',')[0]}`"
    try:
        bundle = await store.load(name, version)
        return ok(AREA, f"{what} is whole" + (", and runs" if await tried(bundle) else ""))
    except InsituError as error:
        return fail(AREA, f"{what}: {error}", cure)
