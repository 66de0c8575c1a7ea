"""Catalogue: which versions are loaded, and which one each alias means now.

A version is loaded and warmed beside the one that serves, and the alias moves after that, between
two requests. A version that does not load leaves its alias where it was. What is loaded goes on
serving while Redis is away. The least recently used versions leave when memory is short.
"""

import asyncio
import logging
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field

from models.assembly import Plan
from models.bundle import Bundle
from models.errors import (
    AliasNotFound,
    BundleCorrupt,
    InsituError,
    ManifestUnreadable,
    ModelNotFound,
    RedisUnavailable,
)
from models.manifest import Manifest
from models.store import PRODUCTION, ModelStore
from server.inference.batcher import Batcher, BatchLimits
from server.inference.errors import ModelNotLoadable
from server.inference.sessions import Session
from server.metrics import Metrics, ModelMetrics

log = logging.getLogger(__name__)

Reference = str | int | None
RETRY_SECONDS = 2.0
VERSION_DIGITS = 18


@dataclass(slots=True)
class Serving:
    """One loaded version and everything a request of it needs."""

    manifest: Manifest
    provider: str
    memory_bytes: int
    plan: Plan | None
    batcher: Batcher
    metrics: ModelMetrics
    loaded_at: float = field(default_factory=time.time)
    used_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How versions are loaded.

    Units: memory_bytes, for all loaded versions together.
    """

    provider: str
    intra_op_threads: int
    memory_bytes: int
    batch: BatchLimits


class Catalogue:
    """The loaded versions of one process."""

    def __init__(self, store: ModelStore, options: LoadOptions, pool: Executor, metrics: Metrics) -> None:
        self._store = store
        self._options = options
        self._pool = pool
        self._metrics = metrics
        self._aliases: dict[str, dict[str, int]] = {}
        self._loaded: dict[tuple[str, int], Serving] = {}
        self._loading: dict[tuple[str, int], asyncio.Task[Serving]] = {}
        self._refreshing: dict[str, asyncio.Lock] = {}
        self._failures: dict[tuple[str, int], tuple[InsituError, float]] = {}

    def loaded(self) -> list[Serving]:
        """Return the loaded versions, by name and number."""
        return [self._loaded[place] for place in sorted(self._loaded)]

    def find(self, name: str, version: int) -> Serving | None:
        """Return a version when it is loaded."""
        return self._loaded.get((name, version))

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
            raise AliasNotFound(name, str(reference or PRODUCTION), sorted(self._aliases[name]))
        serving = self._loaded.get((name, version)) or await self._load(name, version)
        serving.used_at = time.monotonic()
        return serving

    def _version_of(self, name: str, reference: Reference) -> int | None:
        if isinstance(reference, int):
            return reference
        if reference is not None and reference.isdecimal():
            return int(reference[:VERSION_DIGITS])
        return self._aliases.get(name, {}).get(reference or PRODUCTION)

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
        stored = await self._store.aliases(name)
        if not stored:
            await self._forget_or_raise(name)
        current = self._aliases.setdefault(name, {})
        for alias in current.keys() - stored.keys():
            del current[alias]
        for alias, version in stored.items():
            if current.get(alias) != version:
                await self._move(name, alias, version)

    async def _forget_or_raise(self, name: str) -> None:
        try:
            await self._store.versions(name)
        except ModelNotFound:
            self._aliases.pop(name, None)
            raise

    async def _move(self, name: str, alias: str, version: int) -> None:
        """Load a version, then let the alias mean it; on failure the alias stays where it was."""
        current = self._aliases[name]
        if alias in current:
            try:
                await self._load(name, version)
            except RedisUnavailable:
                raise
            except InsituError as error:
                log.warning("%s stays at v%d: %s", name, current[alias], error)
                return
        current[alias] = version

    async def _load(self, name: str, version: int) -> Serving:
        """Load a version once, however many ask for it."""
        place = (name, version)
        if place in self._loaded:
            return self._loaded[place]
        if place not in self._loading:
            task = asyncio.create_task(self._load_now(name, version))
            self._loading[place] = task
            task.add_done_callback(lambda _: self._loading.pop(place, None))
        return await asyncio.shield(self._loading[place])

    async def _load_now(self, name: str, version: int) -> Serving:
        started = time.perf_counter()
        self._raise_known_failure(name, version)
        try:
            bundle = await self._store.load(name, version)
            session = await asyncio.get_running_loop().run_in_executor(self._pool, self._session, bundle)
        except (BundleCorrupt, ManifestUnreadable, ModelNotLoadable) as error:
            self._failures[name, version] = (error, time.monotonic())
            raise
        serving = self._serving(session)
        self._loaded[name, version] = serving
        self._failures.pop((name, version), None)
        self._metrics.loaded.labels(name, version, serving.provider).set(1)
        self._metrics.memory.labels(name, version).set(serving.memory_bytes)
        milliseconds = 1e3 * (time.perf_counter() - started)
        log.info("loaded %s v%d on %s in %.0f ms", name, version, serving.provider, milliseconds)
        self._make_room(serving)
        return serving

    def _raise_known_failure(self, name: str, version: int) -> None:
        """Refuse a version that failed a moment ago without fetching it again for every request."""
        error, failed_at = self._failures.get((name, version), (None, 0.0))
        if error is not None and time.monotonic() - failed_at < RETRY_SECONDS:
            raise error

    def _session(self, bundle: Bundle) -> Session:
        """Load and warm, in a thread of the pool."""
        session = Session(bundle, self._options.provider, self._options.intra_op_threads)
        session.warm()
        return session

    def _serving(self, session: Session) -> Serving:
        manifest = session.manifest
        metrics = self._metrics.of(manifest.name, manifest.version)
        batcher = Batcher(manifest, session.run, self._pool, self._options.batch, metrics.ran)
        plan = Plan(manifest.features) if manifest.features is not None else None
        return Serving(manifest, session.provider, session.memory_bytes, plan, batcher, metrics)

    def _make_room(self, newest: Serving) -> None:
        """Let the least recently used versions go until the rest fits the budget."""
        while sum(one.memory_bytes for one in self._loaded.values()) > self._options.memory_bytes:
            others = [one for one in self._loaded.values() if one is not newest]
            if not others:
                return
            oldest = min(others, key=lambda one: one.used_at)
            log.info("evicting %s v%d to make room", oldest.manifest.name, oldest.manifest.version)
            self._drop(oldest.manifest.name, oldest.manifest.version)

    def _drop(self, name: str, version: int) -> None:
        """Forget a loaded version; requests that hold it end on it."""
        serving = self._loaded.pop((name, version), None)
        if serving is not None:
            self._metrics.loaded.remove(name, str(version), serving.provider)
            self._metrics.memory.remove(name, str(version))

    async def changed(self, name: str) -> None:
        """Take over what changed about a model; a fault is logged and tried again at the next sync.

        Raises: RedisUnavailable.
        """
        if name not in self._aliases:
            return  # nobody asked for it yet: the first request loads it
        try:
            await self.refresh(name)
            await self._drop_deleted(name)
        except RedisUnavailable:
            raise
        except InsituError as error:
            log.warning("%s: %s", name, error)
            for place in [place for place in self._loaded if place[0] == name]:
                self._drop(*place)

    async def _drop_deleted(self, name: str) -> None:
        stored = set(await self._store.versions(name))
        for version in [version for held, version in self._loaded if held == name]:
            if version not in stored:
                self._drop(name, version)

    async def sync(self) -> None:
        """Look at every model that was met.

        Raises: RedisUnavailable.
        """
        for name in list(self._aliases):
            await self.changed(name)

    async def preload(self, most: int) -> None:
        """Load what production means for the first models stored; faults are logged.

        Raises: RedisUnavailable.
        """
        for name in (await self._store.names())[:most]:
            try:
                await self.get(name)
            except RedisUnavailable:
                raise
            except InsituError as error:
                log.warning("not loaded: %s", error)

    def failures(self, name: str) -> dict[int, str]:
        """Return what was wrong with the versions of a model that did not load."""
        return {version: str(error) for (held, version), (error, _) in self._failures.items() if held == name}

    async def close(self) -> None:
        """Wait for what still runs."""
        await asyncio.gather(*(serving.batcher.close() for serving in self._loaded.values()))
