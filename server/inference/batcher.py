"""Batcher: rows of requests that wait together are run together; it knows sessions, not keys.

It waits for nothing: whatever has arrived when the previous batch ends is the next batch. A batch
that fails is run again by halves, requests first and then the rows of one, so that in the end only
the guilty rows have an error. A short run happens right here on the loop, a long one in a thread.

A job that names a priority makes the queue one of levels until it is empty: more urgent jobs are in
the next batch first, and run between two runs of a batch that takes several. See `priorities`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from models.assembly import Plan
from models.tensors import Tensor
from server.counting.version_metrics import VersionMetrics
from server.inference.answers import Worded, bodies, entire, plain
from server.inference.batch_limits import BatchLimits
from server.inference.columns import columns
from server.inference.errors import DeadlineExceeded, Overloaded, RunFailed
from server.inference.gathering import Gatherer
from server.inference.jobs import Job
from server.inference.moments import Later, Moment
from server.inference.priorities import Lanes, LevelRows
from server.inference.runs import Runner, Runs, size_of
from server.inference.stacking import Batch, Span, rows_of

RETRY_AFTER_SECONDS = 1.0
BLAMED_RUNS = 64  # failing runs spent on one caller to find the guilty rows
EARLY_ROWS = 64  # of one job: decoded as they come, while a core's cache has them
ALONE_SECONDS = 0.005  # of a run on the loop of a process that does nothing else
AT_ONCE = 8  # short runs in a row before others on the loop have their turn


class Batcher:
    """The queue in front of one session."""

    def __init__(
        self,
        runner: Runner,
        plan: Plan | None,
        limits: BatchLimits,
        metrics: VersionMetrics,
        moment: Moment | None = None,
    ) -> None:
        self._manifest = runner.session.manifest
        self._rows = runner.rows
        self._limits = limits
        self._metrics = metrics
        self._runs = Runs(runner)
        self._gatherer = Gatherer(self._manifest, plan, runner.rows, metrics.aged, runner.pads)
        self._wait, self._enough = limits.wait_seconds, limits.enough_rows
        self._loop = asyncio.get_running_loop()
        self._plain: deque[Job] = deque()
        self._queue: deque[Job] | Lanes = self._plain  # lanes while a job in it has named a priority
        self._queued = 0
        self._begun = (
            0.0  # when the next batch began to be made: jobs were taken, or the one before it was done
        )
        self._admitted = 0
        self._levels = LevelRows(limits.default_priority)
        self._later = (moment or Moment()).later
        self._turn: asyncio.Handle | Later | None = None
        self._busy = False  # a batch is made or run: what comes meanwhile waits for its end
        self._worker: asyncio.Task[None] | None = None
        self._over: DeadlineExceeded | None = None  # the end has come, and nothing runs any more

    @property
    def load(self) -> float:
        """The share of the queue that is taken, rows that are still being read for included."""
        return self._admitted / self._limits.queue_rows

    @property
    def waiting(self) -> int:
        """How many rows wait for their run, those that are still being read for included."""
        return self._admitted

    def alone(self) -> None:
        """Run more on the loop: nobody on it waits for anything else, and a thread would ask for a core of its own."""
        self._runs.inline_seconds = ALONE_SECONDS

    def admit(self, rows: int, priority: int = 0) -> None:
        """Count rows of a priority that will be added, or given up with `release`.

        Raises: Overloaded at once when the queue is full of what is as urgent, or more.
        """
        if self._admitted and self._admitted + rows > self._limits.queue_rows:
            ahead = self._levels.ahead(priority, self._admitted)
            if ahead and ahead + rows > self._limits.queue_rows:
                raise Overloaded(f"model {self._manifest.name!r}", ahead, RETRY_AFTER_SECONDS)
        self._admitted += rows
        if priority:
            self._levels.count(priority, rows)

    def release(self, rows: int, priority: int = 0) -> None:
        """Count rows that no longer wait."""
        self._admitted -= rows
        if priority:
            self._levels.count(priority, -rows)

    def add(self, job: Job) -> None:
        """Put an admitted job at the end of the queue."""
        job.arrived = time.monotonic()
        rows = len(job.rows)
        if rows >= EARLY_ROWS:
            with suppress(Exception):  # its batch meets the same fault, and tells of it
                self._gatherer.decode(job)
        if job.priority and self._queue is self._plain:
            self._queue = Lanes.around(self._plain, self._limits.default_priority)
        self._queue.append(job)
        self._queued += rows
        if self._busy:
            return
        if self._turn is None or (self._wait and self._queued >= self._enough):
            self._next(self._later)

    def _next(self, soon: Callable[[Callable[[], None]], asyncio.Handle | Later]) -> None:
        """Have the next batch run: soon, or where it may wait for more as long as its first job may."""
        if self._turn is not None:
            self._turn.cancel()
        if self._wait and self._queued < self._enough:
            queue = self._queue
            since = queue.since if isinstance(queue, Lanes) else queue[0].arrived
            left = since + self._wait - time.monotonic()
            self._turn = self._loop.call_later(left, self._work)
        else:
            self._turn = soon(self._work)

    def _work(self) -> None:
        """Run the next batch; what takes long goes on in a task, and the queue waits for it."""
        self._turn, self._busy = None, True
        long: list[Batch] = []
        try:
            long = self._run_short(self._take(self._queue))
        finally:
            if long:
                self._worker = self._loop.create_task(self._run_long(long))
            else:
                self._go_on()

    def _go_on(self) -> None:
        """Let what has come meanwhile have its turn."""
        self._busy = False
        if self._queue:
            self._next(self._loop.call_soon)  # others on the loop have their turn first
        elif self._queue is not self._plain:
            self._queue = self._plain

    def _run_short(self, jobs: Sequence[Job]) -> list[Batch]:
        """Run what is short and goes well; return the other batches."""
        try:
            batches = self._gatherer.batches(jobs)
            if len(batches) > 1:
                self._sort(batches)
            return [batch for at, batch in enumerate(batches) if at >= AT_ONCE or not self._ran(batch)]
        except Exception as error:  # noqa: BLE001  # a fault of ours must fail its requests, not hang them
            for job in jobs:
                job.end(error)
            return []

    def _take(self, queue: deque[Job] | Lanes) -> list[Job]:
        """Take jobs up to the rows of a batch, at least one; expired and left ones are dropped."""
        rows = 0
        self._begun = now = time.monotonic()
        taken: list[Job] = []
        most, waited = self._limits.batch_rows, self._metrics.waited
        while queue and (not taken or rows + len(queue[0].rows) <= most):
            job = queue.popleft()
            count = len(job.rows)
            self._queued -= count
            self._admitted -= count
            if job.priority:
                self._levels.count(job.priority, -count)
            if not job.open:
                continue
            if job.deadline < now:
                job.end(DeadlineExceeded(now - job.asked))
                continue
            if job.apart:
                job.waited = now - job.arrived
            else:
                waited(now - job.arrived, job.callers)
            taken.append(job)
            rows += count
        return taken

    def _ran(self, batch: Batch) -> bool:
        """Run a batch here when that is short; whether it was run, and well."""
        size = size_of(batch.feeds)
        if not self._runs.short(size):
            return False
        try:
            outputs = self._runs.now(batch.feeds, batch.rows, size)
        except RunFailed:
            return False
        self._finish(batch, outputs)
        return True

    def _sort(self, batches: list[Batch]) -> None:
        """Put the most urgent batches first."""
        if isinstance(self._queue, Lanes):
            batches.sort(key=partial(level_of, self._queue))

    async def _run_long(self, batches: Sequence[Batch]) -> None:
        """Run batches one after the other; then the queue goes on."""
        try:
            for batch in batches:
                if isinstance(self._queue, Lanes):
                    await self._overtake(batch, self._queue)
                await self._answer(batch)
        finally:
            self._worker = None
            self._go_on()

    async def _overtake(self, batch: Batch, queue: Lanes) -> None:
        """Run what has come meanwhile and is more urgent than a batch; once, so that the batch has its turn."""
        above = queue.above(level_of(queue, batch))
        if above:
            for urgent in self._run_short(self._take(above)):
                await self._answer(urgent)

    async def _answer(self, batch: Batch) -> None:
        """Run one batch that somebody still waits for; its jobs hear of any fault."""
        if not batch.wanted:
            return
        try:
            await self._run(batch)
        except Exception as error:  # noqa: BLE001  # as in _run_short
            for job, _ in batch.spans:
                job.end(error)
        await asyncio.sleep(0)  # runs on the loop let others in between

    async def _run(self, batch: Batch) -> None:
        """Run one batch; when it fails, its halves; the rows of a single request are searched."""
        try:
            outputs = await self._outputs(batch)
        except RunFailed as error:
            self._begun = time.monotonic()
            if len(batch.spans) == 1:
                await self._search(batch, error)
                return
            for half in batch.halves():
                await self._answer(half)
        else:
            self._finish(batch, outputs)

    async def _outputs(self, batch: Batch) -> dict[str, Tensor]:
        if self._over is not None:
            raise self._over
        return await self._runs.run(batch)

    async def _search(self, batch: Batch, error: RunFailed) -> None:
        """Find the rows of one job that fail; past the bound, its caller's rows near one are blamed too."""
        failures, callers = 1, batch.spans[0][0].callers
        most = BLAMED_RUNS if callers == 1 else 2 * callers  # callers with a row each never answer for others
        parts = [(batch, error)]
        while parts:
            part, fault = parts.pop()
            if part.rows == 1 or self._rows != "apart" or failures > most or part.spans[0][0].tensors:
                blame(part, fault)
                continue
            for half in part.halves():
                try:
                    outputs = await self._outputs(half)
                except RunFailed as found:
                    self._begun = time.monotonic()
                    failures += 1
                    parts.append((half, found))
                else:
                    self._finish(half, outputs)
            await asyncio.sleep(0)

    def _finish(self, batch: Batch, outputs: Mapping[str, Tensor]) -> None:
        """Hand out what the last run gave, and count what the batch took."""
        seconds, ended = self._runs.last
        made = ended - seconds - self._begun
        self._hand_out(batch, outputs)
        rows, spans = batch.rows, batch.spans
        if len(spans) == 1:
            callers = spans[0][0].callers
        else:  # where each job has one row, each has one caller
            callers = rows if len(spans) == rows else sum([job.callers for job, _ in spans])
        self._begun = self._metrics.batch(rows, callers, made, seconds, ended)

    def _hand_out(self, batch: Batch, outputs: Mapping[str, Tensor]) -> None:
        """Give each job its part of the outputs, or what its rows were told."""
        spans = batch.spans
        if True not in [job.tensors for job, _ in spans]:  # nearly always, and faster than any()
            self._hand_out_worded(spans, outputs)
            return
        at = 0
        for job, rows in spans:
            after = at + len(rows)
            part = outputs if len(spans) == 1 else rows_of(outputs, range(at, after))
            if job.tensors:
                job.place_tensors(rows, part)
            else:
                self._hand_out_worded([(job, rows)], part)
            at = after

    def _hand_out_worded(self, spans: Sequence[Span], outputs: Mapping[str, Tensor]) -> None:
        """Word rows: as columns where all are well, else one by one."""
        plain_jobs = self._rows != "whole" and all(job.takes_columns(rows) for job, rows in spans)
        whole = columns(self._manifest, outputs) if plain_jobs else None
        if whole is None:
            self._hand_out_rows(spans, outputs)
        elif len(spans) == 1:
            spans[0][0].place_columns(whole)
        else:
            at = 0
            for job, rows in spans:
                job.place_columns(whole.part(at, at + len(rows)))
                at += len(rows)

    def _hand_out_rows(self, spans: Sequence[Span], outputs: Mapping[str, Tensor]) -> None:
        """Word the outputs and give each job its rows."""
        raw = spans[0][0].raw
        if len(spans) > 1 and any(job.raw != raw for job, _ in spans):
            at = 0
            for job, rows in spans:
                after = at + len(rows)
                self._hand_out_rows([(job, rows)], rows_of(outputs, range(at, after)))
                at = after
            return
        answers = self._worded(outputs, sum(len(rows) for _, rows in spans), raw)
        at = 0
        for job, rows in spans:
            job.place(rows, answers[at : at + len(rows)])
            at += len(rows)

    def _worded(self, outputs: Mapping[str, Tensor], rows: int, raw: bool) -> Sequence[Worded]:
        """Word rows that ran; an output that fits no wording is the error of each of them."""
        if self._rows == "whole":
            return entire(outputs)
        if raw:
            return plain(outputs)
        try:
            return bodies(self._manifest, outputs)
        except RunFailed as error:
            return [error] * rows

    async def close(self, seconds: float) -> None:
        """Let what waits and runs end for so long; then stop it, its callers are told."""
        until = time.monotonic() + seconds
        self._wait = 0.0  # nobody comes any more to fill the batch
        if self._turn is not None:
            self._next(self._loop.call_soon)
        while (self._queue or self._worker is not None) and time.monotonic() < until:
            await (
                asyncio.wait([self._worker], timeout=until - time.monotonic())
                if self._worker
                else asyncio.sleep(0)
            )
        self._over = DeadlineExceeded(seconds)
        if self._turn is not None:
            self._turn.cancel()
        while self._queue:
            self._queue.popleft().end(self._over)
        self._runs.stop()
        if self._worker is not None:
            await asyncio.gather(self._worker, return_exceptions=True)


def level_of(queue: Lanes, batch: Batch) -> int:
    """Return the level of the most urgent job of a batch."""
    return min(queue.level(job) for job, _ in batch.spans)


def blame(batch: Batch, error: RunFailed) -> None:
    """Give the rows of a batch the error."""
    for job, rows in batch.spans:
        if job.tensors:
            job.end(error)
        else:
            job.place(rows, [error] * len(rows))
