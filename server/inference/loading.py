"""Loading: each version is fetched, loaded and tried once, however many ask; the least used leave.

A version that does not load is remembered with its reason and tried again later and later, so that
a broken one costs nobody its bytes for every request.
"""

import asyncio
import logging
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from models.assembly import Plan
from models.bundle import Bundle
from models.errors import BundleCorrupt, InsituError, ManifestUnreadable
from models.features import FeatureView
from models.manifest import Manifest
from models.sources import ListSource, VectorSource
from models.store import ModelStore
from models.tensors import elements, numpy_dtype
from server.inference.batcher import Batcher, BatchLimits
from server.inference.ending import ended
from server.inference.errors import ModelNotLoadable
from server.inference.runs import Runner
from server.inference.samples import Rows, try_rows
from server.inference.sessions import Session
from server.metrics import Metrics, ModelMetrics

log = logging.getLogger(__name__)

LOADS_AT_ONCE = 2
RETRY_SECONDS = 2.0
RETRY_MOST_SECONDS = 300.0
CLOSE_SECONDS = 1.0


@dataclass(slots=True)
class Serving:
    """One loaded version and everything a request of it needs.

    Units: row_bytes, what one row may bring into memory; loaded_at, Unix seconds; used_at, seconds
           of time.monotonic.
    """

    manifest: Manifest
    provider: str
    memory_bytes: int
    rows: Rows
    row_bytes: int
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


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version did not load, how often, and when to try again (time.monotonic)."""

    error: InsituError
    times: int
    again_at: float


Place = tuple[str, int]


class Loader:
    """The loaded versions of one process."""

    def __init__(self, store: ModelStore, options: LoadOptions, pool: Executor, metrics: Metrics) -> None:
        self._store = store
        self._options = options
        self._pool = pool
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(LOADS_AT_ONCE, thread_name_prefix="load")
        self._turns = asyncio.Semaphore(LOADS_AT_ONCE)
        self._loaded: dict[Place, Serving] = {}
        self._loading: dict[Place, asyncio.Task[Serving]] = {}
        self._failures: dict[Place, Failure] = {}

    def loaded(self) -> list[Serving]:
        """Return the loaded versions, by name and number."""
        return [self._loaded[place] for place in sorted(self._loaded)]

    def find(self, name: str, version: int) -> Serving | None:
        """Return a version when it is loaded."""
        return self._loaded.get((name, version))

    def failures(self, name: str) -> dict[int, str]:
        """Return what was wrong with the versions of a model that did not load."""
        return {version: str(one.error) for (held, version), one in self._failures.items() if held == name}

    async def load(self, name: str, version: int) -> Serving:
        """Return a version, loaded once however many ask for it.

        Raises: BadName, ModelNotFound, VersionNotFound, BundleCorrupt, ManifestUnreadable,
                ModelNotLoadable, RedisUnavailable, RedisRefused.
        """
        place = (name, version)
        if place in self._loaded:
            return self._loaded[place]
        if place not in self._loading:
            self._raise_known_failure(place)
            task = asyncio.create_task(self._load_now(name, version))
            self._loading[place] = task
            task.add_done_callback(partial(self._ended, place))
        return await asyncio.shield(self._loading[place])

    def _ended(self, place: Place, task: "asyncio.Task[Serving]") -> None:
        """Take a load off the list, and note its fault where everybody who waited has left."""
        self._loading.pop(place, None)
        if not task.cancelled():
            task.exception()

    def _raise_known_failure(self, place: Place) -> None:
        failure = self._failures.get(place)
        if failure is not None and time.monotonic() < failure.again_at:
            raise failure.error

    async def _load_now(self, name: str, version: int) -> Serving:
        started = time.perf_counter()
        try:
            async with self._turns:
                serving = await self._serving(name, version)
        except (BundleCorrupt, ManifestUnreadable, ModelNotLoadable) as error:
            self._failed((name, version), error)
            raise
        self._loaded[name, version] = serving
        self._failures.pop((name, version), None)
        self._metrics.loaded.labels(name, version, serving.provider).set(1)
        self._metrics.memory.labels(name, version).set(serving.memory_bytes)
        milliseconds = 1e3 * (time.perf_counter() - started)
        log.info("loaded %s v%d on %s in %.0f ms", name, version, serving.provider, milliseconds)
        self._make_room(serving)
        return serving

    def _failed(self, place: Place, error: InsituError) -> None:
        times = self._failures[place].times + 1 if place in self._failures else 1
        wait = min(RETRY_SECONDS * 2 ** (times - 1), RETRY_MOST_SECONDS)
        self._failures[place] = Failure(error, times, time.monotonic() + wait)
        log.warning("%s; tried again after %.0f s", error, wait)

    async def _serving(self, name: str, version: int) -> Serving:
        bundle = await self._store.load(name, version)
        loop = asyncio.get_running_loop()
        session, rows, plan = await loop.run_in_executor(self._threads, self._tried, bundle)
        metrics = self._metrics.of(name, version)
        runner = Runner(session, rows, self._pool, self._options.batch.batch_rows, metrics.ran)
        return Serving(
            manifest=bundle.manifest,
            provider=session.provider,
            memory_bytes=session.memory_bytes,
            rows=rows,
            row_bytes=row_bytes(bundle.manifest.features),
            plan=plan,
            batcher=Batcher(runner, self._options.batch),
            metrics=metrics,
        )

    def _tried(self, bundle: Bundle) -> tuple[Session, Rows, Plan | None]:
        """Load and try a bundle, in a thread.

        Raises: ModelNotLoadable, whatever is wrong.
        """
        manifest = bundle.manifest
        try:
            plan = Plan(manifest.features) if manifest.features is not None else None
            session = Session(bundle, self._options.provider, self._options.intra_op_threads)
            return session, try_rows(session), plan
        except ModelNotLoadable:
            raise
        except Exception as error:
            raise ModelNotLoadable(manifest.name, manifest.version, str(error)) from error

    def _make_room(self, newest: Serving) -> None:
        """Let the least recently used versions go until the rest fits the budget."""
        while sum(one.memory_bytes for one in self._loaded.values()) > self._options.memory_bytes:
            others = [one for one in self._loaded.values() if one is not newest]
            if not others:
                return
            oldest = min(others, key=lambda one: one.used_at)
            log.info("evicting %s v%d to make room", oldest.manifest.name, oldest.manifest.version)
            self._drop((oldest.manifest.name, oldest.manifest.version))

    def _drop(self, place: Place) -> None:
        """Forget a loaded version; requests that hold it end on it."""
        serving = self._loaded.pop(place, None)
        if serving is not None:
            name, version = place
            self._metrics.loaded.remove(name, str(version), serving.provider)
            self._metrics.memory.remove(name, str(version))

    def keep(self, name: str, versions: set[int]) -> None:
        """Forget everything about the versions of a model but these: they are no longer stored."""
        known = {place for place in (*self._loaded, *self._failures) if place[0] == name}
        for place in known:
            if place[1] not in versions:
                log.info("%s v%d is no longer stored", *place)
                self._drop(place)
                self._failures.pop(place, None)
                self._metrics.forget(*place)

    async def close(self) -> None:
        """Stop loading; let what runs end, or stop it when that takes long."""
        await ended(self._loading.values())
        await asyncio.gather(*(one.batcher.close(CLOSE_SECONDS) for one in self._loaded.values()))
        self._threads.shutdown(wait=False, cancel_futures=True)


def row_bytes(view: FeatureView | None) -> int:
    """Return how many bytes one row reads at the most, what is raw in Redis alone."""
    sources = [source for one in view.inputs for source in one.sources] if view else []
    vectors = [one for one in sources if isinstance(one, VectorSource)]
    lists = [one for one in sources if isinstance(one, ListSource)]
    raw = [elements(one.shape) * numpy_dtype(one.dtype).itemsize for one in vectors]
    raw += [elements(one.shape) * one.last * numpy_dtype(one.dtype).itemsize for one in lists]
    return max(1, sum(raw))
