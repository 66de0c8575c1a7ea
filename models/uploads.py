"""Uploads: a bundle written as the next version of its model, whole or not at all; part of the store.

The chunks, the page of the card and the signature go first and expire by themselves; one script then keeps them,
writes the manifest and moves the alias.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import ResponseError

from models.bundle import Bundle
from models.ed25519 import SigningKey
from models.errors import RedisRefused
from models.keys import Keys
from models.manifest import Manifest
from models.scripts import PUBLISH
from models.signature import Signature, Subject, digest_of

HISTORY_KEPT = 32
LARGE_BYTES = 1 << 20  # sending or digesting more than that at once holds the loop for milliseconds
UPLOAD_SECONDS = 3600  # a chunk that no publish has kept by then is gone
CHUNK_GONE = -1
PUBLISH_MET = {
    CHUNK_GONE: "a chunk that was gone before the upload ended; publish it again",
    -2: "another version of that number; publish it again",
}


class Uploads:
    """Writes versions under one key prefix; failures are those of the client."""

    def __init__(self, redis: Any, keys: Keys, chunk_bytes: int) -> None:  # Redis or RedisCluster
        self._redis = redis
        self._keys = keys
        self._chunk_bytes = chunk_bytes

    async def write(self, bundle: Bundle, alias: str | None, signer: SigningKey | None = None) -> Manifest:
        """Store a bundle under a number of its own, signed where there is a signer, and point `alias` to it.

        Raises: PageTooLarge; RedisRefused, a chunk or the number was lost meanwhile; redis.RedisError.
        """
        version = await self._next_version(bundle.manifest.name)
        if len(bundle.onnx) > LARGE_BYTES:
            sealed = await asyncio.to_thread(self._numbered, bundle, version)
        else:
            sealed = self._numbered(bundle, version)
        await self._write(sealed, alias, signer)
        return sealed.manifest

    def _numbered(self, bundle: Bundle, version: int) -> Bundle:
        created = bundle.manifest.created or datetime.now(UTC).replace(microsecond=0)
        manifest = bundle.manifest.model_copy(update={"created": created})
        return Bundle(manifest, bundle.onnx, bundle.page).sealed(version, self._chunk_bytes)

    async def _next_version(self, name: str) -> int:
        """Return a number nobody else gets, past every version that is stored."""
        while True:
            version = int(await self._redis.hincrby(self._keys.model(name), "next_version", 1))
            if not await self._redis.exists(self._keys.manifest(name, version)):
                return version

    async def _write(self, bundle: Bundle, alias: str | None, signer: SigningKey | None) -> None:
        manifest = bundle.manifest
        name, version, data = manifest.name, manifest.version, manifest.to_json()
        pieces = self._pieces(bundle)
        if signer is not None:
            signature = signed(bundle, data, signer)
            pieces[self._keys.signature(name, version)] = signature.to_json()
        model = (self._keys.model(name), self._keys.aliases(name), self._keys.versions(name))
        keys = (*model, self._keys.manifest(name, version), *pieces)
        created = manifest.model_dump(mode="json", include={"created"})["created"]
        facts = (version, data, created, manifest.description, HISTORY_KEPT, alias or "")
        try:
            for key, piece in pieces.items():
                await self._send(key, piece)
            written = int(await self._redis.eval(PUBLISH, len(keys), *keys, *facts))
        except ResponseError:
            await self._take_back(list(pieces))
            raise
        if written == CHUNK_GONE:
            await self._take_back(list(pieces))
        if written < 0:
            raise RedisRefused(f"version {version} of {name!r} met {PUBLISH_MET[written]}")

    async def _send(self, key: str, data: memoryview | bytes) -> None:
        """Upload what stands at one key, in parts with room for others on the loop between.

        The last part goes second, so that Redis makes room for all of it once. Any of it may be sent twice.
        """
        await self._redis.set(key, data[:LARGE_BYTES], ex=UPLOAD_SECONDS)
        for at in reversed(range(LARGE_BYTES, len(data), LARGE_BYTES)):
            await self._redis.setrange(key, at, data[at : at + LARGE_BYTES])

    def _pieces(self, bundle: Bundle) -> dict[str, memoryview | bytes]:
        """Return what is uploaded before the manifest, by key: the chunks, and the page of the card."""
        name, version = bundle.manifest.name, bundle.manifest.version
        pieces: dict[str, memoryview | bytes] = {
            self._keys.chunk(name, version, index): piece
            for index, piece in enumerate(bundle.pieces(self._chunk_bytes))
        }
        return pieces | {self._keys.card(name, version): bundle.page} if bundle.page else pieces

    async def _take_back(self, keys: list[str]) -> None:
        """Remove what was uploaded now; when that is refused too it expires."""
        with suppress(ResponseError):
            await self._redis.unlink(*keys)


def signed(bundle: Bundle, manifest: bytes, key: SigningKey) -> Signature:
    """Return the signature of a numbered bundle, whose manifest is stored as these bytes."""
    said = bundle.manifest
    return key.sign(Subject(said.name, said.version, manifest, said.digest, digest_of(bundle.page)))
