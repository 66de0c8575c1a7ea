"""Whose turn it is to run rows for explanations: one part at a time, and predictions go first.

A part is small, so that a prediction that comes meanwhile waits for milliseconds. After one that
predictions had to wait for, explanations rest for several times as long as it took: however many
there are, they take a small share of the processor while others are served. Among them who is nearest
to the end goes first, so that of more than can be done in time some are done.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count

PART_SECONDS = 0.004  # what one part should take
PART_ROWS = 32  # of the first part, before anything was measured
PART_ROWS_MOST = 512
PART_BYTES = 4 << 20  # of the rows of one part
LOOK_SECONDS = 0.001  # who was answered together with a part needs about that to ask again
REST = 4  # times as long as a part took, while predictions are under way


Left = tuple[int, int]  # rows of a request that are not explained yet, and runs that the next of them needs


class Turns:
    """The turns of one process; `under_way` tells how many requests are waited for, our own aside."""

    def __init__(self, under_way: Callable[[], int]) -> None:
        self._under_way = under_way
        self._taken = False
        self._waiting: list[tuple[Left, int, asyncio.Future[None]]] = []  # a heap
        self._numbers = count()

    @asynccontextmanager
    async def taken(self, left: Left) -> AsyncIterator[None]:
        """Hold the turn for one part, then rest where others wait; of those who wait who has the least left is next."""
        await self._turn(left)
        try:
            started = time.monotonic()
            yield
            took = time.monotonic() - started
            await asyncio.sleep(LOOK_SECONDS)
            if self._under_way():
                await asyncio.sleep(REST * took)
        finally:
            self._pass_on()

    async def _turn(self, left: Left) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (left, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came as its owner was given up
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Let the next one who still waits have the turn."""
        while self._waiting:
            turn = heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False


class Pace:
    """How many rows a part has, by the quickest so far: others' rows may have run beside a slow one's."""

    def __init__(self, row_bytes: int, rows_most: int) -> None:
        self._most = max(1, min(rows_most, PART_ROWS_MOST, PART_BYTES // max(1, row_bytes)))
        self._row_seconds = math.inf
        self.rows = min(PART_ROWS, self._most)

    def took(self, rows: int, seconds: float) -> None:
        """Note what so many rows took; the next part has at most twice as many."""
        self._row_seconds = min(self._row_seconds, max(seconds, 1e-9) / rows)
        self.rows = max(1, min(self._most, 2 * self.rows, int(PART_SECONDS / self._row_seconds)))
