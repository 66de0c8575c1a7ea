"""KeptStore: the models in Redis, with what was fetched of them kept on disk.

Redis says what is stored; bytes of the digest that it says are taken from the disk. While Redis is away a version that
lies here is whole without it. What goes wrong with the disk keeps nobody from loading: it is told once.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from models.bundle import Bundle
from models.errors import BundleCorrupt, InsituError, ModelNotFound, RedisUnavailable
from models.keys import Keys
from models.manifest import Manifest
from models.redis_failures import connected, in_time
from models.signatures import StoredVersion
from models.store import Client, ModelStore
from models.trust import NO_SIGNING, Signing
from server.counting.cache_counts import CacheCounts
from server.inference.keeping.claims import Claim
from server.inference.keeping.files import KeptFiles, Known
from server.inference.keeping.room import DIGEST

log = logging.getLogger(__name__)

Given = ParamSpec("Given")
Found = TypeVar("Found")
WAIT_SECONDS = 120.0  # for another process that fetches the same bytes; then they are fetched here too
POLL_SECONDS = 0.05
COMPARE_SECONDS = 5.0


class KeptStore(ModelStore):
    """Models as they lie in Redis, and in files beside it."""

    with_pages = False  # nobody in a server needs them of what is loaded, and Redis may be away
    with_signatures = True  # who trusts keys may share the directory, or come later

    def __init__(
        self, redis: Client, keys: Keys, files: KeptFiles, counts: CacheCounts, signing: Signing = NO_SIGNING
    ) -> None:
        super().__init__(redis, keys, signing=signing)
        self._files = files
        self._counts = counts
        self._troubled = False  # the disk did not take a file, which was told
        self._taken = 0  # bytes that all files took last
        self._alone = False  # Redis was found away a moment ago: what lies here is looked for first

    @property
    def place(self) -> str:
        """The directory, for people."""
        return str(self._files.directory)

    async def _stored(self, name: str, version: int) -> StoredVersion:
        """Return what Redis says of a version, and what was kept of that where Redis is away."""
        if self._alone and (kept := await self._kept(name, version)) is not None:
            return kept
        try:
            return await super()._stored(name, version)
        except RedisUnavailable:
            if (kept := await self._kept(name, version)) is None:
                raise
            return kept

    async def _kept(self, name: str, version: int) -> StoredVersion | None:
        return await self._on_disk(self._files.stored, name, version)

    async def _load(self, stored: StoredVersion) -> Bundle:
        """Load a version without its page; kept bytes that are damaged are thrown away, and fetched."""
        try:
            bundle = await super()._load(stored)
        except BundleCorrupt:
            manifest = Manifest.from_json(stored.manifest, stored.name, stored.version)
            if await self._on_disk(self._files.doubted, manifest) is None:
                raise
            bundle = await super()._load(stored)
        await self._on_disk(self._files.keep_stored, bundle.manifest, stored)
        return bundle

    async def _fetched(self, manifest: Manifest) -> bytes:
        """Take the bytes from the disk, or fetch and keep them: of several processes one does."""
        if DIGEST.fullmatch(manifest.digest) is None:
            return await super()._fetched(manifest)
        async with self._claimed(manifest) as (claim, kept):
            if kept is not None:
                self._counts.hit()
                return kept
            onnx = await super()._fetched(manifest)
            self._counts.missed()
            if claim is not None and await self._on_disk(self._files.keep_onnx, claim, onnx):
                self._mended()
            return onnx

    @asynccontextmanager
    async def _claimed(self, manifest: Manifest) -> AsyncIterator[tuple[Claim | None, bytes | None]]:
        """Have the bytes, or else the right to fetch them; neither where the disk gives none in time."""
        until = time.monotonic() + WAIT_SECONDS
        claim: Claim | None = None
        while (kept := await self._on_disk(self._files.onnx, manifest)) is None:
            claim = await self._on_disk(self._files.claim, manifest.digest)
            if claim is not None or self._troubled or time.monotonic() > until:
                break
            await asyncio.sleep(POLL_SECONDS)
        try:
            yield claim, kept
        finally:
            if claim is not None:
                claim.release()

    async def versions(self, name: str) -> list[int]:
        """Return the stored versions of a model, ascending; those that are gone are kept no longer.

        Raises: as ModelStore.versions.
        """
        try:
            found = await super().versions(name)
        except ModelNotFound:
            await self._on_disk(self._files.compare, name, ())
            raise
        await self._on_disk(self._files.compare, name, found)
        return found

    async def note(self, name: str, aliases: Mapping[str, int], traffic: str | None) -> None:
        """Keep what a model means in this server."""
        await self._on_disk(self._files.note, name, dict(aliases), traffic)

    async def looked(self, loaded: Iterable[Manifest]) -> None:
        """Note that all that was met was compared with Redis just now, and compare the rest, if all of it is there."""
        names = await self._on_disk(self._files.names) or []
        try:
            stored = await self._stored_of(names)
        except InsituError:  # the next look tells
            return
        for name, versions in stored.items():
            await self._on_disk(self._files.compare, name, versions)
        digests = [one.digest for one in loaded]
        self._taken = await self._on_disk(self._files.looked, digests) or self._taken
        self._counts.taken(self._taken)

    async def _stored_of(self, names: list[str]) -> dict[str, set[int]]:
        """Return the versions that are stored of some models, in one round trip.

        Raises: RedisUnavailable, RedisRefused.
        """
        if not names:
            return {}
        pipeline = self.redis.pipeline(transaction=False)
        for name in names:
            pipeline.smembers(self.keys.versions(name))
        async with in_time(COMPARE_SECONDS), connected(self.redis):
            found = await pipeline.execute()
        every = ({int(one) for one in members if one.isdigit()} for members in found)
        return dict(zip(names, every, strict=True))

    async def known(self) -> tuple[list[Known], str]:
        """Return the models that can be served without Redis, the last used first, and when they were compared."""
        known = await self._on_disk(self._files.known) or []
        at = await self._on_disk(self._files.looked_at)
        return known, "an unknown time" if at is None else moment(at)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Look for versions here before Redis is asked for them: it was found away, which takes seconds each time."""
        self._alone = True
        try:
            yield
        finally:
            self._alone = False

    async def _on_disk(
        self, work: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs
    ) -> Found | None:
        """Do something with files, in a thread; None where the disk does not let it, which is told once."""
        try:
            found = await asyncio.to_thread(work, *args, **kwargs)
        except OSError as error:
            reason = error.strerror or str(error)
            level = logging.DEBUG if self._troubled else logging.WARNING
            log.log(level, "no new model is kept in %s: %s; it is loaded from Redis", self.place, reason)
            self._troubled = True
            return None
        finally:
            self._counts.discarded(self._files.discarded)
        return found

    def _mended(self) -> None:
        """Tell that the disk takes files again; that it can be read says nothing of that."""
        if self._troubled:
            log.info("models are kept in %s again", self.place)
        self._troubled = False


def moment(at: float) -> str:
    """Return a time as it is told."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
