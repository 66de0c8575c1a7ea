"""Downloads: the bytes of a version, fetched and compared with what was published; part of the store."""

import asyncio
from hashlib import sha256
from io import BytesIO
from typing import Any

from models.bundle import PAGE_LIMIT_BYTES
from models.errors import BundleCorrupt
from models.keys import Keys
from models.manifest import Manifest
from models.redis_failures import connected

LARGE_BYTES = 1 << 20  # receiving, joining and checking more than that holds the loop for milliseconds


class Downloads:
    """Reads what versions are made of under one key prefix."""

    def __init__(self, redis: Any, keys: Keys) -> None:  # Redis or RedisCluster
        self._redis = redis
        self._keys = keys

    async def page(self, name: str, version: int) -> bytes:
        """Return the model card of a version as HTML, empty where it has none.

        Raises: BadName, BundleCorrupt, one that Insitu would not have stored; RedisUnavailable, RedisRefused.
        """
        key = self._keys.card(name, version)
        async with connected(self._redis):
            page: bytes = await self._redis.getrange(key, 0, PAGE_LIMIT_BYTES)
        if len(page) > PAGE_LIMIT_BYTES:
            raise BundleCorrupt(name, version, f"{key} has more than {PAGE_LIMIT_BYTES} bytes")
        return page

    async def check(self, manifest: Manifest, onnx: bytes) -> None:
        """Compare the ONNX file of a version with what was published, size and SHA-256.

        Raises: BundleCorrupt.
        """
        if len(onnx) > LARGE_BYTES:
            await asyncio.to_thread(self._check, manifest, onnx)
        else:
            self._check(manifest, onnx)

    def _check(self, manifest: Manifest, onnx: bytes) -> None:
        name, version = manifest.name, manifest.version
        if len(onnx) != manifest.size_bytes:
            found = f"its chunks have {len(onnx)} bytes, published were {manifest.size_bytes}"
            raise BundleCorrupt(name, version, found)
        if sha256(onnx).hexdigest() != manifest.digest:
            ends = (self._keys.chunk(name, version, at) for at in (0, manifest.chunks - 1))
            keys = " to ".join(dict.fromkeys(ends))
            raise BundleCorrupt(name, version, f"the SHA-256 of {keys} is not the published one")

    async def fetched(self, manifest: Manifest) -> bytes:
        """Return the ONNX file of a version, as its chunks are; no further than a damaged version reaches.

        Raises: BadName, BundleCorrupt, when a chunk is missing; RedisUnavailable, RedisRefused.
        """
        name, version = manifest.name, manifest.version
        onnx = BytesIO()  # it hands out what it holds without copying it; joining holds every thread up
        for index in range(manifest.chunks):
            key = self._keys.chunk(name, version, index)
            if not await self._fetch(key, onnx, manifest.size_bytes):
                raise BundleCorrupt(name, version, f"chunk {index} of {manifest.chunks}, {key}, is missing")
            if onnx.tell() > manifest.size_bytes:
                found = f"with {key} it has {onnx.tell()} bytes or more, published were {manifest.size_bytes}"
                raise BundleCorrupt(name, version, found)
        return onnx.getvalue()

    async def _fetch(self, key: str, onnx: BytesIO, most: int) -> bool:
        """Append a chunk, a large one in pieces with room for others between; False when it is missing."""
        start = onnx.tell()
        async with connected(self._redis):
            if most - start <= LARGE_BYTES:
                whole = await self._redis.get(key)
                onnx.write(whole or b"")
                return whole is not None
            while onnx.tell() <= most:
                first = onnx.tell() - start
                piece = await self._redis.getrange(key, first, first + LARGE_BYTES - 1)
                onnx.write(piece)
                if len(piece) < LARGE_BYTES:
                    break
        return onnx.tell() > start
