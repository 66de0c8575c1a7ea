"""Engine: the core's objects as every door gets them, and the tasks that keep them true.

start()   connect, load what is stored, follow what changes
stop()    stop following, let what runs end, close Redis
"""

import asyncio
import logging
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from models.errors import RedisUnavailable
from models.store import ModelStore, redis_errors
from server.inference.admission import Trial
from server.inference.catalogue import Catalogue
from server.inference.predictor import Predictor
from server.inference.reader import Reader
from server.metrics import Metrics

log = logging.getLogger(__name__)

BLOCK_MS = 1000
RECONNECT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that doors hold too.

    Units: rows a request; bytes of a body and of an uploaded model; seconds a prediction may take.
    """

    rows: int
    body_bytes: int
    model_bytes: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine is made of; app.py builds them."""

    store: ModelStore
    catalogue: Catalogue
    reader: Reader
    predictor: Predictor
    metrics: Metrics
    trial: Trial
    pool: ThreadPoolExecutor


class Engine:
    """The running core."""

    def __init__(self, parts: Parts, limits: Limits, preload: int, resync_seconds: float) -> None:
        self.store = parts.store
        self.catalogue = parts.catalogue
        self.predictor = parts.predictor
        self.metrics = parts.metrics
        self.trial = parts.trial
        self.limits = limits
        self._reader = parts.reader
        self._pool = parts.pool
        self._preload = preload
        self._resync_seconds = resync_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._preloaded = False
        self._reason: str | None = "the stored models are not loaded yet"

    @property
    def redis_ok(self) -> bool:
        """Whether Redis answered last."""
        return self._reason is None and self._reader.reason is None

    def ready(self) -> tuple[bool, str]:
        """Whether predictions can be asked for, and why not.

        Once the stored models were loaded it stays ready while Redis is away: what needs no key
        is answered.
        """
        if self._preloaded:
            return True, "" if self.redis_ok else f"Redis is away: {self._reason or self._reader.reason}"
        return False, self._reason or "starting"

    async def start(self) -> None:
        """Load what is stored, if Redis answers, and follow what changes from then on."""
        self.metrics.redis_up.set_function(lambda: float(self.redis_ok))
        last = await self._connect()
        self._spawn(self._follow(last))
        self._spawn(self._resync())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _connect(self) -> str | None:
        """Load what is stored and return the place in the event stream to follow from."""
        try:
            last = await self._last_event()
            if not self._preloaded:
                await self.catalogue.preload(self._preload)
        except RedisUnavailable as error:
            self._away(error)
            return None
        if self._reason is not None:
            log.info("Redis answers; %d versions loaded", len(self.catalogue.loaded()))
        self._preloaded, self._reason = True, None
        return last

    def _away(self, error: RedisUnavailable) -> None:
        reason = str(error.details["reason"])
        if self._reason != reason:
            log.warning("Redis is away: %s", reason)
        self._reason = reason

    async def _last_event(self) -> str:
        async with redis_errors():
            newest = await self.store.redis.xrevrange(self.store.keys.events(), count=1)
        return newest[0][0].decode() if newest else "0-0"

    async def _follow(self, last: str | None) -> None:
        """Take over each change as its event comes; after a gap, look at everything."""
        while True:
            try:
                if last is None or self._reason is not None:
                    last = await self._reconnected()
                last = await self._next_events(last)
            except RedisUnavailable as error:
                self._away(error)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _reconnected(self) -> str:
        last = await self._last_event()
        await self._connect()
        await self.catalogue.sync()
        return last

    async def _next_events(self, last: str) -> str:
        events = self.store.keys.events()
        async with redis_errors():
            replies = await self.store.redis.xread({events: last}, block=BLOCK_MS)
        entries = read_entries(replies)
        for name in dict.fromkeys(fields[b"model"].decode() for _, fields in entries if b"model" in fields):
            await self.catalogue.changed(name)
        return entries[-1][0].decode() if entries else last

    async def _resync(self) -> None:
        """Look at everything now and then: an event may be trimmed before it is read."""
        while True:
            await asyncio.sleep(self._resync_seconds)
            try:
                await self.catalogue.sync()
            except RedisUnavailable as error:
                self._away(error)

    async def stop(self) -> None:
        """Stop following, let runs end, close Redis."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.catalogue.close()
        await self._reader.close()
        self._pool.shutdown(wait=True)
        await self.store.redis.aclose()


def read_entries(replies: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # RESP2 list, RESP3 map
    """Return the entries of one stream as XREAD gives them in either protocol."""
    if not replies:
        return []
    if isinstance(replies, dict):
        (entries,) = replies.values()
        return list(entries[0]) if entries and isinstance(entries[0], list) else list(entries)
    return list(replies[0][1])
