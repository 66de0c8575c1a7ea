"""Jobs as tests ask them: of tensors or of replies that were read; each is heard to end once."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from models.assembly import Plan
from models.tensors import Tensor
from server.inference.asking import Row
from server.inference.batcher import Batcher
from server.inference.jobs import Job
from tests.unit.server.inference.conftest import Held, numbers

ENOUGH_SECONDS = 10.0


class Asked(Job):
    """A job whose end a test awaits; to end twice is a fault."""

    def __init__(self, rows: int, deadline: float | None = None, raw: bool = False) -> None:
        now = time.monotonic()
        super().__init__(now, deadline or now + ENOUGH_SECONDS)
        self.of([Row() for _ in range(rows)])
        self.raw = raw
        self.heard: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def end(self, error: Exception | None = None) -> None:
        if self.open:
            self.open = False
            self.heard.set_result(error)

    def values(self) -> list[Any]:
        """What each row was answered: the output `y`, or its error."""
        return [row.error or row.body["outputs"]["y"] for row in self.rows]

    async def fault(self) -> Exception | None:
        """Wait for the end, and say what was wrong with the whole job."""
        return await asyncio.wait_for(asyncio.shield(self.heard), ENOUGH_SECONDS)

    async def answers(self) -> list[Any]:
        """Wait for the end, and say what each row was answered; raises what was wrong with all of them."""
        fault = await self.fault()
        if fault is not None:
            raise fault
        return self.values()


def put(batcher: Batcher, job: Asked) -> Asked:
    """Let a job wait for a run."""
    batcher.admit(len(job.rows), job.priority)
    batcher.add(job)
    return job


def tensors(
    feeds: dict[str, Tensor], deadline: float | None = None, rows: int | None = None, raw: bool = False
) -> Asked:
    """Return rows given as tensors; `rows` where the first axis does not say how many there are."""
    job = Asked(len(next(iter(feeds.values()))) if rows is None else rows, deadline, raw)
    job.feeds = feeds
    return job


def ask(batcher: Batcher, *values: float, deadline: float | None = None) -> Asked:
    """Ask for each value twice, a row each."""
    return put(batcher, tensors({"x": numbers(*values)}, deadline))


def read(
    batcher: Batcher, plan: Plan, replies: Sequence[Any], missing: Any = None, raw: bool = False
) -> Asked:
    """Ask rows by the replies of Redis, in the order of the commands: `p:0`, `p:1`, ..."""
    count = len(replies) // max(1, len(plan.templates))
    job = Asked(count, raw=raw)
    job.prepared = plan.prepare([{"id": row} for row in range(count)])
    job.replies, job.missing = replies, missing
    return put(batcher, job)


async def held_back(session: Held, job: Asked) -> Asked:
    """Wait until a job's run has begun; it does not end before the session's gate is set."""
    assert await asyncio.to_thread(session.running.wait, ENOUGH_SECONDS)
    return job


async def all_of(*jobs: Asked) -> list[list[Any]]:
    """Wait for jobs, and say what the rows of each were answered."""
    return [await job.answers() for job in jobs]
