"""What processes of a Ray cluster do for one job: one finds its rows, any number score them; it imports no Ray.

    Job -> Reading: tables of parts -> PartScorer: tables of what came of them

A Job goes to other machines pickled. What is wrong with the job comes back as a row, not as an
error of Ray, so that it is told in the same words as anywhere.
"""

import asyncio
import pickle
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import uvloop

from models.assembly import Plan
from models.errors import InsituError, RedisUnavailable
from models.ledger import Ledger, Standing
from models.tallies import Tally
from server.batch.opening import Manner, Tools, opened, walk_of
from server.batch.pacing import PATIENCE_SECONDS, RETRY_SECONDS, patiently
from server.batch.parts import Part, Step
from server.batch.scoring import AT_ONCE, process_name
from server.batch.sources.opening import open_source
from server.batch.tallying import scored
from server.batch.targets.target import PartName
from server.batch.walking import rows_at
from server.inference.engine import Engine

BLOCK_PARTS = 2 * AT_ONCE  # what one call of a scorer gets: a call costs some 20 ms
BLOCK_SECONDS = 1.0  # rows are sparse in some walks: how long a block is filled up

BOTH = {
    "finder": pa.string(),
    "parts": pa.int64(),  # in the last row alone: how many were before it
    "share": pa.float64(),
    "passed_over": pa.int64(),
    "fault": pa.binary(),
}
FOUND = {"part": pa.binary(), "entry": pa.string(), "walk": pa.int64(), **BOTH}
TOLD = {"tally": pa.binary(), "process": pa.string(), **BOTH}

Row = dict[str, Any]
Columns = dict[str, pa.DataType]


def table(rows: list[Row], columns: Columns) -> pa.Table:
    """Return rows as one row of a table: Ray sends no less than a row."""
    return pa.table({"rows": pa.array([rows], pa.list_(pa.struct(columns)))})


def rows_of(found: pa.Table) -> list[Row]:
    """Return rows that were made a table."""
    return [row for rows in found["rows"].to_pylist() for row in rows]


def packed(error: InsituError) -> bytes:
    """Return an error by what it holds: many a one is not made of its message, so that pickle cannot make it."""
    return pickle.dumps((type(error), error.args, error.__dict__))


def unpacked(data: bytes) -> InsituError:
    """Return an error that was packed by a process of this job."""
    kind, said, facts = pickle.loads(data)  # noqa: S301  # whoever may send it may run code here anyway
    error: InsituError = kind.__new__(kind, *said)
    error.__dict__.update(facts)
    return error


@dataclass(frozen=True, slots=True)
class Job:
    """One job as every process gets it; `build` makes an engine wherever it is called."""

    build: Callable[[], Engine]
    standing: Standing
    plan: Plan
    gentle: bool = False

    async def opened(self, engine: Engine) -> Tools:
        """Open what it is done with.

        Raises: as `opened` of a job anywhere.
        """
        return await opened(engine, self.ledger(engine), self.standing, Manner(gentle=self.gentle))

    def ledger(self, engine: Engine) -> Ledger:
        """Return its place in Redis, where nothing of it is kept."""
        return Ledger(engine.store.redis, engine.store.keys, self.standing.name, process_name())


class Reading:
    """Finds the rows of a job, once, from the beginning."""

    def __init__(self, job: Job) -> None:
        self._job, self._process = job, process_name()
        self._walk = 0
        self._parts = 0

    def tables(self) -> Iterator[pa.Table]:
        """Give blocks of parts, and what is wrong with the source as the last row."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            engine = self._job.build()
            rows = self._rows(engine)
            try:
                while block := runner.run(taken(rows)):
                    yield table(block, FOUND)
            finally:
                runner.run(rows.aclose())
                runner.run(engine.stop())

    async def _rows(self, engine: Engine) -> AsyncGenerator[Row]:
        try:
            async for step, passed_over in self._steps(engine):
                for row in self._of_step(step, passed_over):
                    yield row
            yield {"finder": self._process, "parts": self._parts}
        except InsituError as error:
            yield {"fault": packed(error)}

    async def _steps(self, engine: Engine) -> AsyncIterator[tuple[Step, int]]:
        """Walk, and go on from the last step when Redis is there again."""
        job, spec = self._job, self._job.standing.spec
        source = open_source(spec.rows, engine.store.redis, job.plan, spec.missing)
        walk = walk_of(engine, job.ledger(engine), job.plan, spec, Manner())
        position, heard = "", time.monotonic()
        while True:
            try:
                async for step, passed_over in walk.found(source, position):
                    yield step, passed_over
                    position, heard = step.position, time.monotonic()
                return
            except RedisUnavailable:
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    def _of_step(self, step: Step, passed_over: int) -> Iterator[Row]:
        self._walk += step.anew
        parts = step.part.split(rows_at(self._job.standing.spec.max_rate)) or [Part()]
        for part in parts:
            yield {
                "finder": self._process,
                "part": part.packed() if len(part) else None,
                "entry": f"{self._parts}-0",
                "walk": self._walk,
                "share": step.share,
                "passed_over": passed_over,
            }
            passed_over = 0
            self._parts += 1


def read(_: pa.Table | None, job: Job) -> Iterator[pa.Table]:
    """Find the rows of a job, as Ray calls it: with the only row of a table."""
    return Reading(job).tables()


async def taken(rows: AsyncIterator[Row]) -> list[Row]:
    """Take the rows of a block; none when there are no more."""
    block: list[Row] = []
    since = time.monotonic()
    with suppress(StopAsyncIteration):
        while len(block) < BLOCK_PARTS and (not block or time.monotonic() - since < BLOCK_SECONDS):
            block.append(await anext(rows))
    return block


class PartScorer:
    """Scores parts in one process, with an engine of its own for as long as the process is there."""

    def __init__(self, job: Job) -> None:
        self._job, self._process = job, process_name()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._opening = asyncio.Lock()
        self._engine: Engine | None = None
        self._tools: Tools | None = None
        self._resting: asyncio.Task[None] | None = None

    def __call__(self, found: pa.Table) -> pa.Table:
        """Score parts, several at once."""
        return table(self._runner.run(self._told(rows_of(found))), TOLD)

    def close(self) -> None:
        """Let go of everything; a process that Ray ends needs no such thing."""
        if self._engine is not None:
            self._runner.run(self._engine.stop())
        self._runner.close()

    async def _told(self, rows: list[Row]) -> list[Row]:
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(row: Row) -> Row:
            async with at_once:
                return await self._of_part(row)

        return await asyncio.gather(*map(one, rows))

    async def _of_part(self, row: Row) -> Row:
        told = {name: row[name] for name in BOTH} | {"process": self._process}
        if row["part"] is None:
            return {**told, "tally": Tally().to_json()}
        try:
            tally = await self._scored(row)
        except InsituError as error:
            return {**told, "fault": packed(error)}
        return {**told, "tally": tally.to_json()}

    async def _scored(self, row: Mapping[str, Any]) -> Tally:
        tools = await self._opened()
        part = Part.unpacked(row["part"])
        await tools.rest.wait()
        await tools.pace.wait(len(part))
        return await scored(tools, PartName(row["entry"], row["walk"]), part)

    async def _opened(self) -> Tools:
        """Open what the job needs, with the first part."""
        async with self._opening:
            if self._tools is None:
                self._engine = engine = self._engine or self._job.build()
                self._tools = await patiently(lambda: self._job.opened(engine))
                self._resting = asyncio.create_task(self._tools.rest.watch())
            return self._tools
