"""Engine: the core's objects as every door gets them, and the tasks that keep them true.

start()   connect, load what is stored, follow what changes; Redis may be away
stop()    stop following, let what runs end, close Redis
"""

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.entries import read_entries
from models.errors import (
    BundleCorrupt,
    InsituError,
    ManifestUnreadable,
    RedisRefused,
    RedisUnavailable,
    VersionNotFound,
)
from models.events import LOAD, UNLOAD
from models.keys import as_name
from models.manifest import Manifest
from models.redis_failures import connected, in_time
from models.shards import lie_apart
from models.store import ModelStore
from server.inference.batch_limits import BatchLimits
from server.inference.blocks import Blocks
from server.inference.catalogue import Catalogue
from server.inference.ending import ended
from server.inference.errors import code_of
from server.inference.explaining.explainer import Explainer
from server.inference.moments import Moment
from server.inference.predictor import Predictor
from server.inference.publishing import Publisher
from server.inference.reading.reader import Reader
from server.inference.trials import Trials
from server.metrics import Metrics

log = logging.getLogger(__name__)

BLOCK_MS = 1000
REPLY_SECONDS = 5.0  # a Redis that is silent for so long is away
RECONNECT_SECONDS = 0.2
FIRST_SECONDS = 1.5  # how long the doors wait for the stored models before they open anyway


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that doors hold too.

    Units: rows a request; bytes of a body and of an uploaded model; seconds a prediction may take;
           batch, of every queue before its model's publisher has asked for more; again_seconds, how long a loop may
           stay awake for a client that asks again at once.
    """

    rows: int
    body_bytes: int
    model_bytes: int
    timeout_seconds: float
    batch: BatchLimits
    again_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine is made of; app.py builds them."""

    store: ModelStore
    catalogue: Catalogue
    reader: Reader
    predictor: Predictor
    blocks: Blocks
    explainer: Explainer
    metrics: Metrics
    trial: Trials
    pool: ThreadPoolExecutor
    moment: Moment
    shared: Path | None = None


class Engine:
    """The running core."""

    def __init__(self, parts: Parts, limits: Limits, preload: int, resync_seconds: float) -> None:
        self.store = parts.store
        self.catalogue = parts.catalogue
        self.predictor = parts.predictor
        self.blocks = parts.blocks
        self.explainer = parts.explainer
        self.metrics = parts.metrics
        self.publisher = Publisher(parts.store, parts.trial, limits.model_bytes)
        self.process = secrets.token_hex(8)
        """A name that no other process has."""
        self.moment = parts.moment
        self.shared = parts.shared
        """The directory that the workers of a server share; None where there is one."""
        self.limits = limits
        self.ask = parts.reader.ask
        """Commands of one key each, in one round trip with everybody else's; see `Reader.ask`."""
        self.reading, self.after_reading = parts.reader.busy, parts.reader.after
        """Whether features are on their way, and what is done when they are there; see `Reader.busy`."""
        self.follow_master = parts.reader.follow
        """Hear every second which master is read, where sentinels name it; see `Reader.follow`."""
        self._reader = parts.reader
        self.trial = parts.trial
        self._pool = parts.pool
        self._preload = preload
        self._resync_seconds = resync_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._tried = asyncio.Event()  # whether Redis was asked at all by now
        self._preloaded = False
        self._resuming: asyncio.Task[None] | None = None  # looks for kept models, once
        self._opened = False  # once predictions could be asked for, they can be
        self._fault: InsituError | None = None
        self._reason: str | None = "the stored models are not loaded yet"
        self._kept_from: str | None = None  # when Redis was looked at for what is served from kept files

    @property
    def redis_ok(self) -> bool:
        """Whether Redis answered last; of a cluster of which a part is away, whether another part does."""
        followed = self._reason is None or (self._opened and bool(self._reader.lacking))
        return followed and self._reader.reason is None

    @property
    def fault(self) -> InsituError | None:
        """Why Redis did not answer last; None where it did, or was not asked yet."""
        return self._fault

    def ready(self) -> tuple[bool, str]:
        """Whether predictions can be asked for, and why not.

        Once the stored models were loaded it stays ready while Redis is away: what needs no key
        is answered. While a part of a cluster is away the reason names the nodes, and where that part
        knows which models are stored, each is loaded when it is asked for.
        """
        if self._opened:
            if not self.redis_ok:
                return True, f"Redis is away: {self._reason or self._reader.reason}{self._models_of}"
            late = "" if self._reason is None else "; what changes about models is taken over later"
            return True, self._reader.lacking + late
        return False, self._reason or "starting"

    @property
    def _models_of(self) -> str:
        """Where the models come from, where that is not Redis."""
        at = self._kept_from
        return "" if at is None else f"; models are served from the cache, as Redis had them at {at}"

    def refused(self, model: str, error: Exception) -> None:
        """Count what is wrong with a request that the core never gets to see; the model it names may be any text."""
        self.metrics.failed(self.catalogue.counted_as(model), code_of(error))

    async def manifest(self, name: str, version: int) -> Manifest:
        """Return the manifest of a version, which need not be loaded.

        Raises: as ModelStore.manifest.
        """
        serving = self.catalogue.find(name, version)
        return serving.manifest if serving is not None else await self.store.manifest(name, version)

    async def readable_manifest(self, name: str, version: int) -> Manifest | None:
        """Return the manifest of a version; None where it is gone or cannot be read.

        Raises: BadName, ModelNotFound, RedisUnavailable, RedisRefused.
        """
        try:
            return await self.manifest(name, version)
        except (ManifestUnreadable, BundleCorrupt, VersionNotFound):
            return None

    async def start(self, wait_seconds: float = FIRST_SECONDS) -> None:
        """Load what is stored, if Redis answers soon, and follow what changes from then on.

        Units:  wait_seconds, how long the stored models are waited for.
        Raises: RedisRefused, the credentials or the permissions are wrong.
        """
        self.metrics.redis_up.set_function(lambda: float(self.redis_ok and not self._reader.lacking))
        self.metrics.in_flight.set_function(lambda: float(self.predictor.under_way))
        await self.trial.start()
        self._reader.start()
        self._spawn(self._follow())
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await self._tried.wait()
        if isinstance(self._fault, RedisRefused):
            raise self._fault
        self._spawn(self._resync())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _caught_up(self) -> str:
        """Load what is stored, look at what was met, and return the place in the events to go on from.

        Where a node of a cluster that is away has the events, what is stored on the others is loaded all the same.
        """
        try:
            last = await self._last_event()
        except RedisUnavailable:
            if lie_apart(self.store.redis):
                await self._load()
            raise
        await self._load()
        await self.catalogue.sync()
        if self._reason is not None:
            log.info("Redis answers; %d versions loaded", len(self.catalogue.loaded()))
        self._opened, self._fault, self._reason, self._kept_from = True, None, None, None
        self._tried.set()
        return last

    async def _load(self) -> None:
        """Load what is stored, once."""
        if not self._preloaded:
            await self.catalogue.preload(self._preload)
            self._preloaded = True

    def _away(self, fault: InsituError) -> None:
        reason = str(fault.details.get("reason", fault))
        if self._reason != reason:
            log.warning("Redis is away: %s", reason)
        self._fault, self._reason = fault, reason
        if self._reader.reason is None and self._reader.lacking:
            self._opened = True
        if self._resuming is None and not self._opened and isinstance(fault, RedisUnavailable):
            self._resuming = self._spawn(self._resume())
        if self._resuming is None or self._resuming.done():
            self._tried.set()

    async def _resume(self) -> None:
        """Serve what is kept of models, where Redis is away at the start and until it is back."""
        try:
            at = await self.catalogue.resume(self._preload)
            if at is not None and self._reason is not None:
                self._kept_from, self._opened = at, True
        except Exception:
            log.exception("serving what is kept")
        self._tried.set()

    async def _last_event(self) -> str:
        async with in_time(REPLY_SECONDS), connected(self.store.redis):
            newest = await self.store.redis.xrevrange(self.store.keys.events(), count=1)
        return newest[0][0].decode() if newest else "0-0"

    async def _follow(self) -> None:
        """Take over each change as its event comes; after a gap, look at everything.

        No fault ends it: a server that no longer follows would serve old versions for good.
        """
        last: str | None = None
        while True:
            self.metrics.refresh()
            try:
                if last is None or self._reason is not None:
                    last = await self._caught_up()
                last = await self._next_events(last)
            except InsituError as error:
                self._away(error)
                await asyncio.sleep(RECONNECT_SECONDS)
            except Exception:
                log.exception("following what changes in Redis")
                last = None
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _next_events(self, last: str) -> str:
        events = self.store.keys.events()
        async with in_time(REPLY_SECONDS), connected(self.store.redis):
            replies = await self.store.redis.xread({events: last}, block=BLOCK_MS)
        entries = read_entries(replies)
        for name, order in orders((fields for _, fields in entries), self.process.encode()).items():
            self._spawn(self._take_over(name, order))
        return entries[-1][0].decode() if entries else last

    async def _take_over(self, name: str, order: str) -> None:
        """Take over the change of one model beside the others: a large one holds nobody up."""
        try:
            if order == UNLOAD:
                self.catalogue.unload(name)
            elif order == LOAD:
                await self.catalogue.load(name)
            else:
                await self.catalogue.changed(name)
        except RedisUnavailable as error:
            self._away(error)
        except InsituError as error:
            log.warning("%s is not loaded as another server asked: %s", name, error)
        except Exception:
            log.exception("taking over what changed about %s", name)

    async def _resync(self) -> None:
        """Look at everything now and then: an event may be trimmed before it is read."""
        while True:
            await asyncio.sleep(self._resync_seconds)
            try:
                await self.catalogue.sync()
            except InsituError as error:
                self._away(error)
            except Exception:
                log.exception("looking at what is stored")

    async def stop(self) -> None:
        """Stop following, let runs end or stop them, close Redis."""
        await ended(self._tasks)
        await self.catalogue.close()
        await self.predictor.close()
        await self.blocks.close()
        await self._reader.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        await self.store.redis.aclose()


def orders(events: Iterable[Mapping[bytes, bytes]], own: bytes) -> dict[str, str]:
    """Return the models that events are about, and what this process is last asked to do with each, if anything.

    What it has asked others to do, as `own`, it has done already.
    """
    found: dict[str, str] = {}
    for fields in events:
        name, event = name_in(fields), fields.get(b"event", b"").decode("utf-8", "replace")
        if event not in {LOAD, UNLOAD} or as_name(name.encode()) is None:
            found.setdefault(name, "")
        elif fields.get(b"by") != own:
            found[name] = event
    return found


def name_in(fields: Mapping[bytes, bytes]) -> str:
    """Return the model that an event is about."""
    return fields.get(b"model", b"").decode("utf-8", "replace")
