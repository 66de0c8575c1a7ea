"""Blocks: thousands of keys of one version, read and run with no object a row; what is odd is left to the predictor.

keys -> sealed reads, a node and a piece each -> bytes -> tensors -> the version's batcher -> columns
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from models.blocks import supports
from server.inference.answers import ANSWER_NUMBERS
from server.inference.columns import KeyedRows
from server.inference.errors import Overloaded
from server.inference.jobs import Feeds, Job
from server.inference.loading import Serving
from server.inference.reading.block_reader import BlockReader
from server.inference.reading.bulk import BulkReader
from server.inference.reading.portions import Line

BLOCK_ROWS = 4096
BLOCK_BYTES = 8 << 20  # of raw features; a row that is larger is a block
WAIT_SECONDS = 0.02  # between two looks at a queue that is full
KEPT_PLANS = 16


@dataclass(frozen=True, slots=True)
class Block:
    """A block: `rows` are answered, as columns where they can be, and the keys at `odd` are not.

    `at` are the places of the rows among the keys that were asked for. The predictor fills in odd
    ones, or words what is wrong with them.
    """

    rows: KeyedRows
    at: Sequence[int]
    odd: Sequence[int]


class BlockJob(Job):
    """The rows of a block in front of their run; `ended` hears of its end."""

    def __init__(self, keys: Sequence[str], feeds: Feeds, deadline: float) -> None:
        super().__init__(time.monotonic(), deadline)
        self.answered = KeyedRows(keys)
        self.of(self.answered)
        self.feeds = feeds
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def end(self, error: Exception | None = None) -> None:
        """Let whoever waits hear of it, once."""
        self.open = False
        if not self.ended.done():
            self.ended.set_result(error)


class Blocks:
    """Reads and runs blocks of keys; shared by all jobs."""

    def __init__(self, reader: BulkReader, rows: int, timeout_seconds: float) -> None:
        """Take a reader, the most rows of a block and the time that a run may wait and take."""
        self._gentle = False
        self._reader = reader
        self._most, self._timeout = min(rows, BLOCK_ROWS), timeout_seconds
        self._plans: dict[tuple[str, int], BlockReader] = {}
        self._pool: ThreadPoolExecutor | None = None

    def be_gentle(self, line: Line) -> None:
        """Ask Redis for little at a time, in a line, so that others come between; to be said before the first read."""
        self._gentle, self._reader.line = True, line

    def supports(self, serving: Serving) -> bool:
        """Whether a version's keys can be read in blocks; its rows must not see one another."""
        return serving.rows == "apart" and serving.plan is not None and supports(serving.plan)

    def rows(self, serving: Serving) -> int:
        """Return how many keys one block has at the most; three blocks at a time keep everybody busy."""
        told = ANSWER_NUMBERS // max(1, serving.told[0])
        return max(1, min(self._most, BLOCK_BYTES // serving.row_bytes, told))

    async def read_and_run(self, serving: Serving, keys: Sequence[str], callers: int = 1) -> Block:
        """Read and run the keys of one block, later while others fill the version's queue.

        `callers` is how many asked for them: one, or each for one of the keys.

        Raises: RedisUnavailable, RedisRefused; DeadlineExceeded, the run took too long;
                what concerns the run as a whole.
        """
        await self._admitted(serving, len(keys))
        waiting, started = len(keys), time.monotonic()
        try:
            feeds, at, odd = await self._plan(serving).read(keys)
            serving.metrics.read(time.monotonic() - started, callers)
            serving.batcher.release(len(odd))
            waiting -= len(odd)
            rows = KeyedRows(keys if not odd else [keys[one] for one in at])
            if not rows:
                return Block(rows, at, odd)
            job = BlockJob(rows.keys, feeds, time.monotonic() + self._timeout)
            job.callers = min(callers, len(rows))
            waiting = 0
        finally:
            serving.batcher.release(waiting)
        await self._run(serving, job)
        serving.metrics.request(len(at), time.monotonic() - started, job.callers)
        return Block(job.answered, at, odd)

    async def _admitted(self, serving: Serving, rows: int) -> None:
        while True:
            try:
                serving.batcher.admit(rows)
                return
            except Overloaded:
                await asyncio.sleep(WAIT_SECONDS)

    async def _run(self, serving: Serving, job: BlockJob) -> None:
        """Have an admitted job run."""
        serving.used_at = job.asked
        serving.batcher.add(job)
        try:
            error = await job.ended
        finally:
            job.open = False  # nobody waits for it any more
        if error is not None:
            raise error

    def _plan(self, serving: Serving) -> "BlockReader":
        """Return who reads for a version, with what was learnt of its keys."""
        name = (serving.manifest.name, serving.manifest.version)
        known = self._plans.get(name)
        if known is None or known.plan is not serving.plan:
            if serving.plan is None or not self.supports(serving):
                raise ValueError("this version's keys are not read in blocks")
            if len(self._plans) >= KEPT_PLANS:
                self._plans.pop(next(iter(self._plans)))
            known = self._plans[name] = BlockReader(
                serving.plan, self._reader, self._decoding(), serving.row_bytes, gentle=self._gentle
            )
        return known

    def _decoding(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="blocks")
        return self._pool

    async def close(self) -> None:
        """Close the connections that were made."""
        await self._reader.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
