"""Batcher: rows of requests that wait together are run together; it knows sessions, not keys.

It waits for nothing: whatever has arrived when the previous batch ends is the next batch. A batch
that fails is run again by halves, requests first and then the rows of one, so that in the end only
the guilty rows have an error. A short run happens right here on the loop, a long one in a thread.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.assembly import Plan
from models.tensors import Tensor
from server.inference.answers import Worded, bodies, entire, plain
from server.inference.errors import DeadlineExceeded, Overloaded, RunFailed
from server.inference.gathering import Gatherer
from server.inference.jobs import Job
from server.inference.runs import Runner, Runs
from server.inference.stacking import Batch, rows_of
from server.metrics import VersionMetrics

RETRY_AFTER_SECONDS = 1.0
BLAMED_RUNS = 64  # failing runs spent on one request to find its guilty rows


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of one model's queue.

    Units: rows; wait_seconds, how long a batch that is not full may wait for more.
    """

    batch_rows: int = 1024
    queue_rows: int = 16_384
    wait_seconds: float = 0.0


class Batcher:
    """The queue in front of one session."""

    def __init__(
        self, runner: Runner, plan: Plan | None, limits: BatchLimits, metrics: VersionMetrics
    ) -> None:
        self._manifest = runner.session.manifest
        self._rows = runner.rows
        self._limits = limits
        self._metrics = metrics
        self._runs = Runs(runner)
        self._gatherer = Gatherer(self._manifest, plan, runner.rows)
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Job] = deque()
        self._queued = 0
        self._admitted = 0
        self._turn: asyncio.Handle | None = None
        self._worker: asyncio.Task[None] | None = None

    @property
    def load(self) -> float:
        """The share of the queue that is taken, rows that are still being read for included."""
        return self._admitted / self._limits.queue_rows

    def admit(self, rows: int) -> None:
        """Count rows that will be added, or given up with `release`.

        Raises: Overloaded at once when the queue is full.
        """
        if self._admitted and self._admitted + rows > self._limits.queue_rows:
            raise Overloaded(f"model {self._manifest.name!r}", self._admitted, RETRY_AFTER_SECONDS)
        self._admitted += rows

    def release(self, rows: int) -> None:
        """Count rows that no longer wait."""
        self._admitted -= rows

    def add(self, job: Job) -> None:
        """Put an admitted job at the end of the queue."""
        job.arrived = time.monotonic()
        self._queue.append(job)
        self._queued += len(job.rows)
        if self._worker is not None:
            return
        wait = self._limits.wait_seconds
        if self._turn is None:
            self._turn = self._loop.call_later(wait, self._work) if wait else self._loop.call_soon(self._work)
        if wait and self._queued >= self._limits.batch_rows:
            self._turn.cancel()
            self._turn = self._loop.call_soon(self._work)

    def _work(self) -> None:
        """Run the next batch; what takes long goes on in a task, and the queue waits for it."""
        self._turn = None
        jobs = self._take()
        try:
            long = [batch for batch in self._gatherer.batches(jobs) if not self._ran(batch)]
        except Exception as error:  # noqa: BLE001  # a fault of ours must fail its requests, not hang them
            for job in jobs:
                job.end(error)
            long = []
        if long:
            self._worker = self._loop.create_task(self._run_long(long))
        elif self._queue:
            self._turn = self._loop.call_soon(self._work)

    def _take(self) -> list[Job]:
        """Take jobs up to the rows of a batch, at least one; expired and left ones are dropped."""
        queue, rows, now = self._queue, 0, time.monotonic()
        taken: list[Job] = []
        most, waited = self._limits.batch_rows, self._metrics.waited
        while queue and (not taken or rows + len(queue[0].rows) <= most):
            job = queue.popleft()
            count = len(job.rows)
            self._queued -= count
            self._admitted -= count
            if not job.open:
                continue
            if job.deadline < now:
                job.end(DeadlineExceeded(now - job.asked))
                continue
            waited(now - job.arrived)
            taken.append(job)
            rows += count
        return taken

    def _ran(self, batch: Batch) -> bool:
        """Run a batch here when that is short; whether it was run, and well."""
        if not self._runs.short(batch.feeds):
            return False
        try:
            outputs = self._runs.now(batch.feeds, batch.rows)
        except RunFailed:
            return False
        self._hand_out(batch, outputs)
        return True

    async def _run_long(self, batches: Sequence[Batch]) -> None:
        """Run batches one after the other; then the queue goes on."""
        try:
            for batch in batches:
                try:
                    await self._answer(batch)
                except Exception as error:  # noqa: BLE001  # as in _work
                    for job, _ in batch.spans:
                        job.end(error)
        finally:
            self._worker = None
            if self._queue and self._turn is None:
                self._turn = self._loop.call_soon(self._work)

    async def _answer(self, batch: Batch) -> None:
        """Run one batch; when it fails, its halves; the rows of a single request are searched."""
        try:
            outputs = await self._runs.run(batch.feeds, batch.rows, batch.deadline)
        except RunFailed as error:
            if len(batch.spans) == 1:
                await self._search(batch, error)
                return
            await asyncio.sleep(0)  # failing runs on the loop let others in between
            for half in batch.halves():
                await self._answer(half)
        else:
            self._hand_out(batch, outputs)

    async def _search(self, batch: Batch, error: RunFailed) -> None:
        """Find the rows of one request that fail; past the bound, whoever is near one is blamed."""
        failures = 1
        parts = [(batch, error)]
        while parts:
            part, fault = parts.pop()
            if part.rows == 1 or self._rows != "apart" or failures > BLAMED_RUNS:
                blame(part, fault)
                continue
            for half in part.halves():
                try:
                    outputs = await self._runs.run(half.feeds, half.rows, half.deadline)
                except RunFailed as found:
                    failures += 1
                    parts.append((half, found))
                else:
                    self._hand_out(half, outputs)

    def _hand_out(self, batch: Batch, outputs: Mapping[str, Tensor]) -> None:
        """Word the outputs and give each job its rows."""
        spans = batch.spans
        if len(spans) == 1 or not any(job.raw for job, _ in spans):
            answers = self._worded(outputs, batch.rows, spans[0][0].raw)
            if len(spans) == batch.rows:  # one row a job, or one job of one row
                for (job, rows), answer in zip(spans, answers, strict=True):
                    job.place(rows, (answer,))
                return
            at = 0
            for job, rows in spans:
                job.place(rows, answers[at : at + len(rows)])
                at += len(rows)
            return
        at = 0
        for job, rows in spans:
            part = rows_of(outputs, range(at, at + len(rows)))
            job.place(rows, self._worded(part, len(rows), job.raw))
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
        while (self._queue or self._worker is not None) and time.monotonic() < until:
            await (
                asyncio.wait([self._worker], timeout=until - time.monotonic())
                if self._worker
                else asyncio.sleep(0)
            )
        if self._turn is not None:
            self._turn.cancel()
        while self._queue:
            self._queue.popleft().end(DeadlineExceeded(seconds))
        self._runs.stop()
        if self._worker is not None:
            await asyncio.gather(self._worker, return_exceptions=True)


def blame(batch: Batch, error: RunFailed) -> None:
    """Give the rows of a batch the error."""
    for job, rows in batch.spans:
        job.place(rows, [error] * len(rows))
