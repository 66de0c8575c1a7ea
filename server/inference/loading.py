"""Loading: each version is fetched, tried and loaded once, however many ask; the least used leave.

A version meets this process only after `trials` has run it somewhere else. One that does not load
is remembered with its reason, here and in Redis, and tried again later and later, so that a broken
one costs nobody its bytes for every request.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from models.assembly import Plan
from models.bundle import Bundle
from models.errors import BundleCorrupt, InsituError, ManifestUnreadable
from models.features import FeatureView
from models.manifest import Manifest
from models.refusals import Refusal
from models.signing_errors import NotTrusted
from models.sources import ListSource, StreamSource, VectorSource
from models.store import ModelStore
from models.tensors import elements, numpy_dtype
from models.ways import Ways
from server.counting.version_metrics import VersionMetrics
from server.inference.answers import numbers_told
from server.inference.batch_limits import BatchLimits
from server.inference.batcher import Batcher
from server.inference.ending import ended
from server.inference.errors import ModelNotLoadable, Stopping
from server.inference.failures import Failures, Place
from server.inference.memory import give_back
from server.inference.moments import Moment
from server.inference.runs import Runner
from server.inference.samples import Rows, claimed, warm
from server.inference.sessions import RUNTIME, Session, readable, shrink_arena
from server.inference.trials import Trials
from server.inference.turns import Turns
from server.inference.verdicts import Verdict
from server.metrics import Metrics

log = logging.getLogger(__name__)

LOADS_AT_ONCE = 2
LOADS_BESIDE = 4  # that hang or are large, and hold up no other
SLOW_SECONDS = 1.0
CLOSE_SECONDS = 1.0
# Giving memory back walks the whole heap: after so much was let go, and not for every small version.
GIVEN_BACK_BYTES = 32 << 20
ENTRY_VALUE_BYTES = 128  # a name and a value of an entry of a stream, as Python has them
TRUSTED_KEYS = "INSITU_TRUSTED_KEYS"  # by what a version is refused that no trusted key has signed
COPIES = 2  # of a file, while it is loaded: as it was received, and as ONNX Runtime reads it


@dataclass(slots=True)
class Serving:
    """One loaded version and everything a request of it needs.

    `left` says that it is in memory only for requests that hold it.

    Units: row_bytes, what one row may bring into memory; told, numbers that an answer says of a row, worded and
           raw; loaded_at, Unix seconds; used_at, seconds of time.monotonic.
    """

    manifest: Manifest
    provider: str
    memory_bytes: int
    rows: Rows
    row_bytes: int
    told: tuple[int, int]
    plan: Plan | None
    ways: Ways | None
    batcher: Batcher
    metrics: VersionMetrics
    loaded_at: float = field(default_factory=time.time)
    used_at: float = field(default_factory=time.monotonic)
    left: bool = False


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How versions are loaded.

    `run_threads` is how many batches run at once.

    Units: memory_bytes, for all loaded versions together.
    """

    provider: str
    intra_op_threads: int
    memory_bytes: int
    batch: BatchLimits
    run_threads: int = 1
    moment: Moment = field(default_factory=Moment)


class Loader:
    """The loaded versions of one process."""

    def __init__(
        self, store: ModelStore, trials: Trials, options: LoadOptions, pool: Executor, metrics: Metrics
    ) -> None:
        self._store = store
        self._trials = trials
        self.options = options
        self._pool = pool
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(LOADS_AT_ONCE, thread_name_prefix="load")
        self._turns = Turns(LOADS_AT_ONCE, LOADS_BESIDE, SLOW_SECONDS)
        self._loaded: dict[Place, Serving] = {}
        self._loading: dict[Place, asyncio.Task[Serving]] = {}
        self._unwanted: set[Place] = set()  # being loaded while their model is unloaded
        self._unloaded: set[str] = set()  # models that were unloaded and not loaded since
        self._failures = Failures()
        self._sizes: dict[Place, int] = {}  # bytes of memory, of what was ever loaded and is still stored
        self._notes: set[asyncio.Task[None]] = set()
        self._let_go_bytes = 0
        self._closing = False
        self.evicted = 0  # versions that left to make room
        self.left: Callable[[str], None] = lambda _name: None  # hears the model of a version that leaves

    def loaded(self) -> list[Serving]:
        """Return the loaded versions, by name and number."""
        return [self._loaded[place] for place in sorted(self._loaded)]

    def find(self, name: str, version: int) -> Serving | None:
        """Return a version when it is loaded."""
        return self._loaded.get((name, version))

    def of(self, name: str) -> list[Serving]:
        """Return the loaded versions of a model."""
        return [one for place, one in self._loaded.items() if place[0] == name]

    def failures(self, name: str) -> dict[int, str]:
        """Return what was wrong with the versions of a model that did not load."""
        return self._failures.of(name)

    def look_again(self, name: str) -> None:
        """Try versions of a model that were not trusted as soon as they are asked for: one may be signed by now."""
        self._failures.forgive(name, NotTrusted)

    def loading(self, name: str) -> set[int]:
        """Return the versions of a model that are being loaded now."""
        return {version for held, version in self._loading if held == name}

    def unloaded(self, name: str) -> bool:
        """Whether a model was unloaded, and no version of it loaded since."""
        return name in self._unloaded

    def fit(self, name: str, versions: Iterable[int]) -> bool:
        """Whether versions of a model fit the memory for models together; what was never loaded counts as nothing."""
        return sum(self._sizes.get((name, one), 0) for one in set(versions)) <= self.options.memory_bytes

    def unload(self, name: str) -> None:
        """Let every version of a model go, those that are being loaded once they are.

        Requests that hold one end on it, as when room is made.
        """
        self._unloaded.add(name)
        self._unwanted |= {place for place in self._loading if place[0] == name}
        for place in [place for place in self._loaded if place[0] == name]:
            log.info("unloading %s v%d", *place)
            self._drop(place)

    async def load(self, name: str, version: int) -> Serving:
        """Return a version, loaded once however many ask for it.

        Raises: BadName, ModelNotFound, VersionNotFound, BundleCorrupt, ManifestUnreadable,
                NotTrusted, ModelNotLoadable, RedisUnavailable, RedisRefused; Stopping, it would have to be begun now.
        """
        place = (name, version)
        if place in self._loaded:
            return self._loaded[place]
        self._unwanted.discard(place)
        return await self._begun(place)

    async def renew(self, name: str, version: int) -> Serving:
        """Load a version whose number stands for another one by now; the one that serves leaves once that is done.

        Raises: as `load`; what serves goes on serving then.
        """
        return await self._begun((name, version))

    async def _begun(self, place: Place) -> Serving:
        """Return a version once it is loaded; that is begun where it is not under way."""
        if place not in self._loading:
            if self._closing:  # who looked a version up meanwhile would have it tried and loaded for nobody
                raise Stopping
            self._failures.raise_known(place)
            task = asyncio.create_task(self._load_now(place))
            self._loading[place] = task
            task.add_done_callback(partial(self._ended, place))
        return await asyncio.shield(self._loading[place])

    def _ended(self, place: Place, task: "asyncio.Task[Serving]") -> None:
        """Take a load off the list, and note its fault where everybody who waited has left."""
        self._loading.pop(place, None)
        if place in self._unwanted:
            self._unwanted.remove(place)
            self._drop(place)
        if not task.cancelled():
            task.exception()

    async def _load_now(self, place: Place) -> Serving:
        started = time.perf_counter()
        try:
            async with self._turns.taken():
                serving = await self._serving(*place)
        except (BundleCorrupt, ManifestUnreadable, NotTrusted, ModelNotLoadable) as error:
            another = self._failures.note(place, error)
            if isinstance(error, ModelNotLoadable) or (isinstance(error, NotTrusted) and another):
                by = RUNTIME if isinstance(error, ModelNotLoadable) else TRUSTED_KEYS
                refusal = Refusal.now(str(error.details["reason"]), by)
                self._in_redis(self._store.refusals.note(*place, refusal))
            raise
        self._drop(place)  # one of this number that was renewed
        self._loaded[place] = serving
        self._sizes[place] = serving.memory_bytes
        if place not in self._unwanted:
            self._unloaded.discard(place[0])
        self._failures.forget(place)
        self._in_redis(self._store.refusals.clear(*place))
        self._metrics.loaded(*place, serving.provider, serving.memory_bytes)
        batcher = serving.batcher
        self._metrics.pending(*place).set_function(lambda: float(batcher.waiting))
        milliseconds = 1e3 * (time.perf_counter() - started)
        log.info("loaded %s v%d on %s in %.0f ms", *place, serving.provider, milliseconds)
        self._make_room(serving)
        self._let_go(COPIES * serving.manifest.size_bytes)
        return serving

    def _in_redis(self, work: Coroutine[Any, Any, None]) -> None:
        """Write what others may want to know; nobody waits for it, and it may fail."""
        task = asyncio.create_task(noted(work))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _serving(self, name: str, version: int) -> Serving:
        """Fetch, try and load a version; what nobody foresaw is told as its fault, and keeps no other from serving.

        Raises: as `load`.
        """
        try:
            held = [await self._store.load(name, version)]
            verdict = await self._trials.tried(held[0])
            loop = asyncio.get_running_loop()
            session, plan = await loop.run_in_executor(self._threads, self._made, held)
            return self._put_together(session, plan, verdict)
        except InsituError:
            raise
        except Exception as error:
            log.exception("%s v%d could not be loaded", name, version)
            raise ModelNotLoadable(name, version, f"{type(error).__name__}: {error}") from error

    def _put_together(self, session: Session, plan: Plan | None, verdict: Verdict) -> Serving:
        manifest, options = session.manifest, self.options
        place = (manifest.name, manifest.version)
        if verdict.rows != claimed(manifest):
            log.warning("%s v%d: rows are %s, so requests share no run", *place, verdict.rows)
        metrics = self._metrics.of(manifest.name, manifest.version)
        if not verdict.pads:
            log.warning("%s v%d: padding changes its answers, so sequences of one length share runs", *place)
        runner = Runner(session, verdict.rows, self._pool, options.batch.batch_rows, verdict.pads)
        limits = options.batch.asked(manifest.execution, verdict.rows == "apart")
        return Serving(
            manifest=manifest,
            provider=session.provider,
            memory_bytes=verdict.memory_bytes,
            rows=verdict.rows,
            row_bytes=row_bytes(manifest.features),
            told=(numbers_told(manifest), numbers_told(manifest, raw=True)),
            plan=plan,
            ways=None if plan is None else Ways(plan),
            batcher=Batcher(runner, plan, limits, metrics, options.moment),
            metrics=metrics,
        )

    def _made(self, held: list[Bundle]) -> tuple[Session, Plan | None]:
        """Take the one bundle out of a list, load it and run it once, in a thread; nobody holds its bytes any more.

        Raises: ModelNotLoadable, whatever is wrong.
        """
        manifest = held[0].manifest
        try:
            plan = Plan(manifest.features) if manifest.features is not None else None
            with readable(held.pop()) as file:
                session = Session(file, self.options.provider, self.options.intra_op_threads)
            warm(session)
        except ModelNotLoadable:
            raise
        except Exception as error:
            raise ModelNotLoadable(manifest.name, manifest.version, str(error)) from error
        return session, plan

    def _make_room(self, newest: Serving) -> None:
        """Let the least recently used versions go until the rest fits the budget."""
        taken = sum(one.memory_bytes for one in self._loaded.values())
        while taken > self.options.memory_bytes:
            others = [one for one in self._loaded.values() if one is not newest]
            if not others:
                return
            oldest = min(others, key=lambda one: one.used_at)
            taken -= oldest.memory_bytes
            self.evicted += 1
            log.info("evicting %s v%d to make room", oldest.manifest.name, oldest.manifest.version)
            self._drop((oldest.manifest.name, oldest.manifest.version))

    def _drop(self, place: Place) -> None:
        """Forget a loaded version; requests that hold it end on it."""
        serving = self._loaded.pop(place, None)
        if serving is None:
            return
        serving.left = True
        self.left(place[0])
        self._metrics.unloaded(*place, serving.provider)
        self._let_go(serving.memory_bytes)

    def _let_go(self, size_bytes: int) -> None:
        """Give memory back once enough was freed."""
        self._let_go_bytes += size_bytes
        if self._let_go_bytes > GIVEN_BACK_BYTES:
            self._let_go_bytes = 0
            self._threads.submit(returned)

    def keep(self, name: str, versions: set[int]) -> None:
        """Forget everything about the versions of a model but these: they are no longer stored."""
        known = {place for place in (*self._loaded, *self._sizes) if place[0] == name}
        for place in known | self._failures.places(name):
            if place[1] not in versions:
                log.info("%s v%d is no longer stored", *place)
                self._drop(place)
                self._sizes.pop(place, None)
                self._failures.forget(place)
        if not versions:
            self._unloaded.discard(name)
        self._metrics.keep(name, versions)

    async def close(self) -> None:
        """Stop loading; let what runs end, or stop it when that takes long."""
        self._closing = True
        await ended(self._loading.values())
        await ended(self._notes)
        await self._trials.close()
        await asyncio.gather(*(one.batcher.close(CLOSE_SECONDS) for one in self._loaded.values()))
        self._threads.shutdown(wait=False, cancel_futures=True)


async def noted(work: Coroutine[Any, Any, None]) -> None:
    """Write to Redis; one that is away or may only be read keeps nobody from being served."""
    try:
        await work
    except InsituError as error:
        log.debug("why versions are refused is not kept in Redis: %s", error)


def returned() -> None:
    """Give memory back that evicted versions had."""
    shrink_arena()
    give_back()


def row_bytes(view: FeatureView | None) -> int:
    """Return how many bytes one row reads at the most: what is raw in Redis, and the steps of streams, about."""
    sources = [source for one in view.inputs for source in one.sources] if view else []
    vectors = [one for one in sources if isinstance(one, VectorSource)]
    lists = [one for one in sources if isinstance(one, ListSource)]
    raw = [elements(one.shape) * numpy_dtype(one.dtype).itemsize for one in vectors]
    raw += [elements(one.shape) * one.last * numpy_dtype(one.dtype).itemsize for one in lists]
    streams = [one for one in sources if isinstance(one, StreamSource)]
    raw += [len(one.fields) * one.last * ENTRY_VALUE_BYTES for one in streams]
    return max(1, sum(raw))
