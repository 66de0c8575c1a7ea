"""Batcher: rows of requests that wait together are run together; it knows sessions, not keys.

It waits for nothing: whatever has arrived when the previous batch ends is the next batch. A
request is whole or not at all in a batch; a batch that fails is run again request by request,
and a request that fails row by row, so that only the guilty row has an error.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from models.errors import InsituError
from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.errors import DeadlineExceeded, Overloaded, RunFailed

Feeds = dict[str, Tensor]
INLINE_SECONDS = 0.0005  # a shorter run costs less than handing it to a thread
SMOOTHING = 0.2
RETRY_AFTER_SECONDS = 1.0
ROW_RETRY_LIMIT = 256  # rows of one failing request that are tried one by one


def unobserved(_count: int, _seconds: float) -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of one model's queue.

    Units: rows; wait_seconds, how long a batch that is not full may wait for more.
    """

    batch_rows: int = 1024
    queue_rows: int = 16_384
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request's rows gave: outputs[name] is (len(rows), ...), the other rows have errors."""

    rows: Sequence[int]
    outputs: dict[str, Tensor]
    errors: dict[int, InsituError]


@dataclass(slots=True)
class Job:
    """One request's rows in the queue."""

    feeds: Feeds
    rows: int
    signature: tuple[object, ...]
    deadline: float
    done: "asyncio.Future[Outcome]"


class Batcher:
    """The queue in front of one session."""

    def __init__(
        self,
        manifest: Manifest,
        run: Callable[[Feeds], dict[str, Tensor]],
        pool: Executor,
        limits: BatchLimits,
        observe: Callable[[int, float], None] = unobserved,
    ) -> None:
        self._manifest = manifest
        self._run = run
        self._pool = pool
        self._limits = limits
        self._observe = observe
        self._padded = padded_inputs(manifest)
        self._together = manifest.batching != "none"
        self._waiting: deque[Job] = deque()
        self._waiting_rows = 0
        self._worker: asyncio.Task[None] | None = None
        self._run_seconds = 0.0

    async def submit(self, feeds: Feeds, rows: int, deadline: float) -> Outcome:
        """Return the outputs of the rows, and the error of each that could not run.

        Shape:  feeds[input] (rows, ...).
        Units:  deadline, seconds of time.monotonic.
        Raises: Overloaded at once when the queue is full; DeadlineExceeded, when it expired waiting.
        """
        if self._waiting and self._waiting_rows + rows > self._limits.queue_rows:
            raise Overloaded(self._manifest.name, self._waiting_rows, RETRY_AFTER_SECONDS)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(Job(feeds, rows, self._signature(feeds), deadline, future))
        self._waiting_rows += rows
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    def _signature(self, feeds: Feeds) -> tuple[object, ...]:
        """Return what two requests must have in common to share a run."""
        if not self._together:
            return (object(),)
        return tuple(
            (name, tensor.shape[2:] if name in self._padded else tensor.shape[1:])
            for name, tensor in feeds.items()
        )

    async def _work(self) -> None:
        if self._limits.wait_seconds:
            await asyncio.sleep(self._limits.wait_seconds)
        while self._waiting:
            jobs = self._take()
            if not jobs:
                continue
            try:
                outcomes = await self._outcomes(jobs)
            except Exception as error:  # noqa: BLE001  # a fault of ours must fail its requests, not hang them
                for job in jobs:
                    settle(job, error)
                continue
            for job, outcome in zip(jobs, outcomes, strict=True):
                settle(job, outcome)

    def _take(self) -> list[Job]:
        """Take the next batch: requests alike, in order, up to the limit; expired ones are dropped."""
        taken: list[Job] = []
        kept: deque[Job] = deque()
        rows, now = 0, time.monotonic()
        while self._waiting and rows < self._limits.batch_rows:
            job = self._waiting.popleft()
            if job.done.done() or job.deadline < now:
                self._waiting_rows -= job.rows
                settle(job, DeadlineExceeded(max(0.0, now - job.deadline)))
            elif taken and not self._fits(taken[0], job, rows):
                kept.append(job)
                if job.signature == taken[0].signature:
                    break
            else:
                taken.append(job)
                rows += job.rows
        self._waiting.extendleft(reversed(kept))
        self._waiting_rows -= rows
        return taken

    def _fits(self, first: Job, job: Job, rows: int) -> bool:
        return job.signature == first.signature and rows + job.rows <= self._limits.batch_rows

    async def _outcomes(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run one batch; when it fails, its requests alone; when one fails, its rows alone."""
        try:
            results = await self._execute(self._joined(jobs), sum(job.rows for job in jobs))
        except RunFailed as error:
            if len(jobs) > 1:
                return [(await self._outcomes([job]))[0] for job in jobs]
            return [await self._row_by_row(jobs[0], error)]
        return split(results, jobs)

    async def _row_by_row(self, job: Job, error: RunFailed) -> Outcome:
        if job.rows == 1 or job.rows > ROW_RETRY_LIMIT or not self._together:
            return Outcome((), {}, dict.fromkeys(range(job.rows), error))
        good: dict[int, dict[str, Tensor]] = {}
        errors: dict[int, InsituError] = {}
        for row in range(job.rows):
            feeds = {name: tensor[row : row + 1] for name, tensor in job.feeds.items()}
            try:
                good[row] = await self._execute(feeds, 1)
            except RunFailed as fault:
                errors[row] = fault
        return Outcome(list(good), stacked(list(good.values())), errors)

    async def _execute(self, feeds: Feeds, rows: int) -> dict[str, Tensor]:
        """Run rows on the loop while runs are short, in the pool when they are not."""
        started = time.perf_counter()
        if 0 < self._run_seconds < INLINE_SECONDS and rows <= self._limits.batch_rows:
            results = self._slices(feeds, rows)
        else:
            results = await asyncio.get_running_loop().run_in_executor(self._pool, self._slices, feeds, rows)
        seconds = time.perf_counter() - started
        previous = self._run_seconds or seconds
        self._run_seconds = (1 - SMOOTHING) * previous + SMOOTHING * seconds
        self._observe(rows, seconds)
        return results

    def _slices(self, feeds: Feeds, rows: int) -> dict[str, Tensor]:
        """Run rows in slices the graph takes: at most the limit, exactly its own size when fixed."""
        if not self._together:
            return self._run(feeds)
        size = self._manifest.fixed_rows or self._limits.batch_rows
        parts = [
            self._run_exactly({name: tensor[at : at + size] for name, tensor in feeds.items()}, size)
            for at in range(0, rows, size)
        ]
        return stacked(parts)

    def _run_exactly(self, feeds: Feeds, size: int) -> dict[str, Tensor]:
        """Run one slice; a graph of fixed batch size gets its last row repeated to fill it."""
        rows = len(next(iter(feeds.values())))
        if not self._manifest.fixed_rows or rows == size:
            return self._run(feeds)
        index = np.minimum(np.arange(size), rows - 1)
        results = self._run({name: tensor[index] for name, tensor in feeds.items()})
        return {name: tensor[:rows] for name, tensor in results.items()}

    def _joined(self, jobs: Sequence[Job]) -> Feeds:
        """Join the rows of requests; sequences with lengths are padded to the longest."""
        if len(jobs) == 1:
            return jobs[0].feeds
        columns = {name: [job.feeds[name] for job in jobs] for name in jobs[0].feeds}
        return {
            name: np.concatenate(padded(parts) if name in self._padded else parts)
            for name, parts in columns.items()
        }

    async def close(self) -> None:
        """Wait for the batch that runs, and for what waits behind it."""
        if self._worker is not None:
            await asyncio.gather(self._worker, return_exceptions=True)


def settle(job: Job, outcome: Outcome | Exception) -> None:
    """Give a request its outcome unless its caller has left."""
    if job.done.done():
        return
    if isinstance(outcome, Exception):
        job.done.set_exception(outcome)
    else:
        job.done.set_result(outcome)


def split(results: dict[str, Tensor], jobs: Sequence[Job]) -> list[Outcome]:
    """Part the outputs of a batch into those of its requests, as views."""
    if len(jobs) == 1:
        return [Outcome(range(jobs[0].rows), results, {})]
    outcomes: list[Outcome] = []
    at = 0
    for job in jobs:
        part = {name: tensor[at : at + job.rows] for name, tensor in results.items()}
        outcomes.append(Outcome(range(job.rows), part, {}))
        at += job.rows
    return outcomes


def stacked(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join the outputs of several runs, row after row."""
    if len(parts) <= 1:
        return parts[0] if parts else {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def padded_inputs(manifest: Manifest) -> frozenset[str]:
    """Return the inputs whose rows may be padded: they come with their lengths, and no output shows steps."""
    views = manifest.features.inputs if manifest.features else ()
    steps_out = any(isinstance(dim, str) for spec in manifest.outputs for dim in spec.shape[1:])
    return frozenset() if steps_out else frozenset(view.name for view in views if view.lengths is not None)


def padded(parts: Sequence[Tensor]) -> list[Tensor]:
    """Bring sequences (B, T, ...) to the longest T with zeros at the right."""
    longest = max(part.shape[1] for part in parts)
    return [
        np.pad(part, [(0, 0), (0, longest - part.shape[1])] + [(0, 0)] * (part.ndim - 2)) for part in parts
    ]
