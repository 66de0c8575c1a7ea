"""The Redis that holds models and features: reachable, fast, keeping what it is given."""

import statistics
import time
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from cli.checks.findings import Finding, fail, ok, warn
from models.bundle import CHUNK_BYTES
from models.connecting import without_password
from models.redis_failures import UNSAVED
from models.store import ModelStore

AREA = "Redis"
PINGS = 50
SLOW_MS = 5.0
OLDEST = (6, 2)


async def check_redis(store: ModelStore, url: str) -> list[Finding]:
    """Look at a Redis that answers."""
    latency = await check_latency(store, url)
    if isinstance(store.redis, RedisCluster):
        return [ok(AREA, f"cluster at {without_password(url)}"), latency]
    try:
        findings = await check_itself(store, url, latency)
    except NoPermissionError:
        what = f"{without_password(url)}: its version, memory and what it keeps are not told, INFO is refused"
        findings = [warn(AREA, what, "ACL SETUSER NAME +info, or check as another user"), latency]
    return [*findings, check_chunks(await config(store, "proto-max-bulk-len")), await check_json(store)]


async def check_itself(store: ModelStore, url: str, latency: Finding) -> list[Finding]:
    """Look at what a Redis says of itself.

    Raises: NoPermissionError, this user may not ask.
    """
    info = await store.redis.info()
    findings = [check_version(info, url), latency, check_writes(info, await unsaved(store))]
    return [*findings, check_eviction(info), check_persistence(info, await config(store, "save"))]


async def config(store: ModelStore, name: str) -> str | None:
    """Return one configured value, None where this user may not ask."""
    try:
        found = await store.redis.config_get(name)
    except RedisError:
        return None
    return next(iter(found.values()), None) if found else None


def check_version(info: dict[str, Any], url: str) -> Finding:
    """Look at what serves, and how it is reached."""
    server = "Valkey" if "valkey_version" in info else "Redis"
    text = str(info.get("valkey_version") or info["redis_version"])
    what = f"{server} {text} at {without_password(url)}"
    numbers = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if numbers < OLDEST:
        return fail(AREA, f"{what} is too old", "take Redis 6.2 or newer, or any Valkey")
    return ok(AREA, what)


async def check_latency(store: ModelStore, url: str) -> Finding:
    """Look at how long a round trip takes."""
    took = []
    for _ in range(PINGS):
        began = time.perf_counter()
        await unsaved(store)
        took.append((time.perf_counter() - began) * 1000)
    median = statistics.median(took)
    way = url.partition("://")[0]
    what = f"a round trip takes {median:.2f} ms over {'its unix socket' if way == 'unix' else way}"
    if median > SLOW_MS:
        return warn(
            AREA, what, "run the server on the machine of Redis: every prediction by key waits for it"
        )
    return ok(AREA, what)


async def unsaved(store: ModelStore) -> bool:
    """Ask for an answer; return whether it is that nothing can be written, since nothing could be saved."""
    try:
        await store.redis.execute_command("PING")
    except ResponseError as error:
        if not str(error).startswith(UNSAVED):
            raise
        return True
    return False


def check_writes(info: dict[str, Any], cannot_save: bool) -> Finding:
    """Look at whether models can be written here."""
    if info.get("role") == "slave":
        return fail(AREA, "this is a replica: models cannot be published here", "give the URL of its primary")
    if cannot_save:
        cure = "give its disk room, and look into its log; BGSAVE, once it works, lets writes in again"
        return fail(AREA, "could not save what it has, and takes no writes until it can (MISCONF)", cure)
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used > limit and info.get("maxmemory_policy") == "noeviction":
        cure = "CONFIG SET maxmemory, or delete: `insitu delete` works now too"
        return fail(AREA, f"its memory is full ({used} bytes of {limit}): it takes no writes", cure)
    return ok(AREA, "takes writes")


def check_eviction(info: dict[str, Any]) -> Finding:
    """Look at what happens when the memory is full."""
    policy, limit = str(info.get("maxmemory_policy", "noeviction")), int(info.get("maxmemory", 0))
    if limit and policy.startswith("allkeys"):
        cure = "CONFIG SET maxmemory-policy noeviction (or a volatile one: models have no expiry)"
        return fail(AREA, f"full memory evicts models too (maxmemory-policy {policy})", cure)
    what = f"maxmemory {info.get('maxmemory_human')}, {policy}" if limit else "no memory limit"
    return ok(AREA, f"{what}: models are not evicted")


def check_persistence(info: dict[str, Any], save: str | None) -> Finding:
    """Look at what is left after a restart."""
    if int(info.get("aof_enabled", 0)):
        return ok(AREA, "keeps an append-only file: models survive a restart")
    if save:
        cure = "CONFIG SET appendonly yes keeps the last second too"
        return warn(AREA, f"keeps snapshots only (save {save}): a crash loses what is newer", cure)
    if save is None:
        return warn(
            AREA, "no append-only file; snapshots are unknown, CONFIG is refused", "ask who runs this Redis"
        )
    return fail(AREA, "keeps nothing: a restart loses every model", "CONFIG SET appendonly yes")


def check_chunks(limit: str | None) -> Finding:
    """Look at whether one chunk of a large model can be stored."""
    if limit is not None and int(limit) < CHUNK_BYTES:
        cure = f"CONFIG SET proto-max-bulk-len {CHUNK_BYTES}"
        return warn(AREA, f"strings over {limit} bytes are refused: large models cannot be stored", cure)
    return ok(AREA, "takes the chunks of large models")


async def check_json(store: ModelStore) -> Finding:
    """Look for the JSON type, which `as: json` sources need."""
    try:
        known = await store.redis.execute_command("COMMAND INFO", "JSON.GET")
    except RedisError:
        known = None
    if isinstance(known, list) and known[0]:
        return ok(AREA, "has JSON: sources `as: json` work")
    return ok(AREA, "has no JSON: sources `as: json` need Redis 8, the others work")
