"""ModelStore: models in Redis; the only code that touches their keys.

Publishing is one MULTI of the chunks, the manifest and then the alias: whoever reads sees the
whole version or nothing of it. What a version holds never changes. Moving an alias, going back
and deleting are each one script on the keys of one model, so they are atomic too, and cluster-safe.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import BusyLoadingError, ClusterDownError, RedisClusterException, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from models.bundle import CHUNK_BYTES, Bundle
from models.errors import (
    AliasNotFound,
    BundleCorrupt,
    ManifestUnreadable,
    ModelNotFound,
    NothingToRollBack,
    RedisRefused,
    RedisUnavailable,
    VersionInUse,
    VersionNotFound,
)
from models.keys import Keys, check_alias
from models.manifest import Manifest

Client = Redis | RedisCluster
PRODUCTION = "production"
EVENTS_KEPT = 1000
HISTORY_KEPT = 32
LISTED_LIMIT = 100_000

# KEYS: model, aliases, manifest.  ARGV: alias, version, history kept.
# The version it leaves is remembered, newest last, so that a rollback knows where to go.
PROMOTE = """
if redis.call('EXISTS', KEYS[3]) == 0 then return -1 end
local now = redis.call('HGET', KEYS[2], ARGV[1])
if now ~= ARGV[2] then
  if now then
    local past = redis.call('HGET', KEYS[1], 'previous:' .. ARGV[1])
    local list = past and cjson.decode(past) or {}
    list[#list + 1] = tonumber(now)
    while #list > tonumber(ARGV[3]) do table.remove(list, 1) end
    redis.call('HSET', KEYS[1], 'previous:' .. ARGV[1], cjson.encode(list))
  end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
return tonumber(ARGV[2])
"""

# KEYS: model, aliases.  ARGV: alias, prefix of the model's version keys.
# Versions deleted meanwhile are passed over. -2: no such alias, -1: nowhere to go.
ROLLBACK = """
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return -2 end
local past = redis.call('HGET', KEYS[1], 'previous:' .. ARGV[1])
local list = past and cjson.decode(past) or {}
while #list > 0 do
  local version = table.remove(list)
  if redis.call('EXISTS', ARGV[2] .. version .. ':manifest') == 1 then
    if #list > 0 then redis.call('HSET', KEYS[1], 'previous:' .. ARGV[1], cjson.encode(list))
    else redis.call('HDEL', KEYS[1], 'previous:' .. ARGV[1]) end
    redis.call('HSET', KEYS[2], ARGV[1], version)
    return version
  end
end
return -1
"""

# KEYS: aliases, then every key of the version.  ARGV: version.  An empty list: deleted.
DELETE = """
local users = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i + 1] == ARGV[1] then users[#users + 1] = all[i] end
end
if #users == 0 then
  for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
end
return users
"""


@asynccontextmanager
async def redis_errors() -> AsyncIterator[None]:
    """Turn a Redis that does not answer, or says no, into the domain's error.

    Raises: RedisUnavailable, RedisRefused.
    """
    try:
        yield
    except (
        RedisConnectionError,
        RedisTimeoutError,
        BusyLoadingError,
        ClusterDownError,
        RedisClusterException,
        OSError,
    ) as error:
        raise RedisUnavailable(str(error) or type(error).__name__) from error
    except ResponseError as error:
        raise RedisRefused(str(error)) from error


class ModelStore:
    """Models as they lie in one Redis or Redis Cluster, under one key prefix."""

    def __init__(self, redis: Client, keys: Keys | None = None, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.redis: Any = redis
        self.keys = keys or Keys()
        self._chunk_bytes = chunk_bytes

    async def publish(self, bundle: Bundle, alias: str | None = PRODUCTION) -> Manifest:
        """Store a bundle as the next version and point `alias` to it; None leaves aliases alone.

        Raises: BadName, RedisUnavailable; nothing is written then but a used-up number.
        """
        name = bundle.manifest.name
        if alias is not None:
            check_alias(alias)
        async with redis_errors():
            await self.redis.sadd(self.keys.models(), name)
            version = await self._next_version(name)
            sealed = self._numbered(bundle, version)
            await self._write(sealed, alias)
            await self.announce("publish", name, version, alias)
        return sealed.manifest

    def _numbered(self, bundle: Bundle, version: int) -> Bundle:
        created = bundle.manifest.created or datetime.now(UTC).replace(microsecond=0)
        manifest = bundle.manifest.model_copy(update={"created": created})
        return Bundle(manifest, bundle.onnx).sealed(version, self._chunk_bytes)

    async def _next_version(self, name: str) -> int:
        """Return a number nobody else gets, past every version that is stored."""
        while True:
            version = int(await self.redis.hincrby(self.keys.model(name), "next_version", 1))
            if not await self.redis.exists(self.keys.manifest(name, version)):
                return version

    async def _write(self, bundle: Bundle, alias: str | None) -> None:
        manifest = bundle.manifest
        name, version = manifest.name, manifest.version
        pipeline = self.redis.pipeline(transaction=True)
        for index, piece in enumerate(bundle.pieces(self._chunk_bytes)):
            pipeline.set(self.keys.chunk(name, version, index), piece)
        pipeline.set(self.keys.manifest(name, version), manifest.to_json())
        about = {"created": str(manifest.created), "description": manifest.description}
        pipeline.hset(self.keys.model(name), mapping=about)
        if alias is not None:
            pipeline.eval(PROMOTE, 3, *self._promote_keys(name, version), alias, version, HISTORY_KEPT)
        await pipeline.execute()

    def _promote_keys(self, name: str, version: int) -> tuple[str, str, str]:
        return self.keys.model(name), self.keys.aliases(name), self.keys.manifest(name, version)

    async def announce(self, event: str, name: str, version: int, alias: str | None) -> None:
        """Tell servers that are here (channel) and those that are away (stream) what changed."""
        facts = {"event": event, "model": name, "version": version, "alias": alias or ""}
        await self.redis.xadd(self.keys.events(), facts, maxlen=EVENTS_KEPT, approximate=True)
        await self.redis.publish(self.keys.events(), json.dumps(facts))

    async def names(self) -> list[str]:
        """Return the names of models with at least one version or alias, sorted."""
        async with redis_errors():
            members = await self.redis.smembers(self.keys.models())
            names = sorted(member.decode() for member in members)[:LISTED_LIMIT]
            return [name for name in names if await self._versions(name)]

    async def versions(self, name: str) -> list[int]:
        """Return the stored versions of a model, ascending.

        Raises: BadName, ModelNotFound, RedisUnavailable.
        """
        async with redis_errors():
            versions = await self._versions(name)
        if not versions:
            raise ModelNotFound(name)
        return versions

    async def _versions(self, name: str) -> list[int]:
        last = int(await self.redis.hget(self.keys.model(name), "next_version") or 0)
        pipeline = self.redis.pipeline(transaction=False)
        for version in range(1, last + 1):
            pipeline.exists(self.keys.manifest(name, version))
        there = await pipeline.execute() if last else []
        return [version for version, exists in enumerate(there, 1) if exists]

    async def aliases(self, name: str) -> dict[str, int]:
        """Return alias -> version of a model.

        Raises: BadName, RedisUnavailable.
        """
        async with redis_errors():
            stored = await self.redis.hgetall(self.keys.aliases(name))
        return {alias.decode(): int(version) for alias, version in stored.items()}

    async def resolve(self, name: str, reference: str | int = PRODUCTION) -> int:
        """Return the version that a number or an alias stands for.

        Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, RedisUnavailable.
        """
        if isinstance(reference, int) or reference.isdecimal():
            await self.manifest(name, int(reference))
            return int(reference)
        aliases = await self.aliases(name)
        if reference not in aliases:
            await self.versions(name)
            raise AliasNotFound(name, reference, sorted(aliases))
        return aliases[reference]

    async def manifest(self, name: str, version: int) -> Manifest:
        """Return the manifest of one version.

        Raises: BadName, ModelNotFound, VersionNotFound, ManifestUnreadable, RedisUnavailable.
        """
        async with redis_errors():
            data = await self.redis.get(self.keys.manifest(name, version))
        if data is None:
            raise VersionNotFound(name, version, await self.versions(name))
        return Manifest.from_json(data, name, version)

    async def load(self, name: str, version: int) -> Bundle:
        """Return one version whole, its bytes checked against size and SHA-256.

        Raises: as `manifest`; BundleCorrupt, when a chunk is missing or altered.
        """
        manifest = await self.manifest(name, version)
        keys = [self.keys.chunk(name, version, index) for index in range(manifest.chunks)]
        async with redis_errors():
            chunks = [await self.redis.get(key) for key in keys]
        lost = [str(index) for index, chunk in enumerate(chunks) if chunk is None]
        if lost:
            raise BundleCorrupt(name, version, f"chunk {', '.join(lost)} of {len(chunks)} is missing")
        onnx = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if len(onnx) != manifest.size_bytes:
            found = f"{len(onnx)} bytes, published were {manifest.size_bytes}"
            raise BundleCorrupt(name, version, found)
        if sha256(onnx).hexdigest() != manifest.digest:
            raise BundleCorrupt(name, version, "the SHA-256 of its bytes is not the published one")
        return Bundle(manifest, onnx)

    async def promote(self, name: str, version: int, alias: str = PRODUCTION) -> int:
        """Point an alias to a version; the version it leaves is remembered for a rollback.

        Raises: BadName, ModelNotFound, VersionNotFound, RedisUnavailable.
        """
        check_alias(alias)
        keys = self._promote_keys(name, version)
        async with redis_errors():
            moved = await self.redis.eval(PROMOTE, 3, *keys, alias, version, HISTORY_KEPT)
        if int(moved) < 0:
            raise VersionNotFound(name, version, await self.versions(name))
        async with redis_errors():
            await self.announce("promote", name, version, alias)
        return version

    async def rollback(self, name: str, alias: str = PRODUCTION) -> int:
        """Point an alias back to the version it pointed to before, and return that.

        Raises: BadName, ModelNotFound, AliasNotFound, NothingToRollBack, RedisUnavailable.
        """
        check_alias(alias)
        model = self.keys.model(name)
        async with redis_errors():
            version = int(
                await self.redis.eval(ROLLBACK, 2, model, self.keys.aliases(name), alias, f"{model}:v")
            )
        if version == -2:
            await self.versions(name)
            raise AliasNotFound(name, alias, sorted(await self.aliases(name)))
        if version < 0:
            raise NothingToRollBack(name, alias)
        async with redis_errors():
            await self.announce("rollback", name, version, alias)
        return version

    async def delete(self, name: str, version: int) -> None:
        """Delete a version for good; its number is never used again.

        Raises: BadName, ModelNotFound, VersionNotFound, VersionInUse, RedisUnavailable.
        """
        keys = await self._version_keys(name, version)
        async with redis_errors():
            users = await self.redis.eval(DELETE, 1 + len(keys), self.keys.aliases(name), *keys, version)
        if users:
            raise VersionInUse(name, version, sorted(user.decode() for user in users))
        async with redis_errors():
            await self.announce("delete", name, version, None)

    async def _version_keys(self, name: str, version: int) -> list[str]:
        """Return every key of a version, also of one whose manifest cannot be read."""
        try:
            chunks = (await self.manifest(name, version)).chunks
        except ManifestUnreadable:
            chunks = 0
            async with redis_errors():
                while await self.redis.exists(self.keys.chunk(name, version, chunks)):
                    chunks += 1
        every = [self.keys.chunk(name, version, index) for index in range(chunks)]
        return [self.keys.manifest(name, version), *every]

    async def remove_alias(self, name: str, alias: str) -> None:
        """Take an alias away; its version stays.

        Raises: BadName, ModelNotFound, AliasNotFound, RedisUnavailable.
        """
        check_alias(alias)
        async with redis_errors():
            gone = await self.redis.hdel(self.keys.aliases(name), alias)
        if not gone:
            await self.versions(name)
            raise AliasNotFound(name, alias, sorted(await self.aliases(name)))
        async with redis_errors():
            await self.announce("unalias", name, 0, alias)
