"""Signatures as they lie in Redis, each beside its version; part of the store."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from models.ed25519 import fits
from models.errors import ManifestUnreadable
from models.keys import Keys
from models.manifest import Manifest
from models.public_keys import PublicKey
from models.redis_failures import connected, replies_by_type
from models.scripts import SIGN
from models.signature import STORED_MOST_BYTES, Signature, Subject, digest_of, page_of


@dataclass(frozen=True, slots=True)
class Signed:
    """What is stored beside a version: by which key, None where it cannot be read, and of which manifest."""

    signature: Signature | None
    manifest: bytes

    @property
    def key(self) -> PublicKey | None:
        """The key that it says it is of."""
        return None if self.signature is None else self.signature.key

    def fits(self, name: str, version: int) -> bool:
        """Whether it is of the manifest that is stored, and by the key that it says; the card's page is not looked at.

        Raises: SigningNotInstalled.
        """
        try:
            digest = Manifest.from_json(self.manifest, name, version).digest
        except ManifestUnreadable:
            return False
        signature = self.signature
        return signature is not None and fits(
            signature, Subject(name, version, self.manifest, digest, signature.page)
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A version as it lies in Redis, but for its ONNX file; of its signature only where somebody asks for one."""

    name: str
    version: int
    manifest: bytes
    signature: bytes | None

    def subject(self, page: bytes | None) -> Subject:
        """Return what a signature has to be of, with this page; None where the page is not looked at.

        Raises: ManifestUnreadable.
        """
        digest = Manifest.from_json(self.manifest, self.name, self.version).digest
        card = page_of(self.signature) if page is None else digest_of(page)
        return Subject(self.name, self.version, self.manifest, digest, card)


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

    async def of(self, name: str, versions: Iterable[int]) -> dict[int, Signed]:
        """Return the signatures among some versions of a model.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        async with connected(self._redis):
            found = await self._stored(name, list(versions))
            manifests = await self._manifests(name, list(found))
        return {version: Signed(read(data), manifests[version]) for version, data in found.items()}

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


def read(data: bytes) -> Signature | None:
    """Return a stored signature, None where it cannot be read."""
    try:
        return Signature.from_json(data)
    except ValueError:
        return None
