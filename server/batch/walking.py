"""Walking: one process finds the rows of a job and puts them where every process takes them from.

If it dies another one goes on from where it was; which one walks is agreed on in Redis.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from models.assembly import Plan
from models.errors import BadRequest
from models.job_errors import RowsElsewhere
from models.ledger import RUNNING, SILENT_SECONDS, Ledger
from server.batch.pacing import patiently
from server.batch.parts import Part, Source, Step, texts_of

PART_ROWS = 4096
LEAST_ROWS = 32
PART_SECONDS = 0.25
MOST_WAITING = 16  # parts that are found and not scored yet: what a job keeps in Redis is bounded
GATHER_SECONDS = 0.25  # rows are sparse in some walks: how long a part is filled up
LOOK_SECONDS = 0.5  # whether another walker has died
FAILURES = 20  # looks after which a job whose rows nobody finds is given up
ROOM_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Terms:
    """How a walk is done: rows of a part; a job that is not this process' `own` may not be found from here."""

    own: bool = True
    rows: int = PART_ROWS


def rows_at(rate: float | None) -> int:
    """Return the rows of a part of a job with a rate: a part is taken at once, so it is short."""
    return PART_ROWS if rate is None else min(PART_ROWS, max(LEAST_ROWS, int(rate * PART_SECONDS)))


class Walk:
    """The walk of one job, by this process or by another."""

    def __init__(self, ledger: Ledger, opened: Callable[[], Source], plan: Plan, terms: Terms) -> None:
        """Take a job and how its source is opened."""
        self._ledger, self._opened, self._plan, self._terms = ledger, opened, plan, terms
        self._failures = 0

    async def run(self) -> bool:
        """Walk when nobody else does, until every row was found; true when the job is done with it.

        Raises: BadRequest, there is nothing to walk; RowsElsewhere, not from here, and nobody else does;
                RedisUnavailable, away for too long; RedisRefused.
        """
        while True:
            if await patiently(self._ledger.lead):
                walked = await self._tried()
                if walked is not None:
                    return walked
            standing = await patiently(self._ledger.look)
            if standing.state != RUNNING or standing.walked:
                return False
            await asyncio.sleep(LOOK_SECONDS)

    async def _tried(self) -> bool | None:
        """Walk; None when another process walks now, or is to: of a job that others began the rows may be theirs.

        Raises: as `run`.
        """
        try:
            source = self._opened()
            return await patiently(lambda: self._walk(source))
        except BadRequest as error:
            if self._terms.own:
                raise
            self._failures += 1
            if self._failures > FAILURES:
                raise RowsElsewhere(self._ledger.name, error) from error
            await patiently(self._ledger.leave)
            return None

    async def _walk(self, source: Source) -> bool | None:
        """Walk from where the last one was; None when another process walks now.

        Raises: RedisUnavailable, after which it can be tried again.
        """
        position = (await self._ledger.look()).position
        async for step, passed_over in self.found(source, position):
            waiting = await self._ledger.add(
                [part.packed() for part in step.part.split(self._terms.rows)],
                step.position,
                step.share,
                anew=step.anew,
                passed_over=passed_over,
                rows=len(step.part),
            )
            if waiting < 0 or not await self._room(waiting):
                return None
        return await self._ledger.walked() == 2

    async def _room(self, waiting: int) -> bool:
        """Wait until few parts wait; false when another process walks now."""
        renewed = time.monotonic()
        while waiting > MOST_WAITING:
            await asyncio.sleep(ROOM_SECONDS)
            waiting = await self._ledger.waiting()
            if time.monotonic() - renewed > SILENT_SECONDS / 3:
                renewed = time.monotonic()
                if not await self._ledger.lead():
                    return False
        return True

    async def found(self, source: Source, position: str) -> AsyncIterator[tuple[Step, int]]:
        """Give steps of about a part each, and how many keys in them the model does not read.

        Raises: what `Source.steps` raises.
        """
        keys: list[bytes] = []
        passed_over, since, anew = 0, time.monotonic(), False
        last: Step | None = None
        async for step in source.steps(position):
            if step.anew:
                keys, passed_over, anew = [], 0, True
            if step.part.instances:
                yield step, 0
                continue
            own = step.part.keys if source.strict else self._own(step.part.keys)
            passed_over += len(step.part.keys) - len(own)
            keys.extend(own)
            last = step
            if len(keys) >= self._terms.rows or time.monotonic() - since > GATHER_SECONDS:
                yield Step(Part(keys), step.position, step.share, anew), passed_over
                keys, passed_over, since, anew, last = [], 0, time.monotonic(), False, None
        if last is not None:
            yield Step(Part(keys), last.position, last.share, anew), passed_over

    def _own(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Return the keys that the model reads."""
        texts = texts_of(keys)
        template = self._plan.template
        if template.accepts_all(texts):
            return keys
        return [key for key, text in zip(keys, texts, strict=True) if template.match(text) is not None]
