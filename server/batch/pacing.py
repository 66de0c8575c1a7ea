"""Pacing: how fast a job may go, when it rests, and how much it asks for at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from models.errors import InsituError, RedisUnavailable
from server.inference.errors import Overloaded
from server.inference.reading.reads import Ask, Done, awaited

Answer = TypeVar("Answer")

PROBE_SECONDS = 0.25  # between two looks at how fast Redis answers
RETRY_SECONDS = 0.25
SIP_COMMANDS, SIP_BYTES = 32, 1 << 15  # a fraction of a millisecond of Redis' time
GIVE_WAY_SECONDS = 0.001  # several times what a portion or a sip takes
PATIENCE_SECONDS = 600.0  # how long a Redis that is away is waited for


class Pace:
    """At most so many rows a second; the rows of a part may come at once, the next part waits for them."""

    def __init__(self, rows_a_second: float | None) -> None:
        self._seconds = 0.0 if rows_a_second is None else 1 / rows_a_second
        self._free = 0.0  # when the next part may begin, monotonic seconds

    async def wait(self, rows: int) -> None:
        """Wait until so many rows may begin."""
        if not self._seconds:
            return
        now = time.monotonic()
        begin = max(now, self._free)
        self._free = begin + rows * self._seconds
        await asyncio.sleep(begin - now)


class Rest:
    """Rests while Redis answers slowly: whoever else asks it goes first."""

    def __init__(self, ping: Callable[[], Awaitable[Any]], above_ms: float | None) -> None:
        self._ping, self._above = ping, above_ms
        self._clear = asyncio.Event()
        self._clear.set()
        self.latency_ms = 0.0

    @property
    def resting(self) -> bool:
        """Whether the job waits for Redis to be fast again."""
        return not self._clear.is_set()

    async def wait(self) -> None:
        """Wait until Redis is fast enough."""
        await self._clear.wait()

    async def watch(self) -> None:
        """Look at Redis now and then, for as long as the job goes on."""
        while self._above is not None:
            began = time.monotonic()
            try:
                await self._ping()
            except RedisUnavailable:  # whoever reads finds out by himself
                self._clear.set()
            else:
                self._note((time.monotonic() - began) * 1000, self._above)
            await asyncio.sleep(PROBE_SECONDS)

    def _note(self, latency_ms: float, above_ms: float) -> None:
        self.latency_ms = latency_ms
        if latency_ms > above_ms:
            self._clear.clear()
        else:
            self._clear.set()


def nobody() -> bool:
    """Whether somebody else is served, where that is not known."""
    return False


def giving_way(others: Callable[[], bool]) -> float:
    """Return how many seconds a gentle job rests between two things it asks of Redis: some while others are served."""
    return GIVE_WAY_SECONDS if others() else 0.0


class Sips:
    """An `ask` that gives Redis few commands at a time, the next when those are answered."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, commands: Sequence[bytes], done: Done) -> None:
        """Ask, as `Reader.ask`."""
        sips = [*spans([*map(len, commands)], SIP_COMMANDS, SIP_BYTES)]
        if len(sips) == 1:
            self._ask(commands, done)
            return
        task = asyncio.create_task(self._in_turn([commands[sip] for sip in sips], done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, sips: Sequence[Sequence[bytes]], done: Done) -> None:
        replies: list[Any] = []
        try:
            for sip in sips:
                replies += await awaited(self._ask, sip)
        except InsituError as error:
            done(error)
        else:
            done(replies)


def spans(sizes: Sequence[int], most: int, most_bytes: int) -> Iterator[slice]:
    """Part things of these sizes, in order: so many at most, and so many bytes unless one alone is larger."""
    ends = [*accumulate(sizes)]
    first, before = 0, 0
    while first < len(ends):
        stop = min(first + most, len(ends))
        while stop > first + 1 and ends[stop - 1] - before > most_bytes:
            stop = first + max(1, (stop - first) // 2)
        yield slice(first, stop)
        first, before = stop, ends[stop - 1]


async def unhurried(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Do something, later while too much waits: a job has time.

    Raises: whatever else the work raises.
    """
    while True:
        try:
            return await work()
        except Overloaded as error:
            await asyncio.sleep(error.retry_after_seconds)


async def patiently(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Do what may be done again, until Redis is there for it.

    Raises: RedisUnavailable, when Redis was away for so long; whatever else the work raises.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await work()
        except RedisUnavailable:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(RETRY_SECONDS)
