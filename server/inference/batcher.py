"""Batcher: rows of requests that wait together are run together; it knows sessions, not keys.

It waits for nothing: whatever has arrived when the previous batch ends is the next batch. A
request is whole or not at all in a batch. A batch that fails is run again by halves, requests
first and then the rows of one, so that in the end only the guilty rows have an error.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from models.errors import InsituError
from models.tensors import Tensor
from server.inference.errors import DeadlineExceeded, Overloaded, RunFailed
from server.inference.jobs import Feeds, Job, Outcome, Queue, Signature
from server.inference.runs import Runner, Runs
from server.inference.stacking import joined, padded_inputs, parted, rows_of, stacked

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

    def __init__(self, runner: Runner, limits: BatchLimits) -> None:
        manifest = runner.session.manifest
        self._name = manifest.name
        self._apart = runner.rows == "apart"
        self._padded = padded_inputs(manifest)
        self._limits = limits
        self._runs = Runs(runner)
        self._queue = Queue()
        self._full = asyncio.Event()
        self._unlike = count()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, feeds: Feeds, rows: int, deadline: float) -> Outcome:
        """Return the outputs of the rows, and the error of each that could not run.

        Shape:  feeds[input] (rows, ...).
        Units:  deadline, seconds of time.monotonic.
        Raises: Overloaded at once when the queue is full; DeadlineExceeded, when it expired.
        """
        if self._queue and self._queue.rows + rows > self._limits.queue_rows:
            raise Overloaded(f"model {self._name!r}", self._queue.rows, RETRY_AFTER_SECONDS)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.add(Job(feeds, rows, self._signature(feeds), time.monotonic(), deadline, future))
        if self._queue.rows >= self._limits.batch_rows:
            self._full.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    def _signature(self, feeds: Feeds) -> Signature:
        """Return what two requests must have in common to share a run."""
        if not self._apart:
            return (next(self._unlike),)
        return tuple(
            (name, tensor.shape[2:] if name in self._padded else tensor.shape[1:])
            for name, tensor in feeds.items()
        )

    async def _work(self) -> None:
        while self._queue:
            if self._limits.wait_seconds:
                await self._fill()
            jobs = self._queue.take(self._limits.batch_rows)
            try:
                await self._answer(jobs)
            except Exception as error:  # noqa: BLE001  # a fault of ours must fail its requests, not hang them
                for job in jobs:
                    job.settle(error)

    async def _fill(self) -> None:
        """Wait until a batch is full, or for as long as it may wait."""
        self._full.clear()
        if self._queue.rows >= self._limits.batch_rows:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.wait_seconds):
                await self._full.wait()

    async def _answer(self, jobs: Sequence[Job]) -> None:
        """Run one batch; when it fails, its halves; when one request fails, halves of its rows."""
        if not jobs:
            return
        rows, deadline = sum(job.rows for job in jobs), max(job.deadline for job in jobs)
        try:
            results = await self._runs.run(joined(jobs, self._padded), rows, deadline)
        except RunFailed as error:
            if len(jobs) == 1:
                jobs[0].settle(await self._row_by_row(jobs[0], error))
                return
            await asyncio.sleep(0)  # failing runs on the loop let others in between
            half = len(jobs) // 2
            await self._answer(jobs[:half])
            await self._answer(jobs[half:])
            return
        for job, outcome in zip(jobs, parted(results, jobs), strict=True):
            job.settle(outcome)

    async def _row_by_row(self, job: Job, error: RunFailed) -> Outcome:
        """Find the rows of one request that fail; past the bound, whoever is near one is blamed."""
        good: list[tuple[range, dict[str, Tensor]]] = []
        errors: dict[int, InsituError] = {}
        parts = self._halves(range(job.rows), errors, error, 1)
        failures = 1
        while parts:
            part = parts.pop()
            try:
                results = await self._runs.run(rows_of(job.feeds, part), len(part), job.deadline)
            except RunFailed as fault:
                failures += 1
                parts += self._halves(part, errors, fault, failures)
            else:
                good.append((part, results))
        rows = [row for part, _ in good for row in part]
        return Outcome(rows, stacked([results for _, results in good]), errors)

    def _halves(
        self, part: range, errors: dict[int, InsituError], fault: RunFailed, failures: int
    ) -> list[range]:
        """Return the halves of a part that failed, the first one last; or blame all of it."""
        if len(part) == 1 or not self._apart or failures > BLAMED_RUNS:
            errors.update(dict.fromkeys(part, fault))
            return []
        half = len(part) // 2
        return [part[half:], part[:half]]

    async def close(self, seconds: float) -> None:
        """Let what waits and runs end for so long; then stop it, its callers are told."""
        if self._worker is None or self._worker.done():
            return
        await asyncio.wait([self._worker], timeout=seconds)
        self._queue.clear(DeadlineExceeded(seconds))
        self._runs.stop()
        await asyncio.gather(self._worker, return_exceptions=True)
