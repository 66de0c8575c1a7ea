"""Jobs: the rows of requests while they wait, in order, those that can share a run side by side."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import InsituError
from models.tensors import Tensor
from server.inference.errors import DeadlineExceeded

Feeds = dict[str, Tensor]
Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request's rows gave: outputs[name] is (len(rows), ...), the other rows have errors."""

    rows: Sequence[int]
    outputs: dict[str, Tensor]
    errors: dict[int, InsituError]


@dataclass(slots=True)
class Job:
    """One request's rows; requests of one signature can share a run.

    Units: arrived and deadline, seconds of time.monotonic.
    """

    feeds: Feeds
    rows: int
    signature: Signature
    arrived: float
    deadline: float
    done: "asyncio.Future[Outcome]"

    def settle(self, outcome: Outcome | Exception) -> None:
        """Give the request its outcome unless its caller has left."""
        if self.done.done():
            return
        if isinstance(outcome, Exception):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)


class Queue:
    """Jobs that wait, by signature; signatures take turns, inside one the order is kept."""

    def __init__(self) -> None:
        self.rows = 0
        self._by_signature: dict[Signature, deque[Job]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_signature)

    def add(self, job: Job) -> None:
        """Put a job at the end."""
        self._by_signature.setdefault(job.signature, deque()).append(job)
        self.rows += job.rows

    def take(self, most: int) -> list[Job]:
        """Take the next batch: jobs of one signature, up to `most` rows but at least one job.

        Jobs whose time is over are told so, those whose caller has left are dropped; both may
        leave the batch empty.
        """
        signature = next(iter(self._by_signature))
        jobs = self._by_signature.pop(signature)
        taken: list[Job] = []
        rows, now = 0, time.monotonic()
        while jobs and (not taken or rows + jobs[0].rows <= most):
            job = jobs.popleft()
            self.rows -= job.rows
            if job.deadline < now:
                job.settle(DeadlineExceeded(now - job.arrived))
            elif not job.done.done():
                taken.append(job)
                rows += job.rows
        if jobs:
            self._by_signature[signature] = jobs  # behind the other signatures
        return taken

    def clear(self, error: Exception) -> None:
        """Give every job an error."""
        for jobs in self._by_signature.values():
            for job in jobs:
                job.settle(error)
        self._by_signature.clear()
        self.rows = 0
