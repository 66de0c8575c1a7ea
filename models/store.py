"""ModelStore: models in Redis; the only code that touches their keys.

Publishing uploads the chunks, which expire by themselves, and then runs one script: it keeps the
chunks, writes the manifest and moves the alias. Whoever reads sees the whole version or nothing of
it, and a publisher that dies leaves nothing. What a version holds never changes. Every change is
one script on the keys of one model, so it is atomic, and the same on a Redis Cluster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from models.alias_reading import as_aliases, read_meant
from models.bundle import CHUNK_BYTES, Bundle
from models.downloads import Downloads
from models.ed25519 import SigningKey
from models.errors import (
    AliasNotFound,
    BundleCorrupt,
    InsituError,
    ManifestUnreadable,
    ModelNotFound,
    NothingToRollBack,
    RedisRefused,
    TrafficNotFound,
    VersionInUse,
    VersionNotFound,
)
from models.events import Event, announce
from models.keys import Keys, as_name, as_version, check_alias
from models.manifest import Manifest
from models.manifest_reading import read_manifests
from models.misspelling import Misspellings
from models.redis_failures import connected, reading
from models.refusals import Refusals
from models.rolling_back import NO_ALIAS, roll_back
from models.scripts import DELETE, PROMOTE, TRAFFIC, UNALIAS
from models.signature import Subject
from models.signatures import Signatures, StoredVersion
from models.traffic import Traffic
from models.trust import NO_SIGNING, Signing
from models.uploads import HISTORY_KEPT, Uploads

Client = Redis | RedisCluster
PRODUCTION = "production"
SHADOW = "shadow"
LISTED_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Pointers:
    """What a model's aliases mean, and its traffic rule as it is stored."""

    aliases: dict[str, int]
    rule: bytes | None


class ModelStore:
    """Models as they lie in one Redis or Redis Cluster, under one key prefix."""

    with_pages = True  # whether what is loaded has its model card as HTML
    with_signatures = False  # whether signatures are read that nobody here asks for

    def __init__(
        self,
        redis: Client,
        keys: Keys | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        signing: Signing = NO_SIGNING,
    ) -> None:
        """Take a client; the store never closes it.

        Raises: ValueError, a client that decodes replies: ONNX files are no text.
        """
        if redis.get_encoder().decode_responses:
            raise ValueError("ModelStore needs a client with decode_responses=False")
        self.redis: Any = redis
        self.keys = keys or Keys()
        self.signing = signing
        self.refusals = Refusals(self.redis, self.keys)
        self.signatures = Signatures(self.redis, self.keys)
        self._misspellings = Misspellings(self.redis, self.keys)
        self._uploads = Uploads(self.redis, self.keys, chunk_bytes)
        self._downloads = Downloads(self.redis, self.keys)

    async def publish(self, bundle: Bundle, alias: str | None = PRODUCTION) -> Manifest:
        """Store a bundle as the next version and point `alias` to it; None leaves aliases alone.

        Raises: BadName, PageTooLarge, RedisRefused; nothing is stored then but a used-up number.
                RedisUnavailable; whether it was stored is not known when the connection broke
                after everything was sent.
        """
        name = bundle.manifest.name
        if alias is not None:
            check_alias(alias)
        async with connected(self.redis):
            await self.redis.sadd(self.keys.models(), name)
            manifest = await self._uploads.write(bundle, alias, self.signing.key)
        await self._tell("publish", name, manifest.version, alias)
        return manifest

    async def _tell(self, event: str, name: str, version: int, alias: str | None) -> None:
        await announce(self.redis, self.keys.events(), Event(event, name, version, alias or ""))

    async def ask(self, event: str, name: str, by: str) -> None:
        """Ask every other server to load or unload a model; `by` is the process that has done so already.

        One that is away does not hear of it, and where events may not be written nobody does; the log says so.
        """
        await announce(self.redis, self.keys.events(), Event(event, name, 0, "", by))

    async def stored(self) -> dict[str, list[int]]:
        """Return the models with at least one version, by name, and their versions, ascending.

        Raises: RedisUnavailable, RedisRefused.
        """
        async with connected(self.redis):
            names = await self.hinted()
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                pipeline.smembers(self.keys.versions(name))
            found = await pipeline.execute() if names else []
        every = (sorted(int(one) for one in members if one.isdigit()) for members in found)
        return {name: versions for name, versions in zip(names, every, strict=True) if versions}

    async def hinted(self) -> list[str]:
        """Return the names that may be models, sorted, within `connected`."""
        members = await self.redis.smembers(self.keys.models())
        return sorted(name for member in members if (name := as_name(member)))[:LISTED_LIMIT]

    async def names(self) -> list[str]:
        """Return the names of models with at least one version, sorted.

        Raises: RedisUnavailable, RedisRefused.
        """
        async with connected(self.redis):
            names = await self.hinted()
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                pipeline.exists(self.keys.versions(name))
            there = await pipeline.execute() if names else []
        return [name for name, exists in zip(names, there, strict=True) if exists]

    async def versions(self, name: str) -> list[int]:
        """Return the stored versions of a model, ascending.

        Raises: BadName, ModelNotFound, RedisUnavailable, RedisRefused.
        """
        async with reading(self.redis, {self.keys.versions(name): "set"}):
            members = await self.redis.smembers(self.keys.versions(name))
        if not members:
            raise ModelNotFound(name, await self._misspellings.near(name))
        return sorted(int(member) for member in members if member.isdigit())

    async def aliases(self, name: str) -> dict[str, int]:
        """Return alias -> version of a model.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        async with reading(self.redis, {self.keys.aliases(name): "hash"}):
            return as_aliases(await self.redis.hgetall(self.keys.aliases(name)))

    async def meant(self, name: str, alias: str = PRODUCTION) -> set[int]:
        """Return the version that an alias means and those that it is remembered to have meant.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        return await read_meant(self.redis, self.keys, name, alias)

    async def traffic(self, name: str) -> Traffic | None:
        """Return the traffic rule of a model, None without one.

        Raises: BadName, BadTraffic, RedisUnavailable, RedisRefused.
        """
        async with reading(self.redis, {self.keys.model(name): "hash"}):
            rule = await self.redis.hget(self.keys.model(name), "traffic")
        return None if rule is None else Traffic.from_json(name, rule)

    async def pointers(self, name: str) -> Pointers:
        """Return aliases and traffic rule in one round trip.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        pipeline = self.redis.pipeline(transaction=False)
        # The rule first: a promotion between the two then shows the rule that went on until now.
        pipeline.hget(self.keys.model(name), "traffic")
        pipeline.hgetall(self.keys.aliases(name))
        async with reading(self.redis, {self.keys.model(name): "hash", self.keys.aliases(name): "hash"}):
            rule, aliases = await pipeline.execute()
        return Pointers(as_aliases(aliases), rule)

    async def resolve(self, name: str, reference: str | int = PRODUCTION) -> int:
        """Return the version that a number or an alias stands for.

        Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, BundleCorrupt, ManifestUnreadable,
                RedisUnavailable, RedisRefused.
        """
        number = reference if isinstance(reference, int) else as_version(reference)
        if number is not None:
            await self.manifest(name, number)
            return number
        aliases = await self.aliases(name)
        if reference not in aliases:
            await self.versions(name)
            raise AliasNotFound(name, str(reference), sorted(aliases))
        return aliases[str(reference)]

    async def manifest(self, name: str, version: int) -> Manifest:
        """Return the manifest of one version.

        Raises: BadName, ModelNotFound, VersionNotFound, BundleCorrupt, ManifestUnreadable,
                RedisUnavailable, RedisRefused.
        """
        return Manifest.from_json((await self._stored(name, version)).manifest, name, version)

    async def _stored(self, name: str, version: int) -> StoredVersion:
        async with connected(self.redis):
            data: bytes | None = await self.redis.get(self.keys.manifest(name, version))
        if data is None:
            raise await self._absent(name, version)
        asked = self.with_signatures or self.signing.trust is not None
        return StoredVersion(
            name, version, data, await self.signatures.stored(name, version) if asked else None
        )

    async def manifests(self, places: Sequence[tuple[str, int]]) -> list[Manifest | None]:
        """Return the manifests of versions, in their order; None for one that is missing or cannot be read.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        return await read_manifests(self.redis, self.keys, places)

    async def _absent(self, name: str, version: int) -> InsituError:
        """Return why a version has no manifest.

        Raises: ModelNotFound, RedisUnavailable, RedisRefused.
        """
        known = await self.versions(name)
        if version not in known:
            return VersionNotFound(name, version, known)
        key = self.keys.manifest(name, version)
        return BundleCorrupt(name, version, f"its manifest {key} is missing")

    async def load(self, name: str, version: int) -> Bundle:
        """Return one version whole, its bytes checked against size and SHA-256, and who signed it where that counts.

        Raises: as `manifest`; BundleCorrupt, when a chunk is missing or altered; NotTrusted.
        """
        return await self._load(await self._stored(name, version))

    async def _load(self, stored: StoredVersion) -> Bundle:
        page = await self._downloads.page(stored.name, stored.version) if self.with_pages else None
        self.signing.check(stored, page)
        manifest = Manifest.from_json(stored.manifest, stored.name, stored.version)
        onnx = await self._fetched(manifest)
        await self._downloads.check(manifest, onnx)
        return Bundle(manifest, onnx, page or b"")

    async def _fetched(self, manifest: Manifest) -> bytes:
        return await self._downloads.fetched(manifest)

    async def page(self, name: str, version: int) -> bytes:
        """Return the model card of a version as HTML, empty where it has none.

        Raises: BadName, BundleCorrupt, one that Insitu would not have stored; NotTrusted; RedisUnavailable,
                RedisRefused.
        """
        page = await self._downloads.page(name, version)
        if page and self.signing.trust is not None:
            self.signing.check(await self._stored(name, version), page)
        return page

    async def subject(self, name: str, version: int, page: bytes) -> Subject:
        """Return what a signature of one version is of, with the page of its card.

        Raises: as `manifest`.
        """
        return (await self._stored(name, version)).subject(page)

    async def sign(self, name: str, version: int, key: SigningKey) -> Subject:
        """Sign a version as it lies here, once its bytes are found to be those of its manifest; return what was signed.

        Raises: as `manifest`; BundleCorrupt; RedisRefused, another manifest was stored meanwhile.
        """
        subject = await self.subject(name, version, await self._downloads.page(name, version))
        manifest = Manifest.from_json(subject.manifest, name, version)
        await self._downloads.check(manifest, await self._downloads.fetched(manifest))
        if not await self.signatures.put(subject, key.sign(subject)):
            raise RedisRefused(
                f"version {version} of {name!r} was changed while it was signed; look at it, then sign"
            )
        await self._tell("sign", name, version, None)
        return subject

    async def promote(self, name: str, version: int, alias: str = PRODUCTION) -> int:
        """Point an alias to a version; the version it leaves is remembered for a rollback.

        Raises: BadName, ModelNotFound, VersionNotFound, BundleCorrupt, RedisUnavailable, RedisRefused.
        """
        check_alias(alias)
        keys = (self.keys.model(name), self.keys.aliases(name), self.keys.manifest(name, version))
        async with connected(self.redis):
            moved = await self.redis.eval(PROMOTE, len(keys), *keys, alias, version, HISTORY_KEPT)
        if int(moved) < 0:
            raise await self._absent(name, version)
        await self._tell("promote", name, version, alias)
        return version

    async def rollback(self, name: str, alias: str = PRODUCTION) -> int:
        """Point an alias back to the version it pointed to before, and return that.

        Raises: BadName, ModelNotFound, AliasNotFound, NothingToRollBack, RedisUnavailable, RedisRefused.
        """
        check_alias(alias)
        version = await roll_back(self.redis, self.keys, name, alias)
        if version == NO_ALIAS:
            await self.versions(name)
            raise AliasNotFound(name, alias, sorted(await self.aliases(name)))
        if version < 0:
            raise NothingToRollBack(name, alias)
        await self._tell("rollback", name, version, alias)
        return version

    async def set_traffic(self, name: str, weights: Mapping[Any, Any]) -> Traffic:
        """Share what production is asked out between versions, by weight; it ends when production moves.

        Raises: BadName, BadTraffic, ModelNotFound, VersionNotFound, BundleCorrupt, RedisUnavailable, RedisRefused.
        """
        rule = Traffic.read(name, weights)
        keys = [self.keys.model(name), *(self.keys.manifest(name, version) for version in rule.weights)]
        async with connected(self.redis):
            facts = (rule.to_json(), *rule.weights)
            absent = int(await self.redis.eval(TRAFFIC, len(keys), *keys, *facts))
        if absent:
            raise await self._absent(name, absent)
        await self._tell("traffic", name, 0, None)
        return rule

    async def clear_traffic(self, name: str) -> None:
        """End the traffic rule: production answers everything again.

        Raises: BadName, ModelNotFound, TrafficNotFound, RedisUnavailable, RedisRefused.
        """
        model = self.keys.model(name)
        async with connected(self.redis):
            there = await self.redis.hexists(model, "traffic")
            await self.redis.hdel(model, "traffic")  # sent again, and in vain, where the reply is lost
        if not there:
            await self.versions(name)
            raise TrafficNotFound(name)
        await self._tell("traffic", name, 0, None)

    async def delete(self, name: str, version: int, *, with_aliases: bool = False) -> None:
        """Delete a version for good, with the aliases that point to it or not while there are any.

        Its number is never used again.

        Raises: BadName, ModelNotFound, VersionNotFound, VersionInUse, RedisUnavailable, RedisRefused.
        """
        of = (self.keys.model, self.keys.aliases, self.keys.versions, self.keys.deleted)
        keys = (*(key(name) for key in of), *await self._version_keys(name, version))
        async with connected(self.redis):
            found = await self.redis.eval(DELETE, len(keys), *keys, version, int(with_aliases), token_hex(8))
        if isinstance(found, list):
            aliases, traffic = found
            raise VersionInUse(name, version, sorted(alias.decode() for alias in aliases), bool(traffic))
        if not found:
            raise VersionNotFound(name, version, await self.versions(name))
        await self._tell("delete", name, version, None)

    async def _version_keys(self, name: str, version: int) -> list[str]:
        """Return every key of a version, also of one whose manifest is missing or damaged."""
        try:
            chunks = (await self.manifest(name, version)).chunks
        except (BundleCorrupt, ManifestUnreadable):
            chunks = 0
            async with connected(self.redis):
                while await self.redis.exists(self.keys.chunk(name, version, chunks)):
                    chunks += 1
        of = (self.keys.manifest, self.keys.card, self.keys.signature, self.keys.refused)
        own = [key(name, version) for key in of]
        return own + [self.keys.chunk(name, version, index) for index in range(chunks)]

    async def remove_alias(self, name: str, alias: str) -> None:
        """Take an alias and its history away; its version stays.

        Raises: BadName, ModelNotFound, AliasNotFound, RedisUnavailable, RedisRefused.
        """
        check_alias(alias)
        known = await self.aliases(name)
        if alias not in known:
            await self.versions(name)
            raise AliasNotFound(name, alias, sorted(known))
        async with connected(self.redis):
            await self.redis.eval(UNALIAS, 2, self.keys.model(name), self.keys.aliases(name), alias)
        await self._tell("unalias", name, 0, alias)
