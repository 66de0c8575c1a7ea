"""Runs: a batch through one session, on the loop while that is short, in a thread when it is not.

Which of the two is measured, for each size of batch by itself. A run that outlives its deadline is
stopped, so that no graph can hold a thread for good.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import onnxruntime as ort

from models.tensors import Tensor
from server.inference.errors import DeadlineExceeded, RunFailed
from server.inference.jobs import Feeds
from server.inference.samples import Rows
from server.inference.sessions import Session, ending
from server.inference.stacking import filled_up, rows_of, stacked

INLINE_SECONDS = 0.0005  # a shorter run costs less than handing it to a thread
LENIENCE = (
    1.1  # a run that took longer than those before counts in full after some: another program had the core
)
STOP_SECONDS = 1.0  # a stopped run ends between two nodes; one in a very long node is left to its thread


def unobserved(_count: int, _seconds: float) -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True)
class Runner:
    """One session and how its batches are run: at most `most` rows at once."""

    session: Session
    rows: Rows
    pool: Executor
    most: int
    observe: Callable[[int, float], None] = unobserved


class Run(NamedTuple):
    """A run that went well.

    Units: seconds, on the clock.
    """

    outputs: dict[str, Tensor]
    rows: int
    seconds: float


class Runs:
    """The runs of one session, one at a time."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._seconds: dict[int, float] = {}
        self._halt: asyncio.Future[None] | None = None  # of the run that is under way in a thread

    def short(self, feeds: Feeds) -> bool:
        """Whether rows of that size are run faster here than in a thread, as measured so far."""
        seconds = self._seconds.get(size_of(feeds), 1.0)
        return seconds < INLINE_SECONDS and not self._runner.session.endless

    def now(self, feeds: Feeds, rows: int) -> dict[str, Tensor]:
        """Run rows here.

        Raises: RunFailed.
        """
        return self._measured(feeds, self._timed(feeds, rows, None))

    async def run(self, feeds: Feeds, rows: int, deadline: float) -> dict[str, Tensor]:
        """Run rows, here or in a thread.

        Units:  deadline, seconds of time.monotonic.
        Raises: RunFailed; DeadlineExceeded, when the run had to be stopped.
        """
        if self.short(feeds):
            return self.now(feeds, rows)
        return self._measured(feeds, await self._in_thread(feeds, rows, deadline))

    def _measured(self, feeds: Feeds, run: Run) -> dict[str, Tensor]:
        size = size_of(feeds)
        self._seconds[size] = min(run.seconds, self._seconds.get(size, run.seconds) * LENIENCE)
        self._runner.observe(run.rows, run.seconds)
        return run.outputs

    async def _in_thread(self, feeds: Feeds, rows: int, deadline: float) -> Run:
        started, loop = time.monotonic(), asyncio.get_running_loop()
        stop, halt = ort.RunOptions(), loop.create_future()
        self._halt = halt
        run = loop.run_in_executor(self._runner.pool, self._timed, feeds, rows, stop)
        await asyncio.wait([run, halt], timeout=deadline - started, return_when=asyncio.FIRST_COMPLETED)
        self._halt = None
        if not run.done():
            ending(stop)
            await asyncio.wait([run], timeout=STOP_SECONDS)
        if stop.terminate:
            run.add_done_callback(forget)
            run.cancel()
            raise DeadlineExceeded(time.monotonic() - started)
        return run.result()

    def stop(self) -> None:
        """End the run that is under way in a thread, if there is one."""
        if self._halt is not None:
            self._halt.cancel()

    def _timed(self, feeds: Feeds, rows: int, stop: ort.RunOptions | None) -> Run:
        started = time.perf_counter()
        results = (
            self._whole(feeds, stop) if self._runner.rows == "whole" else self._sliced(feeds, rows, stop)
        )
        return Run(results, rows, time.perf_counter() - started)

    def _whole(self, feeds: Feeds, stop: ort.RunOptions | None) -> dict[str, Tensor]:
        return self._runner.session.run(feeds, stop)

    def _sliced(self, feeds: Feeds, rows: int, stop: ort.RunOptions | None) -> dict[str, Tensor]:
        """Run rows in slices the graph takes: at most the limit, exactly its own size when fixed."""
        size = self._runner.session.manifest.fixed_rows or self._most(rows)
        if rows <= size:
            return self._slice(feeds, rows, stop)
        parts = [
            self._slice(rows_of(feeds, range(at, at + size)), min(size, rows - at), stop)
            for at in range(0, rows, size)
        ]
        return stacked(parts)

    def _most(self, rows: int) -> int:
        """Rows of one run; those of a request that depend on one another are not taken apart."""
        return rows if self._runner.rows == "coupled" else self._runner.most

    def _slice(self, feeds: Feeds, rows: int, stop: ort.RunOptions | None) -> dict[str, Tensor]:
        """Run one slice; a graph of fixed batch size gets its last row repeated to fill it."""
        session = self._runner.session
        size = session.manifest.fixed_rows
        results = session.run(filled_up(feeds, rows, size) if size > rows else feeds, stop)
        wanted = max(size, rows)
        for name, tensor in results.items():
            if len(tensor) != wanted:
                reason = f"output {name!r} has {len(tensor)} rows for {wanted} rows of inputs"
                raise RunFailed(session.manifest.name, session.manifest.version, reason)
        return results if wanted == rows else {name: tensor[:rows] for name, tensor in results.items()}


def size_of(feeds: Feeds) -> int:
    """Return the size that runs are measured by: elements, to the power of two."""
    if len(feeds) == 1:
        (tensor,) = feeds.values()
        return int(tensor.size).bit_length()
    return sum(tensor.size for tensor in feeds.values()).bit_length()


def forget(run: "asyncio.Future[Any]") -> None:
    """Take note of what a stopped run raised, so that nobody is told of it."""
    if not run.cancelled():
        run.exception()
