"""Catalogue: which version each alias means now, and the loaded version a request is answered by.

A version is loaded and tried beside the one that serves, and the alias moves after that, between
two requests. A version that does not load leaves its alias where it was. What is loaded goes on
serving while Redis is away.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from models.errors import AliasNotFound, InsituError, ModelNotFound, RedisUnavailable
from models.keys import as_version
from models.store import PRODUCTION, ModelStore
from server.inference.loading import Loader, Serving

log = logging.getLogger(__name__)

Reference = str | int | None
LOOK_UP_SECONDS = 5.0  # a small reply; loading a version may take longer


class Catalogue:
    """The models that were met in Redis, and what their aliases mean."""

    def __init__(self, store: ModelStore, loader: Loader) -> None:
        self._store = store
        self._loader = loader
        self._aliases: dict[str, dict[str, int]] = {}
        self._refreshing: dict[str, asyncio.Lock] = {}

    def loaded(self) -> list[Serving]:
        """Return the loaded versions, by name and number."""
        return self._loader.loaded()

    def find(self, name: str, version: int) -> Serving | None:
        """Return a version when it is loaded."""
        return self._loader.find(name, version)

    def failures(self, name: str) -> dict[int, str]:
        """Return what was wrong with the versions of a model that did not load."""
        return self._loader.failures(name)

    def knows(self, name: str) -> bool:
        """Whether a model of that name was met in Redis."""
        return name in self._aliases

    async def get(self, name: str, reference: Reference = None) -> Serving:
        """Return the version that a request means, loading it when it is not.

        Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, BundleCorrupt,
                ManifestUnreadable, ModelNotLoadable, RedisUnavailable.
        """
        version = self._version_of(name, reference)
        if version is None:
            await self.refresh(name)
            version = self._version_of(name, reference)
        if version is None:
            raise AliasNotFound(name, str(reference or PRODUCTION), sorted(self._aliases.get(name, ())))
        serving = self._loader.find(name, version)
        if serving is None:
            serving = await self._loader.load(name, version)
            self._aliases.setdefault(name, {})  # met now, so it is followed
        serving.used_at = time.monotonic()
        return serving

    def _version_of(self, name: str, reference: Reference) -> int | None:
        if isinstance(reference, int):
            return reference
        number = as_version(reference) if reference is not None else None
        return self._aliases.get(name, {}).get(reference or PRODUCTION) if number is None else number

    async def refresh(self, name: str) -> None:
        """Take over the aliases of a model, each new version loaded before its alias moves.

        Raises: BadName, ModelNotFound, RedisUnavailable.
        """
        lock = self._refreshing.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                await self._refresh(name)
        finally:
            if name not in self._aliases:
                self._refreshing.pop(name, None)

    async def _refresh(self, name: str) -> None:
        async with in_time(LOOK_UP_SECONDS):
            stored = await self._store.aliases(name)
        if not stored:
            await self._stored_versions(name)
        current = self._aliases.setdefault(name, {})
        for alias in current.keys() - stored.keys():
            del current[alias]
        for alias, version in stored.items():
            if current.get(alias) != version:
                await self._move(current, name, alias, version)

    async def _stored_versions(self, name: str) -> set[int]:
        """Return what is stored of a model; without anything it is forgotten.

        Raises: ModelNotFound.
        """
        try:
            async with in_time(LOOK_UP_SECONDS):
                return set(await self._store.versions(name))
        except ModelNotFound:
            self._aliases.pop(name, None)
            self._loader.keep(name, set())
            raise

    async def _move(self, current: dict[str, int], name: str, alias: str, version: int) -> None:
        """Load a version, then let the alias mean it; on failure the alias stays where it was.

        An alias that is new here moves at once: nothing serves yet that could go on serving.
        """
        if alias in current:
            try:
                await self._loader.load(name, version)
            except RedisUnavailable:
                raise
            except InsituError:
                return  # the loader told why
        current[alias] = version

    async def changed(self, name: str) -> None:
        """Take over what changed about a model; a fault is logged and looked at again at the next sync.

        Raises: RedisUnavailable.
        """
        if name not in self._aliases:
            return  # nobody asked for it yet: the first request loads it
        try:
            await self.refresh(name)
            self._loader.keep(name, await self._stored_versions(name))
        except RedisUnavailable:
            raise
        except InsituError as error:
            log.warning("%s: %s", name, error)

    async def sync(self) -> None:
        """Look at every model that was met.

        Raises: RedisUnavailable.
        """
        for name in list(self._aliases):
            await self.changed(name)

    async def preload(self, most: int) -> None:
        """Load what production means for the first models stored, while there is memory for them.

        Raises: RedisUnavailable.
        """
        for name in (await self._store.names())[:most]:
            before = len(self.loaded())
            try:
                await self.get(name)
            except RedisUnavailable:
                raise
            except InsituError as error:
                log.warning("not loaded: %s", error)
                continue
            if len(self.loaded()) <= before:
                log.info("the memory for models is full; the others are loaded when they are asked for")
                return

    async def close(self) -> None:
        """Stop loading, and end what runs."""
        await self._loader.close()


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Bound a look-up: a Redis that hangs counts as away.

    Raises: RedisUnavailable.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise RedisUnavailable(f"no reply within {seconds:g} s") from error
