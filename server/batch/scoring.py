"""Scoring: one process works on a job, beside any number of others.

    walk -> parts in Redis -> take -> select -> read, run -> write -> settle

Several parts are under way at once, so that reading, running and writing overlap; what is held of
them is bounded whatever the number of rows. Redis away is waited for, and the step that was under
way is done again: every target takes the same answer twice without harm.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from models.errors import InsituError, RedisRefused, RedisUnavailable
from models.job_errors import JobNotFound, RowsElsewhere
from models.jobs import JobSpec
from models.ledger import DONE, FAILED, RUNNING, Ledger, Standing, Taken
from models.tallies import Tally
from server.batch.opening import Manner, Tools, opened
from server.batch.pacing import patiently
from server.batch.parts import Part
from server.batch.tallying import scored
from server.batch.targets.parts_folder import NotWritten
from server.batch.targets.target import PartName
from server.inference.ending import ended
from server.inference.engine import Engine

AT_ONCE = 3  # parts under way
TAKE_MS = 200
LOOK_SECONDS = 0.5
PLAIN = Manner()
COUNTED, LAST = (1, 2), (2, 3)  # what settling a part gives


CURABLE = (
    NotWritten,
    RedisUnavailable,
    RedisRefused,
    JobNotFound,
    RowsElsewhere,
)  # what a job that is taken up again may not meet


class TooManyErrors(InsituError):
    """More rows were skipped than the job allows."""

    code = "too_many_errors"

    def __init__(self, tally: Tally, limit: int) -> None:
        skipped = tally.skipped.total()
        rows = "1 row" if skipped == 1 else f"{skipped:,} rows"
        first = next(iter(tally.examples.values()), "")
        super().__init__(
            f"{rows} could not be scored, max_errors allows {limit:,}; the first: {first}; "
            "what was scored until then is written",
            skipped=dict(tally.skipped),
            max_errors=limit,
        )


class JobEnded(InsituError):
    """Somebody has ended the job."""

    code = "job_ended"


@dataclass(frozen=True, slots=True)
class Progress:
    """How a job stands, and what this process does.

    Units: rows, those that this process has looked at; latency_ms, how long Redis took to answer a
    PING, where the job looks.
    """

    standing: Standing
    rows: int
    resting: bool = False
    latency_ms: float = 0.0


Watch = Callable[[Progress], None]


def process_name() -> str:
    """Return a name that no other process has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


async def score(engine: Engine, ledger: Ledger, watch: Watch, manner: Manner = PLAIN) -> Standing:
    """Work on a job until it is done, and return how it stands then; `watch` is told now and then.

    A job that is not this process' `own` may have its rows where only another process finds them.

    Raises: BadRequest, the job fits neither the model nor Redis; TooManyErrors; JobEnded, somebody
            cancelled it; what `Catalogue.get` raises; JobNotFound; RedisRefused; NotWritten, a disk is full;
            RedisUnavailable, away for too long. After the last three the job can be taken up again.
    """
    standing = await ledger.look()
    try:
        async with living(ledger):
            scorer = await Scorer.open(engine, ledger, watch, manner)
        if standing.state == RUNNING:
            await scorer.run()
        return await scorer.completed()
    except InsituError as error:
        await failed(ledger, error)
        raise


@asynccontextmanager
async def living(ledger: Ledger) -> AsyncIterator[None]:
    """Say that this process lives, so that nobody begins its job anew while it loads the model."""

    async def beats() -> None:
        while True:
            await patiently(lambda: ledger.beat([]))
            await asyncio.sleep(LOOK_SECONDS)

    beating = asyncio.create_task(beats())
    try:
        yield
    finally:
        await ended([beating])


async def failed(ledger: Ledger, error: BaseException) -> None:
    """End a job that nobody can go on with."""
    if isinstance(error, InsituError) and not isinstance(error, CURABLE):
        with suppress(InsituError):
            await ledger.end(FAILED, str(error), done=isinstance(error, TooManyErrors))


class Scorer:
    """This process' part in a job."""

    def __init__(self, ledger: Ledger, spec: JobSpec, parts: Tools, watch: Watch) -> None:
        self._ledger, self._spec, self._tools, self._watch = ledger, spec, parts, watch
        self._done_here = b""  # in the newest walk: a tally, as Redis has it
        self._newest = 0
        self._rows = 0
        self._under_way: set[str] = set()
        self._settling = asyncio.Lock()
        self._done = asyncio.Event()
        self._fault: Exception | None = None
        self._completes = True  # the process that ends a job completes its files, or one that finds it ended

    @classmethod
    async def open(cls, engine: Engine, ledger: Ledger, watch: Watch, manner: Manner) -> "Scorer":
        """Open what the job needs.

        Raises: as `opened`.
        """
        standing = await ledger.look()
        return cls(ledger, standing.spec, await opened(engine, ledger, standing, manner), watch)

    async def run(self) -> None:
        """Find rows and score them, until none are left.

        Raises: what `score` raises.
        """
        works = [
            self._look(),
            self._tools.rest.watch(),
            self._walk(),
            *(self._work() for _ in range(AT_ONCE)),
        ]
        self._completes = False
        tasks = [asyncio.create_task(self._heard(work)) for work in works]
        try:
            await self._done.wait()
        finally:
            await ended(tasks)
        if self._fault is not None:
            raise self._fault

    async def _heard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work; its fault ends all of it."""
        try:
            await work
        except Exception as error:  # noqa: BLE001  # whoever waits for the job must hear of it
            self._fault = self._fault or error
            self._done.set()

    async def completed(self) -> Standing:
        """Complete what was written, and return how the job stands.

        Raises: RedisUnavailable, RedisRefused; OSError, a file cannot be completed.
        """
        standing = await patiently(self._ledger.look)
        if standing.state == DONE and self._completes:
            for target in self._tools.targets:
                await target.finish()
        self._tell(standing)
        self._check(standing)
        return standing

    async def _walk(self) -> None:
        if await self._tools.walk.run():
            self._completes = True
            self._done.set()

    async def _work(self) -> None:
        """Take parts and score them."""
        while not self._done.is_set():
            for taken in await self._taken():
                self._under_way.add(taken.entry)
                try:
                    await self._part(taken)
                finally:
                    self._under_way.discard(taken.entry)

    async def _taken(self) -> list[Taken]:
        """Take the next part; none when none comes for a while.

        Raises: JobNotFound; JobEnded, TooManyErrors, as `_check`.
        """
        try:
            return await patiently(lambda: self._ledger.take(1, TAKE_MS))
        except JobNotFound:  # or it has ended, and its parts are gone
            standing = await patiently(self._ledger.look)
            if standing.state == RUNNING:
                raise
            self._check(standing)
            return []

    async def _part(self, taken: Taken) -> None:
        """Score one part, and settle it."""
        part = Part.unpacked(taken.rows)
        await self._tools.rest.wait()
        await self._tools.pace.wait(len(part))
        tally = await scored(self._tools, PartName(taken.entry, taken.walk, taken.again), part)
        async with self._settling:
            await self._settle(taken, tally)

    async def _settle(self, taken: Taken, tally: Tally) -> None:
        before = self._done_here if taken.walk == self._newest else b""
        while True:
            all_of_it = Tally.from_json(before) if before else Tally()
            all_of_it.merge(tally)
            after = all_of_it.to_json()
            settled = await patiently(partial(self._ledger.settle, taken, after, before))
            if settled >= 0:
                break
            before = await patiently(self._ledger.own)  # Redis was restarted, and has lost some
        if settled in COUNTED:
            self._done_here, self._newest = after, taken.walk
            self._rows += tally.rows
        if settled in LAST:
            self._completes = True
            self._done.set()

    async def _look(self) -> None:
        """Say that this process lives, tell how the job stands, and see whether it was ended."""
        while True:
            await patiently(lambda: self._ledger.beat([*self._under_way]))
            standing = await patiently(self._ledger.look)
            self._tell(standing)
            self._check(standing)
            await asyncio.sleep(LOOK_SECONDS)

    def _check(self, standing: Standing) -> None:
        """See whether the job goes on.

        Raises: JobEnded, TooManyErrors.
        """
        if standing.state == DONE:
            self._done.set()
        elif standing.state != RUNNING:
            why = f": {standing.reason}" if standing.reason else ""
            raise JobEnded(f"job {standing.name!r} was {standing.state}{why}", job=standing.name)
        most = self._spec.max_errors
        if most is not None and standing.tally.skipped.total() > most:
            raise TooManyErrors(standing.tally, most)

    def _tell(self, standing: Standing) -> None:
        rest = self._tools.rest
        self._watch(Progress(standing, self._rows, rest.resting, rest.latency_ms))
