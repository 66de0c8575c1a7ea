"""Hosting: a server works on scoring jobs that lie in Redis, each in a process of its own.

It looks for jobs that any server may work on and nobody does, and starts processes for as many as it
may have; the others wait in Redis. Two servers may take the same job: they share it. A job whose
process dies is taken again, unless its processes die again and again and nothing moves.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial

from models.errors import InsituError
from models.job_names import Waiting
from models.ledger import FAILED, RUNNING, Ledger, Standing
from models.redis_failures import in_time
from models.store import ModelStore
from server.batch.hosted import HostedJob
from server.inference.ending import ended
from server.metrics import Metrics
from server.settings import ServerSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
LISTEN_SECONDS = 0.005  # between two looks whether predictions of this worker ask Redis, while none do
TELL_SECONDS = 0.05  # between two words to a process; and between two looks at all workers
REPLY_SECONDS = 5.0  # a Redis that is silent for so long is away
DEATHS = 3  # of a job's processes in a row, with nothing done in between: then it has failed
PASSED_SECONDS = 10.0  # a job that cannot be worked on here waits, and those behind it have their turn
KILL_SECONDS = 1.0  # a process that is killed is gone

Moved = tuple[float, float, str, int]  # what changes when a job goes on: begun, share, position, rows


@dataclass(frozen=True, slots=True)
class Deaths:
    """How often a job's processes died, and how far it was the last time."""

    count: int
    moved: Moved


class Readers:
    """Who reads features for predictions: this worker is heard at once, others a little later."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._own, self._every = metrics.own_commands, 0.0
        self._next = 0.0  # when all workers are looked at, time.monotonic

    async def lately(self) -> bool:
        """Whether any has, since it was asked the last time."""
        own = self._metrics.own_commands
        if own != self._own:
            self._own = own
            return True
        if time.monotonic() < self._next:
            return False
        before, self._every = self._every, await asyncio.to_thread(self._metrics.commands)
        self._next = time.monotonic() + TELL_SECONDS
        return self._every > before


class Hosting:
    """The jobs that one server works on."""

    def __init__(self, store: ModelStore, settings: ServerSettings, metrics: Metrics) -> None:
        self._store, self._settings, self._metrics = store, settings, metrics
        self._waiting = Waiting(store.redis, store.keys)
        self._work: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, HostedJob] = {}
        self._deaths: dict[str, Deaths] = {}
        self._passed: dict[str, float] = {}  # jobs that cannot be worked on here, until then (time.monotonic)
        self._tasks: list[asyncio.Task[None]] = []
        self._until: float | None = None  # time.monotonic; set when the server ends

    def start(self) -> None:
        """Look for jobs from now on."""
        self._metrics.jobs.set_function(lambda: float(len(self._processes)))
        self._tasks = [asyncio.create_task(work) for work in (self._follow(), self._tell())]

    def end(self) -> None:
        """Tell every process to end: what it had is another's, or waits in Redis."""
        self._until = time.monotonic() + self._settings.shutdown_seconds
        for job in self._processes.values():
            job.terminate()

    async def stop(self) -> None:
        """Wait until every process has ended, as long after `end` as requests may take."""
        if self._until is None:
            self.end()
        await ended(self._tasks)
        await self._gone(max(0.0, (self._until or 0.0) - time.monotonic()))
        for job in self._processes.values():
            log.error("%s did not end in time; it is killed", job)
            job.kill()
        await self._gone(KILL_SECONDS)
        await ended(self._work.values())

    async def _gone(self, seconds: float) -> None:
        """Wait so long for processes to end."""
        waited = [task for name, task in self._work.items() if name in self._processes]
        if waited:
            await asyncio.wait(waited, timeout=seconds)

    async def _follow(self) -> None:
        """Look now and then; no fault ends it."""
        while True:
            try:
                await self._look()
            except InsituError as error:
                log.debug("looking for jobs: %s", error)  # the engine says that Redis is away
            except Exception:
                log.exception("looking for jobs")
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell(self) -> None:
        """Let processes give way while predictions read features of any worker; no fault ends it."""
        readers = Readers(self._metrics)
        while True:
            pause = LISTEN_SECONDS if self._processes else LOOK_SECONDS
            try:
                if self._processes and await readers.lately():
                    for job in self._processes.values():
                        job.give_way()
                    pause = TELL_SECONDS
            except Exception:
                log.exception("telling jobs to give way")
                pause = LOOK_SECONDS
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        """Begin to work on what waits, as far as there may be processes."""
        if self._until is not None or len(self._work) >= self._settings.max_jobs:
            return
        async with in_time(REPLY_SECONDS):
            names = await self._waiting.names()
        free, now = self._settings.max_jobs - len(self._work), time.monotonic()
        self._passed = {name: until for name, until in self._passed.items() if until > now}
        for name in [name for name in names if name not in self._work and name not in self._passed][:free]:
            task = self._work[name] = asyncio.create_task(self._host(name))
            task.add_done_callback(partial(self._forget, name))

    def _forget(self, name: str, _task: asyncio.Task[None]) -> None:
        del self._work[name]

    async def _host(self, name: str) -> None:
        """Work on a job until its process has ended."""
        ledger = Ledger(self._store.redis, self._store.keys, name, "")
        try:
            async with in_time(REPLY_SECONDS):
                standing = await ledger.look()
                await ledger.beat([])  # other servers leave it to this one while its process starts
            died = await self._run(standing)
            self._pass(name)  # what ended by itself and is not done waits for Redis to take writes again
            if died is not None and self._until is None:
                del self._passed[name]
                await self._mourn(ledger, died)
        except InsituError as error:
            log.warning("job %s cannot be worked on here: %s", name, error)
            self._pass(name)
        except Exception:
            log.exception("working on job %s", name)
            self._pass(name)

    def _pass(self, name: str) -> None:
        """Let others have the place of a job for a while."""
        self._passed[name] = time.monotonic() + PASSED_SECONDS

    async def _run(self, standing: Standing) -> str | None:
        """Start a process, count what it does, and return how it died if it did."""
        job = await HostedJob.start(standing.name, self._settings)
        self._processes[standing.name] = job
        log.info("%s: started at %.0f%%", job, standing.share * 100)
        try:
            if self._until is not None:
                job.terminate()
            async for rows in job.rows():
                self._metrics.of(standing.spec.model, int(standing.spec.version or 0)).job(rows)
        finally:
            del self._processes[standing.name]
            job.kill()
        return job.died

    async def _mourn(self, ledger: Ledger, died: str) -> None:
        """Note that a process has died, and end a job whose processes die in vain."""
        async with in_time(REPLY_SECONDS):
            standing = await ledger.look()
        before = self._deaths.pop(ledger.name, None)
        if standing.state != RUNNING:
            return
        moved = (standing.begun, standing.share, standing.position, standing.tally.rows)
        count = before.count + 1 if before is not None and before.moved == moved else 1
        if count < DEATHS:
            self._deaths[ledger.name] = Deaths(count, moved)
            log.error("job %s: its process died (%s); another is started soon", ledger.name, died)
            return
        reason = f"{count} processes in a row died of it ({died}) before a row was scored; the server's log says more"
        log.error("job %s has failed: %s", ledger.name, reason)
        async with in_time(REPLY_SECONDS):
            await ledger.end(FAILED, reason)
