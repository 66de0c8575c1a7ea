"""Runs: a batch through one session, on the loop while that is short, in a thread when it is not.

Which of the two is measured, for each size of batch by itself. A run that outlives its deadline, or
everybody who waits for it, is stopped, so that no graph can hold a thread for good.
"""

import asyncio
import sys
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import onnxruntime as ort

from models.tensors import Tensor
from server.inference.errors import DeadlineExceeded, RunFailed
from server.inference.jobs import Feeds
from server.inference.samples import Rows
from server.inference.sessions import Session, ending
from server.inference.stacking import Batch, filled_up, rows_of, stacked

INLINE_SECONDS = 0.0005  # a shorter run costs less than handing it to a thread
LENIENCE = (
    1.1  # a run that took longer than those before counts in full after some: another program had the core
)
LOOK_SECONDS = 0.25  # between looks whether somebody still waits for a run in a thread
STOP_SECONDS = 1.0  # a stopped run ends between two nodes; one in a very long node is left to its thread

Timed = tuple[dict[str, Tensor], float, float]  # outputs of a run that went well, when it began and ended


@dataclass(frozen=True, slots=True)
class Runner:
    """One session and how its batches are run: at most `most` rows at once, sequences padded if it `pads`."""

    session: Session
    rows: Rows
    pool: Executor
    most: int
    pads: bool = True


class Runs:
    """The runs of one session, one at a time."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._session = runner.session
        self._free = runner.rows != "whole" and not runner.session.manifest.fixed_rows
        self._most_at_once = sys.maxsize if runner.rows == "coupled" else runner.most
        self.last = (0.0, 0.0)
        """How many seconds the last run took, and when it ended by time.monotonic."""
        self.inline_seconds = INLINE_SECONDS
        """How long a run may take that happens on the loop."""
        self._seconds: dict[int, float] = {}
        self._halt: asyncio.Future[None] | None = None  # of the run that is under way in a thread

    def short(self, size: int) -> bool:
        """Whether runs of a size are faster here than in a thread, as measured so far."""
        return self._seconds.get(size, 1.0) < self.inline_seconds and not self._runner.session.endless

    def now(self, feeds: Feeds, rows: int, size: int) -> dict[str, Tensor]:
        """Run rows here.

        Raises: RunFailed.
        """
        started = time.monotonic()
        outputs = self._outputs(feeds, rows, None)
        self._note(size, started, time.monotonic())
        return outputs

    async def run(self, batch: Batch) -> dict[str, Tensor]:
        """Run the rows of a batch, here or in a thread.

        Raises: RunFailed; DeadlineExceeded, when the run had to be stopped.
        """
        size = size_of(batch.feeds)
        if self.short(size):
            return self.now(batch.feeds, batch.rows, size)
        outputs, started, ended = await self._in_thread(batch)
        self._note(size, started, ended)
        return outputs

    def _note(self, size: int, started: float, ended: float) -> None:
        """Note how long a run took."""
        seconds = ended - started
        self.last = seconds, ended
        self._seconds[size] = min(seconds, self._seconds.get(size, seconds) * LENIENCE)

    async def _in_thread(self, batch: Batch) -> Timed:
        started, loop = time.monotonic(), asyncio.get_running_loop()
        stop, halt = ort.RunOptions(), loop.create_future()
        deadline, left = batch.deadline, batch.deadline - started
        self._halt = halt
        queued = self._runner.pool.submit(self._timed, batch.feeds, batch.rows, stop)
        run = asyncio.wrap_future(queued)
        try:
            while left > 0 and not (run.done() or halt.done()) and batch.wanted:
                await asyncio.wait(
                    [run, halt], timeout=min(left, LOOK_SECONDS), return_when=asyncio.FIRST_COMPLETED
                )
                left = deadline - time.monotonic()
        except asyncio.CancelledError:  # the process ends, and would wait for its threads
            ending(stop)
            run.add_done_callback(forget)
            raise
        self._halt = None
        if not run.done():
            ending(stop)
            if not queued.cancel():  # it has begun
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

    def _timed(self, feeds: Feeds, rows: int, stop: ort.RunOptions) -> Timed:
        started = time.monotonic()
        return self._outputs(feeds, rows, stop), started, time.monotonic()

    def _outputs(self, feeds: Feeds, rows: int, stop: ort.RunOptions | None) -> dict[str, Tensor]:
        """Run rows in slices the graph takes: at most the limit, exactly its own size when fixed."""
        if self._free and rows <= self._most_at_once:  # nearly always
            return self._whole(self._session.run(feeds, stop), rows)
        if self._runner.rows == "whole":
            return self._session.run(feeds, stop)
        size = self._runner.session.manifest.fixed_rows or self._most_at_once
        if rows <= size:
            return self._slice(feeds, rows, stop)
        parts = [
            self._slice(rows_of(feeds, range(at, at + size)), min(size, rows - at), stop)
            for at in range(0, rows, size)
        ]
        return stacked(parts)

    def _slice(self, feeds: Feeds, rows: int, stop: ort.RunOptions | None) -> dict[str, Tensor]:
        """Run one slice; a graph of fixed batch size gets its last row repeated to fill it."""
        size = self._runner.session.manifest.fixed_rows
        if size <= rows:
            return self._whole(self._session.run(feeds, stop), rows)
        results = self._whole(self._session.run(filled_up(feeds, rows, size), stop), size)
        return {name: tensor[:rows] for name, tensor in results.items()}

    def _whole(self, results: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
        """Return outputs that have a row for each row of the inputs.

        Raises: RunFailed, one has not.
        """
        for name, tensor in results.items():
            if len(tensor) != rows:
                manifest = self._runner.session.manifest
                reason = f"output {name!r} has {len(tensor)} rows for {rows} rows of inputs"
                raise RunFailed(manifest.name, manifest.version, reason)
        return results


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
