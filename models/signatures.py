"""Signatures as they lie in Redis, each beside its version; part of the store."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from models.ed25519 import fits
from models.errors import ManifestUnreadable
from models.keys import Keys
from models.manifest import Manifest
from models.public_keys import PublicKey
from models.redis_failures import connected, replies_by_type
from models.scripts import SIGN
from models.signature import STORED_MOST_BYTES, Signature, Subject, digest_of


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version as it lies in Redis, but for its ONNX file; of its signature only where somebody asks for one."""

    name: str
    version: int
    manifest: bytes
    signature: bytes | None

    @property
    def signed(self) -> Signature | None:
        """Its signature, None where there is none that can be read."""
        if self.signature is not None:
            with suppress(ValueError):
                return Signature.from_json(self.signature)
        return None

    @property
    def key(self) -> PublicKey | None:
        """The key that its signature says it is of."""
        signed = self.signed
        return None if signed is None else signed.key

    def subject(self, page: bytes | None) -> Subject:
        """Return what a signature has to be of, with this page; None where the page is not looked at.

        Raises: ManifestUnreadable.
        """
        digest = Manifest.from_json(self.manifest, self.name, self.version).digest
        signed = self.signed if page is None else None
        card = digest_of(page or b"") if signed is None else signed.page
        return Subject(self.name, self.version, self.manifest, digest, card)

    def fits(self) -> bool:
        """Whether the signature is of this manifest, and by the key that it says; the card's page is not looked at.

        Raises: SigningNotInstalled.
        """
        signed = self.signed
        with suppress(ManifestUnreadable):
            return signed is not None and fits(signed, self.subject(None))
        return False


class Signatures:
    """The signatures of versions under one key prefix."""

    def __init__(self, redis: Any, keys: Keys) -> None:  # Redis or RedisCluster
        self._redis = redis
        self._keys = keys

    async def stored(self, name: str, version: int) -> bytes | None:
        """Return what is stored as the signature of a version, as far as one can be long; None where there is none.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        async with connected(self._redis):
            return (await self._stored(name, [version])).get(version)

    async def of(self, name: str, versions: Iterable[int]) -> dict[int, StoredVersion]:
        """Return those among some versions of a model that have a signature.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        async with connected(self._redis):
            found = await self._stored(name, list(versions))
            manifests = await self._manifests(name, list(found))
        return {
            version: StoredVersion(name, version, manifests[version], data) for version, data in found.items()
        }

    async def _stored(self, name: str, versions: list[int]) -> dict[int, bytes]:
        """Return what is stored as signatures among some versions, nothing of what Redis keeps as no string."""
        if not versions:
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        for version in versions:
            pipeline.getrange(self._keys.signature(name, version), 0, STORED_MOST_BYTES)
        found = zip(versions, await replies_by_type(pipeline), strict=True)
        return {version: data or b"" for version, data in found if data != b""}

    async def _manifests(self, name: str, versions: list[int]) -> dict[int, bytes]:
        if not versions:
            return {}
        found = await self._redis.mget([self._keys.manifest(name, version) for version in versions])
        return {version: data or b"" for version, data in zip(versions, found, strict=True)}

    async def put(self, subject: Subject, signature: Signature) -> bool:
        """Store a signature in the place of an earlier one; False where the manifest is not the signed one any more.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        place = (subject.name, subject.version)
        keys = (self._keys.manifest(*place), self._keys.signature(*place))
        async with connected(self._redis):
            return bool(await self._redis.eval(SIGN, len(keys), *keys, subject.manifest, signature.to_json()))
